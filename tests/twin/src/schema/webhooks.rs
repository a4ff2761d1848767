//! Payloads of webhooks.

use serde_json::{Value, json};

use super::Checker;
use super::rest::{needed, with_components};

impl Checker {
    /// Returns a payload's violations of both descriptions.
    pub(crate) fn webhook(&self, event: &str, action: Option<&str>, payload: &Value) -> Vec<String> {
        let dashed = match action {
            Some(action) => format!("{event}-{action}").replace('_', "-"),
            None => event.to_owned(),
        };
        let schema = &self.shared.webhooks["webhooks"][&dashed];
        if schema.is_null() {
            return vec![format!("webhook {dashed}: no such webhook is described")];
        }
        let components = &self.shared.webhooks["components"]["schemas"];
        let mut violations = self.violations(
            &format!("webhook {dashed}"),
            || with_components(schema, components),
            payload,
        );
        let name = format!("{event}${}", action.unwrap_or("event"));
        violations.extend(self.violations(&format!("webhook {name} (strict)"), || self.strict(&name), payload));
        violations
    }

    fn strict(&self, name: &str) -> Value {
        let schema = json!({"$ref": format!("#/definitions/{name}")});
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [schema],
            "definitions": needed(&schema, "#/definitions/", &self.shared.strict["definitions"]),
        })
    }
}
