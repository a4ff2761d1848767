//! A job's course as lines: what happened, and how long after the job was queued.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use dayfly_host::{HostEvent, InstanceEnd, InstanceEvent};
use dayfly_twin::{Conclusion, DeliveryId, Happening, JobId, RunnerRemoval, TwinEvent};

use crate::ec2_proxy::{Launch, Shortage};
use crate::healing::healing;

/// Something that the lab observed.
#[derive(Clone, Debug)]
pub enum Observation {
    Twin(TwinEvent),
    Instance(InstanceEvent),
    Launch(Launch),
    Shortage(Shortage),
    Log(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stage,
    Output,
    /// A problem.
    Problem,
    /// A repair of a problem.
    Healing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Time since the first job was queued.
    pub at: Duration,
    pub kind: Kind,
    /// One word: `queued`, `launched` …; empty for output.
    pub stage: &'static str,
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Output => write!(f, "{:8}  {:12}│ {}", "", "", self.text),
            Kind::Stage | Kind::Problem | Kind::Healing => {
                write!(f, "{:6.1} s  {:12}{}", self.at.as_secs_f64(), self.stage, self.text)
            }
        }
    }
}

/// Turns observations into lines.
#[derive(Debug, Default)]
pub struct Timeline {
    /// When the first job was queued, on the observer's clock.
    queued_at: Option<Duration>,
    agents: Vec<String>,
    /// How often in a row each instance had to retry a heartbeat.
    unheard: BTreeMap<String, u32>,
    /// The deliveries of `queued` webhooks.
    queued: Vec<DeliveryId>,
}

impl Timeline {
    /// Returns the line for an observation at `now` (on any monotonic clock), if it is worth one.
    pub fn see(&mut self, observation: &Observation, now: Duration) -> Option<Line> {
        if self.queued_at.is_none() && is_queued(observation) {
            self.queued_at = Some(now);
        }
        let (kind, stage, text) = match observation {
            Observation::Twin(event) => self.on_twin(&event.what)?,
            Observation::Instance(reported) => self.on_instance(reported)?,
            Observation::Launch(launch) => (Kind::Stage, "launched", launched(launch)),
            Observation::Shortage(shortage) => (Kind::Problem, "refused", short(shortage)),
            Observation::Log(line) => {
                let (stage, text) = healing(line)?;
                (Kind::Healing, stage, text)
            }
        };
        Some(Line {
            at: now.saturating_sub(self.queued_at.unwrap_or(now)),
            kind,
            stage,
            text,
        })
    }

    fn on_twin(&mut self, what: &Happening) -> Option<(Kind, &'static str, String)> {
        let stage = |stage, text: String| Some((Kind::Stage, stage, text));
        match what {
            Happening::RunRequested { attempt, workflow, .. } if *attempt > 1 => {
                stage("re-run", format!("`{workflow}`, attempt {attempt}"))
            }
            Happening::WebhookSent {
                delivery,
                event,
                action,
                ..
            } => {
                if event == "workflow_job" && action.as_deref() == Some("queued") {
                    self.queued.push(*delivery);
                }
                None
            }
            Happening::WebhookAnswered { delivery, status } if *status < 300 => {
                let is_queued = self.queued.contains(delivery);
                is_queued.then(|| (Kind::Stage, "seen", format!("the webhook is answered with {status}")))
            }
            Happening::WebhookDisturbed { event, action, how } if how == "Lose" => {
                let action = action.as_deref().unwrap_or_default();
                Some((
                    Kind::Problem,
                    "lost",
                    format!("GitHub never sends the webhook `{event}` `{action}`"),
                ))
            }
            Happening::JobQueued { job, name, labels, .. } => {
                stage("queued", format!("job {job} `{name}` for {}", labels.join(", ")))
            }
            Happening::WebhookAnswered { status, .. } => {
                Some((Kind::Problem, "webhook", format!("answered with {status}")))
            }
            Happening::RunnerRegistered { name, labels, .. } => {
                stage("enrolled", format!("{name} with {}", labels.join(", ")))
            }
            Happening::RunnerOnline { name, .. } => stage("listening", name.clone()),
            Happening::RunnerRefused { version, .. } => {
                Some((Kind::Problem, "refused", format!("runner version {version}")))
            }
            Happening::JobStarted { job, runner_name } => stage("running", started(*job, runner_name)),
            Happening::StepOutput { line, .. } => Some((Kind::Output, "", line.clone())),
            Happening::JobCompleted { job, conclusion, .. } => stage("finished", ended(*job, *conclusion)),
            Happening::RunnerRemoved { name, why, .. } => stage("removed", format!("{name}: {}", removal(*why))),
            Happening::CheckRunWritten { name, title, .. } => stage("check run", format!("`{name}`: {title}")),
            Happening::Violation { what } => Some((Kind::Problem, "violation", what.clone())),
            _ => None,
        }
    }

    fn on_instance(&mut self, reported: &InstanceEvent) -> Option<(Kind, &'static str, String)> {
        let id = &reported.instance;
        let stage = |stage, text: &str| Some((Kind::Stage, stage, format!("{id}{text}")));
        match &reported.event {
            HostEvent::Booted => stage("booted", ""),
            HostEvent::AgentLine(_) if !self.agents.contains(id) => {
                self.agents.push(id.clone());
                stage("agent up", "")
            }
            HostEvent::AgentLine(line) if self.is_silent(id, line) => {
                Some((Kind::Problem, "silent", format!("{id}: its heartbeats are not heard")))
            }
            HostEvent::NetworkCut => Some((Kind::Problem, "cut off", format!("{id}: its network is gone"))),
            HostEvent::NoticeGiven => stage("interrupted", ": EC2 takes it back"),
            HostEvent::Ended(InstanceEnd::HostShutDown) => None,
            HostEvent::Ended(ending) => stage("gone", &format!(": {}", why_gone(*ending))),
            HostEvent::Failure(what) => Some((Kind::Problem, "trouble", format!("{id} {what}"))),
            _ => None,
        }
    }

    /// Whether an instance has become silent with this line of its agent: a single retried heartbeat
    /// may have had bad timing.
    fn is_silent(&mut self, instance: &str, line: &Value) -> bool {
        let text = |field: &str| line[field].as_str().unwrap_or_default();
        if text("message").starts_with("HeartbeatAnswered") {
            self.unheard.remove(instance);
        }
        if text("event") != "checkin_retried" || text("verb") != "heartbeat" {
            return false;
        }
        let times = self.unheard.entry(instance.to_owned()).or_default();
        *times += 1;
        *times == 2
    }
}

fn is_queued(observation: &Observation) -> bool {
    matches!(
        observation,
        Observation::Twin(TwinEvent {
            what: Happening::JobQueued { .. },
            ..
        })
    )
}

fn launched(launch: &Launch) -> String {
    let price = launch.price.trim_end_matches('0');
    let kind = if launch.spot { "spot" } else { "on-demand" };
    format!(
        "{} {} in {} at ${price}/h {kind}",
        launch.instance, launch.pool.instance_type, launch.pool.zone
    )
}

fn short(shortage: &Shortage) -> String {
    let Shortage {
        lifecycle,
        wanted,
        got,
        pools,
        code,
        message,
    } = shortage;
    let many = if *wanted == 1 {
        String::new()
    } else {
        format!(", {got} of {wanted}")
    };
    format!(
        "by EC2, {} in {pools} pools{many}: {code}: {message}",
        lifecycle.as_str()
    )
}

fn started(job: JobId, runner: &str) -> String {
    if runner.is_empty() {
        format!("job {job}")
    } else {
        format!("job {job} on {runner}")
    }
}

fn ended(job: JobId, conclusion: Conclusion) -> String {
    format!("job {job}: {}", conclusion.as_str())
}

/// Describes why nothing of an instance runs any more.
#[must_use]
pub fn why_gone(ending: InstanceEnd) -> &'static str {
    match ending {
        InstanceEnd::PoweredOff => "powered itself off",
        InstanceEnd::Terminated => "terminated",
        InstanceEnd::Interrupted => "taken back by EC2",
        InstanceEnd::Crashed => "crashed",
        InstanceEnd::NotBooted => "did not boot",
        InstanceEnd::HostShutDown => "the lab was shut down",
    }
}

fn removal(why: RunnerRemoval) -> &'static str {
    match why {
        RunnerRemoval::JobDone => "its one job is done",
        RunnerRemoval::Deleted => "deleted by dayfly",
        RunnerRemoval::Unused => "unused for too long",
        RunnerRemoval::ConfigExpired => "its config was never used",
        RunnerRemoval::LostCommunication => "GitHub has lost it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2_proxy::Pool;

    fn twin(what: Happening) -> Observation {
        Observation::Twin(TwinEvent {
            at: jiff::Timestamp::UNIX_EPOCH,
            what,
        })
    }

    fn host(event: HostEvent) -> Observation {
        Observation::Instance(InstanceEvent {
            instance: "i-1".into(),
            event,
        })
    }

    fn queued() -> Observation {
        twin(Happening::JobQueued {
            job: JobId(7),
            run: dayfly_twin::RunId(3),
            name: "train".into(),
            labels: vec!["dayfly-gpu".into()],
        })
    }

    fn launch(spot: bool) -> Observation {
        Observation::Launch(Launch {
            instance: "i-1".into(),
            pool: Pool::new("g4dn.xlarge", "eu-west-1a"),
            spot,
            price: "0.158000".into(),
        })
    }

    #[test]
    fn times_count_from_the_first_queued_job() {
        let mut timeline = Timeline::default();
        let shown = [(queued(), 40), (launch(true), 41), (queued(), 45)].map(|(observation, second)| {
            timeline
                .see(&observation, Duration::from_secs(second))
                .unwrap()
                .to_string()
        });
        assert_eq!(
            shown,
            [
                "   0.0 s  queued      job 7 `train` for dayfly-gpu",
                "   1.0 s  launched    i-1 g4dn.xlarge in eu-west-1a at $0.158/h spot",
                "   5.0 s  queued      job 7 `train` for dayfly-gpu",
            ]
        );
    }

    #[test]
    fn the_jobs_output_stands_indented() {
        let line = twin(Happening::StepOutput {
            job: JobId(7),
            step: 2,
            line: "epoch 1".into(),
        });
        let line = Timeline::default().see(&line, Duration::ZERO).unwrap();
        assert_eq!(
            (line.kind, line.to_string()),
            (Kind::Output, "                      │ epoch 1".into())
        );
    }

    #[test]
    fn an_agents_first_line_is_a_stage_and_its_others_are_not() {
        let mut timeline = Timeline::default();
        let line = host(HostEvent::AgentLine(serde_json::json!({})));
        assert_eq!(timeline.see(&line, Duration::ZERO).unwrap().stage, "agent up");
        assert_eq!(timeline.see(&line, Duration::ZERO), None);
    }

    #[test]
    fn an_instance_is_silent_when_its_heartbeats_are_tried_again_and_again() {
        let retried = serde_json::json!({"event": "checkin_retried", "verb": "heartbeat"});
        let answered = serde_json::json!({"event": "event", "message": "HeartbeatAnswered(Continue)"});
        let mut timeline = Timeline::default();
        let mut stages = Vec::new();
        for line in [&retried, &retried, &answered, &retried, &retried, &retried] {
            let observation = host(HostEvent::AgentLine(line.clone()));
            stages.extend(timeline.see(&observation, Duration::ZERO).map(|line| line.stage));
        }
        // The first line of all is the agent's start.
        assert_eq!(stages, ["agent up", "silent"]);
    }

    #[test]
    fn a_queued_jobs_webhook_is_seen_and_others_are_not_worth_a_line() {
        for (action, expected) in [("queued", Some("seen")), ("in_progress", None)] {
            let mut timeline = Timeline::default();
            let sent = twin(Happening::WebhookSent {
                delivery: DeliveryId(1),
                event: "workflow_job".into(),
                action: Some(action.into()),
                guid: "g".into(),
            });
            assert_eq!(timeline.see(&sent, Duration::ZERO), None);
            let answered = twin(Happening::WebhookAnswered {
                delivery: DeliveryId(1),
                status: 200,
            });
            assert_eq!(timeline.see(&answered, Duration::ZERO).map(|line| line.stage), expected);
        }
    }

    #[test]
    fn what_should_not_be_is_trouble() {
        for observation in [
            twin(Happening::WebhookAnswered {
                delivery: dayfly_twin::DeliveryId(1),
                status: 500,
            }),
            twin(Happening::Violation {
                what: "a field too many".into(),
            }),
            host(HostEvent::Failure("no credentials".into())),
        ] {
            let line = Timeline::default().see(&observation, Duration::ZERO).unwrap();
            assert_eq!(line.kind, Kind::Problem, "{line}");
        }
    }
}
