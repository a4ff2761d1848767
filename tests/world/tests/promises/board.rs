//! The board shows what the table holds: what lives, what waits, what ran and what it cost.

use std::time::Duration;

use dayfly_dashboard::Request;
use dayfly_records::event::{Conclusion, Event};

use crate::stage::{Call, POLICY, RUN, Stage};

/// Returns the board as of now.
fn board(stage: &Stage) -> String {
    let function = dayfly_dashboard::Function {
        store: stage.world.clone(),
        web_url: "https://github.com".to_owned(),
        lifetime: Duration::from_hours(6),
    };
    let commits = stage.world.calls("commit");
    let page = stage
        .world
        .run(function.handle(&Request::default(), stage.now()))
        .unwrap();
    assert_eq!(stage.world.calls("commit"), commits, "to look changes nothing");
    page
}

/// Returns the text between two others.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no `{from}` in {page}"));
    rest.split_once(to).map_or(rest, |(inner, _)| inner)
}

const LIVE: &str = "<h2>Live</h2>";
const MONEY: &str = "<h2>Money in ";
const LAST: &str = "<h2>Last jobs";

#[test]
fn a_job_is_shown_in_each_stage_and_then_with_its_cost() {
    let stage = Stage::new();
    let empty = board(&stage);
    for words in [
        "Nothing runs and nothing waits",
        "Nothing has been spent",
        "No job has run",
    ] {
        assert!(empty.contains(words), "{words}");
    }

    stage.queue(11);
    stage.wait(Duration::from_secs(20));
    let page = board(&stage);
    let live = between(&page, LIVE, MONEY);
    let link = format!("https://github.com/octo/gpu/actions/runs/{RUN}/job/11");
    for words in ["booting", "booting <b>20s</b>", "test</a>", &link, "so far"] {
        assert!(live.contains(words), "{words}: {live}");
    }

    let instance = stage.instance();
    let runner = stage.boot(&instance);
    assert!(board(&stage).contains("<span class=\"pill calm\">idle<"));
    stage.start(runner, 11);
    stage.wait(Duration::from_mins(3));
    let page = board(&stage);
    let live = between(&page, LIVE, MONEY);
    assert!(live.contains("running <b>3m00s</b>"), "{live}");
    assert!(live.contains(instance.as_str()), "{live}");
    let money = between(&page, MONEY, LAST);
    assert!(money.contains("The stack") && money.contains("octo/gpu"), "{money}");

    stage.complete(11, Conclusion::Success);
    stage.make(Call::JobEvents(stage.run_completed()));
    let goodbye = serde_json::json!({ "instance": instance, "reason": "finished" });
    stage.make(Call::CheckIn(instance.clone(), "goodbye", goodbye));
    stage.minutes(4);
    let page = board(&stage);
    assert!(
        between(&page, LIVE, MONEY).contains("Nothing runs and nothing waits"),
        "{page}"
    );
    let row = between(between(&page, LAST, "</table>"), "<tbody>", "</tbody>");
    assert_eq!(row.matches("<tr>").count(), 1, "{row}");
    for words in [&*link, "success", "ci", "@alice", "<td class=\"c5\"><b>"] {
        assert!(row.contains(words), "{words}: {row}");
    }
}

#[test]
fn runners_without_a_turn_are_shown_as_waiting() {
    let stage = Stage::new();
    let policy = "version: 1\nlimits: {stack: {runners: 1}}\n";
    stage.world.set_parameter(POLICY, policy);
    for job in 11..15 {
        stage.queue(job);
    }
    stage.wait(Duration::from_hours(2));
    let page = board(&stage);
    for figure in [
        "<b>1</b><span class=\"soft\">live runner<",
        "<b>3</b><span class=\"soft\">jobs waiting<",
    ] {
        assert!(page.contains(figure), "{figure}: {page}");
    }
    let live = between(&page, LIVE, MONEY);
    assert_eq!(live.matches("waiting for its turn").count(), 3, "{live}");
    assert_eq!(live.matches("<div class=\"num soft\">for 2h00m").count(), 3, "{live}");
    assert!(!live.contains("launching <b>2h"), "{live}");
}

#[test]
fn jobs_of_the_previous_month_are_still_shown() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Failure);
    stage.minutes(10);
    stage.wait(Duration::from_hours(24 * 25));
    let page = board(&stage);
    assert!(between(&page, MONEY, LAST).contains("Nothing has been spent"), "{page}");
    assert!(between(&page, LAST, "</table>").contains("failure"), "{page}");
    stage.wait(Duration::from_hours(24 * 31));
    assert!(board(&stage).contains("No job has run"));
}

#[test]
fn a_malicious_job_name_is_shown_escaped() {
    let stage = Stage::new();
    let mut job = stage.job(11);
    job.name = "</b><script>alert(1)</script>".to_owned();
    stage.world.hub().queue(RUN, job.job);
    stage.make(Call::Launch(Event::JobQueued(job)));
    let page = board(&stage);
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
}
