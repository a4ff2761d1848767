use std::time::Duration;

use dayfly_types::ids::{ImageId, InstanceType, Region};
use dayfly_types::money::MicroDollars;

use super::*;
use crate::labels::Label;

fn labels(texts: &[&str]) -> Vec<Label> {
    texts.iter().map(|text| Label::new(*text)).collect()
}

#[test]
fn built_in_config_has_a_gpu_on_spot() {
    let config = Config::built_in().unwrap();
    let spec = config.resolve(&labels(&["self-hosted", "dayfly-gpu"]))[0];
    assert!(spec.spot);
    assert!(spec.instance_types.iter().all(|one| one.as_str().starts_with('g')));
    assert!(config.resolve(&labels(&["dayfly-cpu"])).is_empty());
}

#[test]
fn messenger_is_a_small_on_demand_machine() {
    let spec = Config::messenger().unwrap();
    assert_eq!(
        (spec.spot, spec.instance_types),
        (false, vec![InstanceType::new("t4g.nano")])
    );
    assert!(
        spec.max_lifetime < Some(Duration::from_mins(20)),
        "it costs a cent an hour"
    );
}

#[test]
fn every_key_is_read() {
    let text = "
runners:
  - name: big
    labels: [dayfly-gpu, large]
    instance_type: [g5.2xlarge, g6.2xlarge]
    machine_image: ami-0123456789abcdef0
    spot: false
    fallback: on-demand
    max_price: $1.20/h
    allocation_strategy: capacity-optimized
    breaker: {interruptions: 3, within: 30m, on_demand_for: 2h}
    on_interruption: |
      aws s3 cp model.pt s3://bucket/
    rebalance: drain-if-idle
    rerun: failed
    max_reruns: 3
    rerun_on_demand: never
    disk_size: 200GiB
    idle_timeout: 2m
    max_lifetime: 1h
  - name: small
    labels: [dayfly-cpu]
    instance_type: c7i.large
    machine_image: ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64
messenger: false
cancel_run_when_unlaunchable: true
";
    let config = Config::parse(text).unwrap();
    let big = &config.runners[0];
    assert_eq!(big.image, MachineImage::Ami(ImageId::new("ami-0123456789abcdef0")));
    assert_eq!((big.spot, big.disk_gib), (false, Some(200)));
    assert_eq!(
        (big.fallback, big.max_price, big.allocation_strategy),
        (
            Fallback::OnDemand,
            Some(MicroDollars(1_200_000)),
            AllocationStrategy::CapacityOptimized
        )
    );
    let (half_an_hour, two_hours) = (Duration::from_mins(30), Duration::from_hours(2));
    assert_eq!(
        big.breaker,
        Some(Breaker {
            interruptions: 3,
            within: half_an_hour,
            on_demand_for: two_hours
        })
    );
    assert_eq!(
        big.on_interruption.as_deref(),
        Some("aws s3 cp model.pt s3://bucket/\n")
    );
    assert_eq!(big.rebalance, Rebalance::DrainIfIdle);
    assert_eq!(
        big.rerun,
        RerunPolicy {
            what: RerunWhat::Failed,
            max: 3,
            on_demand: RerunOnDemand::Never
        }
    );
    assert_eq!(
        config.giving_up,
        GivingUp {
            messenger: false,
            cancel_run: true
        }
    );
    assert_eq!(
        (big.idle_timeout, big.max_lifetime),
        (Some(Duration::from_secs(120)), Some(Duration::from_secs(3600)))
    );
    let small = config.resolve(&labels(&["dayfly-cpu--77"]))[0];
    assert_eq!((small.name.as_str(), small.spot, small.disk_gib), ("small", true, None));
    assert_eq!(
        (small.fallback, small.max_price, small.breaker),
        (Fallback::None, None, None)
    );
    assert_eq!(
        (small.rerun, small.rebalance),
        (RerunPolicy::default(), Rebalance::Mark)
    );
}

#[test]
fn runners_with_one_label_keep_the_order_of_the_file() {
    let one = |name: &str| {
        format!("  - {{name: {name}, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}}\n")
    };
    let config = Config::parse(&format!("runners:\n{}{}", one("first"), one("second"))).unwrap();
    let named = config.resolve(&labels(&["dayfly-gpu"]));
    assert_eq!(
        named.iter().map(|spec| &spec.name).collect::<Vec<_>>(),
        ["first", "second"]
    );
}

/// Returns the names and texts of a folder of `tests/corpus`.
pub(crate) fn corpus(folder: &str) -> Vec<(String, String)> {
    let path = format!("{}/../../tests/corpus/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let yaml = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|one| one == "yml"));
    yaml.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    })
    .collect()
}

/// Compares what a file is read as with the snapshot beside it.
pub(crate) fn snapshot(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!(
        "{}/../../tests/corpus/{folder}/read",
        env!("CARGO_MANIFEST_DIR")
    ));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name.trim_end_matches(".yml"), text));
}

#[test]
fn files_are_read_with_all_findings() {
    let files = corpus("config");
    assert!(files.len() > 20);
    for (name, text) in files {
        let reading = read(&name, &text, Context::default());
        let errors = reading.count(Severity::Error);
        assert_eq!(reading.config.is_none(), errors > 0, "{name}");
        assert_eq!(name.starts_with("valid"), reading.findings.is_empty(), "{name}");
        let keys: Vec<String> = reading
            .findings
            .iter()
            .map(|one| format!("{}:{} {}", one.line, one.column, one.key))
            .collect();
        let means = reading
            .config
            .map_or_else(|| "unusable".to_owned(), |config| write::file(&config));
        let shown = render_findings(&reading.findings, &text, RenderStyle::Plain);
        snapshot("config", &name, &format!("{shown}\n\n{}\n\n{means}", keys.join("\n")));
    }
}

#[test]
fn error_shows_everything_with_lines() {
    let text = "runners:\n  - name: a\n    labels: []\n    instance_type: g5.xlarge\n    machine_image: ubuntu\n";
    let error = Config::parse(text).unwrap_err();
    assert_eq!(error.findings.len(), 2);
    insta::assert_snapshot!(error);
}

#[test]
fn runner_for_another_region_is_skipped_by_name() {
    let text = "runners:
  - {name: far, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567, region: us-east-1}
  - {name: near, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}
";
    let region = Region::new("eu-west-1");
    let here = Context { region: Some(&region) };
    let Reading { config, findings } = read(CONFIG_PATH, text, here);
    let config = config.unwrap();
    let asked = labels(&["dayfly-gpu"]);
    let names: Vec<&str> = config.resolve(&asked).iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["near"]);
    let skipped = config.skipped_for(&asked);
    assert_eq!(
        skipped[0].reason,
        "the runner `far` is meant for the region us-east-1, and this stack launches in eu-west-1"
    );
    assert_eq!(
        findings.iter().map(|one| (one.severity, one.line)).collect::<Vec<_>>(),
        [(Severity::Warning, 2)]
    );
    assert_eq!(
        Config::parse(text).unwrap().resolve(&asked).len(),
        2,
        "the region is not known"
    );
}

#[test]
fn own_runners_precede_and_replace_those_of_the_base() {
    let runner = |name: &str, types: &str| {
        format!("  - {{name: {name}, labels: [dayfly-gpu], instance_type: {types}, machine_image: ami-01234567}}\n")
    };
    let own = format!(
        "extends: octo/.github\nmessenger: true\nrunners:\n{}",
        runner("b", "g6.xlarge")
    );
    let base = format!(
        "messenger: false\ncancel_run_when_unlaunchable: true\nrunners:\n{}{}",
        runner("a", "g4dn.xlarge"),
        runner("b", "g5.xlarge")
    );
    let (own, base) = (Config::parse(&own).unwrap(), Config::parse(&base).unwrap());
    assert_eq!(
        own.extends.as_ref().map(ToString::to_string).as_deref(),
        Some("octo/.github")
    );
    let both = own.clone().extended_by(base.clone());
    let names: Vec<(&str, &str)> = both
        .runners
        .iter()
        .map(|one| (one.name.as_str(), one.instance_types[0].as_str()))
        .collect();
    assert_eq!(names, [("b", "g6.xlarge"), ("a", "g4dn.xlarge")]);
    let expected = GivingUp {
        messenger: true,
        cancel_run: true,
    };
    assert_eq!(both.giving_up, expected);
    assert_eq!(both.clone().extended_by(base), both, "extending twice changes nothing");
    let only = Config::parse("extends: octo/.github\n").unwrap();
    assert!(only.runners.is_empty());
}

#[test]
fn file_sets_how_costs_are_reported() {
    let config = |text: &str| Config::parse(&format!("extends: octo/.github\n{text}")).unwrap();
    let cases = [
        ("", true, Some(0)),
        ("report: false\n", false, Some(0)),
        ("comment: false\n", true, None),
        ("comment_above: $0.50\n", true, Some(500_000)),
        ("comment: true\ncomment_above: 2\n", true, Some(2_000_000)),
        ("comment: false\ncomment_above: $2\n", true, None),
    ];
    for (text, check, comment) in cases {
        let meant = Reporting {
            check,
            comment: comment.map(MicroDollars),
            all_caps: false,
        };
        assert_eq!(config(text).reporting, meant, "{text}");
        assert_eq!(config("").extended_by(config(text)).reporting, meant, "{text}");
    }
    let both = config("comment: true\n").extended_by(config("comment: false\ncomment_above: $1\n"));
    assert_eq!(both.reporting.comment, Some(MicroDollars(1_000_000)));
}

/// Returns nested lists: each one has nine aliases of the one before.
fn alias_bomb() -> String {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for level in 'b'..='i' {
        let below = char::from(level as u8 - 1);
        let nine = vec![format!("*{below}"); 9].join(", ");
        text.push_str(&format!("{level}: &{level} [{nine}]\n"));
    }
    text + "runners: *i\n"
}

#[test]
fn costly_file_is_refused_with_a_reason() {
    let merge = |level: usize| {
        let (below, value) = (level - 1, "v".repeat(300));
        format!("m{level}: &m{level} {{<<: *m{below}, k{level}: {value}}}\n")
    };
    let merges = (1..60).map(merge).collect::<Vec<_>>().concat();
    let deep = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect::<Vec<_>>()
        .concat();
    let many = "labels: [a, b]\n".repeat(4000);
    for (text, words) in [
        (" ".repeat(yaml::MAX_BYTES + 1), "the file has 65537 bytes"),
        (alias_bomb(), "the aliases of this file come to more than"),
        (
            format!("m0: &m0 {{}}\n{merges}"),
            "the aliases of this file come to more than",
        ),
        ("[".repeat(60_000), "more than 16 deep"),
        (format!("runners: {}", "{a: ".repeat(10_000)), "more than 16 deep"),
        (deep, "more than 16 deep"),
        (many, "a second time"),
        (format!("runners: [{}]\n", "7, ".repeat(20_000)), "more findings"),
        (format!("{}: 1\n", "k".repeat(60_000)), "invalid YAML"),
        (format!("\"{}\": 1\n", "k".repeat(900)), "there is no key"),
    ] {
        let findings = read(CONFIG_PATH, &text, Context::default()).findings;
        assert!(
            findings.iter().any(|one| one.message.contains(words)),
            "{words}: {findings:#?}"
        );
        assert!(findings.len() <= 51, "{words}");
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.len() < 16_000, "{words}: {} bytes", error.len());
    }
}

#[test]
fn excerpt_of_a_long_line_is_cut_around_the_finding() {
    let text = format!("runners: []\nmessenger: [{}soon]\n", "true, ".repeat(5000));
    let place = text.find("soon").unwrap();
    let mut finding = read(CONFIG_PATH, "messenger: 7\n", Context::default())
        .findings
        .remove(0);
    (finding.line, finding.column, finding.bytes) = (2, place - 11, (place, place + 4));
    let shown = render_findings([&finding], &text, RenderStyle::Plain);
    assert!(shown.contains(&format!(".dayfly.yml:2:{}", place - 11)), "{shown}");
    let caret = shown.lines().find(|line| line.contains("^^^^")).unwrap().find('^');
    let excerpt = shown.lines().find(|line| line.contains("soon")).unwrap();
    assert_eq!(excerpt.find("soon"), caret, "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
}

#[test]
fn errors_displace_warnings_beyond_the_limit() {
    let unknown = (0..60)
        .map(|number| format!("key{number}: 1\n"))
        .collect::<Vec<_>>()
        .concat();
    let text = format!("{unknown}messenger: 7\nextends: octo/.github\n");
    let reading = read(CONFIG_PATH, &text, Context::default());
    assert_eq!(
        reading.count(Severity::Error),
        2,
        "the error, and the count of omitted findings"
    );
    let error = Config::parse(&text).unwrap_err().to_string();
    assert!(error.contains("`messenger` is `7`"), "{error}");
}

#[test]
fn specs_of_an_older_version_are_read() {
    let spec = Config::built_in().unwrap().runners.remove(0);
    let mut json = serde_json::to_value(&spec).unwrap();
    for key in [
        "requirements",
        "volume",
        "startup_script",
        "env",
        "tags",
        "region",
        "subnets",
        "security_groups",
        "instance_profile",
    ] {
        assert!(json.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    }
    assert_eq!(serde_json::from_value::<RunnerSpec>(json).unwrap(), spec);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\PC|\n|runners:|  - name: |: |\\[|&a|\\*a|<<: ){0,60}") {
        if let Err(error) = Config::parse(&text) {
            proptest::prop_assert!(!error.findings.is_empty() && !error.to_string().is_empty());
        }
    }
}
