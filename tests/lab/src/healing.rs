//! Log lines of the functions about problems found and repaired, worded for the timeline.

use serde_json::Value;

use crate::functions::Function;

/// The functions that repair.
pub const HEALERS: [Function; 3] = [Function::JobEvents, Function::Interruption, Function::Sweeper];

/// Returns the stage and the text for a log line, if it reports a repair.
#[must_use]
pub fn healing(line: &Value) -> Option<(&'static str, String)> {
    let field = |name: &str| line[name].as_str().unwrap_or("?");
    let job = || field("job").split('/').next().unwrap_or_default();
    Some(match line["message"].as_str()? {
        "a webhook was lost: GitHub tells the job's status" => (
            "patrol",
            format!(
                "GitHub says that job {} {}, and the webhook was lost",
                job(),
                describe(field("status"))
            ),
        ),
        "a lost webhook is delivered again" => ("patrol", format!("webhook {} is delivered again", field("delivery"))),
        "removed a leftover registration" => (
            "patrol",
            format!("{} was still registered, for nothing", field("runner")),
        ),
        "ended an instance that no live runner owns" => {
            ("patrol", format!("{} is an orphan, and is ended", field("instance")))
        }
        "EC2 no longer lists the runner's instance" => {
            ("patrol", format!("the instance of {} is gone", field("runner")))
        }
        "asked GitHub for a job whose runner is gone" if field("status").starts_with("Completed") => (
            "asked",
            format!("GitHub says that job {} is over, and the webhook was lost", job()),
        ),
        "gave a runner up" => ("given up", format!("{}: {}", field("runner"), field("because"))),
        "the job was interrupted; it runs again once its run is over" => {
            ("noted", format!("job {} is to run again once its run is over", job()))
        }
        _ => return None,
    })
}

/// Describes a job's status, as the patrol logs it.
fn describe(status: &str) -> &'static str {
    match status {
        "Queued" => "waits",
        "Over" => "is over",
        _ => "runs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn repairs_are_described_and_other_lines_are_not() {
        let lost = "a webhook was lost: GitHub tells the job's status";
        for (line, expected) in [
            (
                json!({"message": lost, "job": "7/1", "status": "Queued"}),
                Some(("patrol", "GitHub says that job 7 waits, and the webhook was lost")),
            ),
            (
                json!({"message": lost, "job": "7/1", "status": "Running { ours: true }"}),
                Some(("patrol", "GitHub says that job 7 runs, and the webhook was lost")),
            ),
            (
                json!({"message": "gave a runner up", "runner": "dayfly-7-1-1", "because": "silence"}),
                Some(("given up", "dayfly-7-1-1: silence")),
            ),
            (json!({"message": "swept"}), None),
            (json!("START"), None),
        ] {
            let line_of = healing(&line);
            let line_of = line_of.as_ref().map(|(stage, text)| (*stage, &**text));
            assert_eq!(line_of, expected, "{line}");
        }
    }
}
