//! `docs/configuration.md`, from the schema.

use std::fmt::Write as _;

use serde_json::Value;

use crate::keys::{Breaker, Disk, File, Image, Key, Keys as _, Runner};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `make docs` from shared/config/src/keys.rs; a test compares the two. -->

What a repository's jobs may run on stands in `.dayfly.yml` on its default branch. `.github/dayfly.yml` is \
looked for too, and then `.cirun.yml`; the first that is there counts, and the log of `launch` names the others. A repository without any has the label \
`dayfly-gpu`, and no file is needed for labels that say themselves what they want.

```yaml
runners:
  - name: gpu
    labels: [dayfly-gpu]
    gpu: [t4, a10g]
    disk: 200GiB
    max_price: $0.60/h
    fallback: on-demand
```

`dayfly validate` finds everything that is wrong with a file, each with its line and what is allowed, and with `--base` whether it goes together with the file that it extends. What is \
wrong fails the jobs that need the file, with the same words, and nobody else's. A key that is not known is a \
warning. For an editor's help point it to \
[schema/dayfly.schema.json](../schema/dayfly.schema.json). A file has at most 64 KiB; keys that begin with `x-` are your own, for what YAML's aliases stand for. \
`dayfly migrate` writes the `.dayfly.yml` that means the same as a `.cirun.yml`.

Where a `.cirun.yml` counts, or there is no file, the runners of `.cirun.global.yml` in the organisation's repository \
`.cirun` come after the repository's own. If there is an `.access.yml` beside it, they are for those only whom a \
rule lets use them from the repository, and one that no rule names is for nobody. A team that \
`run_only_when_triggered_by` names there goes before the one that the repository names. `.dayfly.yml` has `extends`, \
`actors` and `teams` for that.
";

/// The whole of `docs/configuration.md`.
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

/// The mappings within the file: their names in the schema, their titles, and their keys in order.
const SECTIONS: [(&str, &str, &[Key]); 4] = [
    ("Runner", "A runner", Runner::KEYS),
    ("Image", "An image by name", Image::KEYS),
    ("Disk", "A root volume", Disk::KEYS),
    ("Breaker", "A breaker", Breaker::KEYS),
];

fn section(text: &mut String, title: &str, root: &Value, mapping: &Value, keys: &[Key]) {
    // Writing to a string does not fail.
    let _ = write!(text, "\n## {title}\n\n{}\n", said(&mapping["description"]));
    for key in keys {
        let property = &mapping["properties"][key.name];
        let _ = write!(text, "\n### `{}`\n\n{}\n\n", key.name, said(&property["description"]));
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
        for (word, about) in choices {
            let _ = writeln!(text, "- `{word}`: {about}");
        }
        let _ = write!(text, "\n```yaml\n{}: {}\n```\n", key.name, said(&property["x-example"]));
    }
}

fn said(value: &Value) -> &str {
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
        Value::Null => said(&property["x-without"]).to_owned(),
        Value::String(word) => format!("`{word}`"),
        other => format!("`{other}`"),
    }
}

/// What a schema stands for, behind its reference.
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
        _ if schema["oneOf"].is_array() || schema["enum"].is_array() => "one of the words below".to_owned(),
        (None, other) => other.unwrap_or("anything").to_owned(),
    }
}

fn unit<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let schema = resolved(root, schema);
    let own = schema["x-unit"].as_str();
    own.or_else(|| alternatives(schema).iter().find_map(|one| unit(root, one)))
}

/// The words that a key takes, with what they mean.
fn choices<'a>(root: &'a Value, schema: &'a Value) -> Vec<(&'a str, &'a str)> {
    let schema = resolved(root, schema);
    let each = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    each.iter()
        .filter_map(|one| Some((one["const"].as_str()?, said(&one["description"]))))
        .collect()
}
