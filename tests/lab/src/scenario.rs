//! The demos: what each of them does to a job, and how it must end.

use std::time::Duration;

use clap::ValueEnum;
use dayfly_host::{HostEvent, Reported};
use dayfly_twin::{Conclusion, Disturbance, Happening, JobId, RunId, State, Status, Timings, TwinEvent, WebhookFault};

use crate::lab::{Deadlines, Lab};
use crate::timeline::Sight;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Demo {
    /// A job runs and nothing is left of it.
    Main,
    /// A runner that nobody needs any more is ended.
    Idle,
    /// EC2 takes the instance back in mid-job; the job is run again.
    Interruption,
    /// A job that does not end is ended at the maximum lifetime.
    Lifetime,
    /// GitHub tells neither of a job's queueing nor of its end; both are found out.
    LostWebhook,
    /// The instance's network is cut in mid-job; it is given up and the job is run again.
    Partition,
}

/// How long after its notice EC2 takes an instance back in the lab; two minutes on AWS.
const NOTICE: Duration = Duration::from_secs(20);

impl Demo {
    /// One line on what is to be seen.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Main => "a job gets a spot instance, runs on it, and nothing is left",
            Self::Idle => "another runner takes the job; ours idles out and is ended",
            Self::Interruption => "EC2 takes the instance back in mid-job; the job is run again elsewhere",
            Self::Lifetime => "a job that does not end reaches the maximum lifetime",
            Self::LostWebhook => "GitHub tells neither that a job waits nor that it is over; it runs all the same",
            Self::Partition => "an instance is cut off in mid-job; it is given up, and the job is run again elsewhere",
        }
    }

    /// The deadlines that make it short.
    #[must_use]
    pub fn deadlines(self) -> Deadlines {
        match self {
            Self::Main | Self::Interruption | Self::LostWebhook => Deadlines::default(),
            Self::Idle => Deadlines {
                idle: 8,
                ..Deadlines::default()
            },
            Self::Lifetime => Deadlines {
                lifetime: 20,
                ..Deadlines::default()
            },
            Self::Partition => Deadlines {
                heartbeat: 8,
                ..Deadlines::default()
            },
        }
    }

    /// GitHub's own delays. A runner that vanishes is lost to it twice as late as to dayfly, as it is
    /// with the stack's default.
    #[must_use]
    pub fn timings(self) -> Timings {
        let heartbeat = Duration::from_secs(self.deadlines().heartbeat);
        match self {
            Self::Partition => Timings {
                lost_after: 2 * heartbeat,
                ..Timings::lab()
            },
            _ => Timings::lab(),
        }
    }

    /// The stages without which the timeline has not shown what it is for.
    #[must_use]
    pub fn shows(self) -> &'static [&'static str] {
        match self {
            Self::Main | Self::Idle => &["launched", "enrolled"],
            Self::Interruption => &["interrupted", "re-run"],
            Self::Lifetime => &["running", "gone"],
            Self::LostWebhook => &["lost", "patrol", "asked"],
            Self::Partition => &["cut off", "given up", "noted", "re-run"],
        }
    }

    /// What is done before the job is pushed.
    pub fn prepare(self, lab: &Lab) {
        if self == Self::LostWebhook {
            for action in ["queued", "completed"] {
                let fault = WebhookFault::on("workflow_job", action).once(Disturbance::Lose);
                lab.twin().disturb_webhooks(fault);
            }
        }
    }

    /// The workflow file of its repository.
    #[must_use]
    pub fn workflow(self) -> String {
        let script: &[&str] = match self {
            Self::Main | Self::Idle | Self::LostWebhook => &[
                "for epoch in 1 2 3; do",
                "  echo \"epoch $epoch: loss 0.$((90 / epoch))\"",
                "  sleep 1",
                "done",
            ],
            Self::Interruption | Self::Partition => &[
                "echo \"attempt $GITHUB_RUN_ATTEMPT\"",
                "if [ \"$GITHUB_RUN_ATTEMPT\" = 1 ]; then sleep 300; fi",
                "echo 'trained to the end'",
            ],
            Self::Lifetime => &["echo 'this takes longer than any instance lives'", "sleep 600"],
        };
        let mut workflow = "\
name: train
on: push
jobs:
  train:
    runs-on: dayfly-gpu
    steps:
      - name: Where am I
        run: echo \"on $(uname -sm), for $GITHUB_REPOSITORY\"
      - name: Train
        run: |
"
        .to_owned();
        for line in script {
            workflow += "          ";
            workflow += line;
            workflow += "\n";
        }
        workflow
    }

    /// How its run must end, and in which attempt.
    #[must_use]
    pub fn end(self) -> (u32, Conclusion) {
        match self {
            Self::Main | Self::Idle | Self::LostWebhook => (1, Conclusion::Success),
            Self::Interruption | Self::Partition => (2, Conclusion::Success),
            Self::Lifetime => (1, Conclusion::Failure),
        }
    }

    /// How its run has ended, once it has: an attempt after which another comes is not the end.
    #[must_use]
    pub fn ended(self, state: &State, run: RunId) -> Option<(u32, Option<Conclusion>)> {
        let run = state.run(run)?;
        let last = run.attempt >= self.end().0;
        (last && run.status == Status::Completed).then_some((run.attempt, run.conclusion))
    }

    /// What is done when something is seen.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn act(self, sight: &Sight, lab: &Lab) -> anyhow::Result<()> {
        match (self, sight) {
            (
                Self::Idle,
                Sight::Instance(Reported {
                    event: HostEvent::Booted,
                    ..
                }),
            ) => {
                if let Some(job) = job_that_is(lab, Status::Queued) {
                    lab.twin().start_elsewhere(job)?;
                }
            }
            // The other runner works longer than ours may wait.
            (
                Self::Idle,
                Sight::Instance(Reported {
                    event: HostEvent::Ended(_),
                    ..
                }),
            ) => {
                if let Some(job) = job_that_is(lab, Status::InProgress) {
                    lab.twin().end_elsewhere(job, Conclusion::Success)?;
                }
            }
            (
                Self::Interruption,
                Sight::Twin(TwinEvent {
                    what: Happening::StepOutput { line, .. },
                    ..
                }),
            ) if line == "attempt 1" => {
                for instance in lab.live_instances().await? {
                    lab.interrupt(&instance.id, NOTICE).await?;
                }
            }
            (
                Self::Partition,
                Sight::Twin(TwinEvent {
                    what: Happening::StepOutput { line, .. },
                    ..
                }),
            ) if line == "attempt 1" => {
                for instance in lab.live_instances().await? {
                    lab.host().cut_network(&instance.id)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn job_that_is(lab: &Lab, status: Status) -> Option<JobId> {
    lab.twin()
        .look(|state| state.jobs().find(|job| job.status == status).map(|job| job.id))
}
