//! The bench's command line, with the reference as the only function: it needs nothing built but this
//! crate.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dayfly-bench"))
        .args(arguments)
        .output()
        .unwrap()
}

const FEW: [&str; 6] = ["--only", "hello", "--cold", "2", "--warm", "5"];

#[test]
fn the_table_has_the_reference_and_says_what_was_measured() {
    let output = bench(&FEW);
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        table.lines().any(|line| line.trim_start().starts_with("hello")),
        "{table}"
    );
    assert!(table.contains("2 starts and 5 warm invocations"), "{table}");
    assert!(output.stderr.is_empty(), "it is silent without a terminal");
}

#[test]
fn json_is_all_that_stdout_holds() {
    let output = bench(&[&FEW[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["rows"][0];
    assert_eq!(row["function"], "hello");
    assert!(row["init_ms"].as_f64().unwrap() > 0.0);
    assert!(row["init_ms"].as_f64() <= row["cold_ms"].as_f64(), "{row}");
    assert!(row["peak_rss_mib"].as_f64().unwrap() > 0.1);
    assert_eq!(row["warm_calls"], 0.0);
}

#[test]
fn a_function_that_was_not_built_is_named_with_the_command_that_builds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let output = bench(&["--only", "webhook", "--cold", "1", "--warm", "1", "--bin-dir", path]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("cargo build --release -p dayfly-webhook"), "{error}");
}
