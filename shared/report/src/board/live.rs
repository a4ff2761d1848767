//! The runners that live, each with the stages that it has come through, and the jobs that wait.

use dayfly_records::RunnerState;
use dayfly_types::time::Timestamp;

use crate::board::html::Html;
use crate::board::view::{Live, Phase, View, Waiting};
use crate::board::{job, place, words};

/// The most runners that are shown one by one. There can be many more, but nobody reads that.
pub const MOST_RUNNERS: usize = 40;

/// The most jobs that are shown waiting.
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
    let besides = view.live.len().saturating_sub(MOST_RUNNERS);
    if besides > 0 {
        more(besides, "runner", view.is_cut, html);
    }
    waiting(view, now, html);
}

/// That there are others.
fn more(count: usize, noun: &str, is_cut: bool, html: &mut Html) {
    html.raw("<p class=\"soft\">and ")
        .raw(if is_cut { "at least " } else { "" })
        .text(words::counted(count, noun))
        .raw(" more</p>");
}

fn runner(live: &Live, web: &str, now: Timestamp, html: &mut Html) {
    html.raw("<div class=\"live\"><div class=\"top\"><div class=\"who\">");
    html.raw("<span class=\"pill ")
        .raw(colour(live.state))
        .raw("\">")
        .text(words::state(live.state))
        .raw("</span>");
    if live.is_messenger {
        html.raw("<span class=\"soft\">tells that it is given up:</span> ");
    }
    job(html, web, &live.job);
    html.raw(" <span class=\"soft\">");
    place(html, web, &live.job);
    html.raw("</span></div>");
    money(live, now, html);
    html.raw("</div><div class=\"soft where\">");
    if let Some(placed) = &live.placed {
        html.text(format_args!(
            "{} · {} · {} · {} · ",
            placed.instance_type, placed.zone, placed.lifecycle, placed.instance
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

fn money(live: &Live, now: Timestamp, html: &mut Html) {
    let Some(placed) = &live.placed else {
        html.raw("<div class=\"num soft\">no instance yet</div>");
        return;
    };
    html.raw("<div class=\"num\">");
    if let Some(cost) = placed.so_far(now) {
        html.raw("<b>").text(words::amount(cost)).raw("</b> so far");
    }
    match placed.per_hour {
        Some(price) => html.span("soft", format_args!(" {price}/h")),
        None => html.span("soft", " price not known"),
    };
    html.raw("</div>");
}

/// The stages as one bar, each as long as it took, and beneath it how long that was.
fn bar(live: &Live, now: Timestamp, html: &mut Html) {
    let spans = live.spans(now);
    html.raw("<div class=\"bar\">");
    for (phase, span) in &spans {
        html.raw("<i class=\"")
            .raw(class(*phase))
            .raw("\" style=\"flex-grow:")
            .text(span.as_secs().max(1))
            .raw("\"></i>");
    }
    html.raw("</div><div class=\"legend\">");
    for (phase, span) in &spans {
        html.raw("<span><i class=\"")
            .raw(class(*phase))
            .raw("\"></i>")
            .raw(name(*phase))
            .raw(" <b>")
            .text(words::span(*span))
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
        let Waiting {
            job: link,
            since,
            for_its_turn,
        } = waiting;
        html.raw("<div class=\"top\"><div class=\"who\"><span class=\"pill calm\">")
            .raw(if *for_its_turn { "waits for its turn" } else { "waits" })
            .raw("</span>");
        job(html, &view.web_url, link);
        html.raw(" <span class=\"soft\">");
        place(html, &view.web_url, link);
        html.raw("</span></div><div class=\"num soft\">for ")
            .text(words::span(now.since(*since)))
            .raw("</div></div>");
    }
    html.raw("</div>");
    let besides = view.waiting.len().saturating_sub(MOST_WAITING);
    if besides > 0 {
        more(besides, "job", view.is_cut, html);
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
