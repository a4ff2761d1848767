use std::fmt::Write as _;

use dayfly_types::ids::Region;

use super::*;
use crate::labels::Label;
use crate::migrate::migrate;
use crate::tests::{corpus, snapshot};
use crate::{Reading, RenderStyle, Severity, read, render_findings, write};

fn labels(texts: &[&str]) -> Vec<Label> {
    texts.iter().map(|text| Label::new(*text)).collect()
}

/// Returns what a file means, launch option by launch option.
fn meaning(reading: &Reading) -> String {
    let mut text = String::new();
    let Some(config) = &reading.config else {
        return "unusable\n".to_owned();
    };
    for entry in &config.skipped {
        writeln!(
            text,
            "skipped: {} [{}]: {}",
            entry.name,
            crate::labels::listed(&entry.labels),
            entry.reason
        )
        .unwrap();
    }
    text + &write::file(config)
}

#[test]
fn shapes_found_in_the_wild_are_read() {
    let files = corpus("cirun");
    assert!(files.len() > 15);
    for (name, text) in files {
        let region = Region::new("us-east-1");
        // As the command line reads it, and as a stack does.
        let anywhere = read(".cirun.yml", &text, Context::default());
        let in_region = read(".cirun.yml", &text, Context { region: Some(&region) });
        let findings = render_findings(&anywhere.findings, &text, RenderStyle::Plain);
        let mut shown = format!("{findings}\n\n=== anywhere\n{}", meaning(&anywhere));
        if meaning(&anywhere) != meaning(&in_region) {
            write!(shown, "\n=== in {region}\n{}", meaning(&in_region)).unwrap();
        }
        snapshot("cirun", &name, &shown);
    }
}

#[test]
fn migrated_file_means_the_same() {
    let mut migrated = 0;
    for (name, text) in corpus("cirun") {
        let result = migrate(".cirun.yml", &text);
        let Some(written) = result.text else {
            let usable = result.reading.config.is_some_and(|config| !config.runners.is_empty());
            assert!(!usable, "{name}");
            continue;
        };
        let meant = result.reading.config.unwrap();
        let again = read(".dayfly.yml", &written, Context::default());
        assert_eq!(
            again.count(Severity::Error),
            0,
            "{name}: {written}\n{:?}",
            again.findings
        );
        let again = again.config.unwrap();
        assert_eq!(again.runners, meant.runners, "{name}: {written}");
        assert_eq!(
            (again.actors, again.giving_up, again.reporting),
            (meant.actors, meant.giving_up, meant.reporting),
            "{name}"
        );
        for entry in &meant.skipped {
            assert!(written.contains(&entry.name), "{name}: {written}");
        }
        migrated += 1;
    }
    assert!(migrated > 10, "{migrated}");
}

#[test]
fn dayfly_file_is_written_as_it_is_read() {
    for (name, text) in corpus("config")
        .into_iter()
        .filter(|(name, _)| name.starts_with("valid"))
    {
        let config = Config::parse(&text).unwrap();
        let written = write::file(&config);
        assert_eq!(Config::parse(&written).unwrap(), config, "{name}: {written}");
    }
}

proptest::proptest! {
    #[test]
    fn any_texts_of_a_runner_are_written_as_they_are_read(
        name in "\\PC{1,40}", label in "[^,\\pC]{1,20}", script in "(\\PC|[\\n\\t\"\\\\]){0,60}",
        variable in "V[A-Z_]{0,3}", text in "\\PC{0,20}|true|~|0x1|1e3|- a|#|a: b|\\[|null|1_000",
    ) {
        proptest::prop_assume!(!name.trim().is_empty() && label.trim() == label && !label.to_lowercase().starts_with("dayfly/"));
        let mut config = Config::built_in().unwrap();
        let spec = &mut config.runners[0];
        spec.name = name.trim().to_owned();
        spec.labels = vec![Label::new(label)];
        spec.on_interruption = Some(script);
        spec.env = [(variable, text.clone())].into();
        spec.tags = [("team".to_owned(), text.chars().filter(|c| c.is_alphanumeric()).collect())].into();
        let written = write::file(&config);
        let read = Config::parse(&written);
        proptest::prop_assert_eq!(read.as_ref().map(|config| &config.runners), Ok(&config.runners), "{}", written);
    }
}

#[test]
fn label_may_have_a_suffix() {
    let text = "runners:\n  - {name: gpu, cloud: aws, instance_type: g4dn.xlarge, machine_image: ami-00000001, labels: [cirun-gpu]}\n";
    let config = read(".cirun.yml", text, Context::default()).config.unwrap();
    assert_eq!(config.resolve(&labels(&["cirun-gpu--7766"])).len(), 1);
    assert_eq!(config.resolve(&labels(&["self-hosted", "cirun-gpu"])).len(), 1);
    assert!(config.resolve(&labels(&["cirun-gpu-large"])).is_empty());
}

#[test]
fn skipped_entries_have_their_reason() {
    let text = "runners:
  - {name: g, cloud: gcp, instance_type: n1, machine_image: x, labels: [cirun-gpu]}
  - {name: a, cloud: aws, instance_type: g4dn.xlarge, labels: [cirun-gpu]}
";
    let config = read(".cirun.yml", text, Context::default()).config.unwrap();
    let asked = labels(&["cirun-gpu"]);
    assert!(config.resolve(&asked).is_empty());
    let reasons: Vec<&str> = config
        .skipped_for(&asked)
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "the runner `g` cannot be launched: `g` is for the cloud `gcp`, and dayfly launches on AWS only",
            "the runner `a` cannot be launched: the key `machine_image` is missing",
        ]
    );
}

#[test]
fn run_only_when_triggered_by_names_a_team() {
    let text = "run_only_when_triggered_by: core\nrunners: []\n";
    let config = read(".cirun.yml", text, Context::default()).config.unwrap();
    let actors = config.actors.unwrap();
    assert_eq!((actors.users.len(), actors.teams), (0, vec!["core".to_owned()]));
    assert_eq!(Config::built_in().unwrap().actors, None);
}

const ACCESS: &str = "version: 1
policies:
  - id: sandbox
    repo: cirun-sandbox
    teams: [core, alpha]
  - id: demo
    repo: cirun-demo
    teams: [core, demo]
access_control:
  - resource: gpu-runner
    policies: [demo]
  - resource: cpu-runner
    policies: [sandbox, demo]
";

#[test]
fn access_policies_limit_repositories_and_users() {
    let more = "
  - id: conda
    repo: conda-smithy-feedstock
    roles: [admin, maintain, write]
    users: [octocat]
    pull_request: false
  - {id: far, repo: cirun-demo, users_from_json: https://example.com/users.json}
  - {id: admins, repo: cirun-demo, roles: admin}
access_control:
  - {resource: gpu-runner, policies: [conda, far, admins]}
";
    let text = ACCESS.replace("access_control:\n", more.trim_start_matches('\n'));
    let (access, findings) = access::read(access::PATH, &text);
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            ".access.yml:14:33: warning: `users_from_json` is not fetched, so this policy allows nobody; name them under `users`",
            ".access.yml:15:43: warning: `roles` is supported only with all roles that have write access, so this policy allows nobody; write `roles: [admin, maintain, write]`, or name `users` or `teams`",
            ".access.yml:18:15: warning: `gpu-runner` has another rule, and the policies of both count; name all its policies in one rule",
        ]
    );
    let rules = access.unwrap().rules;
    let described = |runner: &str| -> Vec<String> {
        let each = rules[runner].iter();
        each.map(|rule| format!("{} {} {}", rule.id, rule.repository, rule.describe()))
            .collect()
    };
    assert_eq!(
        described("gpu-runner"),
        [
            "conda conda-smithy-feedstock is for everyone who is one of `octocat` and has write access to the repository, and not for pull requests",
            "far cirun-demo allows nobody, because dayfly cannot check its `users_from_json`",
            "admins cirun-demo allows nobody, because dayfly cannot check its `roles`",
            "demo cirun-demo is for everyone who is in one of the teams `core`, `demo`",
        ]
    );
    assert_eq!(described("cpu-runner").len(), 2);
    assert!(!rules.contains_key("aws-runner"));
}

#[test]
fn access_file_with_an_error_is_refused() {
    let mut shown = String::new();
    for text in [
        "",
        "version: 2\npolicies: []\naccess_control: []\n",
        &ACCESS.replace("policies: [demo]", "policies: [dmeo]"),
        &ACCESS.replace("    teams: [core, alpha]\n", ""),
        &ACCESS.replace("id: sandbox", "id: demo"),
        &ACCESS.replace("teams: [core, demo]", "teams: []"),
        "access_control: [\n",
    ] {
        let (access, findings) = access::read(access::PATH, text);
        assert_eq!(access, None, "{text}");
        writeln!(shown, "{}\n", render_findings(&findings, text, RenderStyle::Plain)).unwrap();
    }
    insta::assert_snapshot!(shown);
}
