//! The JSON Schema of `.dayfly.yml`, for editors, and the page that is made from it. Both come from the
//! types that the file is read with.

mod page;

use dayfly_types::ids::{InstanceType, Region, Repository, SecurityGroupId, SubnetId};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::keys::{Breaker, Disk, File, Image, Key, Runner};
use super::node::{List, OneOrMore, Pairs};
use super::spec::{AllocationStrategy, Fallback, MachineImage, Rebalance, RerunOnDemand, RerunWhat, VolumeType};
use super::units::{Amount, HourlyPrice, Size, Span};
use super::words::{AnyOf, ImageOwner, ImagePattern, Name, Profile, Script, ShortOrLong, Want};
use super::yaml::{self, Node};
use crate::labels::Label;
use crate::machines::{Wants, WantsError};

pub use page::page;

/// The whole of `schema/dayfly.schema.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&value()).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema.
#[must_use]
pub fn value() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<File>();
    schema.insert("title".to_owned(), json!(".dayfly.yml"));
    // A file with neither has no runners.
    schema.insert(
        "anyOf".to_owned(),
        json!([{"required": ["runners"]}, {"required": ["extends"]}]),
    );
    schema.to_value()
}

/// The schema of a mapping from what is written of its keys.
pub(super) fn mapping(about: &[&str], keys: &[Key], types: Vec<Schema>) -> Schema {
    let mut properties = Map::new();
    for (key, of) in keys.iter().zip(types) {
        let mut property = of;
        property.insert("description".to_owned(), json!(words(key.doc)));
        if let Err(error) = Wants::default().set(key.name, "?") {
            // What a want takes follows from its key, and not from a type of its own.
            if !matches!(error, WantsError::UnknownKey { .. }) {
                property.insert("title".to_owned(), json!(error.allowed()));
            }
        }
        if let Some(default) = key.default.and_then(read) {
            property.insert("default".to_owned(), default);
        }
        if let Some(without) = key.without {
            property.insert("x-without".to_owned(), json!(without));
        }
        if let Some(example) = read(key.example) {
            property.insert("examples".to_owned(), json!([example]));
        }
        property.insert("x-example".to_owned(), json!(key.example));
        properties.insert(key.name.to_owned(), property.to_value());
    }
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json_schema!({
        "type": "object",
        "description": words(about),
        "properties": properties,
        "patternProperties": {"^x-": true},
        "additionalProperties": false,
        "required": required,
    })
}

fn words(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A value in YAML as JSON.
pub(super) fn read(text: &str) -> Option<Value> {
    yaml::tree(text).ok().map(|node| json_of(&node))
}

pub(super) fn json_of(node: &Node) -> Value {
    match &node.value {
        yaml::Value::List(items) => items.iter().map(|item| json_of(item)).collect(),
        yaml::Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), json_of(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        yaml::Value::Scalar(scalar) if scalar.is_null() => Value::Null,
        yaml::Value::Scalar(scalar) => match scalar.truth() {
            Some(truth) => truth.into(),
            None if scalar.plain => number(&scalar.text).unwrap_or_else(|| scalar.text.as_str().into()),
            None => scalar.text.as_str().into(),
        },
    }
}

/// Plain digits, with a point or without: as far as the file has numbers.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let whole = text.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| text.parse::<f64>().ok().map(Value::from))
}

/// What a value of the file is in JSON. Not [`JsonSchema`], because many of the types are of other crates.
pub(super) trait Described {
    /// Returns its schema, or a reference to it.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

macro_rules! value_schema {
    ($($type:ty = $name:literal $schema:tt)+) => { $(
        impl Described for $type {
            fn schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("title".to_owned(), json!($name));
                schema
            }
        }
    )+ };
}

/// What has a definition of its own in the schema.
macro_rules! defined {
    ($($type:ty),+) => { $(
        impl Described for $type {
            fn schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<Self>()
            }
        }
    )+ };
}

defined! {
    bool, u32, Runner, Image, Disk, Breaker, AllocationStrategy, Fallback, Rebalance, RerunOnDemand, RerunWhat, VolumeType
}

value_schema! {
    Name = "name" {"type": ["string", "number"], "maxLength": 100}
    Label = "label" {"type": ["string", "number", "boolean"], "maxLength": 256, "pattern": "^[^, ]([^,]*[^, ])?$"}
    InstanceType = "instance type" {"type": "string", "pattern": "^[a-z0-9-]+\\.[a-z0-9-]+$"}
    MachineImage = "image" {"type": "string", "pattern": "^(ami-([0-9a-fA-F]{8}|[0-9a-fA-F]{17})|ssm:/[A-Za-z0-9/_.-]*|dlami-base|dlami-pytorch|ubuntu-24\\.04|ubuntu-22\\.04)$"}
    ImagePattern = "image name" {"type": "string", "minLength": 3, "maxLength": 128, "pattern": "^[A-Za-z0-9()\\[\\] ./'@_*?-]*$"}
    ImageOwner = "image owner" {"type": ["string", "integer"], "pattern": "^([0-9]{12}|amazon|aws-marketplace|self)$"}
    Region = "region" {"type": "string", "pattern": "^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$"}
    Repository = "repository" {"type": "string", "pattern": "^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$"}
    SubnetId = "subnet" {"type": "string", "pattern": "^subnet-([0-9a-fA-F]{8}|[0-9a-fA-F]{17})$"}
    SecurityGroupId = "security group" {"type": "string", "pattern": "^sg-([0-9a-fA-F]{8}|[0-9a-fA-F]{17})$"}
    Profile = "instance profile" {"type": "string", "maxLength": 1024}
    Script = "script" {"type": "string", "maxLength": 8192, "x-unit": "bash"}
    Want = "want" {"type": ["string", "number"], "maxLength": 200}
    Span = "duration" {"type": ["string", "integer"], "pattern": "^\\s*[0-9]+\\s*[smhd]?\\s*$", "exclusiveMinimum": 0, "maximum": 518_400, "x-unit": "`s`, `m`, `h`, `d`; seconds if none is said"}
    Size = "size" {"type": ["string", "integer"], "pattern": "^\\s*[0-9]+\\s*(GiB|GB|G|TiB|TB|T)?\\s*$", "minimum": 1, "maximum": 65_536, "x-unit": "`GiB`, `TiB`; GiB if none is said"}
    Amount = "amount" {"type": ["string", "number"], "pattern": "^\\s*\\$?[0-9]*\\.?[0-9]*\\s*$", "minimum": 0, "x-unit": "US dollars"}
    HourlyPrice = "price" {"type": ["string", "number"], "pattern": "^\\s*\\$?[0-9]*\\.?[0-9]*\\s*(/h)?\\s*$", "exclusiveMinimum": 0, "x-unit": "US dollars per hour"}
}

impl<T: Described> Described for OneOrMore<T> {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = T::schema(generator);
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

impl<T: Described> Described for List<T> {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": T::schema(generator)})
    }
}

impl<S: Described, L: Described> Described for ShortOrLong<S, L> {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [S::schema(generator), L::schema(generator)]})
    }
}

impl Described for AnyOf {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        OneOrMore::<Want>::schema(generator)
    }
}

impl Described for Pairs {
    fn schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({"type": ["string", "number", "boolean", "null"]});
        json_schema!({"type": "object", "additionalProperties": text, "title": "names and texts"})
    }
}

#[cfg(test)]
mod tests;
