//! Check runs and comments.

use reqwest::Method;
use serde_json::json;

use crate::support::{Lab, read};

#[tokio::test]
async fn a_check_run_is_made_changed_and_completed() {
    let lab = Lab::start().await;
    let sha = lab.twin.commit(lab.repo, "main", &[("a", "b")]);
    let (status, made) = lab
        .api
        .post(
            "/check-runs",
            json!({"name": "dayfly", "head_sha": sha, "status": "in_progress", "external_id": "7"}),
        )
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/check-runs/{}", made["id"]);
    let body = json!({
        "conclusion": "failure",
        "output": {"title": "No capacity", "summary": "Nobody has a g5.xlarge."},
    });
    let (status, done) = read(lab.api.call(Method::PATCH, &path, Some(body)).await).await;
    assert_eq!(status, 200);
    assert_eq!(done["status"], "completed");
    assert_eq!(done["external_id"], "7", "kept");
    assert_eq!(lab.api.get(&path).await.1["output"]["title"], "No capacity");
    let (_, listed) = lab.api.get(&format!("/commits/{sha}/check-runs")).await;
    assert_eq!(listed["total_count"], 1);
    let unknown = json!({"name": "dayfly", "head_sha": "0".repeat(40)});
    assert_eq!(lab.api.post("/check-runs", unknown).await.0, 422);
    assert_eq!(lab.twin.look(|world| world.check_runs().len()), 1);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_comment_is_made_and_changed() {
    let lab = Lab::start().await;
    let (status, made) = lab.api.post("/issues/3/comments", json!({"body": "One"})).await;
    assert_eq!(status, 201);
    let path = format!("/issues/comments/{}", made["id"]);
    let changed = lab.api.call(Method::PATCH, &path, Some(json!({"body": "Two"}))).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(lab.api.get(&path).await.1["body"], "Two");
    let (_, listed) = lab.api.get("/issues/3/comments").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(lab.api.get("/issues/4/comments").await.1, json!([]));
    lab.assert_no_violations();
}
