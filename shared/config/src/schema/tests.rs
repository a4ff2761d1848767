use super::*;
use crate::keys::{Breaker, Disk, Image, Runner};
use crate::mapping::{Key, Keys as _};
use crate::schema_types::yaml_to_json;
use crate::{Context, read as read_file};

fn file(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn schema_and_page_are_current() {
    assert!(file("schema/dayfly.schema.json") == text(), "run `make docs`");
    assert!(file("docs/configuration.md") == page(), "run `make docs`");
}

/// Returns a file in which a key of a runner has this value.
fn with(key: &str, value: &str) -> String {
    let mut keys = vec![
        ("name", "a"),
        ("labels", "[dayfly-a]"),
        ("instance_type", "g5.xlarge"),
        ("machine_image", "ami-01234567"),
    ];
    if crate::machines::Requirements::KEYS.contains(&key) {
        keys.retain(|(name, _)| *name != "instance_type");
    }
    keys.retain(|(name, _)| *name != key);
    keys.push((key, value));
    let lines: Vec<String> = keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("runners:\n  - {}\n", lines.join("\n    "))
}

#[test]
fn examples_are_read_without_a_finding() {
    let plain = with("spot", "true");
    let mut texts: Vec<String> = Runner::KEYS.iter().map(|key| with(key.name, key.example)).collect();
    for key in Disk::KEYS {
        texts.push(with("disk", &format!("{{{}: {}}}", key.name, key.example)));
    }
    let image: Vec<String> = Image::KEYS
        .iter()
        .map(|key| format!("{}: {}", key.name, key.example))
        .collect();
    texts.push(with("machine_image", &format!("{{{}}}", image.join(", "))));
    let breaker: Vec<String> = Breaker::KEYS
        .iter()
        .map(|key| format!("{}: {}", key.name, key.example))
        .collect();
    texts.push(with("breaker", &format!("{{{}}}", breaker.join(", "))));
    for key in File::KEYS {
        let rest = if key.name == "runners" { "" } else { plain.as_str() };
        texts.push(format!("{}: {}\n{rest}", key.name, key.example));
    }
    for text in texts {
        let reading = read_file(".dayfly.yml", &text, Context::default());
        assert!(
            reading.config.is_some() && reading.findings.is_empty(),
            "{text}\n{:?}",
            reading.findings
        );
    }
}

#[test]
fn defaults_hold_without_their_keys() {
    let bare = read_file(".dayfly.yml", &with("name", "a"), Context::default()).config;
    let defaults = Runner::KEYS.iter().filter_map(|key| Some((key.name, key.default?)));
    let mut checked = 0;
    for (key, default) in defaults {
        assert_eq!(
            read_file(".dayfly.yml", &with(key, default), Context::default()).config,
            bare,
            "{key}"
        );
        checked += 1;
    }
    assert!(checked >= 7, "{checked}");
    for key in File::KEYS.iter().filter(|key| key.default.is_some()) {
        let text = format!(
            "{}: {}\n{}",
            key.name,
            key.default.unwrap_or_default(),
            with("name", "a")
        );
        let read = read_file(".dayfly.yml", &text, Context::default()).config.unwrap();
        let defaults = (crate::GivingUp::default(), crate::Reporting::default());
        assert_eq!((read.giving_up, read.reporting), defaults, "{text}");
    }
}

#[test]
fn examples_of_the_page_are_read() {
    let page = page();
    let mut blocks = page.split("```yaml\n").skip(1);
    let first = blocks.next().and_then(|block| block.split("```").next()).unwrap();
    let reading = read_file(".dayfly.yml", first, Context::default());
    assert!(
        reading.config.is_some() && reading.findings.is_empty(),
        "{:?}",
        reading.findings
    );
    for key in [File::KEYS, Runner::KEYS, Image::KEYS, Disk::KEYS, Breaker::KEYS].concat_names() {
        assert!(page.contains(&format!("### `{key}`")), "{key} is not on the page");
    }
    assert!(blocks.all(|block| yaml_to_json(block.split("```").next().unwrap_or_default()).is_some()));
}

/// Files with errors that no schema can express: keys that exclude each other, duplicate names, values that only
/// their reader understands.
const BEYOND: [&str; 1] = ["names-twice.yml"];

#[test]
fn schema_takes_valid_files_and_refuses_what_it_can_express() {
    let schema = jsonschema::validator_for(&value()).unwrap();
    let (mut taken, mut refused, mut beyond) = (0, 0, Vec::new());
    for (name, text) in crate::tests::corpus("config") {
        // Invalid YAML has no JSON.
        let Some(json) = yaml_to_json(&text) else { continue };
        let reading = read_file(&name, &text, Context::default());
        let errors: Vec<String> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
        if reading.findings.is_empty() {
            assert!(errors.is_empty(), "{name}: {errors:?}");
            taken += 1;
        } else if reading.config.is_none() {
            if errors.is_empty() {
                beyond.push(name);
            }
            refused += 1;
        }
    }
    assert_eq!(beyond, BEYOND);
    assert!(taken >= 5 && refused >= 8, "{taken} taken, {refused} refused");
}

trait Names {
    fn concat_names(&self) -> Vec<&'static str>;
}

impl Names for [&'static [Key]; 5] {
    fn concat_names(&self) -> Vec<&'static str> {
        self.iter().flat_map(|keys| keys.iter().map(|key| key.name)).collect()
    }
}

#[test]
fn keywords_are_the_serialized_names() {
    fn check<T: crate::yaml::Keyword + serde::Serialize>() {
        for (keyword, one) in T::ALL {
            assert_eq!(serde_json::to_value(one).unwrap(), *keyword);
        }
    }
    check::<crate::Fallback>();
    check::<crate::AllocationStrategy>();
    check::<crate::Rebalance>();
    check::<crate::RerunWhat>();
    check::<crate::RerunOnDemand>();
    check::<crate::VolumeType>();
}
