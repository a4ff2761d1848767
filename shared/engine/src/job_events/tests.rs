use super::*;
use crate::fixtures::{claimed, deadlines, event, launched, now, plan, runner};
use dayfly_types::checkin::Stage;
use dayfly_types::ids::{InstanceId, JobId, RunAttempt, RunId, RunnerId};

fn enrolled(job: u64, instance: &str) -> (Job, Runner) {
    let (job, mut runner) = claimed(job);
    runner.launched = Some(launched(instance));
    runner.state = RunnerState::Enrolled;
    (job, runner)
}

#[test]
fn displaced_job_gets_the_last_runner_of_a_chain_of_swaps() {
    let (first, mut of_first) = enrolled(11, "i-1");
    let (second, mut of_second) = enrolled(12, "i-2");
    let (third, of_third) = enrolled(13, "i-3");
    // It has run the third job, and left before anybody heard of that.
    of_second.stages.push((Stage::JobStarted, now()));
    of_second.state = RunnerState::Done;
    of_first.stages.push((Stage::JobStarted, now()));
    let known = AffectedRecords {
        job: Some(second),
        actual_runner: Some(of_first),
        intended_runner: Some(of_second),
        displaced_job: Some(first),
    };
    let after = started(known, &event(12), now(), &deadlines()).unwrap();
    let (left, waits) = (after.intended_runner.unwrap(), after.displaced_job.unwrap());
    assert_eq!(left.wanted_by, waits.key);
    assert_eq!(
        (waits.state.clone(), waits.due_at),
        (JobState::Queued, Some(now().after(WEBHOOK_LAG)))
    );
    let known = AffectedRecords {
        job: Some(third),
        actual_runner: Some(left),
        intended_runner: Some(of_third.clone()),
        displaced_job: Some(waits),
    };
    let waits = completed(known, &event(13), now(), &deadlines()).displaced_job.unwrap();
    assert_eq!(waits.runner, Some(of_third.name));
    assert_eq!((waits.state, waits.due_at), (JobState::Launching, None));
}

#[test]
fn job_whose_runner_ran_an_earlier_attempt_is_carried_over() {
    let (job, runner) = enrolled(11, "i-1");
    let known = AffectedRecords {
        job: Some(job.clone()),
        actual_runner: Some(runner.clone()),
        ..AffectedRecords::default()
    };
    let ran = started(known, &event(11), now(), &deadlines()).unwrap().actual_runner;
    let run = event(11).run;
    for (name, job, actual_runner, run, attempt, expected) in [
        ("listed again", None, ran.clone(), run, 2, true),
        ("of the same attempt", None, ran.clone(), run, 1, false),
        ("of another run", None, ran.clone(), RunId(run.0 + 1), 2, false),
        ("it was queued", Some(job), ran, run, 2, false),
        ("on a runner that has run nothing", None, Some(runner), run, 2, false),
        ("on a runner of others", None, None, run, 2, false),
    ] {
        let known = AffectedRecords {
            job,
            actual_runner,
            ..AffectedRecords::default()
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
fn job_that_starts_on_its_intended_runner_is_bound_to_it() {
    let (job, runner) = enrolled(11, "i-1");
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(runner),
        ..AffectedRecords::default()
    };
    let after = started(known, &event(11), now(), &deadlines()).unwrap();
    let actual_runner = after.actual_runner.unwrap();
    assert_eq!(
        (actual_runner.state, actual_runner.job.map(|key| key.job)),
        (RunnerState::Busy, Some(JobId(11)))
    );
    assert!(matches!(after.job.unwrap().state, JobState::Running { .. }));
}

#[test]
fn job_that_starts_on_a_gone_runner_is_looked_up_later() {
    let (job, mut runner) = enrolled(11, "i-1");
    runner.state = RunnerState::Gone;
    let name = runner.registration(1);
    for (actual_runner, name, asked) in [
        (Some(runner), name.clone(), true),
        // The table has lost it.
        (None, name, true),
        (None, Some("somebody-elses".to_owned()), false),
    ] {
        let known = AffectedRecords {
            job: Some(job.clone()),
            actual_runner,
            ..AffectedRecords::default()
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
fn jobs_swap_runners_when_one_takes_the_others() {
    let (displaced_job, actual_runner) = enrolled(12, "i-2");
    let (job, intended_runner) = claimed(11);
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(actual_runner),
        intended_runner: Some(intended_runner),
        displaced_job: Some(displaced_job),
    };
    let after = started(known, &event(11), now(), &deadlines()).unwrap();
    let (job, actual_runner) = (after.job.unwrap(), after.actual_runner.unwrap());
    let (displaced_job, intended_runner) = (after.displaced_job.unwrap(), after.intended_runner.unwrap());
    assert_eq!(
        (job.runner.as_ref(), actual_runner.wanted_by),
        (Some(&actual_runner.name), job.key)
    );
    assert_eq!(
        (displaced_job.runner.as_ref(), intended_runner.wanted_by),
        (Some(&intended_runner.name), displaced_job.key)
    );
}

#[test]
fn displaced_job_without_a_spare_runner_waits_again() {
    let (displaced_job, actual_runner) = enrolled(12, "i-2");
    let known = AffectedRecords {
        job: None,
        actual_runner: Some(actual_runner),
        intended_runner: None,
        displaced_job: Some(displaced_job),
    };
    let displaced_job = started(known, &event(11), now(), &deadlines())
        .unwrap()
        .displaced_job
        .unwrap();
    assert_eq!(
        (displaced_job.state, displaced_job.due_at, displaced_job.runner),
        (JobState::Queued, Some(now()), None)
    );
}

#[test]
fn start_after_the_end_changes_nothing() {
    let (mut job, runner) = enrolled(11, "i-1");
    job.state = JobState::Finished {
        conclusion: Conclusion::Success,
    };
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(runner),
        ..AffectedRecords::default()
    };
    assert_eq!(started(known, &event(11), now(), &deadlines()), None);
}

#[test]
fn job_on_a_foreign_runner_lets_the_intended_one_idle_out() {
    let (job, intended_runner) = enrolled(11, "i-1");
    let known = AffectedRecords {
        job: Some(job),
        intended_runner: Some(intended_runner),
        ..AffectedRecords::default()
    };
    let after = started(known, &event(11), now(), &deadlines()).unwrap();
    assert_eq!((after.actual_runner, after.intended_runner), (None, None));
}

#[test]
fn completed_job_ends_its_runner_and_the_unneeded_one() {
    let (job, intended_runner) = claimed(11);
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(runner(RunnerState::Busy)),
        intended_runner: Some(intended_runner),
        displaced_job: None,
    };
    let after = completed(known, &event(11), now(), &deadlines());
    assert_eq!(after.actual_runner.unwrap().state, RunnerState::Done);
    assert_eq!(after.intended_runner.unwrap().ending, Some(Ending::NotNeeded));
}

#[test]
fn job_that_failed_on_a_silent_instance_was_interrupted() {
    let silent = deadlines().heartbeat_lost / 2;
    for (conclusion, after, ending) in [
        (Conclusion::Failure, silent, Ending::HeartbeatLost),
        (Conclusion::Failure, silent / 2, Ending::JobOver),
        (Conclusion::Success, silent, Ending::JobOver),
    ] {
        let (job, mut actual_runner) = enrolled(11, "i-1");
        actual_runner.heartbeat_at = Some(now());
        let known = AffectedRecords {
            job: Some(job),
            actual_runner: Some(actual_runner),
            ..AffectedRecords::default()
        };
        let over = JobEvent {
            conclusion: Some(conclusion),
            ..event(11)
        };
        let actual_runner = completed(known, &over, now().after(after), &deadlines())
            .actual_runner
            .unwrap();
        assert_eq!(
            (actual_runner.state, actual_runner.ending),
            (RunnerState::Done, Some(ending))
        );
    }
}

#[test]
fn failed_job_without_an_answer_was_stopped_before_its_start() {
    let registered = Some(RunnerId(5));
    for (conclusion, runner_id, answered, ending) in [
        (Conclusion::Failure, registered, false, Ending::Unanswered),
        (Conclusion::Failure, registered, true, Ending::JobOver),
        (Conclusion::Success, registered, false, Ending::JobOver),
        (Conclusion::Cancelled, registered, false, Ending::JobOver),
        // The table has lost what was recorded of it.
        (Conclusion::Failure, None, false, Ending::JobOver),
    ] {
        let (job, mut actual_runner) = enrolled(11, "i-1");
        actual_runner.runner_id = runner_id;
        actual_runner.start_answered = answered;
        let known = AffectedRecords {
            job: Some(job),
            actual_runner: Some(actual_runner),
            ..AffectedRecords::default()
        };
        let over = JobEvent {
            conclusion: Some(conclusion),
            ..event(11)
        };
        let after = completed(known, &over, now(), &deadlines());
        let ended = after.actual_runner.clone().unwrap();
        assert_eq!((ended.state, ended.ending.as_ref()), (RunnerState::Done, Some(&ending)));
        let again = completed(after, &over, now(), &deadlines()).actual_runner.unwrap();
        assert_eq!(again.ending, Some(ending), "a doubled event changes nothing");
    }
}

#[test]
fn runner_is_known_by_its_whole_name() {
    let (_, runner) = enrolled(11, "i-1");
    let registered = |instance| runner.name.registration(&InstanceId::new(instance), 2);
    assert!(runner.is_registered_as(&registered("i-1")));
    assert!(
        !runner.is_registered_as(&registered("i-2")),
        "its record was lost and made again"
    );
    assert!(!runner.is_registered_as("somebody-elses-1"));
    assert!(
        !claimed(11).1.is_registered_as(&registered("i-1")),
        "it has no instance yet"
    );
}

#[test]
fn runner_with_an_unknown_job_is_swapped_too() {
    let (displaced_job, actual_runner) = enrolled(12, "i-2");
    let (job, mut intended_runner) = enrolled(11, "i-1");
    intended_runner.state = RunnerState::Busy;
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(actual_runner),
        intended_runner: Some(intended_runner),
        displaced_job: Some(displaced_job),
    };
    let after = started(known, &event(11), now(), &deadlines()).unwrap();
    let (displaced_job, intended_runner) = (after.displaced_job.unwrap(), after.intended_runner.unwrap());
    assert_eq!(
        displaced_job.state,
        JobState::Launching,
        "it must not get another runner"
    );
    assert_eq!(
        (displaced_job.runner.as_ref(), intended_runner.wanted_by),
        (Some(&intended_runner.name), displaced_job.key)
    );
}

#[test]
fn job_with_a_lost_start_leaves_its_runner_to_the_displaced_one() {
    let (displaced_job, actual_runner) = enrolled(12, "i-2");
    let (job, intended_runner) = enrolled(11, "i-1");
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(actual_runner),
        intended_runner: Some(intended_runner),
        displaced_job: Some(displaced_job),
    };
    let after = completed(known, &event(11), now(), &deadlines());
    let (displaced_job, intended_runner) = (after.displaced_job.unwrap(), after.intended_runner.unwrap());
    assert_eq!(
        (intended_runner.state, intended_runner.wanted_by),
        (RunnerState::Enrolled, displaced_job.key)
    );
    assert_eq!(displaced_job.runner.as_ref(), Some(&intended_runner.name));
    assert_eq!(after.actual_runner.unwrap().state, RunnerState::Done);
}

#[test]
fn unknown_completed_job_is_recorded() {
    let after = completed(AffectedRecords::default(), &event(11), now(), &deadlines());
    assert!(matches!(
        claim::on_queued(after.job.as_ref(), &event(11), now(), &deadlines()),
        claim::Need::Nothing(_)
    ));
}

#[test]
fn messengers_of_a_run_that_swap_jobs_fail_both() {
    let given_up = |job: u64| {
        let (job, _) = give_up::refuse(claimed(job).0, "no such label".to_owned(), now());
        give_up::send(job, String::new(), plan(), now(), &deadlines()).unwrap()
    };
    let ((displaced_job, mut actual_runner), (job, intended_runner)) = (given_up(12), given_up(11));
    actual_runner.state = RunnerState::Enrolled;
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(actual_runner),
        intended_runner: Some(intended_runner),
        displaced_job: Some(displaced_job),
    };
    let after = started(known, &event(11), now(), &deadlines()).unwrap();
    let (actual_runner, intended_runner, displaced_job) = (
        after.actual_runner.unwrap(),
        after.intended_runner.unwrap(),
        after.displaced_job.unwrap(),
    );
    assert!(!give_up::is_mistaken(&actual_runner, &event(11)));
    assert_eq!(
        (intended_runner.state, intended_runner.wanted_by),
        (RunnerState::Requested, displaced_job.key)
    );
    assert!(!give_up::is_mistaken(&intended_runner, &event(12)));
    assert_eq!(
        (displaced_job.runner.as_ref(), displaced_job.messengers),
        (Some(&intended_runner.name), 1)
    );
    // The job that was told is over, and nothing is left to tell.
    let known = AffectedRecords {
        job: after.job,
        actual_runner: Some(actual_runner),
        ..AffectedRecords::default()
    };
    let actual_runner = completed(known, &event(11), now(), &deadlines()).actual_runner.unwrap();
    assert_eq!(actual_runner.ending, Some(Ending::JobOver));
}

#[test]
fn runner_that_another_job_took_is_not_ended() {
    let (job, _) = claimed(11);
    let mut intended_runner = runner(RunnerState::Busy);
    intended_runner.job = Some(event(99).key());
    let after = completed(
        AffectedRecords {
            job: Some(job),
            intended_runner: Some(intended_runner.clone()),
            ..AffectedRecords::default()
        },
        &event(11),
        now(),
        &deadlines(),
    );
    assert_eq!(after.intended_runner, Some(intended_runner));
}
