//! GitHub's published webhooks, handled by the webhook function.

use dayfly_twin::{schemas_dir, signature};
use serde_json::Value;

use crate::whole::start;

/// Returns every published example of `workflow_job` and `workflow_run`.
fn examples() -> Vec<(String, Value)> {
    let path = schemas_dir().join("node_modules/@octokit/webhooks-examples/api.github.com/index.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let published: Vec<Value> = serde_json::from_str(&text).unwrap();
    published
        .iter()
        .filter_map(|event| {
            let name = event["name"].as_str()?;
            ["workflow_job", "workflow_run"].contains(&name).then(|| {
                let examples = event["examples"].as_array().into_iter().flatten();
                examples
                    .map(|example| (name.to_owned(), example.clone()))
                    .collect::<Vec<_>>()
            })
        })
        .flatten()
        .collect()
}

#[tokio::test]
async fn the_webhook_takes_every_published_example() {
    let lab = start().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let examples = examples();
    assert!(examples.len() >= 13, "{} examples", examples.len());
    for (number, (event, payload)) in examples.iter().enumerate() {
        let body = payload.to_string();
        let answer = http
            .post(lab.cloud().webhook_door().url())
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/7c3a9f1")
            .header("x-github-event", event)
            .header("x-github-delivery", format!("72d3162e-cc78-11e3-81ab-{number:012x}"))
            .header(
                "x-hub-signature-256",
                signature(lab.twin().webhook_secret(), body.as_bytes()),
            )
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let said = answer.text().await.unwrap();
        assert!(status.is_success(), "{event} {}: {status} {said}", payload["action"]);
    }
    assert_eq!(lab.ec2().count("CreateFleet"), 0);
    lab.shutdown().await.unwrap();
}
