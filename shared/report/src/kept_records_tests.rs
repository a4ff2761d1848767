use std::time::Duration;

use dayfly_records::{Notice, Record, Runner, Say};
use dayfly_types::time::Timestamp;

use crate::fixtures::{claimed, now};
use crate::story::tests::{ran, settled};

const DAY: Duration = Duration::from_hours(24);

fn kept(record: impl Into<Record>, since: Timestamp) -> Option<u64> {
    let until = record.into().expires_at()?;
    Some(until.since(since).as_secs() / DAY.as_secs())
}

#[test]
fn a_story_is_kept_for_90_days_and_what_it_cost_for_400() {
    let (job, runner) = ran();
    let (gone, cost) = settled(&job, runner);
    let gone = Runner { due_at: None, ..gone };
    let notice = Notice {
        due_at: None,
        ..Notice::of(
            None,
            &job,
            Say::Story {
                jobs: vec![job.key.job],
            },
            now(),
        )
    };
    let (ended, gone_at, billed) = (job.ended_at.unwrap(), gone.ended_at.unwrap(), cost.to);
    assert_eq!(kept(job, ended), Some(90));
    assert_eq!(kept(gone, gone_at), Some(90));
    assert_eq!(kept(notice, now()), Some(90));
    assert_eq!(kept(cost, billed), Some(400));
}

#[test]
fn what_somebody_has_to_look_at_is_not_forgotten() {
    let (job, runner) = claimed(11);
    let notice = Notice::of(
        None,
        &job,
        Say::Story {
            jobs: vec![job.key.job],
        },
        now(),
    );
    assert_eq!(
        (kept(job, now()), kept(runner, now()), kept(notice, now())),
        (None, None, None)
    );
}
