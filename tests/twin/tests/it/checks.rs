//! Check runs and comments.

use reqwest::Method;
use serde_json::json;

use crate::support::{Lab, read};

#[tokio::test]
async fn a_check_run_is_created_updated_and_completed() {
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
        "output": {"title": "No capacity", "summary": "No pool has a g5.xlarge."},
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
    assert_eq!(lab.twin.inspect(|world| world.check_runs().len()), 1);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_completed_check_run_is_final() {
    let lab = Lab::start().await;
    let sha = lab.twin.commit(lab.repo, "main", &[("a", "b")]);
    let body = json!({"name": "dayfly", "head_sha": sha, "status": "completed", "conclusion": "failure"});
    let (_, made) = lab.api.post("/check-runs", body).await;
    let path = format!("/check-runs/{}", made["id"]);
    for body in [
        json!({"status": "in_progress", "output": {"title": "1", "summary": "one"}}),
        json!({"status": "completed", "conclusion": "neutral", "output": {"title": "2", "summary": "two"}}),
    ] {
        let title = body["output"]["title"].clone();
        let (status, shown) = read(lab.api.call(Method::PATCH, &path, Some(body)).await).await;
        assert_eq!(status, 200);
        assert_eq!(shown["status"], "completed");
        assert_eq!(shown["conclusion"], "failure");
        assert_eq!(shown["output"]["title"], title);
    }
    lab.assert_no_violations();
}

#[tokio::test]
async fn check_runs_are_listed_by_name_latest_only_by_default() {
    let lab = Lab::start().await;
    let sha = lab.twin.commit(lab.repo, "main", &[("a", "b")]);
    for (name, id) in [("dayfly / a", "1"), ("dayfly / a", "2"), ("dayfly / b", "3")] {
        let body = json!({"name": name, "head_sha": sha, "status": "in_progress", "external_id": id});
        assert_eq!(lab.api.post("/check-runs", body).await.0, 201);
    }
    for (query, expected) in [
        ("", vec!["2", "3"]),
        ("?filter=all", vec!["1", "2", "3"]),
        ("?check_name=dayfly+%2F+a", vec!["2"]),
        ("?check_name=dayfly+%2F+a&filter=all", vec!["1", "2"]),
        ("?check_name=dayfly+%2F+c&filter=all", vec![]),
        ("?status=completed", vec![]),
    ] {
        let (status, listed) = lab.api.get(&format!("/commits/{sha}/check-runs{query}")).await;
        assert_eq!(status, 200);
        let listed = listed["check_runs"].as_array().unwrap();
        let ids: Vec<&str> = listed.iter().map(|one| one["external_id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_comment_is_created_and_updated() {
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
    assert_eq!(lab.api.call(Method::DELETE, &path, None).await.status(), 204);
    let gone = lab.api.call(Method::PATCH, &path, Some(json!({"body": "Three"}))).await;
    assert_eq!(gone.status(), 404);
    lab.assert_no_violations();
}
