//! The demos that no other test goes through: each asserts by itself what it shows.

use dayfly_lab::demo::show;
use dayfly_lab::scenario::Demo;

/// What a demo tells.
async fn told(demo: Demo) -> String {
    let mut out = Vec::new();
    let shown = show(demo, &mut out).await;
    let text = String::from_utf8(out).unwrap();
    if let Err(error) = shown {
        panic!("{error:#}\n{text}");
    }
    text
}

#[tokio::test]
async fn a_job_without_capacity_runs_on_demand_or_fails_with_the_table_of_what_was_tried() {
    let text = told(Demo::NoCapacity).await;
    for words in [
        "g4dn.xlarge in eu-west-1a at $0.526/h on-demand",
        "`dayfly / evaluate`: Waiting: EC2 has no capacity, next try at ",
        "✗ dayfly / evaluate — Given up: EC2 has no capacity",
        "The messenger was a t4g.nano, on demand",
        "Nothing is left.",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[tokio::test]
async fn a_job_of_an_account_without_a_quota_fails_with_the_quotas_name_in_its_log() {
    let text = told(Demo::Quota).await;
    for words in [
        "✗ dayfly / train — Given up: the AWS account's quota is used up",
        "##[error]No instance could be had",
        "(L-3819A6DF) is 0 vCPUs in eu-west-1, and 4 are needed",
        "instances:         1 launched",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[tokio::test]
async fn an_interrupted_job_goes_on_from_what_its_hook_saved_in_another_pool() {
    let text = told(Demo::Interruption).await;
    for words in ["on_interruption has ", "saved epoch ", "attempt 2 goes on after epoch "] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[tokio::test]
async fn a_label_that_says_what_it_wants_needs_no_file() {
    let text = told(Demo::Inline).await;
    assert!(text.contains("`runs-on: dayfly/gpu=t4/"), "{text}");
}

#[tokio::test]
async fn a_repository_that_comes_from_cirun_keeps_its_file() {
    let text = told(Demo::Cirun).await;
    assert!(text.contains("`runs-on: cirun-gpu--"), "{text}");
}

#[tokio::test]
async fn where_runners_are_limited_whoever_comes_with_one_job_waits_for_one_of_anothers_many() {
    let text = told(Demo::Fair).await;
    for words in ["Waits for its turn: place ", "Nothing is left."] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[tokio::test]
async fn a_forks_job_is_refused_in_its_log_and_runs_once_its_commit_is_approved() {
    let text = told(Demo::Fork).await;
    for words in [
        "rule `forks` of the stack",
        "alice approved the commit",
        "Nothing is left.",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}
