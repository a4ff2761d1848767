//! The board: what lives, what it costs and what it has cost, as one piece of HTML for CloudWatch's
//! custom widget. It loads nothing and runs no script, and CloudWatch would take away either.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_security.html>

mod budgets;
mod html;
mod live;
mod ran;
mod style;
mod view;
mod words;

pub use view::{Gauge, JobLink, Live, Look, Outcome, Phase, Placed, Ran, Theme, Today, View, Waiting, job_of};

pub use live::{MOST_RUNNERS, MOST_WAITING};

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use html::{Html, Url};

/// The board as HTML: one element, with its own style in it.
#[must_use]
pub fn page(view: &View, now: Timestamp) -> String {
    let mut html = Html::new();
    // CloudWatch's styles of tables and links are turned off by this class. A style at the very beginning
    // would be lost where a sanitizer takes it for a part of the head.
    html.raw("<div class=\"dayfly\"><div class=\"cwdb-no-default-styles\"></div><style>");
    style::write(view.look, &mut html);
    html.raw("</style>");
    figures(view, now, &mut html);
    live::write(view, now, &mut html);
    budgets::write(view, &mut html);
    ran::write(view, now, &mut html);
    html.raw("<footer>As of ")
        .text(now.utc_day())
        .raw(" ")
        .text(now.utc_time())
        .raw(" UTC. Costs are with disk and address; those of live runners are what they have come to so far. ")
        .raw("Today and this month have spent what instances cost that ended in them; each is billed for a minute at least.")
        .raw("</footer></div>");
    html.into_string()
}

/// What there is in a line of numbers.
fn figures(view: &View, now: Timestamp, html: &mut Html) {
    let placed = || view.live.iter().filter_map(|live| live.placed.as_ref());
    let per_hour: MicroDollars = placed().filter_map(|placed| placed.per_hour).sum();
    let so_far: MicroDollars = placed().filter_map(|placed| placed.so_far(now)).sum();
    let stack = view.budgets.iter().find(|gauge| gauge.budget == Budget::Stack);
    let spent = stack.map_or(MicroDollars::default(), |stack| stack.spent);
    let reserved = stack.map_or(MicroDollars::default(), |stack| stack.reserved);
    html.raw("<div class=\"figures\">");
    let live = view.live.len();
    figure(
        html,
        at_least(live, view.is_cut),
        if live == 1 { "live runner" } else { "live runners" },
    );
    let waiting = view.waiting.len();
    figure(
        html,
        at_least(waiting, view.is_cut),
        if waiting == 1 { "job waiting" } else { "jobs waiting" },
    );
    figure(html, at_least(words::amount(per_hour), view.is_cut), "per hour now");
    figure(html, at_least(words::amount(so_far), view.is_cut), "cost so far");
    figure(
        html,
        at_least(words::amount(view.today.spent), view.today.is_cut),
        "spent today",
    );
    figure(html, words::amount(spent), format_args!("spent in {}", view.month));
    figure(html, words::amount(reserved), "reserved");
    html.raw("</div>");
}

/// A number of which there may be more.
fn at_least(number: impl std::fmt::Display, is_cut: bool) -> String {
    format!("{}{number}", if is_cut { "≥ " } else { "" })
}

fn figure(html: &mut Html, number: impl std::fmt::Display, name: impl std::fmt::Display) {
    html.raw("<div><b>")
        .text(number)
        .raw("</b>")
        .span("soft", name)
        .raw("</div>");
}

/// A job's name, as a link to its log at GitHub.
fn job(html: &mut Html, web: &str, job: &JobLink) {
    let name = job.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let url = Url(format!(
        "{web}/{}/actions/runs/{}/job/{}",
        job.repository, job.run, job.job
    ));
    html.raw("<bdi class=\"job\">");
    match name {
        Some(name) => html.link(&url, name),
        None => html.link(&url, format_args!("job {}", job.job)),
    };
    html.raw("</bdi>");
}

/// Its repository, and a link to its run.
fn place(html: &mut Html, web: &str, job: &JobLink) {
    let repository = &job.repository;
    html.link(&Url(format!("{web}/{repository}")), repository)
        .raw(" · ")
        .link(&Url(format!("{web}/{repository}/actions/runs/{}", job.run)), "run");
}

#[cfg(test)]
mod tests;
