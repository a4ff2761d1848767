//! The board: live runners, waiting jobs, budgets and past jobs, as one piece of HTML for a CloudWatch custom
//! widget. It loads nothing and runs no script; CloudWatch would remove either.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_security.html>

mod budgets;
mod html;
mod live;
mod past_jobs;
mod style;
mod view;

pub use live::{MOST_RUNNERS, MOST_WAITING};
pub use view::{
    Appearance, Gauge, JobLink, JobOutcome, LiveInstance, LiveRunner, PastJob, Phase, Theme, Today, View, WaitingJob,
    job_of_runner,
};

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::format::{amount, moment};
use crate::urls;
use html::{Html, Url};

/// Renders the board as one element with its own style.
#[must_use]
pub fn page(view: &View, now: Timestamp) -> String {
    let mut html = Html::new();
    // This class turns CloudWatch's styles of tables and links off. A sanitizer could take a style at the very
    // beginning for a part of the head and remove it.
    html.raw("<div class=\"dayfly\"><div class=\"cwdb-no-default-styles\"></div><style>");
    style::write(view.appearance, &mut html);
    html.raw("</style>");
    figures(view, now, &mut html);
    live::write(view, now, &mut html);
    budgets::write(view, &mut html);
    past_jobs::write(view, now, &mut html);
    html.raw("<footer>As of ")
        .text(moment(now))
        .raw(". Costs include disk and address; those of live runners are the cost so far. ")
        .raw("Spending today and this month is the cost of the instances that ended then; each is billed for at least a minute.")
        .raw("</footer></div>");
    html.into_string()
}

/// Writes the key figures.
fn figures(view: &View, now: Timestamp, html: &mut Html) {
    let instances = || view.live.iter().filter_map(|live| live.instance.as_ref());
    let per_hour: MicroDollars = instances().filter_map(|instance| instance.per_hour).sum();
    let so_far: MicroDollars = instances().filter_map(|instance| instance.so_far(now)).sum();
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
    figure(html, at_least(amount(per_hour), view.is_cut), "per hour now");
    figure(html, at_least(amount(so_far), view.is_cut), "cost so far");
    figure(
        html,
        at_least(amount(view.today.spent), view.today.is_cut),
        "spent today",
    );
    figure(html, amount(spent), format_args!("spent in {}", view.month));
    figure(html, amount(reserved), "reserved");
    html.raw("</div>");
}

/// Marks a number that may be higher.
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

/// Writes a job's name as a link to its page.
fn job(html: &mut Html, web: &str, job: &JobLink) {
    let name = job.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let url = Url(urls::job(web, &job.repository, job.run, job.job));
    html.raw("<bdi class=\"job\">");
    match name {
        Some(name) => html.link(&url, name),
        None => html.link(&url, format_args!("job {}", job.job)),
    };
    html.raw("</bdi>");
}

/// Writes links to a job's repository and run.
fn repository_and_run(html: &mut Html, web: &str, job: &JobLink) {
    let repository = &job.repository;
    html.link(&Url(format!("{web}/{repository}")), repository)
        .raw(" · ")
        .link(&Url(urls::run(web, repository, job.run)), "run");
}

#[cfg(test)]
mod tests;
