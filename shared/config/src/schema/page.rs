//! Makes `docs/configuration.md` from the schema.

use std::fmt::Write as _;

use serde_json::Value;

use crate::keys::{Breaker, Disk, File, Image, Runner};
use crate::mapping::{Key, Keys as _};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `make docs` from shared/config/src/keys.rs; a test compares the two. -->

`.dayfly.yml` on a repository's default branch says what its jobs may run on. Without it, `.github/dayfly.yml` \
is used, and then `.cirun.yml`; the log of `launch` names files that are ignored. A repository without any has \
the label `dayfly-gpu`, and [inline labels](labels.md), which describe their own runner, need no file.

```yaml
runners:
  - name: gpu
    labels: [dayfly-gpu]
    gpu: [t4, a10g]
    disk: 200GiB
    max_price: $0.60/h
    fallback: on-demand
```

`dayfly validate` reports everything wrong with a file, each with its line and what is allowed, and with `--base` \
also what conflicts with the file that it extends. An error fails the jobs that need the file, with the same message, \
and no other jobs. An unknown key is a warning. Editors can complete and check the file with \
[schema/dayfly.schema.json](../schema/dayfly.schema.json). A file has at most 64 KiB. Keys that begin with `x-` are \
your own: a place for YAML anchors. `dayfly migrate` writes a `.cirun.yml` as the `.dayfly.yml` with the same meaning.

With a `.cirun.yml`, or without a file, the runners of `.cirun.global.yml` in the organisation's repository `.cirun` \
come after the repository's own. If there is an `.access.yml` beside it, its rules decide who may use them from \
which repository, and a runner without a rule may not be used at all. A team in `run_only_when_triggered_by` there \
takes precedence over the repository's. `.dayfly.yml` has `extends`, `actors` and `teams` for the same purpose.
";

/// Returns the whole of `docs/configuration.md`.
#[must_use]
pub fn page() -> String {
    let schema = super::value();
    let mut text = String::from(INTRODUCTION);
    section(&mut text, "The file", &schema, &schema, File::KEYS);
    for (name, title, keys) in SECTIONS {
        section(&mut text, title, &schema, &schema["$defs"][name], keys);
    }
    text
}

/// The mappings of the file: names in the schema, titles, and keys in order.
const SECTIONS: [(&str, &str, &[Key]); 4] = [
    ("Runner", "A runner", Runner::KEYS),
    ("Image", "An image by name", Image::KEYS),
    ("Disk", "A root volume", Disk::KEYS),
    ("Breaker", "A breaker", Breaker::KEYS),
];

fn section(text: &mut String, title: &str, root: &Value, mapping: &Value, keys: &[Key]) {
    // Writing to a string does not fail.
    let _ = write!(text, "\n## {title}\n\n{}\n", as_text(&mapping["description"]));
    for key in keys {
        let property = &mapping["properties"][key.name];
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n\n",
            key.name,
            as_text(&property["description"])
        );
        let kind = kind(root, property);
        let unit = unit(root, property).map_or_else(|| "none".to_owned(), str::to_owned);
        let without = without(mapping, property, key);
        let _ = write!(
            text,
            "| type | unit | without it |\n|---|---|---|\n| {kind} | {unit} | {without} |\n"
        );
        let choices = choices(root, property);
        if !choices.is_empty() {
            text.push('\n');
        }
        for (keyword, about) in choices {
            let _ = writeln!(text, "- `{keyword}`: {about}");
        }
        let _ = write!(
            text,
            "\n```yaml\n{}: {}\n```\n",
            key.name,
            as_text(&property["x-example"])
        );
    }
}

fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn without(mapping: &Value, property: &Value, key: &Key) -> String {
    let is_required = mapping["required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|name| name == key.name));
    if is_required {
        return "required".to_owned();
    }
    match &property["default"] {
        Value::Null => as_text(&property["x-without"]).to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// Follows a schema's reference.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

fn alternatives(schema: &Value) -> &[Value] {
    schema["anyOf"].as_array().map_or(&[], Vec::as_slice)
}

fn kind(root: &Value, schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    if let Some((_, title, _)) = SECTIONS.iter().find(|(section, ..)| Some(*section) == name) {
        return format!(
            "a mapping, see [{}](#{})",
            title.to_lowercase(),
            title.to_lowercase().replace(' ', "-")
        );
    }
    let schema = resolved(root, schema);
    if let (Some(title), [_, _]) = (schema["title"].as_str(), alternatives(schema)) {
        return title.to_owned();
    }
    if let [one, other] = alternatives(schema) {
        let other = if other["type"] == "array" {
            "a list of them".to_owned()
        } else {
            kind(root, other)
        };
        return format!("{}, or {other}", kind(root, one));
    }
    match (schema["title"].as_str(), schema["type"].as_str()) {
        (Some(title), _) => title.to_owned(),
        (None, Some("boolean")) => "`true` or `false`".to_owned(),
        (None, Some("array")) => format!("a list; each is {}", kind(root, &schema["items"])),
        (None, Some("integer")) => "whole number".to_owned(),
        _ if schema["oneOf"].is_array() || schema["enum"].is_array() => "one of the keywords below".to_owned(),
        (None, other) => other.unwrap_or("anything").to_owned(),
    }
}

fn unit<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let schema = resolved(root, schema);
    let own = schema["x-unit"].as_str();
    own.or_else(|| alternatives(schema).iter().find_map(|one| unit(root, one)))
}

/// Returns the keywords of a key, with their docs.
fn choices<'a>(root: &'a Value, schema: &'a Value) -> Vec<(&'a str, &'a str)> {
    let schema = resolved(root, schema);
    let each = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    each.iter()
        .filter_map(|one| Some((one["const"].as_str()?, as_text(&one["description"]))))
        .collect()
}
