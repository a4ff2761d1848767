//! A configuration as a `.dayfly.yml`: with what is not said anyway.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Config;
use super::node::Choice;
use super::spec::{MachineImage, RerunPolicy, RunnerSpec, Volume};
use super::units::{HourlyPrice, written_span};

/// Writes a file that is read as `config`. What was passed over is not in it.
pub(super) fn file(config: &Config) -> String {
    let mut text = String::new();
    let mut top = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{key}: {value}");
        }
    };
    top("extends", config.extends.as_ref().map(|one| scalar(&one.to_string())));
    top("messenger", config.said.messenger.map(|one| one.to_string()));
    top(
        "cancel_run_when_unlaunchable",
        config.said.cancel_run.map(|one| one.to_string()),
    );
    top("report", config.said.report.map(|one| one.to_string()));
    top("comment", config.said.comment.map(|one| one.to_string()));
    top("comment_above", config.said.comment_above.map(|one| one.to_string()));
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

/// The keys of a runner that say something, with their values in YAML.
fn keys(runner: &RunnerSpec) -> Vec<(&'static str, String)> {
    let mut keys = vec![("name", scalar(&runner.name)), ("labels", list(&runner.labels))];
    let mut add = |key: &'static str, value: Option<String>| keys.extend(value.map(|value| (key, value)));
    add(
        "instance_type",
        (!runner.instance_types.is_empty()).then(|| one_or_more(&runner.instance_types)),
    );
    for (key, value) in runner.wants.iter().flat_map(crate::machines::Wants::written) {
        add(key, Some(scalar(&value)));
    }
    add("machine_image", image(&runner.image));
    add("region", runner.region.as_ref().map(|one| scalar(one.as_str())));
    add("spot", (!runner.spot).then(|| "false".to_owned()));
    add("fallback", word(runner.fallback));
    add(
        "max_price",
        runner.max_price.map(|price| HourlyPrice(price).to_string()),
    );
    add("allocation_strategy", word(runner.allocation_strategy));
    add(
        "breaker",
        runner.breaker.map(|breaker| {
            format!(
                "{{interruptions: {}, within: {}, on_demand_for: {}}}",
                breaker.interruptions,
                written_span(breaker.within),
                written_span(breaker.on_demand_for)
            )
        }),
    );
    add("disk", disk(runner));
    add("idle_timeout", runner.idle_timeout.map(written_span));
    add("max_lifetime", runner.max_lifetime.map(written_span));
    add("startup_script", runner.startup_script.as_deref().map(scalar));
    add("on_interruption", runner.on_interruption.as_deref().map(scalar));
    add("rebalance", word(runner.rebalance));
    let RerunPolicy { what, max, on_demand } = runner.rerun;
    add("rerun", word(what));
    add("max_reruns", (max != super::MAX_RERUNS).then(|| max.to_string()));
    add("rerun_on_demand", word(on_demand));
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

/// The word for a choice, unless it is what holds anyway.
fn word<T: Choice + Default>(choice: T) -> Option<String> {
    (choice != T::default()).then(|| choice.as_word().to_owned())
}

/// Nothing for the image that fits, which holds anyway.
fn image(image: &MachineImage) -> Option<String> {
    match image {
        MachineImage::Fitting => None,
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
        kind.map(|kind| format!("type: {}", kind.as_word())),
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

/// A text as a scalar, between quotes where it would else be something else.
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
    // Digits with a unit are no number.
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
