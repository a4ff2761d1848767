//! A newcomer's two commands share one build.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use dayfly_house::cargo;

/// The features of each dependency, as Cargo unifies them for the whole workspace along these edges.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let format = ["--prefix", "none", "--format", "{p}|{f}"];
    let text = cargo(&[&["tree", "--workspace", "--locked", "--edges", edges][..], &format].concat()).unwrap();
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let Some((package, features)) = line.split_once('|') else {
            continue;
        };
        let package = package.split(" (").next().unwrap_or(package);
        let features = features.trim_end_matches(" (*)");
        all.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    all
}

#[test]
fn tests_add_no_feature_to_what_the_demo_builds() {
    let demo = features("normal,build");
    let tests = features("normal,build,dev");
    assert!(demo.len() > 100, "{}", demo.len());
    let differing: Vec<_> = demo
        .iter()
        .filter(|(package, features)| tests[*package] != **features)
        .collect();
    assert!(
        differing.is_empty(),
        "add them to tests/house/Cargo.toml: {differing:#?}"
    );
}
