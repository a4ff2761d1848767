//! Live runners with their phases, and waiting jobs.

use dayfly_records::RunnerState;
use dayfly_types::time::Timestamp;

use crate::board::html::Html;
use crate::board::view::{LiveRunner, Phase, View, WaitingJob};
use crate::board::{job, repository_and_run};
use crate::format::{amount, counted, span};

/// Runners shown one by one. There can be many more than a person reads.
pub const MOST_RUNNERS: usize = 40;

/// Waiting jobs shown one by one.
pub const MOST_WAITING: usize = 10;

pub(super) fn write(view: &View, now: Timestamp, html: &mut Html) {
    html.raw("<h2>Live</h2>");
    if view.live.is_empty() && view.waiting.is_empty() {
        html.raw("<p class=\"empty\">Nothing runs and nothing waits, so nothing is billed.</p>");
        return;
    }
    html.raw("<div class=\"lives\">");
    for live in view.live.iter().take(MOST_RUNNERS) {
        runner(live, &view.web_url, now, html);
    }
    html.raw("</div>");
    let left_out = view.live.len().saturating_sub(MOST_RUNNERS);
    if left_out > 0 {
        write_left_out(left_out, "runner", view.is_cut, html);
    }
    waiting(view, now, html);
}

fn write_left_out(count: usize, noun: &str, is_cut: bool, html: &mut Html) {
    html.raw("<p class=\"soft\">and ")
        .raw(if is_cut { "at least " } else { "" })
        .text(counted(count, &format!("more {noun}")))
        .raw("</p>");
}

fn runner(live: &LiveRunner, web: &str, now: Timestamp, html: &mut Html) {
    html.raw("<div class=\"live\"><div class=\"top\"><div class=\"who\">");
    html.raw("<span class=\"pill ")
        .raw(colour(live.state))
        .raw("\">")
        .text(state(live.state))
        .raw("</span>");
    if live.is_messenger {
        html.raw("<span class=\"soft\">messenger for</span> ");
    }
    job(html, web, &live.job);
    html.raw(" <span class=\"soft\">");
    repository_and_run(html, web, &live.job);
    html.raw("</span></div>");
    money(live, now, html);
    html.raw("</div><div class=\"soft where\">");
    if let Some(it) = &live.instance {
        html.text(format_args!(
            "{} · {} · {} · {} · ",
            it.instance_type, it.zone, it.lifecycle, it.instance
        ));
    }
    html.span("whole", &live.runner);
    if let Some(ending) = &live.ending {
        html.raw(" · ").span("warn", ending);
    }
    html.raw("</div>");
    bar(live, now, html);
    html.raw("</div>");
}

fn money(live: &LiveRunner, now: Timestamp, html: &mut Html) {
    let Some(instance) = &live.instance else {
        html.raw("<div class=\"num soft\">no instance yet</div>");
        return;
    };
    html.raw("<div class=\"num\">");
    if let Some(cost) = instance.so_far(now) {
        html.raw("<b>").text(amount(cost)).raw("</b> so far");
    }
    match instance.per_hour {
        Some(price) => html.span("soft", format_args!(" {price}/h")),
        None => html.span("soft", " price unknown"),
    };
    html.raw("</div>");
}

/// Writes the phases as one bar, each in proportion to its duration, with a legend below.
fn bar(live: &LiveRunner, now: Timestamp, html: &mut Html) {
    let spans = live.spans(now);
    html.raw("<div class=\"bar\">");
    for (phase, duration) in &spans {
        html.raw("<i class=\"")
            .raw(class(*phase))
            .raw("\" style=\"flex-grow:")
            .text(duration.as_secs().max(1))
            .raw("\"></i>");
    }
    html.raw("</div><div class=\"legend\">");
    for (phase, duration) in &spans {
        html.raw("<span><i class=\"")
            .raw(class(*phase))
            .raw("\"></i>")
            .raw(name(*phase))
            .raw(" <b>")
            .text(span(*duration))
            .raw("</b></span>");
    }
    html.raw("</div>");
}

fn waiting(view: &View, now: Timestamp, html: &mut Html) {
    if view.waiting.is_empty() {
        return;
    }
    html.raw("<div class=\"waits\">");
    for waiting in view.waiting.iter().take(MOST_WAITING) {
        let WaitingJob {
            job: link,
            since,
            for_its_turn,
        } = waiting;
        html.raw("<div class=\"top\"><div class=\"who\"><span class=\"pill calm\">")
            .raw(if *for_its_turn {
                "waiting for its turn"
            } else {
                "waiting"
            })
            .raw("</span>");
        job(html, &view.web_url, link);
        html.raw(" <span class=\"soft\">");
        repository_and_run(html, &view.web_url, link);
        html.raw("</span></div><div class=\"num soft\">for ")
            .text(span(now.since(*since)))
            .raw("</div></div>");
    }
    html.raw("</div>");
    let left_out = view.waiting.len().saturating_sub(MOST_WAITING);
    if left_out > 0 {
        write_left_out(left_out, "job", view.is_cut, html);
    }
}

fn state(state: RunnerState) -> &'static str {
    match state {
        RunnerState::Requested => "launching",
        RunnerState::Launched => "booting",
        RunnerState::Enrolled => "idle",
        RunnerState::Busy => "running",
        RunnerState::Draining => "draining",
        RunnerState::Done => "ending",
        RunnerState::Lost => "lost",
        RunnerState::Gone => "gone",
    }
}

fn colour(state: RunnerState) -> &'static str {
    match state {
        RunnerState::Busy => "good",
        RunnerState::Draining => "warned",
        RunnerState::Lost => "bad",
        RunnerState::Requested | RunnerState::Launched => "going",
        RunnerState::Enrolled | RunnerState::Done | RunnerState::Gone => "calm",
    }
}

fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "p1",
        Phase::Launching => "p2",
        Phase::Booting => "p3",
        Phase::Idle => "p4",
        Phase::Running => "p5",
        Phase::Ending => "p6",
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Launching => "launching",
        Phase::Booting => "booting",
        Phase::Idle => "idle",
        Phase::Running => "running",
        Phase::Ending => "ending",
    }
}
