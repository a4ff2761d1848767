//! Writes a configuration as a `.dayfly.yml`, without what holds by default.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::Config;
use crate::images::MachineImage;
use crate::machines::Requirements;
use crate::spec::{MAX_RERUNS, RerunPolicy, RunnerSpec, Volume};
use crate::yaml::Keyword;
use crate::yaml::units::{HourlyPrice, write_duration};

/// Writes a file that is read as `config`, without the skipped entries.
pub(crate) fn file(config: &Config) -> String {
    let mut text = String::new();
    let mut top = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{key}: {value}");
        }
    };
    top("extends", config.extends.as_ref().map(|one| scalar(&one.to_string())));
    top("messenger", config.given.messenger.map(|one| one.to_string()));
    top(
        "cancel_run_when_unlaunchable",
        config.given.cancel_run.map(|one| one.to_string()),
    );
    top("report", config.given.report.map(|one| one.to_string()));
    top("comment", config.given.comment.map(|one| one.to_string()));
    top("comment_above", config.given.comment_above.map(|one| one.to_string()));
    let actors = config.actors.as_ref();
    let some = |names: &[String]| (!names.is_empty()).then(|| list(names));
    top("actors", actors.and_then(|one| some(&one.users)));
    top("teams", actors.and_then(|one| some(&one.teams)));
    if !config.runners.is_empty() {
        text.push_str("runners:\n");
    }
    for runner in &config.runners {
        let mut before = "  - ";
        for (key, value) in keys(runner) {
            let _ = writeln!(text, "{before}{key}: {value}");
            before = "    ";
        }
    }
    text
}

/// Returns the keys of a runner that differ from their defaults, with their values in YAML.
fn keys(runner: &RunnerSpec) -> Vec<(&'static str, String)> {
    let mut keys = vec![("name", scalar(&runner.name)), ("labels", list(&runner.labels))];
    let mut add = |key: &'static str, value: Option<String>| keys.extend(value.map(|value| (key, value)));
    add(
        "instance_type",
        (!runner.instance_types.is_empty()).then(|| one_or_more(&runner.instance_types)),
    );
    for (key, value) in runner.requirements.iter().flat_map(Requirements::written) {
        add(key, Some(scalar(&value)));
    }
    add("machine_image", image(&runner.image));
    add("region", runner.region.as_ref().map(|one| scalar(one.as_str())));
    add("spot", (!runner.spot).then(|| "false".to_owned()));
    add("fallback", keyword(runner.fallback));
    add(
        "max_price",
        runner.max_price.map(|price| HourlyPrice(price).to_string()),
    );
    add("allocation_strategy", keyword(runner.allocation_strategy));
    add(
        "breaker",
        runner.breaker.map(|breaker| {
            format!(
                "{{interruptions: {}, within: {}, on_demand_for: {}}}",
                breaker.interruptions,
                write_duration(breaker.within),
                write_duration(breaker.on_demand_for)
            )
        }),
    );
    add("disk", disk(runner));
    add("idle_timeout", runner.idle_timeout.map(write_duration));
    add("max_lifetime", runner.max_lifetime.map(write_duration));
    add("startup_script", runner.startup_script.as_deref().map(scalar));
    add("on_interruption", runner.on_interruption.as_deref().map(scalar));
    add("rebalance", keyword(runner.rebalance));
    let RerunPolicy { what, max, on_demand } = runner.rerun;
    add("rerun", keyword(what));
    add("max_reruns", (max != MAX_RERUNS).then(|| max.to_string()));
    add("rerun_on_demand", keyword(on_demand));
    add("env", pairs(&runner.env));
    add("tags", pairs(&runner.tags));
    add("subnets", (!runner.subnets.is_empty()).then(|| list(&runner.subnets)));
    add(
        "security_groups",
        (!runner.security_groups.is_empty()).then(|| list(&runner.security_groups)),
    );
    add("instance_profile", runner.instance_profile.as_deref().map(scalar));
    keys
}

/// Returns the keyword, or `None` for the default.
fn keyword<T: Keyword + Default>(value: T) -> Option<String> {
    (value != T::default()).then(|| value.keyword().to_owned())
}

fn image(image: &MachineImage) -> Option<String> {
    match image {
        MachineImage::Default => None,
        MachineImage::Newest { name, .. } => Some(format!(
            "{{name: {}, owner: {}}}",
            scalar(&name.name),
            scalar(&name.owner)
        )),
        MachineImage::Ami(_) | MachineImage::Parameter(_) | MachineImage::Alias(_) => Some(scalar(&image.written())),
    }
}

fn disk(runner: &RunnerSpec) -> Option<String> {
    let size = runner.disk_gib.map(|gib| format!("{gib}GiB"));
    if runner.volume == Volume::default() {
        return size;
    }
    let Volume { kind, iops, throughput } = runner.volume;
    let parts = [
        size.map(|size| format!("size: {size}")),
        kind.map(|kind| format!("type: {}", kind.keyword())),
        iops.map(|iops| format!("iops: {iops}")),
        throughput.map(|throughput| format!("throughput: {throughput}")),
    ];
    Some(format!(
        "{{{}}}",
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    ))
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

fn one_or_more<T: ToString>(items: &[T]) -> String {
    match items {
        [one] => scalar(&one.to_string()),
        _ => list(items),
    }
}

fn pairs(pairs: &BTreeMap<String, String>) -> Option<String> {
    let each: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{}: {}", scalar(key), scalar(value)))
        .collect();
    (!each.is_empty()).then(|| format!("{{{}}}", each.join(", ")))
}

/// Writes a text as a scalar, with quotes where it would be read as something else.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:+-@#".contains(c);
    let first = text.chars().next();
    let plain = first.is_some_and(|c| c.is_ascii_alphabetic())
        && text.chars().all(is_plain)
        && !text.ends_with(':')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    // Digits with a unit are not a number.
    let measure = first.is_some_and(|c| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !text.starts_with("0x")
        && !text.starts_with("0o")
        && !text.contains(['e', 'E']);
    if plain || measure || text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
