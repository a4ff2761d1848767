//! The last jobs, with their outcome and cost.

use dayfly_records::event::Conclusion;
use dayfly_records::prices;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::board::html::Html;
use crate::board::view::{JobOutcome, PastJob, View};
use crate::board::{job, repository_and_run};
use crate::format::{ago, amount, moment, span};

pub(super) fn write(view: &View, now: Timestamp, html: &mut Html) {
    if view.past.is_empty() {
        html.raw("<h2>Last jobs</h2><p class=\"empty\">No job has run this month or the month before.</p>");
        return;
    }
    let cost: MicroDollars = view.past.iter().map(|past| past.cost).sum();
    let saved: MicroDollars = view.past.iter().map(|past| past.saved).sum();
    html.raw("<h2>Last jobs <small>")
        .text(amount(cost))
        .raw(" in total, ")
        .text(amount(saved))
        .raw(" saved by spot</small></h2>");
    html.raw(
        "<table><thead><tr><th class=\"c1\">Outcome</th><th>Job</th><th class=\"c3\">Instance</th>\
         <th class=\"c4\">Billed</th><th class=\"c5\">Cost</th><th class=\"c6\">Saved</th>\
         <th class=\"c7\">Ended</th></tr></thead><tbody>",
    );
    for past in &view.past {
        row(past, &view.web_url, now, html);
    }
    html.raw("</tbody></table>");
    if view.past.iter().any(|past| past.is_estimated) {
        html.raw("<p class=\"soft\">≈ By the price table of ")
            .text(prices::shipped_on())
            .raw(" that ships with dayfly, because AWS gave no price.</p>");
    }
}

fn row(past: &PastJob, web: &str, now: Timestamp, html: &mut Html) {
    let (colour, words) = outcome(past.outcome);
    html.raw("<tr><td class=\"c1\"><i class=\"dot ")
        .raw(colour)
        .raw("\"></i>")
        .raw(words)
        .raw("</td><td class=\"c2\" title=\"")
        .text(tooltip(past))
        .raw("\">");
    job_cell(past, web, html);
    html.raw("</td><td class=\"c3\">").text(&past.instance_type);
    if past.instances > 1 {
        html.span("soft", format_args!(" × {}", past.instances));
    }
    html.raw("<div class=\"soft\">")
        .text(format_args!("{} · {}", past.zone, past.lifecycle))
        .raw("</div></td><td class=\"c4\">")
        .text(span(past.billed))
        .raw("</td><td class=\"c5\"><b>")
        .raw(if past.is_estimated { "≈ " } else { "" })
        .text(amount(past.cost))
        .raw("</b></td><td class=\"c6\">");
    if past.saved > MicroDollars::default() {
        html.text(amount(past.saved));
    }
    html.raw("</td><td class=\"c7\" title=\"")
        .text(moment(past.ended_at))
        .raw("\">")
        .text(ago(now.since(past.ended_at)))
        .raw("</td></tr>");
}

fn job_cell(past: &PastJob, web: &str, html: &mut Html) {
    let Some(link) = &past.job else {
        html.raw("<span class=\"soft\">no job</span><div class=\"soft\">")
            .text(&past.instance)
            .raw("</div>");
        return;
    };
    job(html, web, link);
    html.raw("<div class=\"soft\">");
    repository_and_run(html, web, link);
    if let Some(workflow) = &past.workflow {
        html.raw(" · <bdi>").text(workflow).raw("</bdi>");
    }
    if let Some(pull) = past.pull {
        html.text(format_args!(" · #{pull}"));
    }
    if let Some(actor) = &past.actor {
        html.raw(" · <bdi>@").text(actor).raw("</bdi>");
    }
    html.raw("</div>");
}

/// Returns the tooltip of a job's cell, which may be cut off.
fn tooltip(past: &PastJob) -> String {
    let Some(link) = &past.job else { return String::new() };
    let name = link.name.as_deref().unwrap_or_default();
    let workflow = past.workflow.as_deref().unwrap_or_default();
    format!("{name} · {} · {workflow}", link.repository)
}

/// Returns an outcome's colour and name.
fn outcome(outcome: JobOutcome) -> (&'static str, &'static str) {
    match outcome {
        JobOutcome::Ended(conclusion) => {
            let colour = match conclusion {
                Conclusion::Success => "good",
                Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure => "bad",
                Conclusion::Skipped
                | Conclusion::Cancelled
                | Conclusion::ActionRequired
                | Conclusion::Neutral
                | Conclusion::Stale
                | Conclusion::Unknown => "calm",
            };
            (colour, conclusion.words())
        }
        JobOutcome::Ran => ("calm", "ended"),
        JobOutcome::Interrupted => ("warned", "interrupted"),
        JobOutcome::Unused => ("calm", "unused"),
        JobOutcome::GivenUp => ("bad", "given up"),
        JobOutcome::Orphan => ("warned", "orphan"),
    }
}
