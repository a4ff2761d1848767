//! Prints `docs/no-capacity.svg`: what the author of a pull request sees of a job for which there is no GPU, from
//! the texts that GitHub is sent.
#![expect(clippy::print_stdout, reason = "it prints")]
#![expect(clippy::expect_used, reason = "its input is fixed")]

use std::time::Duration;

use dayfly_engine::launch::claim::new_job;
use dayfly_records::CheckRunBody;
use dayfly_records::event::JobEvent;
use dayfly_records::{CheckConclusion, CheckContent, CheckRun, MessengerReport};
use dayfly_report::check_run::render;
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, LaunchFailure, Pool};
use dayfly_types::ids::{DeliveryId, InstallationId, InstanceType, JobId, RunAttempt, RunId, Zone};
use dayfly_types::time::Timestamp;
use pulldown_cmark::{Options, Parser, html};

/// 2026-09-14, 10:31:02 UTC.
const QUEUED: Timestamp = Timestamp::from_millis(1_789_381_862_000);
const SECONDS_WAITED: u64 = 15 * 60;
/// Pixels. The viewer lays the text out.
const SIZE: (u32, u32) = (1040, 780);
/// GitHub's style of a check run, light and dark.
const STYLE: &str = "
main { font: 14px/1.5 -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; color: #1f2328; }
section { border: 1px solid #d1d9e0; border-radius: 6px; margin: 0 0 16px; background: #fff; }
header { border-bottom: 1px solid #d1d9e0; padding: 10px 16px; font-weight: 600; background: #f6f8fa; border-radius: 6px 6px 0 0; }
header span { font-weight: 400; color: #59636e; }
article { padding: 4px 16px 8px; }
.failure { color: #d1242f; } .in-progress { color: #9a6700; }
h3 { font-size: 16px; margin: 12px 0 8px; } p { margin: 8px 0; }
table { border-collapse: collapse; font-size: 12px; } td, th { border: 1px solid #d1d9e0; padding: 4px 10px; }
tr:nth-child(even) td { background: #f6f8fa; }
code { font: 12px ui-monospace, SFMono-Regular, Menlo, monospace; background: #818b981f; border-radius: 6px; padding: 2px 5px; }
@media (prefers-color-scheme: dark) {
main { color: #f0f6fc; } section { background: #0d1117; } section, header, td, th { border-color: #3d444d; }
header, tr:nth-child(even) td { background: #151b23; } header span { color: #9198a1; }
.failure { color: #f85149; } .in-progress { color: #d29922; } }
";

fn main() {
    print!("{}", picture());
}

fn picture() -> String {
    let (width, height) = SIZE;
    let shown: String = [waiting(), given_up()].iter().map(section).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title>The check run of a job that waits for a GPU, and of the same job when it is given up</title>\n\
         <style>{STYLE}</style>\n\
         <foreignObject width=\"{width}\" height=\"{height}\">\n\
         <main xmlns=\"http://www.w3.org/1999/xhtml\">\n{shown}</main>\n</foreignObject>\n</svg>\n"
    )
}

fn section(check: &CheckRunBody) -> String {
    let (class, sign, state) = match check.conclusion {
        None => ("in-progress", "●", "In progress"),
        Some(CheckConclusion::Failure) => ("failure", "✕", "Failure"),
        Some(CheckConclusion::Neutral) => ("neutral", "■", "Neutral"),
    };
    let (name, title) = (&check.name, &check.title);
    let body = html_of(&format!(
        "{}\n\n{}",
        check.summary,
        check.text.as_deref().unwrap_or_default()
    ));
    format!(
        "<section>\n<header><b class=\"{class}\">{sign}</b> {name} <span>{state} — {title}</span></header>\n\
         <article>\n{body}</article>\n</section>\n"
    )
}

fn html_of(markdown: &str) -> String {
    let mut html = String::new();
    html::push_html(&mut html, Parser::new_ext(markdown, Options::ENABLE_TABLES));
    html
}

fn waiting() -> CheckRunBody {
    let next_at = QUEUED.after(Duration::from_secs(185));
    shown(CheckContent::Waiting {
        next_at,
        tried: tried(2, 62),
    })
}

fn given_up() -> CheckRunBody {
    shown(CheckContent::GivenUp {
        reason: "No instance was available for 15 minutes.".to_owned(),
        tried: tried(6, SECONDS_WAITED),
        messenger: MessengerReport::OnItsWay,
    })
}

fn shown(content: CheckContent) -> CheckRunBody {
    let job = new_job(&JobEvent {
        delivery: DeliveryId::new("1"),
        received_at: QUEUED,
        created_at: Some(QUEUED),
        installation: InstallationId(7),
        repository: "octo/gpu".parse().expect("it is owner and name"),
        job: JobId(11),
        run: RunId(22),
        attempt: RunAttempt(1),
        name: "train".to_owned(),
        workflow: None,
        actor: None,
        head_sha: "0123abc".to_owned(),
        labels: Vec::new(),
        runner_name: None,
        runner_id: None,
        conclusion: None,
    });
    render(&CheckRun::of(None, &job, content, QUEUED), "https://github.com")
}

fn tried(times: u32, seconds: u64) -> Vec<LaunchFailure> {
    let spot = "There is no Spot capacity available that matches your request.";
    let on_demand = "We currently do not have sufficient capacity in the Availability Zone you requested.";
    let one = |lifecycle, instance_type, zone, code: &str, message: &str| LaunchFailure {
        lifecycle,
        pool: Some(Pool {
            instance_type: InstanceType::new(instance_type),
            zone: Zone::new(zone),
        }),
        kind: FleetErrorKind::Capacity,
        code: code.to_owned(),
        message: message.to_owned(),
        times,
        first: QUEUED,
        last: QUEUED.after(Duration::from_secs(seconds)),
    };
    let (unfulfillable, insufficient) = ("UnfulfillableCapacity", "InsufficientInstanceCapacity");
    vec![
        one(
            InstanceLifecycle::Spot,
            "g4dn.xlarge",
            "eu-west-1a",
            unfulfillable,
            spot,
        ),
        one(InstanceLifecycle::Spot, "g5.xlarge", "eu-west-1b", unfulfillable, spot),
        one(
            InstanceLifecycle::OnDemand,
            "g4dn.xlarge",
            "eu-west-1a",
            insufficient,
            on_demand,
        ),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn picture_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/no-capacity.svg");
        let drawn = std::fs::read_to_string(path).expect("it is drawn");
        assert_eq!(
            drawn,
            super::picture(),
            "docs/no-capacity.svg is out of date: run `make docs`"
        );
    }
}
