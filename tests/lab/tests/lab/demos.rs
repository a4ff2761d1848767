//! The demos that no other test runs: each checks its own results.

use dayfly_lab::demo::show;
use dayfly_lab::scenario::Demo;

/// A demo completes and prints all of this.
async fn tells(demo: Demo, all: &[&str]) {
    let mut out = Vec::new();
    let shown = show(demo, None, &mut out).await;
    let text = String::from_utf8(out).unwrap();
    if let Err(error) = shown {
        panic!("{error:#}\n{text}");
    }
    for words in all {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[tokio::test]
async fn a_job_without_capacity_runs_on_demand_or_fails_with_the_tried_pools() {
    tells(
        Demo::NoCapacity,
        &[
            "g4dn.xlarge in eu-west-1a at $0.526/h on-demand",
            "`dayfly / evaluate`: Waiting: EC2 has no capacity, next try at ",
            "✗ dayfly / evaluate — Given up: EC2 has no capacity",
            "The messenger was a t4g.nano, on demand",
            "Nothing is left.",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_job_without_quota_fails_with_the_quotas_name_in_its_log() {
    tells(
        Demo::Quota,
        &[
            "✗ dayfly / train — Given up: the AWS account's quota is used up",
            "##[error]No instance could be had",
            "(L-3819A6DF) is 0 vCPUs in eu-west-1, but 4 are needed",
            "instances:         1 launched",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_interrupted_job_goes_on_from_what_its_hook_saved_in_another_pool() {
    tells(
        Demo::Interruption,
        &[
            "on_interruption has ",
            "saved epoch ",
            "attempt 2 goes on after epoch ",
            "machine $0.00,",
            "by an interruption",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_label_that_says_what_it_wants_needs_no_file() {
    tells(Demo::Inline, &["`runs-on: dayfly/gpu=t4/"]).await;
}

#[tokio::test]
async fn a_repository_that_comes_from_cirun_keeps_its_file() {
    tells(Demo::Cirun, &["`runs-on: cirun-gpu--"]).await;
}

#[tokio::test]
async fn with_limited_runners_one_job_waits_for_one_of_anothers_many() {
    tells(Demo::Fair, &["Waiting for its turn: place ", "Nothing is left."]).await;
}

#[tokio::test]
async fn a_job_over_a_cap_is_refused_with_the_amounts_until_the_month_turns() {
    tells(
        Demo::Cap,
        &[
            "rule `caps.repository`",
            "could cost up to $0.25",
            "The month turned",
            "Nothing is left.",
            "octo-org/demo `evaluate`, job ",
            "finished: success",
            "against on-demand capacity",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_forks_job_is_refused_in_its_log_and_runs_once_its_commit_is_approved() {
    tells(
        Demo::Fork,
        &[
            "rule `forks` of the stack",
            "alice approved the commit",
            "Nothing is left.",
        ],
    )
    .await;
}
