//! A runner: one instance, launched for one job, with the states of its life.

use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_types::capacity::{InstanceLifecycle, Tried};
use dayfly_types::checkin::{GoodbyeReason, START_UNANSWERED, Stage};
use dayfly_types::deadlines::{Deadlines, FREE_HOUR, RECLAIM_SLACK, SPOT_NOTICE, TAKE_OVER};
use dayfly_types::ids::{FleetId, InstallationId, InstanceId, JobKey, Repository, RunId, RunKey, RunnerId, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lifecycle::{RunnerStep, Step};
use crate::{Attribution, Ending, LaunchPlan, Launched, Reservation, Turn};

/// Where a runner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerState {
    /// Its instance is being asked for.
    Requested,
    /// Its instance exists.
    Launched,
    /// Its JIT config was handed out; it waits for a job.
    Enrolled,
    /// It runs a job.
    Busy,
    /// It was told to end.
    Draining,
    /// It is no longer needed and may be ended as soon as GitHub lets it go.
    Done,
    /// It is given up: ended whatever GitHub says.
    Lost,
    /// Its instance is ended and its registration removed.
    Gone,
}

/// What a runner is for that runs no job: to take one that was given up, and to fail it with the
/// reason in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The job that was given up.
    pub job: JobKey,
    /// Its run.
    pub run: RunId,
    /// What its author reads; the first line says it all.
    pub text: String,
}

/// A runner of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Its name.
    pub name: RunnerName,
    /// The job it was launched for. Another may take it.
    pub wanted_by: JobKey,
    /// The run of that job.
    pub run: RunId,
    /// The repository it is registered in.
    pub repository: Repository,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// The labels it registers with: all of the job's.
    pub labels: Vec<Label>,
    /// Who it is counted for.
    #[serde(default)]
    pub attribution: Attribution,
    /// Where it stands.
    pub state: RunnerState,
    /// What brought it there.
    pub step: RunnerStep,
    /// When it got there.
    pub since: Timestamp,
    /// What is launched.
    pub plan: LaunchPlan,
    /// What it tells a job in place of running it; none for all but messengers.
    pub message: Option<Message>,
    /// The call that launches it, or did; nothing while it waits for one.
    pub fleet: Option<FleetId>,
    /// What AWS said to the attempts that failed.
    pub tried: Vec<Tried>,
    /// When the launch is to be tried next, or taken over from whoever began it.
    pub launch_due: Timestamp,
    /// When it was first asked for.
    pub requested_at: Timestamp,
    /// How it stands at the gate, if the stack policy limits how much runs at once.
    #[serde(default)]
    pub turn: Option<Turn>,
    /// What is set aside for it, from the call that asks for its instance until its cost is known.
    #[serde(default)]
    pub reserved: Option<Reservation>,
    /// The instance, once there is one.
    pub launched: Option<Launched>,
    /// When EC2 said that the instance runs.
    #[serde(default)]
    pub running_at: Option<Timestamp>,
    /// How often it was registered, or may have been.
    pub mints: u32,
    /// Until when a registration that is under way is left to whoever began it.
    pub mint_until: Option<Timestamp>,
    /// When it is its turn to be registered, while it waits for that.
    #[serde(default)]
    pub register_at: Option<Timestamp>,
    /// GitHub's id of it, once its JIT config was minted.
    pub runner_id: Option<RunnerId>,
    /// When its JIT config was handed out.
    #[serde(default)]
    pub enrolled_at: Option<Timestamp>,
    /// The job that it runs or ran.
    pub job: Option<JobKey>,
    /// The run of that job.
    pub job_run: Option<RunId>,
    /// When its instance was last heard of.
    pub heartbeat_at: Option<Timestamp>,
    /// When EC2 said that it will take the instance.
    pub interrupted_at: Option<Timestamp>,
    /// When EC2 said that it might.
    pub rebalance_at: Option<Timestamp>,
    /// When its instance said that its job had ended.
    pub job_over_at: Option<Timestamp>,
    /// How often GitHub was asked for the job that it runs, because nobody said, and when last.
    pub asked: Option<(u32, Timestamp)>,
    /// How often its end was tried and could not be brought about.
    pub end_tries: u32,
    /// Whether EC2 has said that the instance is ended.
    pub instance_ended: bool,
    /// When it ended, by EC2's word.
    #[serde(default)]
    pub instance_ended_at: Option<Timestamp>,
    /// When we had EC2 end it.
    #[serde(default)]
    pub terminated_at: Option<Timestamp>,
    /// The stages that the instance reported.
    pub stages: Vec<(Stage, Timestamp)>,
    /// What it said of them besides, shortened: an instance is hostile ground.
    #[serde(default)]
    pub words: Vec<(Stage, String)>,
    /// Why it ends, once it does.
    pub ending: Option<Ending>,
    /// When somebody must look at it.
    pub due_at: Option<Timestamp>,
    /// When it was gone.
    pub ended_at: Option<Timestamp>,
}

/// How much earlier than the control plane an instance may take its lifetime for over.
const COUNTS_AHEAD: Duration = Duration::from_secs(10);

impl Runner {
    /// Takes a step, if it leads away from where the runner stands. Answers whether it does.
    pub fn take(&mut self, step: RunnerStep, now: Timestamp, deadlines: &Deadlines) -> bool {
        if !step.leads_from(self.state) {
            return false;
        }
        self.step = step;
        self.state = step.to();
        self.since = now;
        self.end_tries = 0;
        if step == RunnerStep::Enrol {
            self.enrolled_at = Some(now);
        }
        self.ended_at = (self.state == RunnerState::Gone).then_some(now);
        self.due_at = self.next_look(deadlines);
        true
    }

    /// Takes a step towards the end because of `ending`, unless it was ending for another reason
    /// already. Answers whether the step leads away from where the runner stands.
    pub fn end(&mut self, step: RunnerStep, ending: Ending, now: Timestamp, deadlines: &Deadlines) -> bool {
        let taken = self.take(step, now, deadlines);
        if taken {
            self.ending.get_or_insert(ending);
        }
        taken
    }

    /// The earliest deadline that holds for it.
    #[must_use]
    pub fn next_look(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        let heartbeat = self.heartbeat_deadline(deadlines);
        let lifetime = self.lifetime_deadline(deadlines);
        match self.state {
            RunnerState::Requested => Some(self.launch_due),
            RunnerState::Launched => Some(self.boot_deadline(deadlines).min(lifetime)),
            RunnerState::Enrolled => Some(self.idle_deadline(deadlines).min(heartbeat).min(lifetime)),
            RunnerState::Busy => {
                let leave = self.leave_deadline(deadlines).unwrap_or(lifetime);
                let ask = self.ask_deadline(deadlines).unwrap_or(lifetime);
                Some(heartbeat.min(lifetime).min(leave).min(ask))
            }
            RunnerState::Draining => Some(self.drain_deadline(deadlines).min(lifetime)),
            RunnerState::Done | RunnerState::Lost => Some(self.since),
            // Nothing of it is left but what it cost, which is to be counted.
            RunnerState::Gone => self.reserved.as_ref().map(|_| self.settle_at(deadlines)),
        }
    }

    /// When what its instance has cost is counted: once EC2 has said when it ended, or has had the time to.
    fn settle_at(&self, deadlines: &Deadlines) -> Timestamp {
        if self.launched.is_some() && self.instance_ended_at.is_none() {
            self.since.after(deadlines.ec2_tells())
        } else {
            self.since
        }
    }

    /// Whether nothing is left of it but what it cost, which may be counted now.
    #[must_use]
    pub fn may_be_settled(&self, now: Timestamp, deadlines: &Deadlines) -> bool {
        self.state == RunnerState::Gone && self.reserved.is_some() && self.settle_at(deadlines) <= now
    }

    /// Whether it kept a job from starting because nobody said whether it may.
    fn went_unanswered(&self) -> bool {
        let unanswered = |(stage, words): &(Stage, String)| *stage == Stage::JobStarted && words == START_UNANSWERED;
        self.words.iter().any(unanswered)
    }

    /// An end that seems in order is none if nobody said whether the job may start, in whichever order the
    /// two are told.
    pub fn heed_unanswered(&mut self) {
        let in_order = match &self.ending {
            Some(Ending::JobOver) => true,
            Some(Ending::Goodbye { reason }) => *reason == GoodbyeReason::Finished,
            _ => false,
        };
        if in_order && self.went_unanswered() {
            self.ending = Some(Ending::Unanswered);
        }
    }

    /// Whether it was launched for a job of this attempt of a run: then it is known that its jobs may run.
    #[must_use]
    pub fn was_launched_for(&self, run: RunKey) -> bool {
        self.run == run.run && self.name.attempt() == Some(run.attempt) && self.message.is_none()
    }

    /// Why it ended, in words for a person, with what its instance said of it.
    #[must_use]
    pub fn why_it_ended(&self) -> String {
        let words = self.ending.as_ref().map_or("unknown", Ending::words);
        let startup_failed = matches!(
            self.ending,
            Some(Ending::Goodbye {
                reason: GoodbyeReason::StartupFailed
            })
        );
        match self.words_of(Stage::StartupFinished) {
            Some(said) if startup_failed => format!("{words}: {said}"),
            _ => words.to_owned(),
        }
    }

    /// Whether it has an end ahead of it that somebody must bring about.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state != RunnerState::Gone
    }

    /// Whether it waits for its turn: nothing is launched for it until then.
    #[must_use]
    pub fn waits_for_its_turn(&self) -> bool {
        self.state == RunnerState::Requested && matches!(self.turn, Some(Turn::Waits | Turn::Asks))
    }

    /// Whether GitHub may still give it a job although it is to end: until it is removed there.
    #[must_use]
    pub fn may_be_taken(&self) -> bool {
        self.state == RunnerState::Enrolled
            || matches!(self.ending, Some(Ending::Idle | Ending::NotNeeded | Ending::Rebalanced))
    }

    /// Whether its job is over, for whatever reason: it takes no other.
    #[must_use]
    pub fn has_had_its_job(&self) -> bool {
        matches!(self.step, RunnerStep::FinishJob | RunnerStep::LeaveAfterJob) || self.ending == Some(Ending::JobOver)
    }

    /// When EC2 takes its instance back, if it gave notice.
    #[must_use]
    pub fn taken_back_at(&self) -> Option<Timestamp> {
        self.interrupted_at.map(|at| at.after(SPOT_NOTICE))
    }

    /// Until when its instance is left to EC2, which has said that it takes it back: within its first
    /// hour that costs nothing, if nobody else ends it. Nothing if it is to be ended as any other, or
    /// if something on it may still run.
    #[must_use]
    pub fn left_to_ec2_until(&self, now: Timestamp, deadlines: &Deadlines) -> Option<Timestamp> {
        let launched = self
            .launched
            .as_ref()
            .filter(|it| it.lifecycle == InstanceLifecycle::Spot && !self.instance_ended)?;
        let taken_back_at = self.taken_back_at()?;
        let has_left = matches!(
            self.step,
            RunnerStep::Leave | RunnerStep::LeaveAfterJob | RunnerStep::FinishJob
        );
        let until = taken_back_at
            .after(RECLAIM_SLACK)
            .min(self.lifetime_deadline(deadlines));
        (has_left && taken_back_at < launched.at.after(FREE_HOUR) && now < until).then_some(until)
    }

    /// What the instance said of a stage, if it reached it and said anything.
    #[must_use]
    pub fn words_of(&self, stage: Stage) -> Option<&str> {
        let said = self.words.iter().find(|(known, _)| *known == stage);
        said.map(|(_, words)| words.as_str())
    }

    /// The instance, once there is one.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        self.launched.as_ref().map(|launched| &launched.instance)
    }

    /// The name that it registers under at the `mint`-th try; nothing while it has no instance.
    #[must_use]
    pub fn registration(&self, mint: u32) -> Option<String> {
        self.instance().map(|instance| self.name.registration(instance, mint))
    }

    /// How long its instance may live in all.
    #[must_use]
    pub fn max_lifetime(&self, deadlines: &Deadlines) -> Duration {
        self.plan
            .spec()
            .max_lifetime
            .map_or(deadlines.lifetime, |own| own.min(deadlines.lifetime))
    }

    /// When its instance must have checked in, and be registered if it is its turn by then.
    #[must_use]
    pub fn boot_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.since
            .max(self.register_at.unwrap_or(self.since))
            .after(deadlines.boot)
    }

    /// How long its startup script may take; nothing if it has none. A messenger has none.
    #[must_use]
    pub fn startup_limit(&self, deadlines: &Deadlines) -> Option<Duration> {
        let script = self.plan.spec().startup_script.as_ref();
        script.filter(|_| self.message.is_none()).map(|_| deadlines.boot)
    }

    /// Since when it can take a job: not while its startup script runs. What the instance says of when
    /// that ended, by its own clock, moves this by no more than the script may take.
    fn listens_since(&self, deadlines: &Deadlines) -> Timestamp {
        let Some(limit) = self.startup_limit(deadlines) else {
            return self.since;
        };
        let latest = self.since.after(limit);
        let started = self.stages.iter().find(|(stage, _)| *stage == Stage::RunnerStarted);
        started.map_or(latest, |(_, at)| (*at).max(self.since).min(latest))
    }

    /// When a job must have come.
    #[must_use]
    pub fn idle_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.listens_since(deadlines)
            .after(self.plan.spec().idle_timeout.unwrap_or(deadlines.idle))
    }

    /// When its instance must have been heard of again.
    #[must_use]
    pub fn heartbeat_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.heartbeat_at.unwrap_or(self.since).after(deadlines.heartbeat_lost)
    }

    /// When it must have ended after being told to.
    #[must_use]
    pub fn drain_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.since.after(deadlines.drain)
    }

    /// Whether its instance, by its own clock, had been told to end before its job did.
    #[must_use]
    pub fn had_its_job_end(&self) -> bool {
        let at = |stage: Stage| self.stages.iter().find(|(known, _)| *known == stage).map(|(_, at)| *at);
        matches!((at(Stage::DrainStarted), at(Stage::JobFinished)), (Some(told), Some(over)) if told <= over)
    }

    /// When it must have left after its instance said that its job had ended; nothing while it
    /// has not.
    #[must_use]
    pub fn leave_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        self.job_over_at.map(|over| over.after(deadlines.leave))
    }

    /// When the job that it runs must have been told; nothing once it was.
    #[must_use]
    pub fn ask_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        let untold = self.state == RunnerState::Busy && self.job.is_none();
        untold.then(|| match self.asked {
            None => self.since.after(deadlines.webhook),
            Some((times, at)) => at.after(deadlines.pause(times, self.name.as_str())),
        })
    }

    /// When a runner that is done must have let go, before it is given up: only one whose job is
    /// over can hold nothing up any more.
    #[must_use]
    pub fn linger_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        self.has_had_its_job().then(|| self.since.after(deadlines.leave))
    }

    /// When it must be over, whatever it does.
    #[must_use]
    pub fn lifetime_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.launched_at().after(self.max_lifetime(deadlines))
    }

    /// Whether its lifetime is over, so that its instance has ended itself if it has ended. The
    /// instance's own count begins and ends with the answer to its claim, and may be ahead.
    #[must_use]
    pub fn has_outlived(&self, now: Timestamp, deadlines: &Deadlines) -> bool {
        now.after(COUNTS_AHEAD) >= self.lifetime_deadline(deadlines)
    }

    /// Whether it ran a job and had not been heard of for too long when its lifetime ended. Whoever looks
    /// late sees both deadlines passed; the first is the reason, which decides whether the job is run again.
    #[must_use]
    pub fn fell_silent_first(&self, now: Timestamp, deadlines: &Deadlines) -> bool {
        let silence = self.heartbeat_deadline(deadlines);
        self.state == RunnerState::Busy && silence < self.lifetime_deadline(deadlines) && silence <= now
    }

    /// Until when a launch that is begun at `now` is left to whoever began it.
    #[must_use]
    pub fn take_over_at(now: Timestamp) -> Timestamp {
        now.after(TAKE_OVER)
    }

    /// When its launch could be begun: to wait for its turn is no failure to launch.
    #[must_use]
    pub fn begun_at(&self) -> Timestamp {
        match self.turn {
            Some(Turn::Has { since, .. }) => since,
            Some(Turn::Waits | Turn::Asks) | None => self.requested_at,
        }
    }

    fn launched_at(&self) -> Timestamp {
        self.launched.as_ref().map_or(self.requested_at, |launched| launched.at)
    }
}
