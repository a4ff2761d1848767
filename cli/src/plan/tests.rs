use super::*;

const FILE: &str = "
runners:
  - name: small
    labels: [dayfly-small]
    gpu: t4
    machine_image: dlami-base
    fallback: on-demand
    max_price: $0.40/h
  - name: large
    labels: [dayfly-small, dayfly-large]
    instance_type: [p3.2xlarge, g5.xlarge]
    machine_image: dlami-base
    spot: false
  - name: elsewhere
    labels: [dayfly-large]
    instance_type: g5.xlarge
    machine_image: dlami-base
    region: eu-north-1
";

const POLICY: &str = "
version: 1
instance_types: [g4dn, g5]
max_price: $1.10/h
labels:
  - {labels: [dayfly-large], teams: [octo-org/ml]}
";

fn arguments(labels: &str, more: &[&str]) -> Arguments {
    let parsed = <crate::Cli as clap::Parser>::try_parse_from(
        ["dayfly", "plan", "--labels", labels, "--region", "eu-west-1"]
            .iter()
            .chain(more),
    );
    match parsed.unwrap().command {
        crate::Command::Plan(arguments) => arguments,
        other => panic!("{other:?}"),
    }
}

/// The plan as text, followed by the notes.
fn planned(arguments: &Arguments, text: Option<&str>, policy: Option<&str>) -> String {
    let table = Table::embedded().unwrap();
    let file = (".dayfly.yml".to_owned(), text.map(str::to_owned));
    let report =
        plan(arguments, &file, policy, table).unwrap_or_else(|reason| Report::nothing(reason.to_string(), table));
    printed(&report)
}

fn printed(report: &Report) -> String {
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    report.print(&mut Output::new(&mut results, &mut notes)).unwrap();
    let text = String::from_utf8([results, notes].concat()).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn sets_of_labels_keep_their_plans() {
    let mut all = String::new();
    for (labels, text, policy) in [
        ("dayfly-gpu", None, None),
        ("dayfly/gpu=t4", None, None),
        ("dayfly/gpu=l4/spot=only/disk=200GiB", None, Some(POLICY)),
        ("dayfly/vram=24GiB/cc=8.0", None, None),
        ("dayfly/gpu=h100/region=us-east-1", None, None),
        ("dayfly/gpu=t5", None, None),
        ("dayfly-small", Some(FILE), None),
        ("self-hosted,dayfly-small", Some(FILE), Some(POLICY)),
        ("dayfly-large", Some(FILE), Some(POLICY)),
        ("dayfly-none", Some(FILE), None),
        ("self-hosted,linux", Some(FILE), None),
        ("dayfly-small", Some("runners: []\nrunner: x\n"), None),
        ("dayfly-small", Some(FILE), Some("version: 1\norganizations: [hexo]\n")),
    ] {
        let shown = planned(&arguments(labels, &[]), text, policy);
        all.extend(["## ", labels, "\n", &shown, "\n\n"]);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn interrupted_job_is_planned_on_demand() {
    let shown = planned(&arguments("dayfly-small", &["--on-demand"]), Some(FILE), None);
    assert!(!shown.contains("spot  "), "{shown}");
    assert!(shown.contains("on-demand"), "{shown}");
}

#[test]
fn json_prices_are_in_micro_dollars() {
    let table = Table::embedded().unwrap();
    let file = (".dayfly.yml".to_owned(), Some(FILE.to_owned()));
    let report = plan(&arguments("dayfly-small", &[]), &file, None, table).unwrap();
    let value = serde_json::to_value(&report).unwrap();
    let first = &value["options"][0];
    assert_eq!(
        (&first["runner"], &first["max_price"]),
        (&"small".into(), &400_000.into())
    );
    assert_eq!(first["instance_types"][0]["name"], "g4dn.xlarge");
    assert!(first["instance_types"][0]["on_demand"].as_u64().unwrap() > 100_000);
}

/// The plans for each set of labels in a `.cirun.yml`.
fn plans_of(name: &str, text: &str) -> String {
    let region = Region::new("us-east-1");
    let context = Context { region: Some(&region) };
    let Ok(config) = Config::of_file(".cirun.yml", text, context) else {
        return format!("{name} is rejected: `dayfly validate` says why\n");
    };
    let runners = config.runners.iter().map(|runner| &runner.labels);
    let mut sets: Vec<Vec<&str>> = Vec::new();
    for labels in runners.chain(config.skipped.iter().map(|entry| &entry.labels)) {
        let set: Vec<&str> = labels.iter().map(Label::as_str).collect();
        if !set.is_empty() && !sets.contains(&set) {
            sets.push(set);
        }
    }
    let table = Table::embedded().unwrap();
    let mut all = String::new();
    for labels in sets.iter().map(|set| set.join(",")) {
        let mut arguments = arguments(&labels, &[]);
        arguments.region = region.to_string();
        let file = (".cirun.yml".to_owned(), Some(text.to_owned()));
        let report =
            plan(&arguments, &file, None, table).unwrap_or_else(|reason| Report::nothing(reason.to_string(), table));
        all.extend(["## ", &labels, "\n", &printed(&report), "\n\n"]);
    }
    all
}

#[test]
fn cirun_files_keep_their_plans() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/cirun");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{folder}/plan"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yml") && !path.to_string_lossy().contains("global"))
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{}", files.len());
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        insta::assert_snapshot!(name.clone(), plans_of(&name, &text));
    }
}
