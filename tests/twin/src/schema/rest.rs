//! Requests and answers of the REST API.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Checker;
use super::cut::{COMPONENTS, collect_references};
use crate::api::Operation;

#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) operation: &'static Operation,
    pub(crate) query: Vec<String>,
    pub(crate) request_body: &'a [u8],
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    pub(crate) response_body: &'a [u8],
}

impl Checker {
    /// Returns the violations of a request and its answer.
    pub(crate) fn exchange(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let one = exchange.operation;
        let described = &self.shared.rest["operations"][format!("{} {}", one.method, one.path)];
        let mut violations = self.request(exchange, described);
        violations.extend(self.answer(exchange, described));
        violations
    }

    fn request(&self, exchange: &Exchange<'_>, described: &Value) -> Vec<String> {
        let name = format!("request {}", exchange.operation.id);
        let known = described["query"].as_array().cloned().unwrap_or_default();
        let mut violations: Vec<String> = exchange
            .query
            .iter()
            .filter(|query| !known.contains(&json!(query)))
            .map(|query| format!("{name}: no query parameter `{query}` is described"))
            .collect();
        let schema = &described["body"];
        if exchange.request_body.is_empty() {
            // A missing body is what such a request is refused for.
            if described["body_required"] == true && exchange.status < 400 {
                violations.push(format!("{name}: it needs a body"));
            }
            return violations;
        }
        let Ok(body) = serde_json::from_slice::<Value>(exchange.request_body) else {
            violations.push(format!("{name}: the body is not JSON"));
            return violations;
        };
        if schema.is_null() {
            if !body.is_null() && body != json!({}) {
                violations.push(format!("{name}: it takes no body"));
            }
            return violations;
        }
        violations.extend(unknown_fields(&name, schema, &body));
        violations.extend(self.violations(&name, || self.whole(schema), &body));
        violations
    }

    fn answer(&self, exchange: &Exchange<'_>, described: &Value) -> Vec<String> {
        let status = exchange.status;
        let name = format!("answer {} {status}", exchange.operation.id);
        let schema = match described["responses"].get(status.to_string()) {
            // Where it describes no body for one, GitHub sends that of all others.
            Some(Value::Null) if status >= 400 => json!({"$ref": "#/components/schemas/basic-error"}),
            Some(schema) => schema.clone(),
            // The description leaves out most of the errors that every operation can give.
            None if status == 304 => Value::Null,
            None if status >= 400 => json!({"$ref": "#/components/schemas/basic-error"}),
            None => return vec![format!("{name}: no such status is described")],
        };
        let is_json = exchange.content_type.starts_with("application/json");
        if schema.is_null() {
            let nothing = exchange.response_body.is_empty();
            return if nothing {
                Vec::new()
            } else {
                vec![format!("{name}: no body is described")]
            };
        }
        if !is_json {
            return Vec::new();
        }
        let Ok(body) = serde_json::from_slice::<Value>(exchange.response_body) else {
            return vec![format!("{name}: the body is not JSON")];
        };
        self.violations(&name, || self.whole(&schema), &body)
    }

    /// A schema together with the components that it needs.
    fn whole(&self, schema: &Value) -> Value {
        with_components(schema, &self.shared.rest["components"]["schemas"])
    }
}

/// A schema together with the components that it needs.
pub(super) fn with_components(schema: &Value, all: &Value) -> Value {
    json!({"allOf": [schema], "components": {"schemas": needed(schema, COMPONENTS, all)}})
}

/// The shared schemas that a schema needs, those that these need, and so on.
pub(super) fn needed(schema: &Value, prefix: &str, all: &Value) -> Map<String, Value> {
    let mut todo = BTreeSet::new();
    collect_references(schema, prefix, &mut todo);
    let mut schemas = Map::new();
    while let Some(name) = todo.pop_first() {
        let mut found = BTreeSet::new();
        collect_references(&all[&name], prefix, &mut found);
        schemas.insert(name.clone(), all[&name].clone());
        todo.extend(found.into_iter().filter(|one| !schemas.contains_key(one)));
    }
    schemas
}

/// Fields of a body that the description does not have: GitHub ignores them, so they are a mistake.
fn unknown_fields(name: &str, schema: &Value, body: &Value) -> Vec<String> {
    // A body that may be null is described as a choice.
    let schema = if schema["properties"].is_null() {
        &schema["anyOf"][0]
    } else {
        schema
    };
    let (Some(known), Some(body)) = (schema["properties"].as_object(), body.as_object()) else {
        return Vec::new();
    };
    body.keys()
        .filter(|field| !known.contains_key(*field))
        .map(|field| format!("{name}: no field `{field}` is described"))
        .collect()
}
