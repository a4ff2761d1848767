use dayfly_types::ids::ImageId;
use proptest::prelude::*;

use super::*;
use crate::images::{ImageAlias, MachineImage};
use crate::machines::{Arch, Table};
use crate::spec::Fallback;

fn no_price(_: &InstanceType) -> Option<MicroDollars> {
    None
}

fn spec(text: &str) -> Result<crate::RunnerSpec, InlineSpecError> {
    let spec = read(text).unwrap();
    spec.spec(&Label::new(text), Table::embedded().unwrap(), &no_price)
}

fn types(text: &str) -> Vec<String> {
    let types = spec(text).unwrap().instance_types;
    types.into_iter().map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn labels_are_written_in_a_fixed_order() {
    for (text, written) in [
        ("dayfly/gpu=t4", "dayfly/gpu=t4"),
        ("DayFly/GPU=Tesla-T4/Run=7", "dayfly/gpu=t4/run=7"),
        (
            "dayfly/run=42/disk=200GiB/spot=only/gpu=l4",
            "dayfly/gpu=l4/spot=only/disk=200GiB/run=42",
        ),
        ("dayfly/gpu=l4+a10g/gpus=1", "dayfly/gpu=l4+a10g/count=1"),
        ("dayfly/vram=>=24/cc=8.0", "dayfly/vram=24GiB/cc=8.0"),
        (
            "dayfly/cpu=8-16/mem=32gb/arch=aarch64",
            "dayfly/cpu=8-16/mem=32GiB/arch=arm64",
        ),
        (
            "dayfly/type=G5.xlarge+g6.xlarge/price=$0.4/region=eu-west-1",
            "dayfly/type=g5.xlarge+g6.xlarge/price=0.40/region=eu-west-1",
        ),
        ("dayfly/gpu=t4/spot=false", "dayfly/gpu=t4/spot=never"),
        ("dayfly/gpu=t4--a", "dayfly/gpu=t4/id=a"),
        ("dayfly/gpu=t4--refs/heads/main", "dayfly/gpu=t4--refs/heads/main"),
        ("dayfly/gpu=t4--a--b", "dayfly/gpu=t4--a--b"),
        ("dayfly/run=5-/cpu=4--a/b", "dayfly/run=5-/cpu=4--a/b"),
        ("dayfly/gpu=t4/disk=1TiB", "dayfly/gpu=t4/disk=1024GiB"),
        ("dayfly/gpu=t4/image=DLAMI-base", "dayfly/gpu=t4/image=dlami-base"),
        (
            "dayfly/gpu=t4/image=ami-0123456789abcdef0",
            "dayfly/gpu=t4/image=ami-0123456789abcdef0",
        ),
        ("dayfly/gpu=t4--42-1", "dayfly/gpu=t4/id=42-1"),
        (
            "dayfly/gpu=t4/run=42/attempt=1/job=a=b",
            "dayfly/gpu=t4/run=42/attempt=1/job=a=b",
        ),
        ("dayfly/type=m5.large", "dayfly/type=m5.large"),
    ] {
        let spec = read(text).unwrap();
        assert_eq!(spec.label().unwrap().as_str(), written, "{text}");
        assert_eq!(read(written).unwrap(), spec, "{text}");
    }
}

#[test]
fn errors_have_the_column_and_what_is_allowed() {
    let errors: Vec<String> = [
        "dayfly-gpu",
        "dayfly/",
        "dayfly/gpu",
        "dayfly/gpu=t4/",
        "dayfly/gpu=t4//run=1",
        "dayfly/gpu=a10q",
        "dayfly/gpu=",
        "dayfly/gpu=t4/vrma=24GiB",
        "dayfly/gpu=t4/colour=red",
        "dayfly/gpu=t4/gpu=l4",
        "dayfly/gpu=t4/count=1/gpus=2",
        "dayfly/gpu=t4/count=many",
        "dayfly/gpu=t4/vram=24KiB",
        "dayfly/gpu=t4/cc=new",
        "dayfly/gpu=t4/spot=maybe",
        "dayfly/gpu=t4/price=cheap",
        "dayfly/gpu=t4/price=$0.40/h",
        "dayfly/gpu=t4/disk=100MiB",
        "dayfly/gpu=t4/region=Dublin",
        "dayfly/gpu=t4/image=dlami-bse",
        "dayfly/gpu=t4/image=ssm:/my/image",
        "dayfly/gpu=t4/arch=riscv",
        "dayfly/type=g5",
        "dayfly/type=g5.3xlarge",
        "dayfly/type=g5.xlarge-",
        "dayfly/type=g5.xlarge+g5g.xlarge",
        "dayfly/type=g5.xlarge/vram=24GiB",
        "dayfly/spot=only",
        "dayfly/é=1",
        "dayfly/gpu=t4--",
    ]
    .map(|text| read(text).unwrap_err().to_string())
    .into();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn columns_are_counted_in_characters() {
    let refused = read("dayfly/run=éé/gpu=a10q").unwrap_err();
    assert_eq!(refused.column, 19);
    assert_eq!(&refused.label.chars().skip(18).collect::<String>(), "a10q");
}

#[test]
fn labels_are_no_longer_than_github_takes() {
    let long = |length: usize| format!("dayfly/gpu=t4/run={}", "7".repeat(length - 18));
    assert_eq!(read(&long(256)).unwrap().label().unwrap().as_str().len(), 256);
    assert_eq!(read(&long(257)).unwrap_err().problem, LabelProblem::TooLong(257));
    let mut spec = read(&long(256)).unwrap();
    spec.disk_gib = Some(1);
    assert_eq!(spec.label().unwrap_err().problem, LabelProblem::TooLong(266));
}

#[test]
fn job_has_one_inline_label() {
    let labels = |texts: &[&str]| texts.iter().map(|text| Label::new(*text)).collect::<Vec<_>>();
    for (texts, expected) in [
        (&["dayfly/gpu=t4"][..], Some("dayfly/gpu=t4")),
        (&["self-hosted", "Dayfly/GPU=T4", "linux"], Some("dayfly/gpu=t4")),
        (&["dayfly/gpu=t4", "dayfly/GPU=t4"], Some("dayfly/gpu=t4")),
        (&["dayfly-gpu", "self-hosted"], None),
        (&["dayfly"], None),
        (&[], None),
    ] {
        let labels = labels(texts);
        let kind = find(&labels).unwrap().map(|(_, spec)| spec.kind());
        assert_eq!(kind.as_deref(), expected, "{texts:?}");
    }
    let two = labels(&["dayfly/gpu=t4", "dayfly/gpu=l4"]);
    assert_eq!(
        find(&two).unwrap_err().to_string(),
        "the label `dayfly/gpu=t4`, column 1: `dayfly/gpu=l4` is an inline label too, and a job has one machine: put \
         everything into one label"
    );
    assert!(find(&labels(&["self-hosted", "dayfly/gpu=a10q"])).is_err());
}

#[test]
fn label_describes_a_runner() {
    let text = "dayfly/gpu=l4/spot=first/price=0.90/disk=200GiB/run=42";
    let found = spec(text).unwrap();
    assert_eq!(found.name, "dayfly/gpu=l4/spot=first/price=0.90/disk=200GiB");
    assert_eq!(found.labels, [Label::new(text)]);
    assert_eq!((found.spot, found.fallback), (true, Fallback::OnDemand));
    assert_eq!(
        (found.max_price, found.disk_gib),
        (Some(MicroDollars(900_000)), Some(200))
    );
    assert_eq!(found.image, ImageAlias::DlamiBase.image(Arch::X86_64));
    assert_eq!(types(text), ["g6.xlarge", "g6.2xlarge", "g6.4xlarge", "gr6.4xlarge"]);
}

#[test]
fn unset_keys_are_the_built_in_runners() {
    let found = spec("dayfly/gpu=t4").unwrap();
    let built_in = crate::Config::built_in().unwrap().runners.remove(0);
    assert_eq!(
        (found.spot, found.fallback, found.max_price),
        (true, Fallback::None, None)
    );
    assert_eq!((found.disk_gib, found.image), (built_in.disk_gib, built_in.image));
    assert_eq!(
        (found.rerun, found.idle_timeout),
        (built_in.rerun, built_in.idle_timeout)
    );
}

#[test]
fn image_fits_the_machine() {
    for (text, expected) in [
        ("dayfly/gpu=t4", ImageAlias::DlamiBase.image(Arch::X86_64)),
        ("dayfly/gpu=t4g", ImageAlias::DlamiBase.image(Arch::Arm64)),
        ("dayfly/cpu=4", ImageAlias::Ubuntu2404.image(Arch::X86_64)),
        ("dayfly/cpu=4/arch=arm64", ImageAlias::Ubuntu2404.image(Arch::Arm64)),
        ("dayfly/type=g5.xlarge", ImageAlias::DlamiBase.image(Arch::X86_64)),
        ("dayfly/type=im4gn.large", ImageAlias::Ubuntu2404.image(Arch::Arm64)),
        (
            "dayfly/gpu=t4g/image=dlami-pytorch",
            ImageAlias::DlamiPytorch.image(Arch::Arm64),
        ),
        (
            "dayfly/gpu=v100/count=8/image=ami-01234567",
            MachineImage::Ami(ImageId::new("ami-01234567")),
        ),
    ] {
        assert_eq!(spec(text).unwrap().image, expected, "{text}");
    }
}

#[test]
fn label_without_a_machine_or_image_is_refused() {
    for (text, words) in [
        (
            "dayfly/gpu=l4/count=3",
            "EC2 has no machine type with gpu=l4, gpus=3: with all else",
        ),
        (
            "dayfly/gpu=v100/count=8",
            "no image that dayfly knows by name has a driver for v100",
        ),
        (
            "dayfly/gpu=l4-half",
            "no image that dayfly knows by name has a driver for l4-half",
        ),
    ] {
        let said = spec(text).unwrap_err().to_string();
        assert!(said.starts_with(words), "{said}");
    }
}

/// Returns the code blocks of a language in the page about labels.
fn blocks(language: &str) -> Vec<&'static str> {
    let page = include_str!("../../../../docs/labels.md");
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.collect()
}

#[test]
fn docs_examples_are_valid() {
    let mut examples = 0;
    for line in blocks("yaml").into_iter().flat_map(str::lines) {
        let Some(start) = line.find(PREFIX) else { continue };
        let text = line[start..].split([' ', ']', '#', '"']).next().unwrap();
        // GitHub's expressions have spaces in them.
        let text = if line.contains("${{") {
            let mut parts = line[start..].split("${{");
            let first = parts.next().unwrap().to_owned();
            parts.fold(first, |whole, part| {
                format!("{whole}1{}", part.split("}}").nth(1).unwrap().trim_end())
            })
        } else {
            text.to_owned()
        };
        let spec = read(&text).unwrap_or_else(|error| panic!("{line}: {error}"));
        spec.spec(&Label::new(text), Table::embedded().unwrap(), &no_price)
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        examples += 1;
    }
    assert!(examples >= 8, "{examples}");
}

#[test]
fn docs_errors_are_those_of_the_reader() {
    let mut errors = 0;
    for block in blocks("text") {
        for said in block.lines().filter(|line| line.starts_with("the label")) {
            let text = said.split('`').nth(1).unwrap();
            assert_eq!(read(text).unwrap_err().to_string(), said);
            errors += 1;
        }
    }
    assert!(errors >= 3, "{errors}");
}

#[test]
fn docs_name_every_key() {
    let page = include_str!("../../../../docs/labels.md");
    for key in KEYS.into_iter().filter(|key| *key != "gpus") {
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
}

fn any_machine() -> impl Strategy<Value = (Requirements, Vec<InstanceType>)> {
    let bound = |key: &'static str, values: Vec<&'static str>| {
        proptest::option::of(proptest::sample::select(values)).prop_map(move |value| value.map(|value| (key, value)))
    };
    let pairs = (
        bound("gpu", vec!["t4", "l4", "a10g+l40s", "rtx-pro-6000", "l4-half"]),
        bound("gpus", vec!["1", "8", ">=2", "<=4", "2-4", "0"]),
        bound("vram", vec!["24GiB", "=16GiB", "<=80GiB", "24GiB-48GiB", "1500MiB"]),
        bound("cc", vec!["8.0", "<=9.0", "=8.9", "8.0-12.0"]),
        bound("cpu", vec!["8", "=8", "<=16", "8-16"]),
        bound("mem", vec!["16GiB", "1TiB", "<=64GiB"]),
        bound("nvme", vec!["100GiB"]),
        bound("arch", vec!["x86_64", "arm64"]),
    );
    let requirements = pairs.prop_map(|(a, b, c, d, e, f, g, h)| {
        let mut requirements = Requirements::default();
        for (key, value) in [a, b, c, d, e, f, g, h].into_iter().flatten() {
            requirements.set(key, value).unwrap();
        }
        requirements
    });
    let types = proptest::sample::subsequence(vec!["g5.xlarge", "g6.12xlarge", "m5.large", "p5.48xlarge"], 1..4);
    let types = types.prop_map(|types| types.into_iter().map(InstanceType::new).collect());
    prop_oneof![
        requirements
            .prop_filter("nothing is required", |requirements| !requirements.is_empty())
            .prop_map(|requirements| (requirements, Vec::new())),
        types.prop_map(|types| (Requirements::default(), types)),
    ]
}

fn any_spec() -> impl Strategy<Value = InlineSpec> {
    let image = prop_oneof![
        proptest::sample::select(ImageAlias::ALL.to_vec()).prop_map(InlineImage::Alias),
        "ami-[0-9a-f]{17}".prop_map(|id| InlineImage::Ami(ImageId::new(id))),
    ];
    let unique = proptest::sample::subsequence(UNIQUE_KEYS.to_vec(), 0..4).prop_flat_map(|keys| {
        keys.into_iter()
            .map(|key| "[A-Za-z0-9_.=é]{1,12}".prop_map(move |value| (key, value)))
            .collect::<Vec<_>>()
    });
    // After `--` there may be anything, without another pair of its key.
    let suffix = proptest::option::of("[a-z-]{0,3}(/|--)[a-z/-]{0,6}[a-z]");
    let unique = (unique, suffix).prop_map(|(mut unique, suffix): (Vec<(&'static str, String)>, _)| {
        if let Some(suffix) = suffix {
            unique.retain(|(key, _)| *key != "id");
            unique.push(("id", suffix));
        }
        unique
    });
    (
        any_machine(),
        proptest::option::of(image),
        proptest::option::of(proptest::sample::select(vec![Spot::Only, Spot::First, Spot::Never])),
        proptest::option::of((1..1_000_000_000_u64).prop_map(MicroDollars)),
        proptest::option::of(1..=65536_u32),
        proptest::option::of(proptest::sample::select(vec![
            "eu-west-1".to_owned(),
            "us-gov-east-1".to_owned(),
        ])),
        unique,
    )
        .prop_map(
            |((requirements, types), image, spot, price, disk_gib, region, unique)| InlineSpec {
                requirements,
                types,
                image,
                spot,
                price,
                disk_gib,
                region,
                unique,
            },
        )
}

proptest! {
    #[test]
    fn labels_are_written_as_they_are_read(spec in any_spec()) {
        let label = spec.label().unwrap();
        prop_assert_eq!(read(label.as_str()), Ok(spec.clone()));
        // GitHub compares labels case-insensitively; the unique part keeps its case.
        let kind = InlineSpec { unique: Vec::new(), ..spec };
        prop_assert_eq!(read(&kind.kind().to_uppercase()), Ok(kind));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,300}") {
        let _ = read(&text);
    }

    #[test]
    fn anything_after_the_prefix_is_read_without_a_panic(text in "(?i)dayfly/[a-zé0-9=<>.+,/$ -]{0,260}") {
        match read(&text) {
            Ok(spec) => prop_assert_eq!(read(&spec.to_string()).map(|again| again.to_string()), Ok(spec.to_string())),
            Err(refused) => prop_assert!(refused.column >= 1 && refused.column <= text.chars().count() + 1),
        }
    }

    #[test]
    fn any_keys_and_values_are_read_without_a_panic(pairs in proptest::collection::vec(
        (proptest::sample::select(KEYS.to_vec()), "[a-z0-9.=<>+-]{0,12}|t4|24GiB|only|g5.xlarge|1-2"), 0..6,
    )) {
        let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("{PREFIX}{}", pairs.join("/"));
        if let Ok(spec) = read(&text) {
            let _ = spec.spec(&Label::new(text), Table::embedded().unwrap(), &no_price);
        }
    }
}
