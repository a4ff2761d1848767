//! What ran last, and what it cost.

use dayfly_records::event::Conclusion;
use dayfly_records::prices;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::board::html::Html;
use crate::board::view::{Outcome, Ran, View};
use crate::board::{job, place, words};

pub(super) fn write(view: &View, now: Timestamp, html: &mut Html) {
    if view.ran.is_empty() {
        html.raw("<h2>Last jobs</h2><p class=\"empty\">No job has run this month or the month before.</p>");
        return;
    }
    let cost: MicroDollars = view.ran.iter().map(|ran| ran.cost).sum();
    let saved: MicroDollars = view.ran.iter().map(|ran| ran.saved).sum();
    html.raw("<h2>Last jobs <small>")
        .text(words::amount(cost))
        .raw(" in all, ")
        .text(words::amount(saved))
        .raw(" saved by spot</small></h2>");
    html.raw(
        "<table><thead><tr><th class=\"c1\">Outcome</th><th>Job</th><th class=\"c3\">Instance</th>\
         <th class=\"c4\">Billed</th><th class=\"c5\">Cost</th><th class=\"c6\">Saved</th>\
         <th class=\"c7\">Ended</th></tr></thead><tbody>",
    );
    for ran in &view.ran {
        row(ran, &view.web_url, now, html);
    }
    html.raw("</tbody></table>");
    if view.ran.iter().any(|ran| ran.is_estimated) {
        html.raw("<p class=\"soft\">≈ By the price table of ")
            .text(prices::shipped_on())
            .raw(" that comes with dayfly, because AWS did not tell.</p>");
    }
}

fn row(ran: &Ran, web: &str, now: Timestamp, html: &mut Html) {
    let (colour, words) = outcome(ran.outcome);
    html.raw("<tr><td class=\"c1\"><i class=\"dot ")
        .raw(colour)
        .raw("\"></i>")
        .raw(words)
        .raw("</td><td class=\"c2\" title=\"")
        .text(name(ran))
        .raw("\">");
    whose(ran, web, html);
    html.raw("</td><td class=\"c3\">").text(&ran.instance_type);
    if ran.instances > 1 {
        html.span("soft", format_args!(" × {}", ran.instances));
    }
    html.raw("<div class=\"soft\">")
        .text(format_args!("{} · {}", ran.zone, ran.lifecycle))
        .raw("</div></td><td class=\"c4\">")
        .text(words::span(ran.billed))
        .raw("</td><td class=\"c5\"><b>")
        .raw(if ran.is_estimated { "≈ " } else { "" })
        .text(words::amount(ran.cost))
        .raw("</b></td><td class=\"c6\">");
    if ran.saved > MicroDollars::default() {
        html.text(words::amount(ran.saved));
    }
    html.raw("</td><td class=\"c7\" title=\"")
        .text(format_args!(
            "{} {} UTC",
            ran.ended_at.utc_day(),
            ran.ended_at.utc_time()
        ))
        .raw("\">")
        .text(words::ago(now.since(ran.ended_at)))
        .raw("</td></tr>");
}

fn whose(ran: &Ran, web: &str, html: &mut Html) {
    let Some(link) = &ran.job else {
        html.raw("<span class=\"soft\">no job</span><div class=\"soft\">")
            .text(&ran.instance)
            .raw("</div>");
        return;
    };
    job(html, web, link);
    html.raw("<div class=\"soft\">");
    place(html, web, link);
    if let Some(workflow) = &ran.workflow {
        html.raw(" · <bdi>").text(workflow).raw("</bdi>");
    }
    if let Some(pull) = ran.pull {
        html.text(format_args!(" · #{pull}"));
    }
    if let Some(actor) = &ran.actor {
        html.raw(" · <bdi>@").text(actor).raw("</bdi>");
    }
    html.raw("</div>");
}

/// All that is said of whose it is, where there is no room for it.
fn name(ran: &Ran) -> String {
    let Some(link) = &ran.job else { return String::new() };
    let name = link.name.as_deref().unwrap_or_default();
    let workflow = ran.workflow.as_deref().unwrap_or_default();
    format!("{name} · {} · {workflow}", link.repository)
}

/// An outcome's colour and words.
fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Ended(conclusion) => {
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
        Outcome::Ran => ("calm", "ended"),
        Outcome::Interrupted => ("warned", "interrupted"),
        Outcome::Unused => ("calm", "unused"),
        Outcome::Told => ("bad", "given up"),
        Outcome::Orphan => ("warned", "orphan"),
    }
}
