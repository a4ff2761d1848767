//! Cuts the large descriptions down to what the twin speaks, once, into small files beside them.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::SchemaError;
use crate::api::OPERATIONS;

/// The prefix of references to component schemas.
pub(super) const COMPONENTS: &str = "#/components/schemas/";

/// The webhooks that the twin sends.
const WEBHOOKS: [&str; 9] = [
    "ping",
    "installation-created",
    "workflow-job-queued",
    "workflow-job-waiting",
    "workflow-job-in-progress",
    "workflow-job-completed",
    "workflow-run-requested",
    "workflow-run-in-progress",
    "workflow-run-completed",
];

/// `{operations: {"<method> <path>": {query, body, body_required, responses}}, components: {schemas}}`.
pub(super) fn rest(dir: &Path) -> Result<Value, SchemaError> {
    let mut wanted = cut_of_this_code();
    for one in &OPERATIONS {
        (one.method, one.path).hash(&mut wanted);
    }
    let wanted = wanted.finish();
    cached(dir, "openapi", "generated/api.github.com.json", wanted, |whole| {
        let mut operations = Map::new();
        for one in &OPERATIONS {
            let key = format!("{} {}", one.method, one.path);
            let found = &whole["paths"][one.path][one.method.to_lowercase()];
            if found.is_null() {
                return Err(format!("it has no `{key}`"));
            }
            operations.insert(key, operation(found, whole));
        }
        let mut root = json!({"operations": operations, "components": {"schemas": {}}});
        add_components(&mut root, whole, true);
        Ok(root)
    })
}

/// `{webhooks: {"workflow-job-queued": schema, …}, components: {schemas}}`.
pub(super) fn webhooks(dir: &Path) -> Result<Value, SchemaError> {
    let wanted = cut_of_this_code().finish();
    cached(
        dir,
        "openapi-webhooks",
        "generated/api.github.com.json",
        wanted,
        |whole| {
            let mut schemas = Map::new();
            for name in WEBHOOKS {
                let schema = &whole["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"];
                if schema.is_null() {
                    return Err(format!("it has no webhook `{name}`"));
                }
                schemas.insert(name.to_owned(), schema.clone());
            }
            let mut root = json!({"webhooks": schemas, "components": {"schemas": {}}});
            add_components(&mut root, whole, false);
            Ok(root)
        },
    )
}

/// The stricter description is small enough to be used whole.
pub(super) fn strict_webhooks(dir: &Path) -> Result<Value, SchemaError> {
    let path = dir.join("node_modules/@octokit/webhooks-schemas/schema.json");
    read(&path)
}

/// A cut depends on the description, on the parts used, and on this code.
fn cut_of_this_code() -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    include_str!("cut.rs").hash(&mut hasher);
    hasher
}

fn operation(found: &Value, whole: &Value) -> Value {
    let query: Vec<&Value> = found["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| resolved(parameter, whole))
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| &parameter["name"])
        .collect();
    let responses: Map<String, Value> = found["responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, answer)| {
            let answer = resolved(answer, whole);
            let schema = &answer["content"]["application/json"]["schema"];
            (status.clone(), schema.clone())
        })
        .map(|(status, schema)| (status, translated(&schema, false)))
        .collect();
    let body = &found["requestBody"];
    json!({
        "query": query,
        "body": translated(&body["content"]["application/json"]["schema"], false),
        "body_required": body["required"],
        "responses": responses,
    })
}

fn resolved<'a>(value: &'a Value, whole: &'a Value) -> &'a Value {
    value["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| whole.pointer(pointer))
        .unwrap_or(value)
}

/// Adds every component schema that is referred to, and what those refer to.
fn add_components(root: &mut Value, whole: &Value, translate: bool) {
    let mut todo = BTreeSet::new();
    collect_references(root, COMPONENTS, &mut todo);
    let mut done = BTreeSet::new();
    while let Some(name) = todo.pop_first() {
        let schema = &whole["components"]["schemas"][&name];
        let schema = if translate {
            translated(schema, false)
        } else {
            slim(schema, false)
        };
        let mut found = BTreeSet::new();
        collect_references(&schema, COMPONENTS, &mut found);
        root["components"]["schemas"][&name] = schema;
        done.insert(name);
        todo.extend(found.difference(&done).cloned());
    }
}

/// The names of the shared schemas that a schema refers to, found under `prefix`.
pub(super) fn collect_references(value: &Value, prefix: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(name) = object
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix(prefix))
            {
                into.insert(name.to_owned());
            }
            object
                .values()
                .for_each(|inner| collect_references(inner, prefix, into));
        }
        Value::Array(array) => array.iter().for_each(|inner| collect_references(inner, prefix, into)),
        _ => {}
    }
}

/// A schema of OpenAPI 3.0 as one of JSON Schema: `nullable` becomes a type.
fn translated(schema: &Value, is_properties: bool) -> Value {
    let mut value = slim(schema, is_properties);
    make_nullable(&mut value, is_properties);
    value
}

fn make_nullable(value: &mut Value, is_properties: bool) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object.iter_mut() {
                make_nullable(inner, key == "properties" && !is_properties);
            }
            if !is_properties && object.remove("nullable") == Some(Value::Bool(true)) {
                let inner = std::mem::take(object);
                *value = json!({"anyOf": [inner, {"type": "null"}]});
            }
        }
        Value::Array(array) => array.iter_mut().for_each(|inner| make_nullable(inner, false)),
        _ => {}
    }
}

/// A schema without what only people read.
fn slim(schema: &Value, is_properties: bool) -> Value {
    const FOR_PEOPLE: [&str; 6] = [
        "description",
        "example",
        "examples",
        "externalDocs",
        "title",
        "discriminator",
    ];
    match schema {
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| is_properties || !FOR_PEOPLE.contains(&key.as_str()))
            .map(|(key, inner)| {
                let key = if is_user_and_enterprise(key, inner) {
                    "anyOf"
                } else {
                    key
                };
                let inner = slim(inner, key == "properties" && !is_properties);
                (key.to_owned(), inner)
            })
            .collect(),
        Value::Array(array) => array.iter().map(|inner| slim(inner, false)).collect(),
        plain => plain.clone(),
    }
}

/// A mistake in the description (@octokit/openapi 23.0.2, `GET /app/installations`): an account is both
/// a user and an enterprise.
fn is_user_and_enterprise(key: &str, inner: &Value) -> bool {
    key == "allOf" && inner[0]["title"] == "Simple User" && inner[1]["title"] == "Enterprise"
}

/// Returns the cut of a package's file, and creates it if needed.
fn cached(
    dir: &Path,
    package: &str,
    file: &str,
    wanted: u64,
    cut: impl FnOnce(&Value) -> Result<Value, String>,
) -> Result<Value, SchemaError> {
    let root = dir.join("node_modules/@octokit").join(package);
    let manifest = read(&root.join("package.json"))?;
    let version = manifest["version"].as_str().unwrap_or("unknown");
    let cache = dir.join(format!("cut-{package}-{version}-{wanted:016x}.json"));
    if let Ok(text) = fs::read(&cache)
        && let Ok(value) = serde_json::from_slice(&text)
    {
        return Ok(value);
    }
    let path = root.join(file);
    let whole = read(&path)?;
    let value = cut(&whole).map_err(|why| SchemaError::Unexpected { path, why })?;
    store(&cache, &value);
    Ok(value)
}

/// Written whole or not at all: several processes may do it at once. A folder that cannot be written
/// to only costs time, so that is no error.
fn store(cache: &Path, value: &Value) {
    let draft = cache.with_extension(format!("{}.tmp", std::process::id()));
    if fs::write(&draft, value.to_string()).is_ok() {
        let _ = fs::rename(&draft, cache);
    }
}

fn read(path: &Path) -> Result<Value, SchemaError> {
    let text = fs::read(path).map_err(|source| SchemaError::Missing {
        dir: PathBuf::from(path),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| SchemaError::Unexpected {
        path: path.to_owned(),
        why: error.to_string(),
    })
}
