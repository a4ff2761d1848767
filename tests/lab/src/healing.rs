//! The lines of the functions' logs that tell of something found out and healed, in the words of
//! the timeline.

use serde_json::Value;

use crate::functions::Function;

/// The functions that heal.
pub const HEALERS: [Function; 3] = [Function::JobEvents, Function::Interruption, Function::Sweeper];

/// The stage and the words of a log line, if it tells of healing.
#[must_use]
pub fn healing(line: &Value) -> Option<(&'static str, String)> {
    let field = |name: &str| line[name].as_str().unwrap_or("?");
    let job = || field("job").split('/').next().unwrap_or_default();
    Some(match line["message"].as_str()? {
        "a webhook was lost: GitHub says where the job stands" => (
            "patrol",
            format!(
                "GitHub says that job {} {}, and nobody told us",
                job(),
                stands(field("standing"))
            ),
        ),
        "a webhook that was lost is delivered again" => {
            ("patrol", format!("webhook {} is delivered again", field("delivery")))
        }
        "removed a registration that was left over" => (
            "patrol",
            format!("{} was still registered, for nothing", field("runner")),
        ),
        "ended an instance that no live runner owns" => {
            ("patrol", format!("{} is nobody's, and is ended", field("instance")))
        }
        "EC2 names the runner's instance no more" => ("patrol", format!("the instance of {} is gone", field("runner"))),
        "asked GitHub for a job whose runner is gone" if field("status").starts_with("Completed") => (
            "asked",
            format!("GitHub says that job {} is over, and nobody told us", job()),
        ),
        "gave a runner up" => ("given up", format!("{}: {}", field("runner"), field("because"))),
        "the job was interrupted; it runs again once its run is over" => {
            ("noted", format!("job {} is to run again once its run is over", job()))
        }
        _ => return None,
    })
}

/// Where a job stands, as patrol logs it.
fn stands(standing: &str) -> &'static str {
    match standing {
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
    fn what_was_healed_is_told_in_words_and_the_rest_is_not() {
        let lost = "a webhook was lost: GitHub says where the job stands";
        for (line, expected) in [
            (
                json!({"message": lost, "job": "7/1", "standing": "Queued"}),
                Some(("patrol", "GitHub says that job 7 waits, and nobody told us")),
            ),
            (
                json!({"message": lost, "job": "7/1", "standing": "Running { ours: true }"}),
                Some(("patrol", "GitHub says that job 7 runs, and nobody told us")),
            ),
            (
                json!({"message": "gave a runner up", "runner": "dayfly-7-1-1", "because": "silence"}),
                Some(("given up", "dayfly-7-1-1: silence")),
            ),
            (json!({"message": "swept"}), None),
            (json!("START"), None),
        ] {
            let told = healing(&line);
            let told = told.as_ref().map(|(stage, text)| (*stage, &**text));
            assert_eq!(told, expected, "{line}");
        }
    }
}
