//! Cases of re-runs.

use dayfly_config::RerunPolicy;
use dayfly_records::RunnerState;
use dayfly_types::ids::RunKey;

use super::*;
use crate::fixtures::{claimed, now, runner};
use crate::runner::ending;

fn finished(job: u64, conclusion: Conclusion) -> Job {
    Job {
        state: JobState::Finished { conclusion },
        ..claimed(job).0
    }
}

fn failed(jobs: &[u64]) -> RunJobs {
    beside(jobs, &[])
}

fn beside(jobs: &[u64], others: &[(&str, Conclusion)]) -> RunJobs {
    let named = |job: &u64| Job {
        name: format!("test ({job})"),
        ..finished(*job, Conclusion::Failure)
    };
    RunJobs {
        interrupted: jobs.iter().map(named).collect(),
        others: others
            .iter()
            .map(|(name, conclusion)| ((*name).to_owned(), *conclusion))
            .collect(),
    }
}

fn run(jobs: &RunJobs) -> Run {
    let runner = runner(RunnerState::Busy);
    let mut run = None;
    for job in &jobs.interrupted {
        let key = RunKey {
            run: job.run,
            attempt: job.key.attempt,
        };
        run = ending::add_interrupted_job(run.as_ref(), None, &runner, (job.key, Some(&job.name)), key, now());
    }
    run.unwrap()
}

fn with_policy(jobs: &RunJobs, what: RerunWhat, max: u32, our_reruns: u32) -> Run {
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

fn over(attempt: u32) -> RunOnGitHub {
    RunOnGitHub {
        attempt: RunAttempt(attempt),
        completed: true,
        conclusion: Some(Conclusion::Failure),
    }
}

#[test]
fn rerun_call_follows_the_policy_and_the_other_jobs() {
    use Conclusion::{Cancelled, Failure, Skipped, Success};
    use RerunWhat::{Failed, Interrupted};
    let one = RerunCall::Job(JobId(11));
    let all = RerunCall::FailedJobs;
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
        let RerunDecision::Call(next, ask) = decide(&with_policy(&jobs, what, 2, 0), over(1), &jobs, now()) else {
            panic!("{what:?} {jobs:?}")
        };
        assert_eq!((ask, next.with_failed), (expected, with_failed), "{what:?} {others:?}");
    }
}

#[test]
fn only_interrupted_jobs_that_failed_are_run_again() {
    let mut jobs = failed(&[11, 12]);
    jobs.interrupted[0] = finished(11, Conclusion::Success);
    assert!(matches!(
        decide(&run(&jobs), over(1), &jobs, now()),
        RerunDecision::Call(_, RerunCall::Job(JobId(12)))
    ));
}

#[test]
fn unfinished_run_is_waited_for() {
    let jobs = failed(&[11]);
    let seen = RunOnGitHub {
        completed: false,
        conclusion: None,
        ..over(1)
    };
    let RerunDecision::Record(run) = decide(&run(&jobs), seen, &jobs, now()) else {
        panic!()
    };
    assert_eq!((run.rerun, run.due_at), (Rerun::NotYet, Some(now().after(RERUN_RETRY))));
}

#[test]
fn call_with_a_lost_answer_is_not_made_twice() {
    let jobs = failed(&[11]);
    let RerunDecision::Call(intended, _) = decide(&run(&jobs), over(1), &jobs, now()) else {
        panic!()
    };
    let RerunDecision::Record(run) = decide(&intended, over(2), &jobs, now()) else {
        panic!()
    };
    assert_eq!((run.rerun, run.due_at), (Rerun::Accepted, None));
}

#[test]
fn declined_rerun_says_why() {
    use RerunWhat::{Failed, Interrupted, Never};
    let lost = failed(&[11]);
    let passed = RunJobs {
        interrupted: vec![finished(11, Conclusion::Success)],
        ..RunJobs::default()
    };
    let ended = |conclusion| RunOnGitHub {
        conclusion: Some(conclusion),
        ..over(1)
    };
    for (run, seen, jobs, why) in [
        (run(&lost), over(2), &lost, "run again already"),
        (run(&lost), ended(Conclusion::Cancelled), &lost, "cancelled"),
        (run(&lost), ended(Conclusion::Success), &lost, "the run succeeded"),
        (run(&passed), over(1), &passed, "succeeded all the same"),
        (with_policy(&lost, Never, 2, 0), over(1), &lost, "`rerun: never`"),
        (with_policy(&lost, Interrupted, 0, 0), over(1), &lost, "`max_reruns: 0`"),
        (with_policy(&lost, Interrupted, 1, 1), over(1), &lost, "again once"),
        (with_policy(&lost, Failed, 2, 2), over(1), &lost, "again 2 times"),
    ] {
        let RerunDecision::Record(next) = decide(&run, seen, jobs, now()) else {
            panic!("{why}: {run:?}")
        };
        let Rerun::Declined { reason } = &next.rerun else {
            panic!("{why}: {next:?}")
        };
        assert!(reason.contains(why) && next.due_at.is_none(), "{why}: {reason}");
    }
}

#[test]
fn reruns_by_people_do_not_count() {
    let jobs = failed(&[11]);
    let mut late = run(&jobs);
    late.key.attempt = RunAttempt(9);
    assert!(matches!(decide(&late, over(9), &jobs, now()), RerunDecision::Call(..)));
}

#[test]
fn superseded_run_is_settled_with_that_reason() {
    let moot = superseded(&run(&failed(&[11])), RunId(77));
    let Rerun::Declined { reason } = &moot.rerun else {
        panic!()
    };
    assert!(
        reason.contains("run 77") && reason.contains("`concurrency`") && moot.due_at.is_none(),
        "{reason}"
    );
}

#[test]
fn last_allowed_rerun_is_on_demand_by_default() {
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
fn job_counts_as_interrupted_once() {
    let known = run(&failed(&[11]));
    let job = (known.interrupted[0], None);
    let again = ending::add_interrupted_job(Some(&known), None, &runner(RunnerState::Busy), job, known.key, now());
    assert_eq!(again, None);
}
