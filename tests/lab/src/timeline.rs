//! The way of a job as lines: what happened, and how long after the job was queued.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use dayfly_host::{Ending, HostEvent, Reported};
use dayfly_twin::{Conclusion, DeliveryId, Happening, JobId, RunnerRemoval, TwinEvent};

use crate::ec2_proxy::{Launch, Shortage};
use crate::healing::healing;

/// Something that the lab saw.
#[derive(Clone, Debug)]
pub enum Sight {
    /// On the twin.
    Twin(TwinEvent),
    /// On an instance.
    Instance(Reported),
    /// At EC2.
    Launch(Launch),
    /// At EC2, where there was too little.
    Shortage(Shortage),
    /// In a function's log.
    Log(Value),
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The job has come further.
    Stage,
    /// The job's own output.
    Output,
    /// Something that should not be.
    Trouble,
    /// Something that should not be was found out, and is made good.
    Healing,
}

/// A line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Time since the first job was queued.
    pub at: Duration,
    /// What it is.
    pub kind: Kind,
    /// One word: `queued`, `launched` …; empty for output.
    pub stage: &'static str,
    /// The rest.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Output => write!(f, "{:8}  {:12}│ {}", "", "", self.text),
            Kind::Stage | Kind::Trouble | Kind::Healing => {
                write!(f, "{:6.1} s  {:12}{}", self.at.as_secs_f64(), self.stage, self.text)
            }
        }
    }
}

/// Tells the lines out of what is seen.
#[derive(Debug, Default)]
pub struct Timeline {
    /// When the first job was queued, on the clock of whoever looks.
    queued_at: Option<Duration>,
    agents: Vec<String>,
    /// How often in a row a heartbeat of an instance had to be tried again.
    unheard: BTreeMap<String, u32>,
    /// Deliveries that tell of a queued job.
    queued: Vec<DeliveryId>,
}

impl Timeline {
    /// The line for what is seen at `now` (any clock that only goes on), if it is worth one.
    pub fn see(&mut self, sight: &Sight, now: Duration) -> Option<Line> {
        if self.queued_at.is_none() && is_queued(sight) {
            self.queued_at = Some(now);
        }
        let (kind, stage, text) = match sight {
            Sight::Twin(event) => self.on_twin(&event.what)?,
            Sight::Instance(reported) => self.on_instance(reported)?,
            Sight::Launch(launch) => (Kind::Stage, "launched", launched(launch)),
            Sight::Shortage(shortage) => (Kind::Trouble, "refused", short(shortage)),
            Sight::Log(line) => {
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
                let told = self.queued.contains(delivery);
                told.then(|| (Kind::Stage, "seen", format!("the webhook is answered with {status}")))
            }
            Happening::WebhookDisturbed { event, action, how } if how == "Lose" => {
                let action = action.as_deref().unwrap_or_default();
                Some((
                    Kind::Trouble,
                    "lost",
                    format!("GitHub never sends the webhook `{event}` `{action}`"),
                ))
            }
            Happening::JobQueued { job, name, labels, .. } => {
                stage("queued", format!("job {job} `{name}` for {}", labels.join(", ")))
            }
            Happening::WebhookAnswered { status, .. } => {
                Some((Kind::Trouble, "webhook", format!("answered with {status}")))
            }
            Happening::RunnerRegistered { name, labels, .. } => {
                stage("enrolled", format!("{name} with {}", labels.join(", ")))
            }
            Happening::RunnerOnline { name, .. } => stage("listening", name.clone()),
            Happening::RunnerRefused { version, .. } => {
                Some((Kind::Trouble, "refused", format!("runner version {version}")))
            }
            Happening::JobStarted { job, runner_name } => stage("running", started(*job, runner_name)),
            Happening::StepOutput { line, .. } => Some((Kind::Output, "", line.clone())),
            Happening::JobCompleted { job, conclusion, .. } => stage("finished", ended(*job, *conclusion)),
            Happening::RunnerRemoved { name, why, .. } => stage("removed", format!("{name}: {}", removal(*why))),
            Happening::CheckRunSaid { name, title, .. } => stage("check run", format!("`{name}`: {title}")),
            Happening::Violation { what } => Some((Kind::Trouble, "violation", what.clone())),
            _ => None,
        }
    }

    fn on_instance(&mut self, reported: &Reported) -> Option<(Kind, &'static str, String)> {
        let id = &reported.instance;
        let stage = |stage, text: &str| Some((Kind::Stage, stage, format!("{id}{text}")));
        match &reported.event {
            HostEvent::Booted => stage("booted", ""),
            HostEvent::AgentLine(_) if !self.agents.contains(id) => {
                self.agents.push(id.clone());
                stage("agent up", "")
            }
            HostEvent::AgentLine(line) if self.is_silent(id, line) => {
                Some((Kind::Trouble, "silent", format!("{id}: its heartbeats are not heard")))
            }
            HostEvent::NetworkCut => Some((Kind::Trouble, "cut off", format!("{id}: its network is gone"))),
            HostEvent::NoticeGiven => stage("interrupted", ": EC2 takes it back"),
            HostEvent::Ended(Ending::HostShutDown) => None,
            HostEvent::Ended(ending) => stage("gone", &format!(": {}", why_gone(*ending))),
            HostEvent::Trouble(what) => Some((Kind::Trouble, "trouble", format!("{id} {what}"))),
            _ => None,
        }
    }

    /// Whether with this line of its agent's an instance has become silent: one heartbeat that is
    /// tried again may only have come at a bad moment.
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

fn is_queued(sight: &Sight) -> bool {
    matches!(
        sight,
        Sight::Twin(TwinEvent {
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

/// Why nothing of an instance runs any more, in words.
#[must_use]
pub fn why_gone(ending: Ending) -> &'static str {
    match ending {
        Ending::PoweredOff => "powered itself off",
        Ending::Terminated => "terminated",
        Ending::Interrupted => "taken back by EC2",
        Ending::Crashed => "crashed",
        Ending::NotBooted => "did not boot",
        Ending::HostShutDown => "the lab was shut down",
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

    fn twin(what: Happening) -> Sight {
        Sight::Twin(TwinEvent {
            at: jiff::Timestamp::UNIX_EPOCH,
            what,
        })
    }

    fn host(event: HostEvent) -> Sight {
        Sight::Instance(Reported {
            instance: "i-1".into(),
            event,
        })
    }

    fn queued() -> Sight {
        twin(Happening::JobQueued {
            job: JobId(7),
            run: dayfly_twin::RunId(3),
            name: "train".into(),
            labels: vec!["dayfly-gpu".into()],
        })
    }

    fn launch(spot: bool) -> Sight {
        Sight::Launch(Launch {
            instance: "i-1".into(),
            pool: Pool::new("g4dn.xlarge", "eu-west-1a"),
            spot,
            price: "0.158000".into(),
        })
    }

    #[test]
    fn times_count_from_the_first_queued_job() {
        let mut timeline = Timeline::default();
        let shown = [(queued(), 40), (launch(true), 41), (queued(), 45)]
            .map(|(sight, second)| timeline.see(&sight, Duration::from_secs(second)).unwrap().to_string());
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
            let sight = host(HostEvent::AgentLine(line.clone()));
            stages.extend(timeline.see(&sight, Duration::ZERO).map(|line| line.stage));
        }
        // The first line of all is the agent's coming up.
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
        for sight in [
            twin(Happening::WebhookAnswered {
                delivery: dayfly_twin::DeliveryId(1),
                status: 500,
            }),
            twin(Happening::Violation {
                what: "a field too many".into(),
            }),
            host(HostEvent::Trouble("no credentials".into())),
        ] {
            let line = Timeline::default().see(&sight, Duration::ZERO).unwrap();
            assert_eq!(line.kind, Kind::Trouble, "{line}");
        }
    }
}
