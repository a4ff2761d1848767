use std::time::Duration;

use dayfly_records::{CheckContent, CheckRun, Record, Runner};
use dayfly_types::time::Timestamp;

use crate::fixtures::{claimed, now};
use crate::story::tests::{ran, settled};

const DAY: Duration = Duration::from_hours(24);

fn kept(record: impl Into<Record>, since: Timestamp) -> Option<u64> {
    let until = record.into().expires_at()?;
    Some(until.since(since).as_secs() / DAY.as_secs())
}

#[test]
fn stories_are_kept_for_90_days_and_costs_for_400() {
    let (job, runner) = ran();
    let (gone, cost) = settled(&job, runner);
    let gone = Runner { due_at: None, ..gone };
    let check_run = CheckRun {
        due_at: None,
        ..CheckRun::of(
            None,
            &job,
            CheckContent::Story {
                jobs: vec![job.key.job],
            },
            now(),
        )
    };
    let (ended, gone_at, billed) = (job.ended_at.unwrap(), gone.ended_at.unwrap(), cost.to);
    assert_eq!(kept(job, ended), Some(90));
    assert_eq!(kept(gone, gone_at), Some(90));
    assert_eq!(kept(check_run, now()), Some(90));
    assert_eq!(kept(cost, billed), Some(400));
}

#[test]
fn records_that_are_due_do_not_expire() {
    let (job, runner) = claimed(11);
    let check_run = CheckRun::of(
        None,
        &job,
        CheckContent::Story {
            jobs: vec![job.key.job],
        },
        now(),
    );
    assert_eq!(
        (kept(job, now()), kept(runner, now()), kept(check_run, now())),
        (None, None, None)
    );
}
