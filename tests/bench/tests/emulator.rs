//! The emulator with a real process of `lambda_runtime`, the crate's own hello.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use dayfly_bench::sandbox::{Function, Sandbox};
use serde_json::json;

fn hello() -> Function {
    Function {
        name: "hello".to_owned(),
        binary: PathBuf::from(env!("CARGO_BIN_EXE_dayfly-bench-hello")),
        env: Vec::new(),
    }
}

#[tokio::test]
async fn an_event_that_waits_before_the_spawn_is_answered() {
    let (sandbox, invoked) = Sandbox::start_cold(&hello(), &json!({ "n": 1 })).await.unwrap();
    let answer = invoked.outcome.as_ref().unwrap();
    assert_eq!(answer["echo"], json!({ "n": 1 }));
    let init = sandbox.init().unwrap();
    assert!(init <= sandbox.since_spawn(invoked.handed_out));
    assert!(invoked.handed_out <= invoked.answered);
    sandbox.end().await.unwrap();
}

#[tokio::test]
async fn one_process_answers_many_events_each_under_its_own_request_id() {
    let mut sandbox = Sandbox::start(&hello()).await.unwrap();
    let mut requests = std::collections::BTreeSet::new();
    for n in 0..20 {
        let invoked = sandbox.invoke(&json!({ "n": n })).await.unwrap();
        let answer = invoked.outcome.unwrap();
        assert_eq!(answer["echo"]["n"], n);
        requests.insert(answer["request"].as_str().unwrap().to_owned());
    }
    assert_eq!(requests.len(), 20);
    sandbox.end().await.unwrap();
}

#[tokio::test]
async fn an_error_that_the_function_returns_is_its_answer() {
    let mut sandbox = Sandbox::start(&hello()).await.unwrap();
    let invoked = sandbox.invoke(&json!({ "fail": "on purpose" })).await.unwrap();
    let error = invoked.outcome.unwrap_err();
    assert!(error.error_message.contains("on purpose"), "{error}");
    let invoked = sandbox.invoke(&json!({})).await.unwrap();
    assert!(invoked.outcome.is_ok(), "an error ends the invocation, not the process");
    sandbox.end().await.unwrap();
}

#[tokio::test]
async fn a_process_that_ends_is_reported_with_its_last_words() {
    let mut function = hello();
    function.binary = PathBuf::from("/bin/sh");
    function.env = vec![("ENV", String::new())];
    // A shell with nothing on its standard input ends at once.
    let Err(error) = Sandbox::start_cold(&function, &json!({})).await else {
        panic!("a shell is no function")
    };
    assert!(error.to_string().contains("`hello` ended (exit status: 0)"), "{error}");
}

#[tokio::test]
async fn a_panic_while_starting_is_quoted_from_the_log() {
    let mut function = hello();
    // The runtime demands a number here.
    function.env = vec![("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much".to_owned())];
    let Err(error) = Sandbox::start_cold(&function, &json!({})).await else {
        panic!("the runtime took a memory size that is no number")
    };
    assert!(error.to_string().contains("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), "{error}");
}

#[tokio::test]
async fn the_peak_memory_of_a_process_is_known_while_it_lives() {
    let (sandbox, _) = Sandbox::start_cold(&hello(), &json!({})).await.unwrap();
    let peak = sandbox.peak_rss().unwrap();
    assert!((100_000..1_000_000_000).contains(&peak), "{peak}");
    sandbox.end().await.unwrap();
}
