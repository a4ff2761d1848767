//! A runner is pinned to no job: whichever job it takes, no step of it runs before it is known that the
//! job may run there.

use dayfly_config::labels::Label;
use dayfly_flows::{Admission, AdmissionRequest, Policies, RunRequester};
use dayfly_policy::{MAX_AGE, Policy};
use dayfly_ports::{Scope, Store};
use dayfly_records::event::{Conclusion, Event, JobEvent};
use dayfly_records::origin::{Head, Origin, Pull, Review, ReviewState};
use dayfly_records::{Ending, JobState, Rerun};
use dayfly_types::checkin::{START_REFUSED, START_UNANSWERED};
use dayfly_types::deadlines::CONFIG_FRESH;
use dayfly_types::ids::{InstallationId, InstanceId, JobId, RunAttempt, RunId, RunKey};
use dayfly_world::push_to;

use crate::stage::{Answer, Call, POLICY, Stage};

const OTHER_RUN: RunId = RunId(99);

impl Stage {
    fn asks_to_start(&self, instance: &InstanceId, run: RunId, attempt: u32) -> (i64, Option<String>) {
        let body = serde_json::json!({ "instance": instance, "run": run, "attempt": attempt });
        match self.make(Call::CheckIn(instance.clone(), "start", body)) {
            Answer::Http(status, body) => (status, body["refusal"].as_str().map(str::to_owned)),
            other => panic!("{other:?}"),
        }
    }

    fn reports_start(&self, instance: &InstanceId, detail: &str) {
        let body =
            serde_json::json!({ "instance": instance, "stage": "job_started", "at": self.now(), "detail": detail });
        assert!(matches!(
            self.make(Call::CheckIn(instance.clone(), "progress", body)),
            Answer::Http(200, _)
        ));
    }

    /// The other run is a push by this user.
    fn other_run_is_of(&self, user: &str) {
        let origin = Origin {
            actor: Some(user.to_owned()),
            triggering_actor: Some(user.to_owned()),
            ..push_to(&scope())
        };
        self.world.hub().origins.insert(OTHER_RUN, origin);
    }

    /// The other run belongs to a fork's pull request.
    fn other_run_is_a_forks(&self) {
        let origin = Origin {
            event: "pull_request".to_owned(),
            head: Some(fork()),
            head_sha: "f00d".to_owned(),
            head_branch: Some("evil".to_owned()),
            actor: Some("mallory".to_owned()),
            triggering_actor: Some("mallory".to_owned()),
            ..push_to(&scope())
        };
        self.world.hub().origins.insert(OTHER_RUN, origin);
    }
}

fn fork() -> Head {
    Head {
        id: 2,
        owner: "mallory".to_owned(),
        name: "mallory/gpu".to_owned(),
    }
}

fn scope() -> Scope {
    Scope {
        installation: InstallationId(7),
        repository: "octo/gpu".parse().unwrap(),
    }
}

/// A runner launched for job 11 of [`RUN`](crate::stage::RUN) that is listening.
fn listening() -> (Stage, InstanceId, RunId) {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    stage.boot(&instance);
    let run = stage.job(11).run;
    (stage, instance, run)
}

#[test]
fn a_runners_own_job_starts_without_asking_github() {
    let (stage, instance, run) = listening();
    stage.world.break_down("run_origin");
    assert_eq!(stage.asks_to_start(&instance, run, 1), (200, None));
}

#[test]
fn another_runs_job_starts_if_its_code_is_the_repositorys() {
    let (stage, instance, run) = listening();
    assert_eq!(stage.asks_to_start(&instance, OTHER_RUN, 1), (200, None));
    assert_eq!(
        stage.asks_to_start(&instance, run, 2),
        (200, None),
        "another attempt is asked for too"
    );
    stage.world.set_parameter(POLICY, "version: 1\norganizations: [hexo]\n");
    let (status, refusal) = stage.asks_to_start(&instance, OTHER_RUN, 1);
    assert!(status == 200 && refusal.unwrap().contains("`organizations`"));
}

#[test]
fn a_job_of_an_unlisted_user_does_not_start_on_anothers_runner() {
    let runners = "runners: [{name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}]";
    let (stage, instance, _) = listening();
    let file = ("octo/gpu".parse().unwrap(), ".dayfly.yml".to_owned());
    stage
        .world
        .hub()
        .files
        .insert(file, format!("actors: [octocat]\n{runners}"));
    stage.wait(2 * CONFIG_FRESH);
    stage.other_run_is_of("mallory");
    let (status, refusal) = stage.asks_to_start(&instance, OTHER_RUN, 1);
    let refusal = refusal.unwrap();
    assert_eq!(status, 200);
    assert!(
        refusal.contains("`mallory` may not") && refusal.contains("`actors`"),
        "{refusal}"
    );
    stage.other_run_is_of("octocat");
    assert_eq!(stage.asks_to_start(&instance, OTHER_RUN, 1), (200, None));
}

#[test]
fn a_forks_job_does_not_start_on_anothers_runner() {
    let (stage, instance, _) = listening();
    stage.other_run_is_a_forks();
    let (status, refusal) = stage.asks_to_start(&instance, OTHER_RUN, 1);
    let refusal = refusal.unwrap();
    assert_eq!(status, 200);
    assert!(
        refusal.starts_with("policy rule `forks` of the stack: the code comes from the fork `mallory/gpu`"),
        "{refusal}"
    );
    stage.world.set_parameter(POLICY, "version: 1\nforks: always\n");
    assert_eq!(stage.asks_to_start(&instance, OTHER_RUN, 1), (200, None));
}

#[test]
fn a_forks_job_starts_once_its_commit_is_approved() {
    let (stage, instance, _) = listening();
    stage.other_run_is_a_forks();
    stage.world.set_parameter(POLICY, "version: 1\nforks: approved\n");
    assert!(stage.asks_to_start(&instance, OTHER_RUN, 1).1.is_some());
    {
        let mut hub = stage.world.hub();
        let pull = Pull {
            number: 5,
            head: Some(2),
            labels: Vec::new(),
        };
        hub.pulls.push(("mallory".to_owned(), "evil".to_owned(), pull));
        hub.writers.insert("carol".to_owned());
        let review = Review {
            by: Some("carol".to_owned()),
            commit: Some("f00d".to_owned()),
            state: ReviewState::Approved,
        };
        hub.reviews.insert(5, vec![review]);
    }
    assert_eq!(stage.asks_to_start(&instance, OTHER_RUN, 1), (200, None));
    stage.world.hub().origins.get_mut(&OTHER_RUN).unwrap().head_sha = "bad".to_owned();
    assert!(stage.asks_to_start(&instance, OTHER_RUN, 1).1.is_some());
}

#[test]
fn nothing_starts_while_admission_is_unknown() {
    let (stage, instance, run) = listening();
    for broken in ["run_origin", "read"] {
        stage.world.break_down(broken);
        assert_eq!(stage.asks_to_start(&instance, OTHER_RUN, 1).0, 503, "{broken}");
        assert_eq!(stage.asks_to_start(&instance, run, 1), (200, None));
        stage.world.restore();
    }
    stage.world.set_parameter(POLICY, "forks: sometimes\n");
    let (status, refusal) = stage.asks_to_start(&instance, OTHER_RUN, 1);
    let refusal = refusal.unwrap();
    assert!(
        status == 200 && refusal.contains("`/dayfly/policy` holds no policy"),
        "{refusal}"
    );
}

#[test]
fn no_instance_may_ask_for_another() {
    let (stage, instance, run) = listening();
    let body = serde_json::json!({ "instance": "i-other", "run": run, "attempt": 1 });
    assert!(matches!(
        stage.make(Call::CheckIn(instance, "start", body)),
        Answer::Http(403, _)
    ));
}

#[test]
fn a_job_displaced_by_a_refused_one_gets_another_runner() {
    let (stage, instance, _) = listening();
    stage.other_run_is_a_forks();
    let runner = *stage.world.hub().runners.keys().next().unwrap();
    stage.world.hub().queue(OTHER_RUN, JobId(66));
    assert!(stage.asks_to_start(&instance, OTHER_RUN, 1).1.is_some());
    stage.reports_start(&instance, START_REFUSED);
    let of_other_run = |event: JobEvent| JobEvent {
        run: OTHER_RUN,
        ..event
    };
    stage.world.hub().assign(runner, JobId(66));
    let started = Event::JobInProgress(of_other_run(stage.job(66)));
    stage.make(Call::JobEvents(started));
    stage.deliver();
    stage.world.hub().complete(JobId(66), Conclusion::Failure);
    let over = JobEvent {
        conclusion: Some(Conclusion::Failure),
        ..of_other_run(stage.job(66))
    };
    stage.make(Call::JobEvents(Event::JobCompleted(over)));
    stage.deliver();
    stage.minutes(3);
    let job = stage
        .world
        .run(stage.world.job(stage.job(11).key()))
        .unwrap()
        .unwrap()
        .record;
    assert_eq!(
        job.state,
        JobState::Launching,
        "it was displaced, and is launched for again"
    );
    assert_ne!(stage.instance(), instance);
    let key = RunKey {
        run: OTHER_RUN,
        attempt: RunAttempt(1),
    };
    let run = stage.world.run(Store::run(&stage.world, key)).unwrap();
    assert!(
        run.is_none_or(|run| run.record.interrupted.is_empty()),
        "a refused job is not run again"
    );
}

#[test]
fn a_job_with_unknown_admission_is_rerun() {
    for late in [false, true] {
        let (stage, instance, run) = listening();
        let runner = *stage.world.hub().runners.keys().next().unwrap();
        if !late {
            stage.reports_start(&instance, START_UNANSWERED);
        }
        stage.start(runner, 11);
        stage.complete(11, Conclusion::Failure);
        if late {
            stage.reports_start(&instance, START_UNANSWERED);
        }
        let ending = stage.runners().into_iter().next().unwrap().ending;
        assert_eq!(ending, Some(Ending::Unanswered), "late: {late}");
        stage.make(Call::JobEvents(stage.run_completed()));
        stage.deliver();
        stage.minutes(2);
        let key = RunKey {
            run,
            attempt: RunAttempt(1),
        };
        let run = stage.world.run(Store::run(&stage.world, key)).unwrap().unwrap().record;
        assert_eq!((run.rerun, run.interrupted.len()), (Rerun::Accepted, 1), "late: {late}");
    }
}

#[test]
fn admissions_and_the_last_readable_policy_are_remembered() {
    let stage = Stage::new();
    let (policies, scope, labels) = (
        Policies::new(Some(POLICY.to_owned())),
        scope(),
        [Label::new("dayfly-gpu--1")],
    );
    let asked = |run: u64| AdmissionRequest {
        scope: &scope,
        run: RunKey {
            run: RunId(run),
            attempt: RunAttempt(1),
        },
        labels: &labels,
        ours: false,
    };
    let (world, now) = (&stage.world, stage.now());
    let admitted = async |policy: &Policy, run, at| {
        policies
            .admit(world, policy, &mut RunRequester::of(asked(run)), at)
            .await
    };
    world.run(async {
        let policy = policies.current(world, now).await.unwrap();
        assert_eq!(admitted(&policy, 1, now).await.unwrap(), Admission::Admitted);
        world.break_down("run_origin");
        assert_eq!(admitted(&policy, 1, now).await.unwrap(), Admission::Admitted);
        assert!(admitted(&policy, 2, now).await.is_err());

        world.break_down("read");
        let later = now.after(2 * MAX_AGE);
        assert_eq!(policies.current(world, later).await.unwrap().digest, policy.digest);
        world.restore();
        world.set_parameter(POLICY, "version: 1\nforks: approved\n");
        let later = later.after(2 * MAX_AGE);
        let other = policies.current(world, later).await.unwrap();
        assert_ne!(other.digest, policy.digest);
        world.break_down("run_origin");
        assert!(
            admitted(&other, 1, later).await.is_err(),
            "what another policy admitted"
        );
    });
}

#[test]
fn a_forks_job_is_refused_before_launch_unless_allowed() {
    let stage = Stage::new();
    let run = stage.job(11).run;
    let origin = Origin {
        event: "pull_request".to_owned(),
        head: Some(fork()),
        ..push_to(&scope())
    };
    stage.world.hub().origins.insert(run, origin);
    stage.queue(11);
    let JobState::Refused { reason } = crate::lifecycle::state_of(&stage, 11) else {
        panic!("{:?}", crate::lifecycle::state_of(&stage, 11))
    };
    assert!(reason.contains("the fork `mallory/gpu`"), "{reason}");
    stage.world.set_parameter(POLICY, "version: 1\nforks: always\n");
    stage.wait(2 * MAX_AGE);
    stage.queue(12);
    assert_eq!(crate::lifecycle::state_of(&stage, 12), JobState::Launching);
}
