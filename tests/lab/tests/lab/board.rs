//! The board, from the deployed function: with its own role, over the real table.

use dayfly_lab::board::Board;
use dayfly_lab::functions::Function;
use dayfly_twin::Conclusion;
use serde_json::{Value, json};

use crate::whole::{PATIENCE, POLL, push, start};

/// Reloads the page until it shows all of these.
async fn shows(url: &str, words: &[&str]) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut page = String::new();
    let looked = async {
        loop {
            let answer = http.get(url).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            page = answer.text().await.unwrap();
            if words.iter().all(|word| page.contains(word)) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let shown = tokio::time::timeout(PATIENCE, looked).await;
    assert!(shown.is_ok(), "{words:?} are not all on the board: {page}");
    page
}

#[tokio::test]
async fn the_board_shows_a_job_while_it_runs_and_what_it_cost_afterwards() {
    let lab = start().await;
    let function = lab.cloud().deployment().function(Function::Dashboard).unwrap();
    let board = Board::start(lab.aws(), function).await.unwrap();
    let empty = shows(&board.url(), &["Nothing runs and nothing waits"]).await;
    assert!(empty.contains("No job has run"), "{empty}");

    let pushed = push(&lab, "octo-org/shown", None, &["echo begun", "sleep 5"]);
    pushed.printed("begun").await;
    let job = pushed.job(1).id.0;
    let link = format!(
        "{}/octo-org/shown/actions/runs/{}/job/{job}",
        lab.twin().url(),
        pushed.run.0
    );
    let instance = pushed.launched().await;
    shows(
        &board.url(),
        &[&link, "train</a>", &instance.id, "g4dn.xlarge", "running"],
    )
    .await;

    assert_eq!(pushed.over(1).await, Conclusion::Success);
    let dark = format!("{}/?theme=dark&width=360", board.url());
    shows(
        &dark,
        &["Nothing runs and nothing waits", &link, "success", "<td class=\"c5\">"],
    )
    .await;

    let about = lab
        .invoke(Function::Dashboard, &json!({ "describe": true }))
        .await
        .unwrap();
    let is_markdown = matches!(&about.payload, Value::String(text) if text.contains("### Parameters"));
    assert!(is_markdown, "{about:?}");
    board.stop().await;
    lab.shutdown().await.unwrap();
}
