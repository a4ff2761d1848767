//! The JSON Schema of `.dayfly.yml`, for editors, and the page of documentation made from it.

mod page;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::keys::File;

pub use page::page;

/// Returns the whole of `schema/dayfly.schema.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&value()).unwrap_or_default();
    text.push('\n');
    text
}

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

#[cfg(test)]
mod tests;
