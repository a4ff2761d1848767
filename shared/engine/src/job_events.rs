//! What the start and the end of a job mean for it and for the runners that have to do with it.

use dayfly_records::event::{Conclusion, JobEvent};
use dayfly_records::lifecycle::RunnerStep;
use dayfly_records::{Ending, Job, JobState, Runner, RunnerState};
use dayfly_types::deadlines::{BEHIND, Deadlines};
use dayfly_types::ids::RunnerName;
use dayfly_types::time::Timestamp;

use crate::{ending, giving_up, launch};

/// Those whom the start or the end of a job concerns, as they are known, or as they become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// The job itself.
    pub job: Option<Job>,
    /// The runner that took it, if it is ours.
    pub taken: Option<Runner>,
    /// The runner that was launched for it, if that is another.
    pub own: Option<Runner>,
    /// The job that the taken runner was launched for, if that is another.
    pub displaced: Option<Job>,
}

/// Binds the job to the runner that took it. If that was launched for another job, the two jobs
/// swap their runners, so that each still has one; if there is none to swap, the other job waits
/// again. A job that had been given up and is taken after all is as good as any. Nothing if the job is
/// over already.
#[must_use]
pub fn started(known: Concerned, event: &JobEvent, now: Timestamp, deadlines: &Deadlines) -> Option<Concerned> {
    let Concerned {
        job,
        mut taken,
        mut own,
        mut displaced,
    } = known;
    let mut job = job.unwrap_or_else(|| launch::new_job(event));
    if matches!(job.state, JobState::Finished { .. }) {
        return None;
    }
    if let Some(runner) = &mut taken {
        runner.take(RunnerStep::StartJob, now, deadlines);
        bind(&mut job, runner, own.as_mut(), displaced.as_mut(), now);
        let needless = |own: &&mut Runner| own.message.is_some() && own.wanted_by == job.key && is_free(own);
        if let Some(own) = own.as_mut().filter(needless) {
            // There is nothing to tell any more, and it must not tell another.
            own.end(RunnerStep::DropNeed, Ending::NotNeeded, now, deadlines);
        }
    } else {
        own = None;
        displaced = None;
    }
    job.started_at.get_or_insert(event.received_at);
    job.ended_at = None;
    job.state = JobState::Running {
        runner: event.runner_name.clone().unwrap_or_default(),
    };
    // A runner of ours that is gone already, or whose record is, leads nobody to the job: should its end be
    // lost, as its start may have been, nobody else asks for it.
    let unheard = match &taken {
        Some(taken) => !taken.is_live(),
        None => event
            .runner_name
            .as_deref()
            .and_then(RunnerName::from_registered)
            .is_some(),
    };
    job.due_at = unheard.then(|| now.after(deadlines.webhook));
    Some(Concerned {
        job: Some(job),
        taken,
        own,
        displaced,
    })
}

/// Binds a job to the runner that took it. If that was launched for another job, the two jobs swap
/// their runners.
fn bind(job: &mut Job, taken: &mut Runner, own: Option<&mut Runner>, displaced: Option<&mut Job>, now: Timestamp) {
    job.ran_on = Some(taken.name.clone());
    taken.job = Some(job.key);
    taken.job_run = Some(job.run);
    taken.asked = None;
    if taken.wanted_by == job.key {
        return;
    }
    if taken.message.is_none() {
        swap(job, taken, own, displaced, now);
        return;
    }
    let told = giving_up::tells_as_well(taken, job);
    let spare = own.filter(|own| told && own.message.is_some() && is_unbound(own));
    match displaced {
        Some(displaced) if displaced.runner.as_ref() == Some(&taken.name) => match &spare {
            Some(spare) => displaced.runner = Some(spare.name.clone()),
            None => *displaced = giving_up::lost(displaced, taken, now).unwrap_or_else(|| displaced.clone()),
        },
        _ => {}
    }
    if told {
        giving_up::exchange(job, taken, spare);
    }
}

fn swap(job: &mut Job, taken: &mut Runner, own: Option<&mut Runner>, displaced: Option<&mut Job>, now: Timestamp) {
    let displaced_key = taken.wanted_by;
    taken.wanted_by = job.key;
    job.runner = Some(taken.name.clone());
    let mut spare = own.filter(|own| is_unbound(own) && own.message.is_none());
    if let Some(own) = &mut spare {
        // Even if that job is over: then nobody waits for it, and it idles out.
        own.wanted_by = displaced_key;
        own.asked = None;
    }
    let Some(displaced) =
        displaced.filter(|displaced| displaced.runner.as_ref() == Some(&taken.name) && !displaced.state.is_end())
    else {
        return;
    };
    displaced.runner = spare.as_ref().map(|own| own.name.clone());
    match (&displaced.state, spare) {
        (JobState::Launching, None) => {
            displaced.state = JobState::Queued;
            displaced.due_at = Some(now);
        }
        // That one has run a job as well: whose it was is about to be told.
        (JobState::Launching | JobState::Queued, Some(own))
            if ending::has_run_another(own) && own.state != RunnerState::Busy =>
        {
            displaced.state = JobState::Queued;
            displaced.due_at = Some(now.after(BEHIND));
        }
        // It was to have another, because the one that was taken seemed to have ended.
        (JobState::Queued, Some(own)) if is_free(own) => {
            displaced.state = JobState::Launching;
            displaced.due_at = None;
        }
        _ => {}
    }
}

/// Whether a runner's job is not known: it has none yet, or it has begun one, and perhaps ended it,
/// and its webhook is on its way. Should that be another's than the job that it is now meant for, they
/// swap again.
fn is_unbound(runner: &Runner) -> bool {
    is_free(runner) || runner.job.is_none() && runner.state == RunnerState::Busy || ending::has_run_another(runner)
}

/// Whether a runner is on its way to, or open for, a job.
pub(super) fn is_free(runner: &Runner) -> bool {
    runner.job.is_none()
        && matches!(
            runner.state,
            RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled
        )
}

/// Whether a job that is said to be over is one of an earlier attempt that ended well, which GitHub lists again
/// in this one under another number, with the runner that ran it then.
#[must_use]
pub fn is_carried_over(known: &Concerned, event: &JobEvent) -> bool {
    let Some(taken) = known.taken.as_ref().filter(|_| known.job.is_none()) else {
        return false;
    };
    taken.job_run == Some(event.run) && taken.job.is_some_and(|ran| ran.attempt < event.attempt)
}

/// Ends the job, the runner that ran it, and the one that it needs no more. A job that was never
/// heard of is remembered all the same, so that a `job.queued` that comes later launches nothing.
#[must_use]
pub fn completed(known: Concerned, event: &JobEvent, now: Timestamp, deadlines: &Deadlines) -> Concerned {
    let Concerned {
        job,
        mut taken,
        mut own,
        mut displaced,
    } = known;
    let conclusion = event.conclusion.unwrap_or(Conclusion::Unknown);
    let mut job = job.unwrap_or_else(|| launch::new_job(event));
    if let Some(runner) = &mut taken {
        // Its start may not have been told.
        bind(&mut job, runner, own.as_mut(), displaced.as_mut(), now);
        let ending = if giving_up::is_mistaken(runner, event) {
            Ending::Mistaken
        } else if was_interrupted(conclusion) && is_silent(runner, now, deadlines) {
            Ending::HeartbeatLost
        } else {
            Ending::JobOver
        };
        if !runner.end(RunnerStep::FinishJob, ending, now, deadlines) && runner.state == RunnerState::Done {
            // It was to be ended because it was not needed, and had been given a job.
            runner.ending = Some(Ending::JobOver);
        }
        runner.heed_unanswered();
    }
    job.state = JobState::Finished { conclusion };
    job.due_at = None;
    job.ended_at.get_or_insert(now);
    if let Some(own) = own.as_mut().filter(|own| own.wanted_by == job.key && is_free(own)) {
        own.end(RunnerStep::DropNeed, Ending::NotNeeded, now, deadlines);
    }
    Concerned {
        job: Some(job),
        taken,
        own,
        displaced,
    }
}

/// Whether an instance was not heard of for so long that a job which failed on it did so because
/// GitHub had lost it too, and found out before we did.
fn is_silent(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> bool {
    let heard = runner.heartbeat_at.unwrap_or(runner.since);
    now.since(heard) >= deadlines.heartbeat_lost / 2
}

/// Whether a job that ended so on a runner that was interrupted has to be run again.
#[must_use]
pub fn was_interrupted(conclusion: Conclusion) -> bool {
    match conclusion {
        Conclusion::Success
        | Conclusion::Skipped
        | Conclusion::Cancelled
        | Conclusion::Neutral
        | Conclusion::ActionRequired
        | Conclusion::Stale => false,
        Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure | Conclusion::Unknown => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, deadlines, event, launched, now, plan, runner};
    use dayfly_types::checkin::Stage;
    use dayfly_types::ids::{JobId, RunAttempt, RunId};

    fn enrolled(job: u64, instance: &str) -> (Job, Runner) {
        let (job, mut runner) = claimed(job);
        runner.launched = Some(launched(instance));
        runner.state = RunnerState::Enrolled;
        (job, runner)
    }

    #[test]
    fn a_job_whose_runner_was_taken_gets_that_of_the_last_in_a_row_of_exchanges() {
        let (first, mut of_first) = enrolled(11, "i-1");
        let (second, mut of_second) = enrolled(12, "i-2");
        let (third, of_third) = enrolled(13, "i-3");
        // It has run the third job, and left before anybody heard of that.
        of_second.stages.push((Stage::JobStarted, now()));
        of_second.state = RunnerState::Done;
        of_first.stages.push((Stage::JobStarted, now()));
        let known = Concerned {
            job: Some(second),
            taken: Some(of_first),
            own: Some(of_second),
            displaced: Some(first),
        };
        let after = started(known, &event(12), now(), &deadlines()).unwrap();
        let (left, waits) = (after.own.unwrap(), after.displaced.unwrap());
        assert_eq!(left.wanted_by, waits.key);
        assert_eq!(
            (waits.state.clone(), waits.due_at),
            (JobState::Queued, Some(now().after(BEHIND)))
        );
        let known = Concerned {
            job: Some(third),
            taken: Some(left),
            own: Some(of_third.clone()),
            displaced: Some(waits),
        };
        let waits = completed(known, &event(13), now(), &deadlines()).displaced.unwrap();
        assert_eq!(waits.runner, Some(of_third.name));
        assert_eq!((waits.state, waits.due_at), (JobState::Launching, None));
    }

    #[test]
    fn a_job_is_carried_over_whose_runner_has_run_another_in_an_earlier_attempt() {
        let (job, runner) = enrolled(11, "i-1");
        let known = Concerned {
            job: Some(job.clone()),
            taken: Some(runner.clone()),
            ..Concerned::default()
        };
        let ran = started(known, &event(11), now(), &deadlines()).unwrap().taken;
        let run = event(11).run;
        for (name, job, taken, run, attempt, expected) in [
            ("listed again", None, ran.clone(), run, 2, true),
            ("of the same attempt", None, ran.clone(), run, 1, false),
            ("of another run", None, ran.clone(), RunId(run.0 + 1), 2, false),
            ("it was queued", Some(job), ran, run, 2, false),
            ("on a runner that has run nothing", None, Some(runner), run, 2, false),
            ("on a runner of others", None, None, run, 2, false),
        ] {
            let known = Concerned {
                job,
                taken,
                ..Concerned::default()
            };
            let event = JobEvent {
                run,
                attempt: RunAttempt(attempt),
                ..event(21)
            };
            assert_eq!(is_carried_over(&known, &event), expected, "{name}");
        }
    }

    #[test]
    fn a_job_that_starts_on_its_own_runner_is_bound_to_it() {
        let (job, runner) = enrolled(11, "i-1");
        let known = Concerned {
            job: Some(job),
            taken: Some(runner),
            ..Concerned::default()
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        let taken = after.taken.unwrap();
        assert_eq!(
            (taken.state, taken.job.map(|key| key.job)),
            (RunnerState::Busy, Some(JobId(11)))
        );
        assert!(matches!(after.job.unwrap().state, JobState::Running { .. }));
    }

    #[test]
    fn the_end_of_a_job_whose_runner_had_gone_before_its_start_was_told_is_asked_for() {
        let (job, mut runner) = enrolled(11, "i-1");
        runner.state = RunnerState::Gone;
        let name = runner.registration(1);
        for (taken, name, asked) in [
            (Some(runner), name.clone(), true),
            // The table has lost it.
            (None, name, true),
            (None, Some("somebody-elses".to_owned()), false),
        ] {
            let known = Concerned {
                job: Some(job.clone()),
                taken,
                ..Concerned::default()
            };
            let told = JobEvent {
                runner_name: name,
                ..event(11)
            };
            let job = started(known, &told, now(), &deadlines()).unwrap().job.unwrap();
            assert!(matches!(job.state, JobState::Running { .. }));
            assert_eq!(job.due_at, asked.then(|| now().after(deadlines().webhook)), "{told:?}");
        }
    }

    #[test]
    fn a_job_that_takes_anothers_runner_leaves_its_own_in_return() {
        let (displaced, taken) = enrolled(12, "i-2");
        let (job, own) = claimed(11);
        let known = Concerned {
            job: Some(job),
            taken: Some(taken),
            own: Some(own),
            displaced: Some(displaced),
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        let (job, taken) = (after.job.unwrap(), after.taken.unwrap());
        let (displaced, own) = (after.displaced.unwrap(), after.own.unwrap());
        assert_eq!((job.runner.as_ref(), taken.wanted_by), (Some(&taken.name), job.key));
        assert_eq!(
            (displaced.runner.as_ref(), own.wanted_by),
            (Some(&own.name), displaced.key)
        );
    }

    #[test]
    fn a_job_that_was_displaced_and_gets_nothing_in_return_waits_again() {
        let (displaced, taken) = enrolled(12, "i-2");
        let known = Concerned {
            job: None,
            taken: Some(taken),
            own: None,
            displaced: Some(displaced),
        };
        let displaced = started(known, &event(11), now(), &deadlines())
            .unwrap()
            .displaced
            .unwrap();
        assert_eq!(
            (displaced.state, displaced.due_at, displaced.runner),
            (JobState::Queued, Some(now()), None)
        );
    }

    #[test]
    fn a_start_that_comes_after_the_end_changes_nothing() {
        let (mut job, runner) = enrolled(11, "i-1");
        job.state = JobState::Finished {
            conclusion: Conclusion::Success,
        };
        let known = Concerned {
            job: Some(job),
            taken: Some(runner),
            ..Concerned::default()
        };
        assert_eq!(started(known, &event(11), now(), &deadlines()), None);
    }

    #[test]
    fn a_job_on_a_runner_that_is_not_ours_leaves_its_own_to_idle_out() {
        let (job, own) = enrolled(11, "i-1");
        let known = Concerned {
            job: Some(job),
            own: Some(own),
            ..Concerned::default()
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        assert_eq!((after.taken, after.own), (None, None));
    }

    #[test]
    fn a_completed_job_ends_its_runner_and_the_one_it_never_needed() {
        let (job, own) = claimed(11);
        let known = Concerned {
            job: Some(job),
            taken: Some(runner(RunnerState::Busy)),
            own: Some(own),
            displaced: None,
        };
        let after = completed(known, &event(11), now(), &deadlines());
        assert_eq!(after.taken.unwrap().state, RunnerState::Done);
        assert_eq!(after.own.unwrap().ending, Some(Ending::NotNeeded));
    }

    #[test]
    fn a_job_that_failed_on_an_instance_that_fell_silent_was_interrupted() {
        let silent = deadlines().heartbeat_lost / 2;
        for (conclusion, after, ending) in [
            (Conclusion::Failure, silent, Ending::HeartbeatLost),
            (Conclusion::Failure, silent / 2, Ending::JobOver),
            (Conclusion::Success, silent, Ending::JobOver),
        ] {
            let (job, mut taken) = enrolled(11, "i-1");
            taken.heartbeat_at = Some(now());
            let known = Concerned {
                job: Some(job),
                taken: Some(taken),
                ..Concerned::default()
            };
            let over = JobEvent {
                conclusion: Some(conclusion),
                ..event(11)
            };
            let taken = completed(known, &over, now().after(after), &deadlines()).taken.unwrap();
            assert_eq!((taken.state, taken.ending), (RunnerState::Done, Some(ending)));
        }
    }

    #[test]
    fn a_runner_that_works_for_whom_we_do_not_know_yet_is_swapped_too() {
        let (displaced, taken) = enrolled(12, "i-2");
        let (job, mut own) = enrolled(11, "i-1");
        own.state = RunnerState::Busy;
        let known = Concerned {
            job: Some(job),
            taken: Some(taken),
            own: Some(own),
            displaced: Some(displaced),
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        let (displaced, own) = (after.displaced.unwrap(), after.own.unwrap());
        assert_eq!(displaced.state, JobState::Launching, "it must not get another runner");
        assert_eq!(
            (displaced.runner.as_ref(), own.wanted_by),
            (Some(&own.name), displaced.key)
        );
    }

    #[test]
    fn a_job_whose_start_was_not_told_leaves_its_own_runner_to_the_one_it_displaced() {
        let (displaced, taken) = enrolled(12, "i-2");
        let (job, own) = enrolled(11, "i-1");
        let known = Concerned {
            job: Some(job),
            taken: Some(taken),
            own: Some(own),
            displaced: Some(displaced),
        };
        let after = completed(known, &event(11), now(), &deadlines());
        let (displaced, own) = (after.displaced.unwrap(), after.own.unwrap());
        assert_eq!((own.state, own.wanted_by), (RunnerState::Enrolled, displaced.key));
        assert_eq!(displaced.runner.as_ref(), Some(&own.name));
        assert_eq!(after.taken.unwrap().state, RunnerState::Done);
    }

    #[test]
    fn a_completed_job_that_was_never_heard_of_is_remembered() {
        let after = completed(Concerned::default(), &event(11), now(), &deadlines());
        assert!(matches!(
            launch::on_queued(after.job.as_ref(), &event(11), now(), &deadlines()),
            launch::Need::Nothing(_)
        ));
    }

    #[test]
    fn messengers_of_one_run_that_take_each_others_jobs_tell_both() {
        let given_up = |job: u64| {
            let (job, _) = giving_up::refuse(claimed(job).0, "no such label".to_owned(), now());
            giving_up::send(job, String::new(), plan(), now(), &deadlines()).unwrap()
        };
        let ((displaced, mut taken), (job, own)) = (given_up(12), given_up(11));
        taken.state = RunnerState::Enrolled;
        let known = Concerned {
            job: Some(job),
            taken: Some(taken),
            own: Some(own),
            displaced: Some(displaced),
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        let (taken, own, displaced) = (after.taken.unwrap(), after.own.unwrap(), after.displaced.unwrap());
        assert!(!giving_up::is_mistaken(&taken, &event(11)));
        assert_eq!((own.state, own.wanted_by), (RunnerState::Requested, displaced.key));
        assert!(!giving_up::is_mistaken(&own, &event(12)));
        assert_eq!((displaced.runner.as_ref(), displaced.messengers), (Some(&own.name), 1));
        // The job that was told is over, and nothing is left to tell.
        let known = Concerned {
            job: after.job,
            taken: Some(taken),
            ..Concerned::default()
        };
        let taken = completed(known, &event(11), now(), &deadlines()).taken.unwrap();
        assert_eq!(taken.ending, Some(Ending::JobOver));
    }

    #[test]
    fn a_runner_that_another_job_has_taken_is_not_ended() {
        let (job, _) = claimed(11);
        let mut own = runner(RunnerState::Busy);
        own.job = Some(event(99).key());
        let after = completed(
            Concerned {
                job: Some(job),
                own: Some(own.clone()),
                ..Concerned::default()
            },
            &event(11),
            now(),
            &deadlines(),
        );
        assert_eq!(after.own, Some(own));
    }
}
