//! A runner: one instance, launched for one job, and its states.

use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_types::capacity::{InstanceLifecycle, LaunchFailure};
use dayfly_types::checkin::{GoodbyeReason, START_UNANSWERED, Stage};
use dayfly_types::deadlines::{Deadlines, FREE_HOUR, RECLAIM_SLACK, SPOT_NOTICE, TAKE_OVER};
use dayfly_types::ids::{FleetId, InstallationId, InstanceId, JobKey, Repository, RunId, RunKey, RunnerId, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::steps::{LifecycleStep, RunnerStep};
use crate::{Attribution, Ending, GateState, LaunchPlan, Launched, Reservation};

/// The state of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerState {
    /// Its instance is requested.
    Requested,
    /// Its instance exists.
    Launched,
    /// Its JIT config was handed out; it waits for a job.
    Enrolled,
    /// It runs a job.
    Busy,
    /// It was ordered to end.
    Draining,
    /// It is no longer needed, and ends as soon as GitHub removes it.
    Done,
    /// It is given up, and ends whatever GitHub says.
    Lost,
    /// Its instance is ended and its registration removed.
    Gone,
}

/// The task of a messenger: to take a job that was given up, and to fail it with the reason in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessengerTask {
    pub job: JobKey,
    pub run: RunId,
    /// For the job's author; the first line is a summary.
    pub text: String,
}

/// A runner of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    pub name: RunnerName,
    /// The job it was launched for. Another may take it.
    pub wanted_by: JobKey,
    /// The run of that job.
    pub run: RunId,
    /// The repository that it registers in.
    pub repository: Repository,
    pub installation: InstallationId,
    /// The labels that it registers with: all of the job's.
    pub labels: Vec<Label>,
    pub attribution: Attribution,
    pub state: RunnerState,
    /// The step that led to the state.
    pub step: RunnerStep,
    /// When the step was taken.
    pub since: Timestamp,
    pub plan: LaunchPlan,
    /// Set for messengers only.
    pub message: Option<MessengerTask>,
    /// The call that launches it, once there is one.
    pub fleet: Option<FleetId>,
    /// The launch tries that failed.
    pub tried: Vec<LaunchFailure>,
    /// When the launch is tried next, or taken over from the function that began it.
    pub launch_due: Timestamp,
    pub requested_at: Timestamp,
    /// Its state at the gate, if the stack policy limits how much runs at once.
    pub gate: Option<GateState>,
    /// Its reservation, from the call that requests its instance until its cost is known.
    pub reserved: Option<Reservation>,
    /// The instance, once there is one.
    pub launched: Option<Launched>,
    /// When EC2 reported that the instance runs.
    pub running_at: Option<Timestamp>,
    /// The number of its registrations, including those that may have failed.
    pub mints: u32,
    /// Until when a registration under way is left to the function that began it.
    pub mint_until: Option<Timestamp>,
    /// When it may register, while the rate limit makes it wait.
    pub register_at: Option<Timestamp>,
    /// GitHub's id of the runner, once its JIT config is minted.
    pub runner_id: Option<RunnerId>,
    /// When its JIT config was handed out.
    pub enrolled_at: Option<Timestamp>,
    /// The job that it runs or ran.
    pub job: Option<JobKey>,
    /// The run of that job.
    pub job_run: Option<RunId>,
    pub heartbeat_at: Option<Timestamp>,
    /// When EC2's interruption notice arrived.
    pub interrupted_at: Option<Timestamp>,
    /// When EC2's rebalance recommendation arrived.
    pub rebalance_at: Option<Timestamp>,
    /// When its instance reported the end of its job.
    pub job_over_at: Option<Timestamp>,
    /// How often, and when last, GitHub was asked which job it runs, as no webhook said so.
    pub job_lookups: Option<(u32, Timestamp)>,
    /// The number of failed tries to end it.
    pub end_tries: u32,
    /// Whether EC2 has reported the end of the instance.
    pub instance_ended: bool,
    /// When the instance ended, according to EC2.
    pub instance_ended_at: Option<Timestamp>,
    /// When we asked EC2 to end the instance.
    pub terminated_at: Option<Timestamp>,
    /// Whether the question if its job may start was answered. No job starts before that.
    pub start_answered: bool,
    /// The stages that the instance reported.
    pub stages: Vec<(Stage, Timestamp)>,
    /// The details that it reported with them, shortened, because an instance is not trusted.
    pub stage_details: Vec<(Stage, String)>,
    /// Why it ends, once it does.
    pub ending: Option<Ending>,
    pub due_at: Option<Timestamp>,
    /// When it became [`RunnerState::Gone`].
    pub ended_at: Option<Timestamp>,
}

/// How much earlier an instance may consider its lifetime over than the control plane does.
const COUNTS_AHEAD: Duration = Duration::from_secs(10);

impl Runner {
    /// Takes a step. Returns `false` if it does not lead from the current state.
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
        self.due_at = self.next_deadline(deadlines);
        true
    }

    /// Takes a step towards the end, and records the reason unless there is one. Returns `false` if the step does
    /// not lead from the current state.
    pub fn end(&mut self, step: RunnerStep, ending: Ending, now: Timestamp, deadlines: &Deadlines) -> bool {
        let taken = self.take(step, now, deadlines);
        if taken {
            self.ending.get_or_insert(ending);
        }
        taken
    }

    /// The earliest deadline in the current state.
    #[must_use]
    pub fn next_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        let heartbeat = self.heartbeat_deadline(deadlines);
        let lifetime = self.lifetime_deadline(deadlines);
        match self.state {
            RunnerState::Requested => Some(self.launch_due),
            RunnerState::Launched => Some(self.boot_deadline(deadlines).min(lifetime)),
            RunnerState::Enrolled => Some(self.idle_deadline(deadlines).min(heartbeat).min(lifetime)),
            RunnerState::Busy => {
                let leave = self.leave_deadline(deadlines).unwrap_or(lifetime);
                let lookup = self.job_lookup_deadline(deadlines).unwrap_or(lifetime);
                Some(heartbeat.min(lifetime).min(leave).min(lookup))
            }
            RunnerState::Draining => Some(self.drain_deadline(deadlines).min(lifetime)),
            RunnerState::Done | RunnerState::Lost => Some(self.since),
            // Only its costing is left to do.
            RunnerState::Gone => self.reserved.as_ref().map(|_| self.costing_at(deadlines)),
        }
    }

    /// When its cost is counted: once EC2 has reported the end of the instance, or has had time to.
    fn costing_at(&self, deadlines: &Deadlines) -> Timestamp {
        if self.launched.is_some() && self.instance_ended_at.is_none() {
            self.since.after(deadlines.ec2_event_delay())
        } else {
            self.since
        }
    }

    /// Whether only its costing is left to do, and is due.
    #[must_use]
    pub fn is_costing_due(&self, now: Timestamp, deadlines: &Deadlines) -> bool {
        self.state == RunnerState::Gone && self.reserved.is_some() && self.costing_at(deadlines) <= now
    }

    /// Whether it stopped a job before its start because the question if it may run got no answer.
    fn start_was_unanswered(&self) -> bool {
        let unanswered = |(stage, detail): &(Stage, String)| *stage == Stage::JobStarted && detail == START_UNANSWERED;
        self.stage_details.iter().any(unanswered)
    }

    /// Whether its instance reported how its job began.
    #[must_use]
    pub fn has_reported_start(&self) -> bool {
        self.stages.iter().any(|(stage, _)| *stage == Stage::JobStarted)
    }

    /// Corrects an end that looks regular if the job was stopped before its start for lack of an answer. The two
    /// are reported in any order.
    pub fn mark_unanswered(&mut self) {
        let looks_regular = match &self.ending {
            Some(Ending::JobOver) => true,
            Some(Ending::Goodbye { reason }) => *reason == GoodbyeReason::Finished,
            _ => false,
        };
        if looks_regular && self.start_was_unanswered() {
            self.ending = Some(Ending::Unanswered);
        }
    }

    /// Whether it registered under this name: a runner's name alone may have been another instance's before the table
    /// lost its record.
    #[must_use]
    pub fn is_registered_as(&self, name: &str) -> bool {
        RunnerName::from_registered(name).as_ref() == Some(&self.name)
            && self
                .instance()
                .is_some_and(|instance| RunnerName::is_registered_from(name, instance))
    }

    /// Whether it was launched for a job of this run attempt, whose jobs therefore may run.
    #[must_use]
    pub fn was_launched_for(&self, run: RunKey) -> bool {
        self.run == run.run && self.name.attempt() == Some(run.attempt) && self.message.is_none()
    }

    /// Why it ended, for people, with the detail of a failed startup script.
    #[must_use]
    pub fn end_reason(&self) -> String {
        let words = self.ending.as_ref().map_or("unknown", Ending::words);
        let startup_failed = matches!(
            self.ending,
            Some(Ending::Goodbye {
                reason: GoodbyeReason::StartupFailed
            })
        );
        match self.stage_detail(Stage::StartupFinished) {
            Some(detail) if startup_failed => format!("{words}: {detail}"),
            _ => words.to_owned(),
        }
    }

    /// Whether it still has to be ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state != RunnerState::Gone
    }

    /// Whether it waits at the gate, and no instance is requested yet.
    #[must_use]
    pub fn waits_at_gate(&self) -> bool {
        self.state == RunnerState::Requested && matches!(self.gate, Some(GateState::Waiting | GateState::Called))
    }

    /// Whether GitHub may still give it a job: even if it is to end, until GitHub removes it.
    #[must_use]
    pub fn may_take_job(&self) -> bool {
        self.state == RunnerState::Enrolled
            || matches!(self.ending, Some(Ending::Idle | Ending::NotNeeded | Ending::Rebalanced))
    }

    /// Whether its job is over, for any reason: it takes no other.
    #[must_use]
    pub fn is_past_job(&self) -> bool {
        matches!(self.step, RunnerStep::FinishJob | RunnerStep::LeaveAfterJob) || self.ending == Some(Ending::JobOver)
    }

    /// When EC2 takes its instance back, if it gave notice.
    #[must_use]
    pub fn taken_back_at(&self) -> Option<Timestamp> {
        self.interrupted_at.map(|at| at.after(SPOT_NOTICE))
    }

    /// Until when to let EC2 take back an instance that it gave notice for: in its first hour that makes the
    /// instance free, unless we end it. `None` if it is to be ended as usual, or if something may still run on it.
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

    /// The detail that the instance reported with a stage.
    #[must_use]
    pub fn stage_detail(&self, stage: Stage) -> Option<&str> {
        let reported = self.stage_details.iter().find(|(known, _)| *known == stage);
        reported.map(|(_, detail)| detail.as_str())
    }

    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        self.launched.as_ref().map(|launched| &launched.instance)
    }

    /// The name to register under at try number `mint`, once it has an instance.
    #[must_use]
    pub fn registration(&self, mint: u32) -> Option<String> {
        self.instance().map(|instance| self.name.registration(instance, mint))
    }

    #[must_use]
    pub fn max_lifetime(&self, deadlines: &Deadlines) -> Duration {
        self.plan
            .spec()
            .max_lifetime
            .map_or(deadlines.lifetime, |own| own.min(deadlines.lifetime))
    }

    /// When its instance must have checked in, and have registered if the rate limit let it.
    #[must_use]
    pub fn boot_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.since
            .max(self.register_at.unwrap_or(self.since))
            .after(deadlines.boot)
    }

    /// The limit of its startup script, or `None` without one. Messengers have none.
    #[must_use]
    pub fn startup_limit(&self, deadlines: &Deadlines) -> Option<Duration> {
        let script = self.plan.spec().startup_script.as_ref();
        script.filter(|_| self.message.is_none()).map(|_| deadlines.boot)
    }

    /// Since when it can take a job: after its startup script. The instance reports the script's end by its own
    /// clock, which moves this by no more than the script's limit.
    fn listens_since(&self, deadlines: &Deadlines) -> Timestamp {
        let Some(limit) = self.startup_limit(deadlines) else {
            return self.since;
        };
        let latest = self.since.after(limit);
        let started = self.stages.iter().find(|(stage, _)| *stage == Stage::RunnerStarted);
        started.map_or(latest, |(_, at)| (*at).max(self.since).min(latest))
    }

    #[must_use]
    pub fn idle_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.listens_since(deadlines)
            .after(self.plan.spec().idle_timeout.unwrap_or(deadlines.idle))
    }

    #[must_use]
    pub fn heartbeat_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.heartbeat_at.unwrap_or(self.since).after(deadlines.heartbeat_lost)
    }

    #[must_use]
    pub fn drain_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.since.after(deadlines.drain)
    }

    /// Whether its instance, by its own clock, began to drain before its job ended.
    #[must_use]
    pub fn drained_before_job_end(&self) -> bool {
        let at = |stage: Stage| self.stages.iter().find(|(known, _)| *known == stage).map(|(_, at)| *at);
        matches!((at(Stage::DrainStarted), at(Stage::JobFinished)), (Some(drained), Some(over)) if drained <= over)
    }

    /// When it must have left after its instance reported the end of its job.
    #[must_use]
    pub fn leave_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        self.job_over_at.map(|over| over.after(deadlines.leave))
    }

    /// When GitHub is asked which job it runs, unless that is known.
    #[must_use]
    pub fn job_lookup_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        let unknown = self.state == RunnerState::Busy && self.job.is_none();
        unknown.then(|| match self.job_lookups {
            None => self.since.after(deadlines.webhook),
            Some((times, at)) => at.after(deadlines.jittered_retry(times, self.name.as_str())),
        })
    }

    /// When a runner that is done must have ended, before it is given up. Only a runner whose job is over has this
    /// deadline, as ending it cannot harm a job.
    #[must_use]
    pub fn linger_deadline(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        self.is_past_job().then(|| self.since.after(deadlines.leave))
    }

    /// When it ends, whatever runs on it.
    #[must_use]
    pub fn lifetime_deadline(&self, deadlines: &Deadlines) -> Timestamp {
        self.launched_at().after(self.max_lifetime(deadlines))
    }

    /// Whether its lifetime is over, so that an instance that ended has ended itself. The instance counts from the
    /// answer to its claim, and may be slightly ahead.
    #[must_use]
    pub fn has_outlived(&self, now: Timestamp, deadlines: &Deadlines) -> bool {
        now.after(COUNTS_AHEAD) >= self.lifetime_deadline(deadlines)
    }

    /// Whether its heartbeat was lost during a job before its lifetime ended. A late check finds both deadlines
    /// passed; the first one is the reason, and decides if the job runs again.
    #[must_use]
    pub fn lost_heartbeat_first(&self, now: Timestamp, deadlines: &Deadlines) -> bool {
        let heartbeat = self.heartbeat_deadline(deadlines);
        self.state == RunnerState::Busy && heartbeat < self.lifetime_deadline(deadlines) && heartbeat <= now
    }

    /// Until when a launch that begins `now` is left to the function that began it.
    #[must_use]
    pub fn take_over_at(now: Timestamp) -> Timestamp {
        now.after(TAKE_OVER)
    }

    /// When its launch could begin. Waiting at the gate does not count as a failed launch.
    #[must_use]
    pub fn launch_begun_at(&self) -> Timestamp {
        match self.gate {
            Some(GateState::Admitted { since, .. }) => since,
            Some(GateState::Waiting | GateState::Called) | None => self.requested_at,
        }
    }

    fn launched_at(&self) -> Timestamp {
        self.launched.as_ref().map_or(self.requested_at, |launched| launched.at)
    }
}
