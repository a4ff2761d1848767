//! Files other than the repository's own: the one it extends, its organisation's for Cirun, and their
//! access rules.

use dayfly_config::labels::Label;
use dayfly_policy::Team;
use dayfly_ports::Scope;
use dayfly_records::JobState;
use dayfly_records::event::{Event, JobEvent};
use dayfly_records::origin::Origin;
use dayfly_types::deadlines::CONFIG_FRESH;
use dayfly_types::ids::JobId;
use dayfly_world::push_to;

use crate::lifecycle::state_of;
use crate::stage::{Call, POLICY, RUN, Stage};

const OWN: &str = "octo/gpu";

impl Stage {
    fn has(&self, repository: &str, path: &str, text: &str) {
        let place = (repository.parse().unwrap(), path.to_owned());
        self.world.hub().files.insert(place, text.to_owned());
    }

    /// Makes a user's push start the run, or a user re-run it.
    fn run_is_of(&self, event: &str, user: &str) {
        let scope = Scope {
            installation: self.job(1).installation,
            repository: OWN.parse().unwrap(),
        };
        let origin = Origin {
            event: event.to_owned(),
            actor: Some("alice".to_owned()),
            triggering_actor: Some(user.to_owned()),
            ..push_to(&scope)
        };
        self.world.hub().origins.insert(RUN, origin);
    }

    fn is_in_team(&self, user: &str, slug: &str) {
        let team = Team {
            organization: "octo".to_owned(),
            slug: slug.to_owned(),
        };
        self.world.hub().members.insert((team, user.to_owned()));
    }

    /// Queues a job with this label and returns its state.
    fn asks(&self, job: u64, label: &str) -> JobState {
        self.world.hub().queue(RUN, JobId(job));
        let event = JobEvent {
            labels: vec![Label::new(label)],
            ..self.job(job)
        };
        self.make(Call::Launch(Event::JobQueued(event)));
        state_of(self, job)
    }

    fn refusal(&self, job: u64, label: &str) -> String {
        match self.asks(job, label) {
            JobState::Refused { reason } => reason,
            other => panic!("{label}: {other:?}"),
        }
    }

    /// Returns the machine types of the last call to EC2.
    fn asked_for(&self) -> Vec<String> {
        let cloud = self.world.cloud();
        let last = cloud.asked().last().map(|request| request.placements.clone());
        last.into_iter()
            .flatten()
            .map(|one| one.pool.instance_type.to_string())
            .collect()
    }
}

fn runner(name: &str, label: &str, types: &str) -> String {
    format!("  - {{name: {name}, labels: [{label}], instance_type: {types}, machine_image: ami-01234567}}\n")
}

#[test]
fn a_file_extends_that_of_its_owners_other_repository() {
    let stage = Stage::new();
    let own = runner("small", "dayfly-small", "c7i.large");
    stage.has(
        OWN,
        ".github/dayfly.yml",
        &format!("extends: octo/.github\nrunners:\n{own}"),
    );
    let base = runner("gpu", "dayfly-gpu", "g5.xlarge") + &runner("small", "dayfly-small", "c7i.xlarge");
    stage.has("octo/.github", ".dayfly.yml", &format!("runners:\n{base}"));
    assert_eq!(stage.asks(11, "dayfly-gpu"), JobState::Launching);
    assert_eq!(stage.asked_for(), ["g5.xlarge"]);
    assert_eq!(stage.asks(12, "dayfly-small"), JobState::Launching);
    assert_eq!(stage.asked_for(), ["c7i.large"], "its own runner replaces the base's");

    // It is cached for a while, and then read again.
    stage.world.break_down("config_file");
    assert_eq!(stage.asks(13, "dayfly-gpu"), JobState::Launching);
    stage.world.restore();
    stage.wait(2 * CONFIG_FRESH);
    let base = runner("gpu", "dayfly-gpu", "g6.xlarge");
    stage.has("octo/.github", ".dayfly.yml", &format!("runners:\n{base}"));
    assert_eq!(stage.asks(14, "dayfly-gpu"), JobState::Launching);
    assert_eq!(stage.asked_for(), ["g6.xlarge"]);
}

#[test]
fn a_file_that_cannot_be_extended_is_refused_by_name() {
    let sound = format!("runners:\n{}", runner("gpu", "dayfly-gpu", "g5.xlarge"));
    for (extends, base, words) in [
        (
            "hexo/.github",
            sound.as_str(),
            "`extends` in `.dayfly.yml` of octo/gpu names hexo/.github, which has another owner",
        ),
        (
            "octo/elsewhere",
            &sound,
            "install the App on octo/elsewhere with the permission `contents: read`",
        ),
        (
            "octo/shut",
            &sound,
            "give the GitHub App the permission `contents: read` in octo/shut",
        ),
        (
            "octo/.github",
            "extends: octo/other\n",
            "which an extended file must not",
        ),
        (
            "octo/.github",
            "messenger: maybe\nrunners: 7\n",
            "octo/.github/.dayfly.yml:2:10",
        ),
        ("octo/gpu", &sound, "its own repository"),
    ] {
        let stage = Stage::new();
        stage.has(OWN, ".dayfly.yml", &format!("extends: {extends}\n{sound}"));
        stage.has("octo/.github", ".dayfly.yml", base);
        stage.has("hexo/.github", ".dayfly.yml", &sound);
        stage.world.hub().unreadable.insert("octo/shut".parse().unwrap());
        let reason = stage.refusal(11, "dayfly-gpu");
        assert!(reason.contains(words), "{extends}: {reason}");
        assert!(stage.instances().is_empty(), "{extends}");
        // A label that needs nothing from the file is served.
        assert_eq!(stage.asks(12, "dayfly/gpu=t4"), JobState::Launching, "{extends}");
    }
}

#[test]
fn a_file_serves_only_the_users_it_names() {
    let runners = format!("runners:\n{}", runner("gpu", "dayfly-gpu", "g5.xlarge"));
    for (says, base, named) in [
        ("actors: [octocat]", "", "`actors` in `.dayfly.yml` of octo/gpu"),
        (
            "extends: octo/.github",
            "teams: [core]\n",
            "`teams` in `.dayfly.yml` of octo/.github",
        ),
    ] {
        let stage = Stage::new();
        stage.has(OWN, ".dayfly.yml", &format!("{says}\n{runners}"));
        stage.has("octo/.github", ".dayfly.yml", &format!("{base}runners: []\n"));
        stage.is_in_team("octocat", "core");
        stage.run_is_of("push", "mallory");
        for (job, label) in [(11, "dayfly-gpu"), (12, "dayfly/gpu=t4")] {
            let reason = stage.refusal(job, label);
            assert!(
                reason.contains(named) && reason.contains("`mallory` may not"),
                "{reason}"
            );
        }
        assert!(stage.instances().is_empty());
        stage.run_is_of("push", "octocat");
        for (job, label) in [(13, "dayfly-gpu"), (14, "dayfly/gpu=t4")] {
            assert_eq!(stage.asks(job, label), JobState::Launching, "{says}");
        }
        // A job for other runners is none of its concern.
        stage.run_is_of("push", "mallory");
        stage.world.hub().queue(RUN, JobId(15));
        let event = JobEvent {
            labels: vec![Label::new("self-hosted"), Label::new("lab")],
            ..stage.job(15)
        };
        stage.make(Call::Launch(Event::JobQueued(event)));
        assert_eq!(stage.instances().len(), 2, "{says}");
    }
}

#[test]
fn github_is_asked_for_the_requester_only_where_a_file_names_users() {
    let stage = Stage::new();
    // Nor does the policy need it.
    stage.world.set_parameter(POLICY, "version: 1\nforks: always\n");
    stage.world.break_down("run_origin");
    assert_eq!(stage.asks(11, "dayfly-gpu"), JobState::Launching);
    let runners = format!("runners:\n{}", runner("gpu", "dayfly-gpu", "g5.xlarge"));
    stage.has(OWN, ".dayfly.yml", &format!("actors: [alice]\n{runners}"));
    stage.wait(2 * CONFIG_FRESH);
    let became = stage.asks(12, "dayfly-gpu");
    assert!(
        !matches!(became, JobState::Refused { .. } | JobState::Launching),
        "{became:?}"
    );
    stage.world.restore();
    stage.minutes(3);
    assert_eq!(state_of(&stage, 12), JobState::Launching, "it is asked again");
}

fn entry(name: &str, label: &str, types: &str) -> String {
    format!(
        "  - {{name: {name}, cloud: aws, instance_type: {types}, machine_image: ami-01234567, region: eu-west-1, labels: [{label}]}}\n"
    )
}

const ACCESS: &str = "version: 1
policies:
  - {id: core, repo: gpu, teams: [core]}
  - {id: writers, repo: gpu, roles: [admin, maintain, write], pull_request: false}
access_control:
  - {resource: big, policies: core}
  - {resource: small, policies: writers}
";

/// An organisation with runners of its own.
fn organization() -> Stage {
    let stage = Stage::new();
    let runners = entry("big", "cirun-big", "g5.xlarge") + &entry("small", "cirun-small", "[c7i.large, c7i.xlarge]");
    stage.has("octo/.cirun", ".cirun.global.yml", &format!("runners:\n{runners}"));
    stage
}

#[test]
fn organisation_runners_serve_repositories_without_a_dayfly_file() {
    let own = entry("big", "cirun-big", "p3.2xlarge");
    for (path, text, first) in [
        (None, "", Some("g5.xlarge")),
        (Some(".cirun.yml"), "runners: []\n", Some("g5.xlarge")),
        (Some(".cirun.yml"), &format!("runners:\n{own}"), Some("p3.2xlarge")),
        (Some(".dayfly.yml"), "runners: []\n", None),
    ] {
        let stage = organization();
        if let Some(path) = path {
            stage.has(OWN, path, text);
        }
        let became = stage.asks(11, "cirun-big--77");
        assert_eq!(became == JobState::Launching, first.is_some(), "{path:?}: {became:?}");
        assert_eq!(stage.asked_for().first().map(String::as_str), first, "{path:?}");
    }
}

#[test]
fn organisation_runners_follow_the_access_rules() {
    let stage = organization();
    stage.has("octo/.cirun", ".access.yml", ACCESS);
    stage.is_in_team("carol", "core");
    stage.world.hub().writers.insert("wanda".to_owned());
    let mut job = 10;
    for (label, event, user, allowed) in [
        ("cirun-big", "pull_request", "carol", true),
        ("cirun-big", "push", "wanda", false),
        ("cirun-small", "push", "wanda", true),
        ("cirun-small", "pull_request", "wanda", false),
        ("cirun-small", "push", "mallory", false),
        ("dayfly-gpu", "push", "mallory", true),
    ] {
        job += 1;
        stage.run_is_of(event, user);
        let became = stage.asks(job, label);
        assert_eq!(
            became == JobState::Launching,
            allowed,
            "{label} {event} {user}: {became:?}"
        );
    }
    let reason = stage.refusal(20, "cirun-small");
    assert_eq!(reason.matches("no policy of").count(), 1, "{reason}");
    assert!(reason.contains("`.access.yml` of octo/.cirun"), "{reason}");
    // A repository's own entry of that name wins.
    let stage = organization();
    stage.has("octo/.cirun", ".access.yml", ACCESS);
    stage.run_is_of("push", "mallory");
    let own = entry("big", "cirun-big", "p3.2xlarge");
    stage.has(OWN, ".cirun.yml", &format!("runners:\n{own}"));
    assert_eq!(stage.asks(21, "cirun-big"), JobState::Launching);
    assert_eq!(stage.asked_for(), ["p3.2xlarge"]);
}

#[test]
fn broken_organisation_files_fail_only_the_jobs_that_need_them() {
    for (path, text) in [(".cirun.global.yml", "runners: 7\n"), (".access.yml", "version: 2\n")] {
        let stage = organization();
        stage.has("octo/.cirun", path, text);
        let reason = stage.refusal(11, "cirun-big");
        assert!(reason.contains(&format!("octo/.cirun/{path}:1:")), "{reason}");
        assert_eq!(stage.asks(12, "dayfly-gpu"), JobState::Launching, "{path}");
    }
    let stage = organization();
    stage.has(
        "octo/.cirun",
        ".cirun.global.yml",
        "run_only_when_triggered_by: core\nrunners: []\n",
    );
    stage.run_is_of("push", "mallory");
    let reason = stage.refusal(11, "dayfly-gpu");
    assert!(
        reason.contains("`run_only_when_triggered_by` in `.cirun.global.yml` of octo/.cirun"),
        "{reason}"
    );
}
