//! Files of a repository.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{ACCEPT, ETAG, IF_NONE_MATCH};

use crate::support::Lab;

const PATH: &str = "/contents/.dayfly.yml";

impl Lab {
    fn commit(&self, branch: &str, text: &str) -> String {
        self.twin.commit(
            self.repo,
            branch,
            &[(".dayfly.yml", text), ("docs/a/b.md", "b"), ("docs/c.md", "c")],
        )
    }

    async fn conditional(&self, rest: &str, etag: &str) -> reqwest::Response {
        let url = format!("{}/repos/octo-org/demo{rest}", self.api.url);
        let request = self.api.http.get(url).bearer_auth(&self.api.token);
        request.header(IF_NONE_MATCH, etag).send().await.unwrap()
    }
}

#[tokio::test]
async fn a_file_comes_as_base64_with_an_etag() {
    let lab = Lab::start().await;
    lab.commit("main", "runners: []\n");
    let answer = lab.api.call(Method::GET, PATH, None).await;
    assert_eq!(answer.status(), 200);
    let etag = answer.headers()[ETAG].to_str().unwrap().to_owned();
    let body: serde_json::Value = answer.json().await.unwrap();
    let text: String = body["content"].as_str().unwrap().split_whitespace().collect();
    assert_eq!(STANDARD.decode(text).unwrap(), b"runners: []\n");
    // The id that Git itself gives to these contents.
    assert_eq!(body["sha"], "45635b26af378721c10df31077e84772fecccccd");

    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}")] {
        let again = lab.conditional(PATH, &known).await;
        assert_eq!(again.status(), 304, "{known}");
        assert_eq!(again.headers()[ETAG].to_str().unwrap(), etag);
        assert!(again.bytes().await.unwrap().is_empty());
    }
    lab.commit("main", "runners: [{}]\n");
    assert_eq!(lab.conditional(PATH, &etag).await.status(), 200);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_file_is_raw_on_request() {
    let lab = Lab::start().await;
    lab.commit("main", "runners: []\n");
    let url = format!("{}/repos/octo-org/demo{PATH}", lab.api.url);
    let request = lab.api.http.get(url).bearer_auth(&lab.api.token);
    let answer = request
        .header(ACCEPT, "application/vnd.github.raw+json")
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "application/vnd.github.raw+json; charset=utf-8"
    );
    let etag = answer.headers()[ETAG].to_str().unwrap().to_owned();
    assert_eq!(answer.text().await.unwrap(), "runners: []\n");
    let url = format!("{}/repos/octo-org/demo{PATH}", lab.api.url);
    let request = lab
        .api
        .http
        .get(url)
        .bearer_auth(&lab.api.token)
        .header(IF_NONE_MATCH, etag);
    let again = request
        .header(ACCEPT, "application/vnd.github.raw+json")
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_ref_is_a_branch_or_commit_and_defaults() {
    let lab = Lab::start().await;
    let old = lab.commit("main", "old");
    lab.commit("main", "new");
    lab.commit("feature", "feature");
    let read = async |query: &str| {
        let (status, body) = lab.api.get(&format!("{PATH}{query}")).await;
        let text = body["content"]
            .as_str()
            .map(|text| STANDARD.decode(text.trim()).unwrap());
        (status, text.map(|text| String::from_utf8(text).unwrap()))
    };
    assert_eq!(read("").await, (200, Some("new".to_owned())));
    assert_eq!(read("?ref=feature").await, (200, Some("feature".to_owned())));
    assert_eq!(read(&format!("?ref={old}")).await, (200, Some("old".to_owned())));
    assert_eq!(read("?ref=nowhere").await.0, 404);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_missing_file_is_not_found_and_a_folder_is_a_list() {
    let lab = Lab::start().await;
    assert_eq!(lab.api.get(PATH).await.0, 404, "no commit at all");
    lab.commit("main", "runners: []\n");
    let (status, body) = lab.api.get("/contents/.cirun.yml").await;
    assert_eq!((status, body["message"].as_str()), (404, Some("Not Found")));
    let (_, folder) = lab.api.get("/contents/docs").await;
    let names: Vec<_> = folder.as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(names, ["docs/c.md"]);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_repository_tells_its_default_branch() {
    let lab = Lab::start().await;
    let (status, body) = lab.api.get("").await;
    assert_eq!((status, body["default_branch"].as_str()), (200, Some("main")));
    lab.assert_no_violations();
}
