//! Reports of many jobs at once: all appear soon, in few check runs, within GitHub's limits of an
//! installation.

use std::time::Duration;

use dayfly_engine::launch::claim;
use dayfly_flows::{ensure_schedule_on, publish_check_run_due};
use dayfly_ports::{ApiErrorKind, Store as _};
use dayfly_records::CheckConclusion;
use dayfly_records::CheckRunBody;
use dayfly_records::event::{CheckRunDue, Event, JobEvent};
use dayfly_records::{Change, CheckContent, CheckRun, MessengerReport};
use dayfly_report::check_run::job_of_external_id;
use dayfly_types::ids::{JobId, RunId};

use crate::limits::{MATRIX, most_within};
use crate::stage::{Call, RUN, Stage};

const FAILURE: Option<CheckConclusion> = Some(CheckConclusion::Failure);
const MINUTE: Duration = Duration::from_secs(60);

impl Stage {
    fn job_of(&self, run: RunId, job: u64) -> JobEvent {
        JobEvent {
            run,
            head_sha: format!("sha of {run}"),
            name: format!("test ({job})"),
            ..self.job(job)
        }
    }

    /// Writes the same content for these jobs, all at once.
    fn write_all(&self, jobs: &[(RunId, u64)], content: &CheckContent) -> Vec<CheckRun> {
        let write = async |&(run, job): &(RunId, u64)| {
            let job = claim::new_job(&self.job_of(run, job));
            let known = self.world.check_run(run, job.key).await.unwrap();
            let before = known.as_ref().map(|stored| stored.record.clone());
            let check_run = CheckRun::of(before, &job, content.clone(), self.now());
            let change = Change::put(known.as_ref(), check_run.clone());
            self.world.commit(vec![change]).await.unwrap();
            check_run
        };
        self.world.run(async {
            let deadlines = dayfly_types::deadlines::Deadlines::default();
            ensure_schedule_on(&self.world, &self.world, self.now(), &deadlines)
                .await
                .unwrap();
            let mut check_runs = Vec::new();
            for job in jobs {
                check_runs.push(write(job).await);
            }
            check_runs
        })
    }

    /// The same, and publishes it.
    fn publish_all(&self, jobs: &[(RunId, u64)], content: &CheckContent) {
        for check_run in self.write_all(jobs, content) {
            self.world.run(publish_check_run_due(&self.world, &check_run));
        }
        self.deliver();
    }

    fn due_of(&self, run: RunId, job: u64) -> Call {
        Call::Report(Event::CheckRunDue(CheckRunDue {
            run,
            key: self.job(job).key().into(),
        }))
    }

    /// Returns the check runs that name a job, its own or a combined one.
    fn naming(&self, run: RunId, job: u64) -> Vec<CheckRunBody> {
        let own = Some(self.job(job).key());
        let link = format!("/runs/{run}/job/{job})");
        let names = |check: &&CheckRunBody| {
            job_of_external_id(&check.external_id) == own
                || check.text.as_ref().is_some_and(|text| text.contains(&link))
        };
        self.world.hub().checks.values().filter(names).cloned().collect()
    }

    fn unreported(&self, jobs: &[(RunId, u64)]) -> usize {
        let reported =
            |&&(run, job): &&(RunId, u64)| self.naming(run, job).iter().any(|check| check.conclusion == FAILURE);
        jobs.iter().filter(|job| !reported(job)).count()
    }

    fn writes(&self) -> usize {
        self.world.hub().check_writes.len()
    }
}

fn given_up() -> CheckContent {
    CheckContent::GivenUp {
        reason: "the quota `L-3819A6DF` is 0".to_owned(),
        tried: Vec::new(),
        messenger: MessengerReport::OnItsWay,
    }
}

fn waiting(stage: &Stage) -> CheckContent {
    CheckContent::Waiting {
        next_at: stage.now().after(MINUTE),
        tried: Vec::new(),
    }
}

fn jobs_of(run: RunId, jobs: std::ops::Range<u64>) -> Vec<(RunId, u64)> {
    jobs.map(|job| (run, job)).collect()
}

#[test]
fn refusals_of_256_jobs_are_reported_within_two_minutes() {
    let stage = Stage::new();
    // This configuration is invalid.
    stage.world.hub().config = Some("runners: 7".to_owned());
    let begun = stage.now();
    let jobs = jobs_of(RUN, 1..MATRIX + 1);
    for (run, job) in &jobs {
        stage.world.hub().queue(*run, JobId(*job));
        stage.make(Call::Launch(Event::JobQueued(stage.job_of(*run, *job))));
    }
    stage.deliver();
    stage.minute();
    assert_eq!(stage.unreported(&jobs), 0);
    assert!(stage.now().since(begun) <= 2 * MINUTE);
    assert!(stage.writes() <= 10, "{} writes of content", stage.writes());
    let hub = stage.world.hub();
    let check = hub
        .checks
        .values()
        .find(|check| check.external_id == "run-500/1")
        .unwrap();
    assert_eq!(check.title, "256 jobs: Refused: the job asks for what it cannot have");
    assert!(
        check
            .text
            .as_ref()
            .unwrap()
            .contains("[test (17)](https://github.com/octo/gpu/actions/runs/500/job/17)")
    );
}

#[test]
fn a_run_of_few_jobs_has_a_check_run_for_each() {
    let stage = Stage::new();
    let jobs = jobs_of(RUN, 1..6);
    stage.publish_all(&jobs, &given_up());
    let names: Vec<String> = stage
        .world
        .hub()
        .checks
        .values()
        .map(|check| check.external_id.clone())
        .collect();
    assert_eq!(names, ["1/1", "2/1", "3/1", "4/1", "5/1"]);
    // A later job does not take the check runs of the others away.
    stage.publish_all(&jobs_of(RUN, 6..7), &given_up());
    stage.publish_all(&jobs, &waiting(&stage));
    let ids = stage.naming(RUN, 1).into_iter().map(|check| check.external_id);
    assert_eq!(ids.collect::<Vec<_>>(), ["1/1", "1/1/2"]);
    assert_eq!(stage.naming(RUN, 6).len(), 1);
}

#[test]
fn many_jobs_are_reported_once_wherever_the_reporter_dies() {
    let jobs = jobs_of(RUN, 1..12);
    for fatal in 0..40 {
        let stage = Stage::new();
        stage.write_all(&jobs, &given_up());
        if !stage.make_and_die(stage.due_of(RUN, 1), fatal) {
            assert!(fatal > 8, "it made few calls of its own");
            return;
        }
        stage.minutes(2);
        assert_eq!(stage.unreported(&jobs), 0, "after a death before call {fatal}");
        assert_eq!(stage.world.hub().checks.len(), 1, "after a death before call {fatal}");
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
    }
    panic!("the reporter never came to its end");
}

#[test]
fn a_combined_check_run_is_updated_in_place() {
    let stage = Stage::new();
    let jobs = jobs_of(RUN, 1..21);
    stage.publish_all(&jobs, &waiting(&stage));
    let shown = |stage: &Stage| stage.world.hub().checks.values().last().cloned().unwrap();
    assert_eq!((shown(&stage).conclusion, stage.writes()), (None, 1));
    stage.publish_all(&jobs_of(RUN, 1..9), &given_up());
    let check = shown(&stage);
    assert_eq!((check.conclusion, stage.writes()), (FAILURE, 2));
    assert!(check.title.starts_with("8 jobs: Refused"), "{}", check.title);
    assert!(check.title.contains("; 12 jobs: Waiting"), "{}", check.title);
    stage.publish_all(&jobs_of(RUN, 9..21), &CheckContent::Ended { tried: Vec::new() });
    assert_eq!((shown(&stage).conclusion, stage.world.hub().checks.len()), (FAILURE, 1));
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn reports_stay_within_githubs_limits_and_all_appear() {
    let stage = Stage::new();
    let jobs: Vec<(RunId, u64)> = (1..=120).map(|job| (RunId(1000 + job), job)).collect();
    stage.publish_all(&jobs, &given_up());
    assert_eq!(stage.unreported(&jobs), 50, "as many as possible are reported at once");
    stage.minutes(60);
    assert_eq!(stage.unreported(&jobs), 0);
    let asked: Vec<_> = stage.world.hub().check_writes.iter().map(|(at, _)| *at).collect();
    assert!(most_within(&asked, MINUTE) <= 80, "{}", most_within(&asked, MINUTE));
    assert!(most_within(&asked, 60 * MINUTE) <= 500);
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn waiting_reports_do_not_delay_given_up_ones() {
    let stage = Stage::new();
    let waiting_jobs: Vec<(RunId, u64)> = (1..=100).map(|job| (RunId(1000 + job), job)).collect();
    stage.publish_all(&waiting_jobs, &waiting(&stage));
    assert_eq!(stage.writes(), 30);
    // A run of many whose check run could not be created yet for the same reason.
    let many = jobs_of(RUN, 201..261);
    stage.publish_all(&many, &waiting(&stage));
    assert_eq!(stage.writes(), 30);
    stage.publish_all(&many[..50], &given_up());
    assert_eq!(stage.unreported(&many[..50]), 0);
    let lone: Vec<(RunId, u64)> = (301..=330).map(|job| (RunId(1000 + job), job)).collect();
    stage.publish_all(&lone, &given_up());
    assert_eq!(stage.unreported(&lone), 0);
}

#[test]
fn without_permission_one_combined_try_is_made() {
    let stage = Stage::new();
    stage.world.hub().check_error = Some(ApiErrorKind::Forbidden);
    let jobs = jobs_of(RUN, 1..MATRIX + 1);
    stage.publish_all(&jobs, &given_up());
    stage.minutes(10);
    assert_eq!(stage.writes(), 1);
    assert_eq!(stage.left(), Vec::<String>::new());
    stage.world.hub().check_error = None;
    stage.publish_all(&jobs, &given_up());
    assert_eq!(stage.unreported(&jobs), 0, "the permission was granted");
}

#[test]
fn combined_reports_wait_for_githubs_rate_limit() {
    for kind in [
        ApiErrorKind::Unavailable,
        ApiErrorKind::RateLimited(Some(10 * MINUTE)),
        ApiErrorKind::RateLimited(None),
    ] {
        let stage = Stage::new();
        stage.world.hub().check_error = Some(kind);
        let jobs = jobs_of(RUN, 1..21);
        stage.publish_all(&jobs, &given_up());
        stage.minutes(8);
        assert!(stage.writes() < 8, "{kind:?}: {} writes", stage.writes());
        stage.world.hub().check_error = None;
        stage.minutes(15);
        assert_eq!(
            (stage.unreported(&jobs), stage.world.hub().checks.len()),
            (0, 1),
            "{kind:?}"
        );
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new(), "{kind:?}");
    }
}
