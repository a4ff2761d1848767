//! A job that is given up learns of it: by its check run, and by a messenger, which takes it in order
//! to fail it with the reason in its log.

use std::time::Duration;

use dayfly_records::event::JobEvent;
use dayfly_records::{CheckContent, Job, JobState, LaunchPlan, Message, MessengerNews, MessengerState, Runner};
use dayfly_types::capacity::Tried;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

use crate::{job_events, launch};

/// How long a messenger is held back while others would be told in place of its job. GitHub gives it whichever
/// job waits that asks for no labels but its own.
const HELD_BACK: Duration = Duration::from_mins(5);

/// How soon it is looked again whether it may go.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// How many messengers are sent to a job at most: one may not boot, or be taken by another job.
const MOST_MESSENGERS: u32 = 3;

/// A job that asks for something that it cannot have.
#[must_use]
pub fn refuse(job: Job, reason: String, now: Timestamp) -> (Job, CheckContent) {
    give_up(job, JobState::Refused { reason }, Vec::new(), now)
}

/// A job for which no instance can be had, or none that took it.
#[must_use]
pub fn unlaunchable(job: Job, reason: String, tried: Vec<Tried>, now: Timestamp) -> (Job, CheckContent) {
    give_up(job, JobState::Unlaunchable { reason }, tried, now)
}

fn give_up(mut job: Job, state: JobState, tried: Vec<Tried>, now: Timestamp) -> (Job, CheckContent) {
    job.state = state;
    job.ended_at = Some(now);
    job.messenger_state = if job.giving_up.messenger {
        MessengerState::Due
    } else {
        MessengerState::Over
    };
    job.due_at = job.giving_up.messenger.then_some(now);
    let content = said(&job, tried);
    (job, content)
}

/// What is said of a job that was given up just now.
#[must_use]
pub fn said(job: &Job, tried: Vec<Tried>) -> CheckContent {
    CheckContent::GivenUp {
        reason: reason(job).to_owned(),
        tried,
        messenger: if job.giving_up.messenger {
            MessengerNews::OnItsWay
        } else {
            MessengerNews::Off
        },
    }
}

/// Why a job is given up; nothing in words if it is not.
#[must_use]
pub fn reason(job: &Job) -> &str {
    match &job.state {
        JobState::Refused { reason } | JobState::Unlaunchable { reason } => reason,
        JobState::Queued | JobState::Launching | JobState::Running { .. } | JobState::Finished { .. } => "",
    }
}

/// Whether a runner's job, which is to run, could be taken by the messenger of a job that is given up: that would
/// fail it, and it would have to be run again.
#[must_use]
pub fn would_be_taken(runner: &Runner, job: &Job) -> bool {
    let has_its_labels = || runner.labels.iter().all(|label| job.labels.contains(label));
    let is_anothers = runner.message.is_none() && runner.wanted_by != job.key;
    is_anothers && job_events::is_free(runner) && runner.repository == job.repository && has_its_labels()
}

/// A job whose messenger waits until those have been served that it could take. Nothing if it has waited long
/// enough.
#[must_use]
pub fn hold_back(job: &Job, now: Timestamp) -> Option<Job> {
    let given_up = job.ended_at.unwrap_or(now);
    (now.since(given_up) < HELD_BACK).then(|| Job {
        due_at: Some(now.after(LOOK_AGAIN)),
        ..job.clone()
    })
}

/// The claim on a messenger: the job's record and that of the runner to come. `text` is what it prints into the
/// job's log. Nothing if enough were sent.
#[must_use]
pub fn send(job: Job, text: String, plan: LaunchPlan, now: Timestamp, deadlines: &Deadlines) -> Option<(Job, Runner)> {
    if job.messengers >= MOST_MESSENGERS {
        return None;
    }
    let (state, ended_at) = (job.state.clone(), job.ended_at);
    let message = Message {
        job: job.key,
        run: job.run,
        text,
    };
    let (mut job, mut runner) = launch::claim(job, plan, now, deadlines);
    job.state = state;
    job.ended_at = ended_at;
    job.messenger_state = MessengerState::Sent;
    job.messengers += 1;
    runner.message = Some(message);
    Some((job, runner))
}

/// A job to which no messenger can be sent: its run is cancelled, if that is wanted.
#[must_use]
pub fn cannot_send(mut job: Job, why: String, tried: Vec<Tried>, now: Timestamp) -> (Job, CheckContent) {
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
        messenger: MessengerNews::Failed {
            reason: why,
            cancelled: cancel,
        },
    };
    (job, content)
}

/// A job whose run was cancelled.
#[must_use]
pub fn cancelled(mut job: Job) -> Job {
    job.messenger_state = MessengerState::Over;
    job.due_at = None;
    job
}

/// A job whose messenger ended before it took it: another is sent. Nothing if the job has moved on, or
/// has another messenger.
#[must_use]
pub fn lost(job: &Job, messenger: &Runner, now: Timestamp) -> Option<Job> {
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

/// A job that seemed to need another messenger, and of which GitHub says that it has moved on: that is
/// on its way to be recorded, and looked after if it gets lost.
#[must_use]
pub fn ask_again(mut job: Job, now: Timestamp, deadlines: &Deadlines) -> Job {
    job.asked += 1;
    job.due_at = Some(now.after(deadlines.pause(job.asked, &job.name)));
    job
}

/// Whether a messenger tells a job that it was not sent to what there is to tell it: both are given up,
/// and have the labels in common for which that is so. Its words are for one run attempt, as that is
/// what its runner can tell jobs by.
#[must_use]
pub fn tells_as_well(messenger: &Runner, job: &Job) -> bool {
    let of_run = |message: &Message| (message.run, message.job.attempt) == (job.run, job.key.attempt);
    messenger.message.as_ref().is_some_and(of_run) && job.state.is_given_up()
}

/// A messenger has told `job` instead of the one that it was sent to: that one gets the messenger of
/// `job` in return, if it is still to tell somebody.
pub fn exchange(job: &mut Job, messenger: &mut Runner, in_return: Option<&mut Runner>) {
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

/// Whether a messenger runs a job that it was not sent to: that one is run again.
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
    fn a_job_that_is_given_up_is_sent_a_messenger_with_the_reason() {
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
    fn a_messenger_that_is_lost_is_followed_by_another_but_not_for_ever() {
        let mut job = given_up(GivingUp::default());
        for _ in 0..MOST_MESSENGERS {
            let (sent, messenger) = send(job, String::new(), plan(), now(), &deadlines()).unwrap();
            let (_, other) = claimed(11);
            assert_eq!(lost(&sent, &other, now()), None, "that is none of its messengers");
            job = lost(&sent, &messenger, now()).unwrap();
            assert_eq!(job.due_at, Some(now()));
        }
        assert!(send(job, String::new(), plan(), now(), &deadlines()).is_none());
    }

    #[test]
    fn a_messenger_is_held_back_for_whom_it_could_take_and_for_nobody_else() {
        let job = given_up(GivingUp::default());
        let other = || claimed(12).1;
        let with = |change: &dyn Fn(&mut Runner)| {
            let mut runner = other();
            change(&mut runner);
            would_be_taken(&runner, &job)
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
        assert!(!with(&|runner| runner.job = Some(runner.wanted_by)), "it is served");
        assert!(!with(&|runner| runner.repository = "octo/other".parse().unwrap()));
        assert!(!with(&|runner| runner
            .labels
            .push(dayfly_config::labels::Label::new("large"))));
        assert!(with(&|runner| runner.labels.truncate(0)), "it asks for less");
        assert!(!would_be_taken(&claimed(11).1, &job), "its own");
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
        assert!(!would_be_taken(&messenger, &job), "that one is to be failed too");
    }

    #[test]
    fn a_messenger_is_not_held_back_for_ever() {
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
    fn a_messenger_can_be_turned_off_and_a_run_cancelled_in_its_place() {
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
                CheckContent::GivenUp { messenger: MessengerNews::Failed { cancelled, .. }, .. } if cancelled == cancel_run
            ));
            assert_eq!(cancelled(job).due_at, None);
        }
    }
}
