//! The demos: what each does to a job, and how it must end.

mod cap;
mod capacity;
mod fair;
mod fork;
mod interruption;
mod labels;
mod matrix;
mod story;
mod workflow;

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use dayfly_host::HostEvent;
use dayfly_twin::{Conclusion, Disturbance, RepoId, RunId, State, Status, Timings, WebhookFault};

use crate::lab::{Deadlines, Lab, LabConfig};
use crate::timeline::Observation;

pub use story::Story;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Demo {
    /// A job runs and nothing is left of it.
    Main,
    /// A runner that nobody needs any more is ended.
    Idle,
    /// EC2 takes the instance back in mid-job; the job is run again, and goes on from what it saved.
    Interruption,
    /// A job that does not end is ended at the maximum lifetime.
    Lifetime,
    /// GitHub tells neither of a job's queueing nor of its end; both are found out.
    LostWebhook,
    /// EC2 has no capacity: one job runs on demand, and one fails with the reason in its log.
    NoCapacity,
    /// The instance's network is cut in mid-job; it is given up and the job is run again.
    Partition,
    /// The account may run no GPU at all; the job fails with the quota's name in its log.
    Quota,
    /// 256 jobs at once.
    Matrix,
    /// A label says what the job wants; the repository has no file of dayfly's.
    Inline,
    /// A repository with a `.cirun.yml`, as it is.
    Cirun,
    /// A pull request from a fork: refused with the reason in its log, then approved and run.
    Fork,
    /// Two runners at once for six jobs of one repository and one of another.
    Fair,
    /// A repository may spend so much in a month: the third of three jobs is refused, until the month turns.
    Cap,
}

impl Demo {
    /// Returns a one-line description.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Main => "a job gets a spot instance, runs on it, and nothing is left",
            Self::Idle => "another runner takes the job; ours idles out and is ended",
            Self::Interruption => {
                "EC2 takes the instance back in mid-job; the job saves its work, and goes on from it elsewhere"
            }
            Self::Lifetime => "a job that does not end reaches the maximum lifetime",
            Self::LostWebhook => "GitHub tells neither that a job waits nor that it is over; it runs all the same",
            Self::NoCapacity => {
                "no spot capacity anywhere: a job runs on demand; then that is gone too, and a job fails with the reason"
            }
            Self::Partition => "an instance is cut off in mid-job; it is given up, and the job is run again elsewhere",
            Self::Quota => "a new AWS account, which may run no GPU: the job fails, and says what to ask AWS for",
            Self::Matrix => "a matrix of 256 jobs, queued within a second",
            Self::Inline => "`runs-on: dayfly/gpu=t4/…` in a repository without any configuration",
            Self::Cirun => "a repository with the `.cirun.yml` that it had before",
            Self::Fork => {
                "a fork's pull request gets no GPU, and says why; a maintainer approves its commit, and it runs"
            }
            Self::Cap => "a cap on the month: the third job could pass it and is refused; next month it runs",
            Self::Fair => "two runners at once for six jobs of one repository; another comes with one, and is next",
        }
    }

    /// Returns its lab.
    ///
    /// # Errors
    /// If the binaries' folder is unknown.
    pub fn lab(self) -> anyhow::Result<LabConfig> {
        let mut config = LabConfig::new()?;
        config.deadlines = self.deadlines();
        config.twin.timings = self.timings();
        match self {
            Self::NoCapacity => capacity::no_spot(&mut config.scenario),
            Self::Quota => capacity::no_quota(&mut config.scenario),
            Self::Matrix => matrix::configure(&mut config),
            _ => {}
        }
        Ok(config)
    }

    /// Returns short deadlines.
    fn deadlines(self) -> Deadlines {
        match self {
            Self::Main
            | Self::Interruption
            | Self::LostWebhook
            | Self::Inline
            | Self::Cirun
            | Self::Fork
            | Self::Cap
            | Self::Fair => Deadlines::default(),
            Self::Idle => Deadlines {
                idle: 8,
                ..Deadlines::default()
            },
            Self::Lifetime => Deadlines {
                lifetime: 20,
                ..Deadlines::default()
            },
            Self::NoCapacity | Self::Quota => Deadlines {
                launch_give_up: 8,
                ..Deadlines::default()
            },
            Self::Partition => Deadlines {
                heartbeat: 8,
                ..Deadlines::default()
            },
            Self::Matrix => matrix::deadlines(),
        }
    }

    /// GitHub's own delays. GitHub loses a vanished runner twice as late as dayfly, as with the stack's
    /// default.
    fn timings(self) -> Timings {
        let heartbeat = Duration::from_secs(self.deadlines().heartbeat);
        match self {
            Self::Partition => Timings {
                lost_after: 2 * heartbeat,
                ..Timings::lab()
            },
            Self::Matrix => matrix::timings(),
            _ => Timings::lab(),
        }
    }

    /// How long its run may take.
    #[must_use]
    pub fn within(self) -> Duration {
        match self {
            Self::Matrix => matrix::WITHIN,
            _ => Duration::from_secs(150),
        }
    }

    /// How long dayfly may take afterwards until nothing is left. A story published just before its
    /// cost was counted is published again after a minute, for which the schedule stays on.
    #[must_use]
    pub fn settled_within(self) -> Duration {
        match self {
            Self::Matrix => matrix::SETTLED_WITHIN,
            _ => Duration::from_secs(120),
        }
    }

    /// Whether it is shown in numbers, because it has too many lines.
    #[must_use]
    pub fn is_counted(self) -> bool {
        self == Self::Matrix
    }

    /// Returns the attempts and names of the jobs whose stories are printed at the end.
    #[must_use]
    pub fn is_about(self) -> &'static [(u32, &'static str)] {
        match self {
            Self::Main | Self::Lifetime | Self::LostWebhook | Self::Inline | Self::Cirun => &[(1, "train")],
            Self::Interruption | Self::Partition => &[(1, "train"), (2, "train")],
            Self::Fork => &[(2, "train")],
            Self::Cap => &[(2, "evaluate")],
            Self::Idle | Self::NoCapacity | Self::Quota | Self::Matrix | Self::Fair => &[],
        }
    }

    /// Returns the stages that the timeline must show.
    #[must_use]
    pub fn shows(self) -> &'static [&'static str] {
        match self {
            Self::Main | Self::Idle | Self::Inline | Self::Cirun => &["launched", "enrolled"],
            Self::Interruption => &["interrupted", "re-run", "check run"],
            Self::Lifetime => &["running", "gone"],
            Self::LostWebhook => &["lost", "patrol", "asked"],
            Self::NoCapacity | Self::Quota => &["refused", "check run", "finished"],
            Self::Partition => &["cut off", "given up", "noted", "re-run"],
            Self::Matrix => &[],
            Self::Fork | Self::Cap => &["check run", "re-run", "launched"],
            Self::Fair => &["check run", "launched"],
        }
    }

    /// Prepares the lab before the job is pushed.
    ///
    /// # Errors
    /// If that fails.
    pub async fn prepare(self, lab: &Lab) -> anyhow::Result<()> {
        match self {
            Self::LostWebhook => {
                for action in ["queued", "completed"] {
                    let fault = WebhookFault::on("workflow_job", action).once(Disturbance::Lose);
                    lab.twin().disturb_webhooks(fault);
                }
                Ok(())
            }
            Self::Matrix => matrix::limit(lab).await,
            Self::Fork => fork::prepare(lab).await,
            Self::Fair => fair::prepare(lab).await,
            Self::Cap => cap::prepare(lab).await,
            _ => Ok(()),
        }
    }

    /// Returns the files of its repository, by path. Without a `.dayfly.yml`, `dayfly-gpu` has its
    /// built-in meaning.
    #[must_use]
    pub fn files(self, lab: &Lab) -> Vec<(&'static str, String)> {
        match self {
            Self::Main | Self::Idle | Self::LostWebhook | Self::Quota => workflow::of(workflow::THREE_EPOCHS),
            Self::Lifetime => workflow::of(workflow::FOR_EVER),
            Self::Partition => workflow::of(workflow::STUCK_AT_FIRST),
            Self::Interruption => interruption::files(lab),
            Self::NoCapacity => capacity::files(),
            Self::Matrix => matrix::files(),
            Self::Inline => labels::inline_files(),
            Self::Cirun => labels::cirun_files(),
            Self::Fork => fork::files(),
            Self::Fair => fair::files(),
            Self::Cap => cap::files(),
        }
    }

    /// Starts its run, usually with a push.
    ///
    /// # Errors
    /// If a workflow cannot be used, or not exactly one run is started.
    pub fn begin(self, lab: &Lab, repository: RepoId) -> anyhow::Result<RunId> {
        let files = self.files(lab);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        if self == Self::Fork {
            return fork::open(lab, repository, &files);
        }
        match lab.twin().push(repository, "Train on a GPU", &files)?[..] {
            [run] => Ok(run),
            ref runs => bail!("the push should have started one run, and started {}", runs.len()),
        }
    }

    /// Returns how its run must end, and in which attempt.
    #[must_use]
    pub fn end(self) -> (u32, Conclusion) {
        match self {
            Self::Main | Self::Idle | Self::LostWebhook | Self::Matrix | Self::Inline | Self::Cirun | Self::Fair => {
                (1, Conclusion::Success)
            }
            Self::Interruption | Self::Partition | Self::Fork | Self::Cap => (2, Conclusion::Success),
            Self::Lifetime | Self::NoCapacity | Self::Quota => (1, Conclusion::Failure),
        }
    }

    /// Returns how its run has ended; an attempt followed by another is not the end.
    #[must_use]
    pub fn ended(self, state: &State, run: RunId) -> Option<(u32, Option<Conclusion>)> {
        if self == Self::Fair && !fair::all_over(state) {
            return None;
        }
        let run = state.run(run)?;
        let last = run.attempt >= self.end().0;
        (last && run.status == Status::Completed).then_some((run.attempt, run.conclusion))
    }

    /// Reacts to an observation.
    ///
    /// # Errors
    /// If that fails.
    pub async fn act(self, observation: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
        match self {
            Self::Idle => elsewhere(observation, story),
            Self::Interruption => interruption::act(observation, story).await,
            Self::NoCapacity => capacity::act(observation, story),
            Self::Matrix => matrix::act(observation, story).await,
            Self::Fork => fork::act(observation, story),
            Self::Cap => cap::act(observation, story).await,
            Self::Fair => fair::act(observation, story),
            Self::Partition if story::is_output(observation, |line| line == "attempt 1") => {
                for instance in story.lab.live_instances().await? {
                    story.lab.host().cut_network(&instance.id)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Prints and checks the results, besides the timeline.
    ///
    /// # Errors
    /// If a result differs, or cannot be printed.
    pub async fn report(self, story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
        match self {
            Self::Interruption => interruption::report(story, out),
            Self::NoCapacity => capacity::report(story, "evaluate", out),
            Self::Quota => capacity::report_quota(story, out),
            Self::Matrix => matrix::report(story, out).await,
            Self::Inline | Self::Cirun => labels::report(story, out),
            Self::Fork => fork::report(story, out),
            Self::Cap => cap::report(story, out).await,
            Self::Fair => fair::report(story, out),
            _ => Ok(()),
        }
    }
}

/// Another runner takes the job, and runs longer than ours may wait.
fn elsewhere(observation: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    let Observation::Instance(reported) = observation else {
        return Ok(());
    };
    let twin = story.lab.twin();
    match &reported.event {
        HostEvent::Booted => {
            if let Some(job) = story.job_that_is(Status::Queued) {
                twin.start_elsewhere(job)?;
            }
        }
        HostEvent::Ended(_) => {
            if let Some(job) = story.job_that_is(Status::InProgress) {
                twin.end_elsewhere(job, Conclusion::Success)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lab::checkout;

    #[test]
    fn make_offers_exactly_the_scenarios_and_the_docs_list_them() {
        let names: Vec<String> = Demo::value_variants()
            .iter()
            .filter_map(|demo| Some(demo.to_possible_value()?.get_name().to_owned()))
            .collect();
        let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let makefile = std::fs::read_to_string(checkout().join("Makefile")).unwrap();
        let between = |from: &str, to: &str| makefile.split(from).nth(1).unwrap().split(to).next().unwrap();
        let allowed: Vec<&str> = between("\nSCENARIOS := ", "\n").split(' ').collect();
        assert_eq!(allowed.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(between("[SCENARIO=", "]").split('|').collect::<Vec<_>>(), allowed);
        let page = std::fs::read_to_string(checkout().join("docs/lab.md")).unwrap();
        for name in all.iter().filter(|name| **name != "main") {
            assert!(page.contains(&format!("SCENARIO={name}`")), "{name}");
        }
    }
}
