//! Which crate may depend on which. CONTRIBUTING shows the same as a picture.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use dayfly_house::cargo;

/// The product's crates from the bottom up, each with those that it may use: nothing points upward, and
/// reporting decides nothing because no decision can reach it.
const MAY_USE: [(&str, &[&str]); 27] = [
    ("types", &[]),
    ("config", &["types"]),
    ("policy", &["config", "types"]),
    ("records", &["policy", "config", "types"]),
    ("engine", &["records", "policy", "config", "types"]),
    ("report", &["engine", "records", "config", "types"]),
    ("ports", &["records", "policy", "config", "types"]),
    (
        "flows",
        &["report", "engine", "ports", "records", "policy", "config", "types"],
    ),
    ("settings", &["types"]),
    ("metrics", &["engine", "ports", "records", "types"]),
    ("runtime", &["metrics", "ports", "records", "types"]),
    ("aws", &["ports", "records"]),
    ("store", &["aws", "ports", "records", "policy", "config", "types"]),
    ("ec2", &["aws", "settings", "ports", "records", "config", "types"]),
    (
        "github",
        &[
            "runtime", "metrics", "settings", "ports", "records", "policy", "config", "types",
        ],
    ),
    ("agent", &["types"]),
    ("webhook", FUNCTION),
    ("launch", FUNCTION_WITH_EC2),
    ("checkin", FUNCTION),
    ("job-events", FUNCTION_WITH_EC2),
    ("interruption", FUNCTION),
    ("sweeper", FUNCTION_WITH_EC2),
    ("reporter", FUNCTION),
    ("dashboard", FUNCTION),
    (
        "cli",
        &[
            "aws", "store", "flows", "report", "engine", "ports", "records", "policy", "config", "types",
        ],
    ),
    ("house", &[]),
    ("host", &["agent"]),
];

const FUNCTION: &[&str] = &[
    "aws", "store", "github", "metrics", "runtime", "settings", "flows", "report", "engine", "ports", "records",
    "policy", "config", "types",
];
const FUNCTION_WITH_EC2: &[&str] = &[
    "ec2", "aws", "store", "github", "metrics", "runtime", "settings", "flows", "report", "engine", "ports", "records",
    "policy", "config", "types",
];

/// What each crate of the workspace depends on among the others, without what only its tests need.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let short = |name: &serde_json::Value| name.as_str().unwrap().strip_prefix("dayfly-").map(str::to_owned);
    let mut all = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let Some(name) = short(&package["name"]) else { continue };
        let used = package["dependencies"].as_array().unwrap();
        let used = used.iter().filter(|it| it["kind"].is_null());
        all.insert(name, used.filter_map(|it| short(&it["name"])).collect());
    }
    all
}

#[test]
fn every_crate_uses_only_what_is_below_it() {
    let actual = dependencies();
    let mut wrong = Vec::new();
    for (name, may_use) in MAY_USE {
        for used in &actual[name] {
            if !may_use.contains(&used.as_str()) {
                wrong.push(format!("{name} -> {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not allowed by the table above: {wrong:?}");
}

#[test]
fn every_product_crate_is_in_the_table() {
    let product = dayfly_house::product_crates();
    let missing: Vec<_> = product
        .iter()
        .filter(|name| MAY_USE.iter().all(|(known, _)| known != name))
        .collect();
    assert!(
        !product.is_empty() && missing.is_empty(),
        "say what these may use: {missing:?}"
    );
}

#[test]
fn only_functions_that_need_ec2_link_its_sdk() {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let uses = |package: &&serde_json::Value| {
        let used = package["dependencies"].as_array().unwrap();
        used.iter().any(|it| it["name"] == "aws-sdk-ec2")
    };
    let names: Vec<_> = packages.iter().filter(uses).map(|package| &package["name"]).collect();
    assert_eq!(names, ["dayfly-ec2"]);
}
