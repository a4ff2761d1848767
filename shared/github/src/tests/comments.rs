use dayfly_ports::{ApiErrorKind, GitHub};
use dayfly_types::ids::CommentId;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const COMMENTS: &str = "/repos/octo/gpu/issues/12/comments";
const COMMENT: &str = "/repos/octo/gpu/issues/comments/5";
const MARKER: &str = "<!-- ours -->";

/// A comment of this author, by this App.
fn comment(id: u64, author: &str, app: Option<u64>, body: &str) -> Value {
    let app = app.map(|id| json!({"id": id, "slug": "some-app"}));
    json!({"id": id, "body": body, "user": {"login": "somebody", "type": author}, "performed_via_github_app": app})
}

fn ours() -> String {
    format!("{MARKER}\nwords")
}

#[tokio::test]
async fn a_comment_is_created_on_the_pull_request() {
    let world = World::start().await;
    Mock::given(method("POST"))
        .and(path(COMMENTS))
        .and(body_json(json!({"body": "words"})))
        .respond_with(ResponseTemplate::new(201).set_body_json(comment(5, "Bot", Some(12), "words")))
        .expect(1)
        .mount(&world.server)
        .await;
    let made = world.app.create_comment(&scope(), 12, "words").await;
    assert_eq!(made.unwrap(), CommentId(5));
}

#[tokio::test]
async fn creating_a_comment_is_not_retried() {
    let world = World::start().await;
    world.answers("POST", COMMENTS, refusal(502, "Server Error")).await;
    let error = world.app.create_comment(&scope(), 12, "words").await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert_eq!(world.asked(COMMENTS).await, 1);
}

#[tokio::test]
async fn a_comment_is_updated_unless_it_was_deleted() {
    let world = World::start().await;
    Mock::given(method("PATCH"))
        .and(path(COMMENT))
        .and(body_json(json!({"body": "others"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(comment(5, "Bot", Some(12), "others")))
        .expect(1)
        .mount(&world.server)
        .await;
    world
        .app
        .update_comment(&scope(), CommentId(5), "others")
        .await
        .unwrap();
    let error = world
        .app
        .update_comment(&scope(), CommentId(6), "others")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::NotFound);
}

#[tokio::test]
async fn only_our_own_comment_is_found_on_any_page() {
    let world = World::start().await;
    let copied = format!("> {MARKER}\nwords");
    let mut first = vec![
        comment(1, "User", None, &ours()),
        comment(2, "Bot", Some(13), &ours()),
        comment(3, "Bot", Some(12), &copied),
        json!({"id": 4, "body": null, "user": null}),
    ];
    first.resize(100, comment(6, "User", None, "words"));
    for (page, comments) in [("1", first), ("2", vec![comment(5, "Bot", Some(12), &ours())])] {
        Mock::given(path(COMMENTS))
            .and(query_param("page", page))
            .respond_with(ResponseTemplate::new(200).set_body_json(comments))
            .expect(1)
            .mount(&world.server)
            .await;
    }
    let found = world.app.find_comment(&scope(), 12, MARKER).await;
    assert_eq!(found.unwrap(), Some(CommentId(5)));
}

#[tokio::test]
async fn no_comment_is_found_before_one_is_created() {
    for (listed, found) in [
        (json!([]), None),
        (json!([comment(1, "User", None, &ours())]), None),
        (json!([comment(5, "Bot", None, &ours())]), Some(CommentId(5))),
    ] {
        let world = World::start().await;
        let answer = ResponseTemplate::new(200).set_body_json(&listed);
        world.answers("GET", COMMENTS, answer).await;
        assert_eq!(
            world.app.find_comment(&scope(), 12, MARKER).await.unwrap(),
            found,
            "{listed}"
        );
    }
}
