//! Violations are found in answers and payloads, by each description.

use serde_json::json;

use super::{Checker, Exchange, schemas_dir};
use crate::api::OPERATIONS;

fn checker() -> Checker {
    Checker::load(&schemas_dir()).unwrap()
}

fn answer(id: &str, status: u16, body: &str) -> Vec<String> {
    let operation = OPERATIONS.iter().find(|one| one.id == id).unwrap();
    checker().exchange(&Exchange {
        operation,
        query: Vec::new(),
        request_body: b"",
        status,
        content_type: "application/json",
        response_body: body.as_bytes(),
    })
}

#[test]
fn an_answer_that_breaks_the_description_is_found() {
    let delete = "actions/delete-self-hosted-runner-from-repo";
    let list = "actions/list-self-hosted-runners-for-repo";
    let runner = json!({"id": 1, "name": "a", "os": "linux", "status": "online", "busy": false, "labels": []});
    let whole = json!({"total_count": 1, "runners": [runner]});
    assert_eq!(answer(list, 200, &whole.to_string()), Vec::<String>::new());
    assert_eq!(answer(delete, 204, ""), Vec::<String>::new());
    assert_eq!(answer(delete, 404, r#"{"message": "Not Found"}"#), Vec::<String>::new());

    let mut broken = whole.clone();
    broken["runners"][0]["busy"] = json!("no");
    for (id, status, body, why) in [
        (list, 200, broken.to_string(), "/runners/0/busy"),
        (list, 200, r#"{"runners": []}"#.to_owned(), "total_count"),
        (list, 200, "nothing".to_owned(), "not JSON"),
        (list, 202, whole.to_string(), "no such status"),
        (list, 404, r#"{"message": 7}"#.to_owned(), "/message"),
        (delete, 204, "{}".to_owned(), "no body is described"),
    ] {
        let found = answer(id, status, &body);
        assert_eq!(found.len(), 1, "{id} {status}: {found:?}");
        assert!(found[0].contains(why), "{found:?}");
    }
}

#[test]
fn a_payload_is_held_against_both_descriptions() {
    let found = checker().webhook(
        "workflow_job",
        Some("queued"),
        &json!({"action": "queued", "surprise": 1}),
    );
    assert!(
        found
            .iter()
            .any(|one| one.contains("workflow-job-queued") && one.contains("workflow_job")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|one| one.contains("(strict)") && one.contains("surprise")),
        "{found:?}"
    );
    let found = checker().webhook("workflow_job", Some("dreamed"), &json!({}));
    assert_eq!(found, ["webhook workflow-job-dreamed: no such webhook is described"]);
}
