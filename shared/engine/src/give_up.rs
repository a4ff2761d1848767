//! Giving up a job: its check run says why, and a messenger takes the job to fail it with the reason in its
//! log.

use std::time::Duration;

use dayfly_records::event::JobEvent;
use dayfly_records::{CheckContent, Job, JobState, LaunchPlan, MessengerReport, MessengerState, MessengerTask, Runner};
use dayfly_types::capacity::LaunchFailure;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

use crate::launch::claim;
use crate::runner::availability::is_free;

/// How long a messenger is held back for jobs that it could take instead: GitHub gives it any waiting job
/// whose labels it has.
const HELD_BACK: Duration = Duration::from_mins(5);

/// The pause before a held-back messenger is considered again.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// The messengers per job: one may fail to boot, or be taken by another job.
const MAX_MESSENGERS: u32 = 3;

/// Refuses a job that asks for something it cannot have.
#[must_use]
pub fn refuse(job: Job, reason: String, now: Timestamp) -> (Job, CheckContent) {
    give_up(job, JobState::Refused { reason }, Vec::new(), now)
}

/// Gives up a job that no instance could be launched for, or whose instances never took it.
#[must_use]
pub fn unlaunchable(job: Job, reason: String, tried: Vec<LaunchFailure>, now: Timestamp) -> (Job, CheckContent) {
    give_up(job, JobState::Unlaunchable { reason }, tried, now)
}

fn give_up(mut job: Job, state: JobState, tried: Vec<LaunchFailure>, now: Timestamp) -> (Job, CheckContent) {
    job.state = state;
    job.ended_at = Some(now);
    job.messenger_state = if job.giving_up.messenger {
        MessengerState::Due
    } else {
        MessengerState::Over
    };
    job.due_at = job.giving_up.messenger.then_some(now);
    let content = check_run_content(&job, tried);
    (job, content)
}

/// Returns the check run of a job that was just given up.
#[must_use]
pub fn check_run_content(job: &Job, tried: Vec<LaunchFailure>) -> CheckContent {
    CheckContent::GivenUp {
        reason: reason(job).to_owned(),
        tried,
        messenger: if job.giving_up.messenger {
            MessengerReport::OnItsWay
        } else {
            MessengerReport::Off
        },
    }
}

/// Returns why a job was given up, or nothing if it was not.
#[must_use]
pub fn reason(job: &Job) -> &str {
    match &job.state {
        JobState::Refused { reason } | JobState::Unlaunchable { reason } => reason,
        JobState::Queued | JobState::Launching | JobState::Running { .. } | JobState::Finished { .. } => "",
    }
}

/// Whether the messenger of a given-up job could take the job of this runner, which would fail that job and
/// make it run again.
#[must_use]
pub fn could_be_taken(runner: &Runner, job: &Job) -> bool {
    let has_its_labels = || runner.labels.iter().all(|label| job.labels.contains(label));
    let is_for_another = runner.message.is_none() && runner.wanted_by != job.key;
    is_for_another && is_free(runner) && runner.repository == job.repository && has_its_labels()
}

/// Holds back a job's messenger until the jobs that it could take have their runners. Returns `None` if it has
/// been held back long enough.
#[must_use]
pub fn hold_back(job: &Job, now: Timestamp) -> Option<Job> {
    let given_up = job.ended_at.unwrap_or(now);
    (now.since(given_up) < HELD_BACK).then(|| Job {
        due_at: Some(now.after(LOOK_AGAIN)),
        ..job.clone()
    })
}

/// Claims a messenger: returns the job's record and that of its new runner, which prints `text` into the job's
/// log. Returns `None` if enough were sent.
#[must_use]
pub fn send(job: Job, text: String, plan: LaunchPlan, now: Timestamp, deadlines: &Deadlines) -> Option<(Job, Runner)> {
    if job.messengers >= MAX_MESSENGERS {
        return None;
    }
    let (state, ended_at) = (job.state.clone(), job.ended_at);
    let message = MessengerTask {
        job: job.key,
        run: job.run,
        text,
    };
    let (mut job, mut runner) = claim::claim(job, plan, now, deadlines);
    job.state = state;
    job.ended_at = ended_at;
    job.messenger_state = MessengerState::Sent;
    job.messengers += 1;
    runner.message = Some(message);
    Some((job, runner))
}

/// Leaves a job without a messenger, and has its run cancelled if that is configured.
#[must_use]
pub fn cannot_send(mut job: Job, why: String, tried: Vec<LaunchFailure>, now: Timestamp) -> (Job, CheckContent) {
    let cancel = job.giving_up.cancel_run;
    job.messenger_state = if cancel {
        MessengerState::Cancel
    } else {
        MessengerState::Over
    };
    job.due_at = cancel.then_some(now);
    let content = CheckContent::GivenUp {
        reason: reason(&job).to_owned(),
        tried,
        messenger: MessengerReport::Failed {
            reason: why,
            cancelled: cancel,
        },
    };
    (job, content)
}

/// Records that a job's run was cancelled.
#[must_use]
pub fn cancelled(mut job: Job) -> Job {
    job.messenger_state = MessengerState::Over;
    job.due_at = None;
    job
}

/// Has another messenger sent to a job whose messenger ended before it took the job. Returns `None` if the job
/// has moved on or has another messenger.
#[must_use]
pub fn messenger_lost(job: &Job, messenger: &Runner, now: Timestamp) -> Option<Job> {
    let waits = job.state.is_given_up()
        && job.messenger_state == MessengerState::Sent
        && job.runner.as_ref() == Some(&messenger.name)
        && messenger.message.is_some();
    waits.then(|| Job {
        messenger_state: MessengerState::Due,
        due_at: Some(now),
        ..job.clone()
    })
}

/// Postpones a job that seemed to need another messenger although GitHub says that it has moved on. That event
/// is on its way, and the deadline is for the case that it is lost.
#[must_use]
pub fn ask_again(mut job: Job, now: Timestamp, deadlines: &Deadlines) -> Job {
    job.end_lookups += 1;
    job.due_at = Some(now.after(deadlines.jittered_retry(job.end_lookups, &job.name)));
    job
}

/// Whether a messenger's message fits a job that it was not sent to: both are given up for the labels that they
/// share. A message is for one run attempt, the only thing by which its runner can tell jobs apart.
#[must_use]
pub fn message_fits(messenger: &Runner, job: &Job) -> bool {
    let of_run = |message: &MessengerTask| (message.run, message.job.attempt) == (job.run, job.key.attempt);
    messenger.message.as_ref().is_some_and(of_run) && job.state.is_given_up()
}

/// Swaps messengers after one has failed `job` instead of the job that it was sent to: that job gets the
/// messenger of `job` in return, if it has not run yet.
pub fn swap_messengers(job: &mut Job, messenger: &mut Runner, in_return: Option<&mut Runner>) {
    let sent_to = messenger.wanted_by;
    for (runner, to) in [(Some(&mut *messenger), job.key), (in_return, sent_to)] {
        let Some(runner) = runner else { continue };
        runner.wanted_by = to;
        if let Some(message) = &mut runner.message {
            message.job = to;
        }
    }
    job.runner = Some(messenger.name.clone());
}

/// Whether a messenger runs a job that it was not sent to. That job has to run again.
#[must_use]
pub fn is_mistaken(messenger: &Runner, event: &JobEvent) -> bool {
    messenger
        .message
        .as_ref()
        .is_some_and(|message| message.job != event.key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, deadlines, event, now, plan};
    use dayfly_config::GivingUp;
    use dayfly_records::RunnerState;

    fn given_up(giving_up: GivingUp) -> Job {
        let job = Job {
            giving_up,
            ..claimed(11).0
        };
        unlaunchable(job, "no capacity".to_owned(), Vec::new(), now()).0
    }

    #[test]
    fn given_up_job_gets_a_messenger_with_the_reason() {
        let job = given_up(GivingUp::default());
        assert_eq!((job.messenger_state, job.due_at), (MessengerState::Due, Some(now())));
        let (job, messenger) = send(job, "No capacity".to_owned(), plan(), now(), &deadlines()).unwrap();
        let message = messenger.message.clone().unwrap();
        assert_eq!((message.job, message.text.as_str()), (job.key, "No capacity"));
        assert_eq!(
            messenger.labels, job.labels,
            "it can take no other job than the runner could"
        );
        assert!(job.state.is_given_up() && job.runner == Some(messenger.name.clone()));
        assert_eq!((job.due_at, messenger.due_at.is_some()), (None, true));
        assert!(!is_mistaken(&messenger, &event(11)));
        assert!(is_mistaken(&messenger, &event(12)));
    }

    #[test]
    fn lost_messenger_is_replaced_but_not_forever() {
        let mut job = given_up(GivingUp::default());
        for _ in 0..MAX_MESSENGERS {
            let (sent, messenger) = send(job, String::new(), plan(), now(), &deadlines()).unwrap();
            let (_, other) = claimed(11);
            assert_eq!(messenger_lost(&sent, &other, now()), None, "it is not its messenger");
            job = messenger_lost(&sent, &messenger, now()).unwrap();
            assert_eq!(job.due_at, Some(now()));
        }
        assert!(send(job, String::new(), plan(), now(), &deadlines()).is_none());
    }

    #[test]
    fn messenger_is_held_back_only_for_jobs_that_it_could_take() {
        let job = given_up(GivingUp::default());
        let other = || claimed(12).1;
        let with = |change: &dyn Fn(&mut Runner)| {
            let mut runner = other();
            change(&mut runner);
            could_be_taken(&runner, &job)
        };
        for state in [RunnerState::Requested, RunnerState::Launched, RunnerState::Enrolled] {
            assert!(with(&|runner| runner.state = state), "{state:?}");
        }
        for state in [
            RunnerState::Draining,
            RunnerState::Done,
            RunnerState::Lost,
            RunnerState::Gone,
        ] {
            assert!(!with(&|runner| runner.state = state), "{state:?}");
        }
        assert!(!with(&|runner| runner.job = Some(runner.wanted_by)), "its job runs");
        assert!(!with(&|runner| runner.repository = "octo/other".parse().unwrap()));
        assert!(!with(&|runner| runner
            .labels
            .push(dayfly_config::labels::Label::new("large"))));
        assert!(with(&|runner| runner.labels.truncate(0)), "it asks for fewer labels");
        assert!(!could_be_taken(&claimed(11).1, &job), "it is for the same job");
        let messenger = send(
            given_up(GivingUp::default()),
            String::new(),
            plan(),
            now(),
            &deadlines(),
        )
        .unwrap()
        .1;
        let job = Job {
            key: other().wanted_by,
            ..job.clone()
        };
        assert!(!could_be_taken(&messenger, &job), "that job is to fail too");
    }

    #[test]
    fn messenger_is_not_held_back_forever() {
        let job = given_up(GivingUp::default());
        let later = hold_back(&job, now()).unwrap();
        assert_eq!(
            (later.due_at, later.messenger_state),
            (Some(now().after(LOOK_AGAIN)), MessengerState::Due)
        );
        assert!(hold_back(&job, now().after(LOOK_AGAIN)).is_some());
        assert_eq!(hold_back(&job, now().after(HELD_BACK)), None);
    }

    #[test]
    fn messenger_can_be_off_and_the_run_cancelled_instead() {
        let off = given_up(GivingUp {
            messenger: false,
            cancel_run: true,
        });
        assert_eq!((off.messenger_state, off.due_at), (MessengerState::Over, None));
        for (cancel_run, messenger_state) in [(true, MessengerState::Cancel), (false, MessengerState::Over)] {
            let job = given_up(GivingUp {
                messenger: true,
                cancel_run,
            });
            let (job, content) = cannot_send(job, "no t4g.nano".to_owned(), Vec::new(), now());
            assert_eq!(
                (job.messenger_state, job.due_at.is_some()),
                (messenger_state, cancel_run)
            );
            assert!(matches!(
                content,
                CheckContent::GivenUp { messenger: MessengerReport::Failed { cancelled, .. }, .. } if cancelled == cancel_run
            ));
            assert_eq!(cancelled(job).due_at, None);
        }
    }
}
