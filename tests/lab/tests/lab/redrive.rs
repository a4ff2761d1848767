//! Events that failed all retries end in the dead-letter queue, and `dayfly redrive` brings them back.
//!
//! A function's failure takes the real path. ministack does not have failures of rules and schedules to
//! reach their function: for these, the test puts the message into the stack's queue in AWS's place.

use std::collections::BTreeMap;

use dayfly_lab::command::CommandOutput;
use dayfly_lab::functions::Function;
use dayfly_lab::lab::{Lab, REGION};
use dayfly_twin::Conclusion;
use serde_json::{Value, json};

use crate::whole::{PATIENCE, POLL, assert_nothing_left, function_logs, push, start};

/// The result of `dayfly redrive`.
struct Redrive {
    status: Option<i32>,
    report: Value,
    stderr: String,
}

impl Redrive {
    /// Returns the outcome of each message, in no order.
    fn outcomes(&self) -> Vec<&str> {
        let messages = self.report["messages"].as_array().into_iter().flatten();
        let mut outcomes: Vec<&str> = messages.filter_map(|message| message["outcome"].as_str()).collect();
        outcomes.sort_unstable();
        outcomes
    }
}

async fn redrive(lab: &Lab, arguments: &[&str]) -> Redrive {
    let command = [&["redrive", "--json"], arguments].concat();
    let CommandOutput { status, stdout, stderr } = lab.dayfly(&command, None).await.unwrap();
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stderr}"));
    Redrive { status, report, stderr }
}

/// Sets where the launch function looks for its table.
async fn launch_looks_for_its_table_at(lab: &Lab, url: &str) {
    let name = lab.cloud().deployment().function(Function::Launch).unwrap();
    let table = BTreeMap::from([("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url.to_owned())]);
    lab.aws().add_function_environment(name, &table).await.unwrap();
}

async fn wait_for_dead_letters(lab: &Lab, count: u64) {
    let there = async {
        while lab.cloud().dead_letters().await.unwrap() != count {
            tokio::time::sleep(POLL).await;
        }
    };
    let Ok(()) = tokio::time::timeout(PATIENCE, there).await else {
        panic!("there are not {count} dead letters\n{}", function_logs(lab).await);
    };
}

async fn a_job_that_launch_failed_at_runs_in_the_end(lab: &Lab) {
    launch_looks_for_its_table_at(lab, "http://127.0.0.1:9").await;
    let pushed = push(lab, "octo-org/dead-letter", None, &["echo back"]);
    wait_for_dead_letters(lab, 1).await;
    assert!(pushed.instances().await.is_empty());

    let look = redrive(lab, &["--dry-run"]).await;
    assert_eq!((look.status, look.outcomes()), (Some(0), vec!["would_redrive"]));
    let message = &look.report["messages"][0];
    assert_eq!(message["function"], "launch");
    assert_eq!(message["event"], "job.queued");
    assert_eq!(message["repository"], pushed.repository);
    assert_eq!(message["job"], pushed.job(1).id.0);
    assert_eq!(message["tries"], 3);
    assert!(
        message["error"].as_str().is_some_and(|words| !words.is_empty()),
        "{message}"
    );

    launch_looks_for_its_table_at(lab, lab.aws().endpoint()).await;
    let done = redrive(lab, &[]).await;
    assert_eq!(
        (done.status, done.outcomes()),
        (Some(0), vec!["redriven"]),
        "{}",
        done.stderr
    );
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    assert_eq!(lab.cloud().dead_letters().await.unwrap(), 0);
}

/// Puts a message into the stack's dead-letter queue.
async fn leave(lab: &Lab, body: &str, attributes: &[(&str, &str)]) {
    let attributes: BTreeMap<_, _> = attributes
        .iter()
        .map(|(name, value)| (*name, json!({"DataType": "String", "StringValue": value})))
        .collect();
    let message = json!({
        "QueueUrl": lab.cloud().deployment().output("DeadLettersUrl").unwrap(),
        "MessageBody": body,
        "MessageAttributes": attributes,
    });
    lab.aws()
        .json("sqs", "AmazonSQS", "SendMessage", &message)
        .await
        .unwrap();
}

/// Returns the ARN of a real function.
async fn arn(lab: &Lab, function: Function) -> String {
    let name = lab.cloud().deployment().function(function).unwrap();
    let configuration = lab.aws().function_configuration(name).await.unwrap();
    configuration["FunctionArn"].as_str().unwrap().to_owned()
}

async fn launch_handled(lab: &Lab, job: u64) {
    let span = format!("\"job\":{job}");
    let handled = async {
        loop {
            let log = lab.cloud().function_log(Function::Launch).await.unwrap();
            if log.iter().any(|line| line.contains(&span) && line.contains("handled")) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let Ok(()) = tokio::time::timeout(PATIENCE, handled).await else {
        panic!("job {job} is not handled\n{}", function_logs(lab).await);
    };
}

async fn dead_letters_are_redriven_or_dropped_and_the_rest_stays(lab: &Lab) {
    let job = 4242;
    let event = json!({
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "launch.due",
        "source": "dayfly",
        "account": "000000000000",
        "time": "2026-01-02T03:04:05Z",
        "region": REGION,
        "resources": [],
        "detail": {"v": 1, "key": {"job": job, "attempt": 1}},
    });
    let rule = [
        (
            "RULE_ARN",
            "arn:aws:events:eu-west-1:000000000000:rule/dayfly/JobQueued",
        ),
        ("TARGET_ARN", &arn(lab, Function::Launch).await),
        ("ERROR_CODE", "NO_PERMISSIONS"),
        ("ERROR_MESSAGE", "not authorized to perform lambda:InvokeFunction"),
        ("RETRY_ATTEMPTS", "0"),
    ];
    leave(lab, &event.to_string(), &rule).await;
    let schedule = [
        (
            "SCHEDULE_ARN",
            "arn:aws:scheduler:eu-west-1:000000000000:schedule/default/dayfly-minute",
        ),
        ("TARGET_ARN", &arn(lab, Function::Sweeper).await),
        ("ERROR_CODE", "AWSLambda.TooManyRequestsException"),
        ("ERROR_MESSAGE", "Rate Exceeded."),
    ];
    leave(lab, "{\"task\":\"sweep\"}", &schedule).await;
    leave(lab, "by hand", &[]).await;

    let done = redrive(lab, &[]).await;
    assert_eq!(done.status, Some(1), "{}", done.stderr);
    assert_eq!(done.outcomes(), ["dropped", "redriven", "stays"], "{}", done.report);
    launch_handled(lab, job).await;
    assert_eq!(
        lab.cloud().dead_letters().await.unwrap(),
        1,
        "it can be seen again at once"
    );
    let again = redrive(lab, &["--limit", "1"]).await;
    assert_eq!((again.status, again.outcomes()), (Some(1), vec!["stays"]));
}

#[tokio::test]
async fn what_ended_in_the_dead_letter_queue_is_brought_back() {
    let lab = start().await;
    a_job_that_launch_failed_at_runs_in_the_end(&lab).await;
    dead_letters_are_redriven_or_dropped_and_the_rest_stays(&lab).await;
    assert_nothing_left(&lab).await;
    lab.shutdown().await.unwrap();
}
