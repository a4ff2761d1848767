//! The JSON Schema of each type of value in `.dayfly.yml`.

use dayfly_types::ids::{InstanceType, Region, Repository, SecurityGroupId, SubnetId};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::images::MachineImage;
use crate::labels::Label;
use crate::spec::{AllocationStrategy, Fallback, Rebalance, RerunOnDemand, RerunWhat, VolumeType};
use crate::values::{AnyOf, ImageOwner, ImagePattern, Name, Profile, RequirementText, Script, ShortOrLong};
use crate::yaml::units::{Amount, HourlyPrice, Size, TimeSpan};
use crate::yaml::{self, List, Node, OneOrMore, Pairs};

/// Reads a value in YAML as JSON.
pub(crate) fn yaml_to_json(text: &str) -> Option<Value> {
    yaml::parse(text).ok().map(|node| json_of(&node))
}

fn json_of(node: &Node) -> Value {
    match &node.value {
        yaml::Value::List(items) => items.iter().map(|item| json_of(item)).collect(),
        yaml::Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), json_of(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        yaml::Value::Scalar(scalar) if scalar.is_null() => Value::Null,
        yaml::Value::Scalar(scalar) => match scalar.as_bool() {
            Some(value) => value.into(),
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

/// A type of value with a schema. Not `JsonSchema`, because many of the types belong to other crates.
pub(crate) trait Described {
    /// Returns the schema, or a reference to it.
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

/// Types with a definition of their own in the schema.
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
    bool, u32, AllocationStrategy, Fallback, Rebalance, RerunOnDemand, RerunWhat, VolumeType
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
    RequirementText = "requirement" {"type": ["string", "number"], "maxLength": 200}
    TimeSpan = "duration" {"type": ["string", "integer"], "pattern": "^\\s*[0-9]+\\s*[smhd]?\\s*$", "exclusiveMinimum": 0, "maximum": 518_400, "x-unit": "`s`, `m`, `h`, `d`; seconds without a unit"}
    Size = "size" {"type": ["string", "integer"], "pattern": "^\\s*[0-9]+\\s*(GiB|GB|G|TiB|TB|T)?\\s*$", "minimum": 1, "maximum": 65_536, "x-unit": "`GiB`, `TiB`; GiB without a unit"}
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
        OneOrMore::<RequirementText>::schema(generator)
    }
}

impl Described for Pairs {
    fn schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({"type": ["string", "number", "boolean", "null"]});
        json_schema!({"type": "object", "additionalProperties": text, "title": "names and texts"})
    }
}
