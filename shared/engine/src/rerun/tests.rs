//! Cases of re-runs.

use dayfly_config::RerunPolicy;
use dayfly_records::RunnerState;
use dayfly_types::ids::RunKey;

use super::*;
use crate::ending;
use crate::fixtures::{claimed, now, runner};

fn finished(job: u64, conclusion: Conclusion) -> Job {
    Job {
        state: JobState::Finished { conclusion },
        ..claimed(job).0
    }
}

fn failed(jobs: &[u64]) -> Jobs {
    beside(jobs, &[])
}

fn beside(jobs: &[u64], others: &[(&str, Conclusion)]) -> Jobs {
    let named = |job: &u64| Job {
        name: format!("test ({job})"),
        ..finished(*job, Conclusion::Failure)
    };
    Jobs {
        interrupted: jobs.iter().map(named).collect(),
        others: others
            .iter()
            .map(|(name, conclusion)| ((*name).to_owned(), *conclusion))
            .collect(),
    }
}

fn run(jobs: &Jobs) -> Run {
    let runner = runner(RunnerState::Busy);
    let mut run = None;
    for job in &jobs.interrupted {
        let key = RunKey {
            run: job.run,
            attempt: job.key.attempt,
        };
        run = ending::interrupt(run.as_ref(), None, &runner, (job.key, Some(&job.name)), key, now());
    }
    run.unwrap()
}

fn with_policy(jobs: &Jobs, what: RerunWhat, max: u32, our_reruns: u32) -> Run {
    Run {
        policy: RerunPolicy {
            what,
            max,
            ..RerunPolicy::default()
        },
        our_reruns,
        ..run(jobs)
    }
}

fn over(attempt: u32) -> Seen {
    Seen {
        attempt: RunAttempt(attempt),
        completed: true,
        conclusion: Some(Conclusion::Failure),
    }
}

#[test]
fn what_is_asked_for_depends_on_the_policy_and_on_what_stands_beside_the_interrupted_jobs() {
    use Conclusion::{Cancelled, Failure, Skipped, Success};
    use RerunWhat::{Failed, Interrupted};
    let one = Ask::Job(JobId(11));
    let all = Ask::FailedJobs;
    for (what, jobs, others, expected, with_failed) in [
        (Interrupted, &[11][..], &[][..], one, false),
        (
            Interrupted,
            &[11],
            &[("lint", Success), ("report", Skipped)],
            one,
            false,
        ),
        (Interrupted, &[11], &[("lint", Failure)], one, false),
        (Interrupted, &[11], &[("lint", Cancelled)], one, false),
        (Interrupted, &[11], &[("test (1)", Cancelled)], all, false),
        (
            Interrupted,
            &[11],
            &[("test (1)", Cancelled), ("lint", Failure)],
            all,
            true,
        ),
        (
            Interrupted,
            &[11],
            &[("test (1)", Cancelled), ("test (2)", Failure)],
            one,
            false,
        ),
        (Interrupted, &[11, 12], &[("lint", Success)], all, false),
        (Interrupted, &[11, 12], &[("lint", Failure)], all, true),
        (Failed, &[11], &[("lint", Success)], all, false),
        (Failed, &[11], &[("lint", Failure)], all, true),
    ] {
        let jobs = beside(jobs, others);
        let Next::Ask(next, ask) = decide(&with_policy(&jobs, what, 2, 0), over(1), &jobs, now()) else {
            panic!("{what:?} {jobs:?}")
        };
        assert_eq!((ask, next.with_failed), (expected, with_failed), "{what:?} {others:?}");
    }
}

#[test]
fn of_several_interrupted_jobs_the_one_that_did_not_end_well_is_run_again() {
    let mut jobs = failed(&[11, 12]);
    jobs.interrupted[0] = finished(11, Conclusion::Success);
    assert!(matches!(
        decide(&run(&jobs), over(1), &jobs, now()),
        Next::Ask(_, Ask::Job(JobId(12)))
    ));
}

#[test]
fn a_run_that_is_not_over_is_waited_for() {
    let jobs = failed(&[11]);
    let seen = Seen {
        completed: false,
        conclusion: None,
        ..over(1)
    };
    let Next::Record(run) = decide(&run(&jobs), seen, &jobs, now()) else {
        panic!()
    };
    assert_eq!((run.rerun, run.due_at), (Rerun::NotYet, Some(now().after(RERUN_RETRY))));
}

#[test]
fn a_call_whose_answer_was_lost_is_not_made_twice() {
    let jobs = failed(&[11]);
    let Next::Ask(intended, _) = decide(&run(&jobs), over(1), &jobs, now()) else {
        panic!()
    };
    let Next::Record(run) = decide(&intended, over(2), &jobs, now()) else {
        panic!()
    };
    assert_eq!((run.rerun, run.due_at), (Rerun::Accepted, None));
}

#[test]
fn what_should_not_be_run_again_is_not_and_says_why() {
    use RerunWhat::{Failed, Interrupted, Never};
    let lost = failed(&[11]);
    let passed = Jobs {
        interrupted: vec![finished(11, Conclusion::Success)],
        ..Jobs::default()
    };
    let ended = |conclusion| Seen {
        conclusion: Some(conclusion),
        ..over(1)
    };
    for (run, seen, jobs, why) in [
        (run(&lost), over(2), &lost, "run again already"),
        (run(&lost), ended(Conclusion::Cancelled), &lost, "cancelled"),
        (run(&lost), ended(Conclusion::Success), &lost, "the run succeeded"),
        (run(&passed), over(1), &passed, "ended well"),
        (with_policy(&lost, Never, 2, 0), over(1), &lost, "`rerun: never`"),
        (with_policy(&lost, Interrupted, 0, 0), over(1), &lost, "`max_reruns: 0`"),
        (with_policy(&lost, Interrupted, 1, 1), over(1), &lost, "again once"),
        (with_policy(&lost, Failed, 2, 2), over(1), &lost, "again 2 times"),
    ] {
        let Next::Record(next) = decide(&run, seen, jobs, now()) else {
            panic!("{why}: {run:?}")
        };
        let Rerun::Declined { reason } = &next.rerun else {
            panic!("{why}: {next:?}")
        };
        assert!(reason.contains(why) && next.due_at.is_none(), "{why}: {reason}");
    }
}

#[test]
fn people_s_own_re_runs_do_not_count() {
    let jobs = failed(&[11]);
    let mut late = run(&jobs);
    late.key.attempt = RunAttempt(9);
    assert!(matches!(decide(&late, over(9), &jobs, now()), Next::Ask(..)));
}

#[test]
fn a_run_in_whose_place_there_is_a_newer_one_is_settled_with_that_reason() {
    let moot = moot(&run(&failed(&[11])), RunId(77));
    let Rerun::Declined { reason } = &moot.rerun else {
        panic!()
    };
    assert!(
        reason.contains("run 77") && reason.contains("`concurrency`") && moot.due_at.is_none(),
        "{reason}"
    );
}

#[test]
fn the_last_re_run_that_is_allowed_is_on_demand_unless_the_policy_says_otherwise() {
    use RerunOnDemand::{Always, Last, Never};
    for (on_demand, max, before, expected) in [
        (Last, 2, 0, false),
        (Last, 2, 1, true),
        (Last, 1, 0, true),
        (Always, 2, 0, true),
        (Always, 2, 2, false),
        (Last, 0, 0, false),
        (Never, 2, 1, false),
    ] {
        let mut previous = accepted(&with_policy(&failed(&[11]), RerunWhat::Interrupted, max, before));
        previous.policy.on_demand = on_demand;
        assert_eq!(super::on_demand(&previous), expected, "{on_demand:?} {max} {before}");
        previous.rerun = Rerun::NotYet;
        assert!(
            !super::on_demand(&previous),
            "a person's re-run gets what the configuration says"
        );
    }
}

#[test]
fn a_job_is_counted_as_interrupted_once() {
    let known = run(&failed(&[11]));
    let job = (known.interrupted[0], None);
    let again = ending::interrupt(Some(&known), None, &runner(RunnerState::Busy), job, known.key, now());
    assert_eq!(again, None);
}
