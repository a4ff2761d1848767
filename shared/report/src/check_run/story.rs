//! The check run of a run attempt's story: what each job went through, on what, and what it cost.

use std::fmt::Write as _;

use dayfly_records::{CheckConclusion, CheckRun, CheckRunBody, JobState, prices};
use dayfly_types::ids::JobId;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::check_run::{LogLinks, MAX_LINE, MAX_TEXT, external_id, run_url};
use crate::format::{against_github, bar, counted, exact, longest, moment, so_far, span};
use crate::markdown;
use crate::story::{JobStory, LaunchTry, Money, RunStory};

/// Blocks in the bar of the longest stage.
const BAR: usize = 20;

/// Characters of a name.
const MAX_NAME: usize = 100;

/// Jobs with a row of their own.
const MOST_ROWS: usize = 100;

/// The targets of a story's links.
#[derive(Clone, Copy, Debug)]
pub struct StoryLinks<'a> {
    /// GitHub's address, such as `https://github.com`.
    pub web: &'a str,
    pub logs: &'a LogLinks,
}

/// Renders the check run as of `now`. It is always concluded, as neutral: an open one would hold up a pull request
/// until the cost of the last instance is known, and GitHub allows the text of a concluded one to change.
#[must_use]
pub fn render(check_run: &CheckRun, story: &RunStory, links: StoryLinks<'_>, now: Timestamp) -> CheckRunBody {
    // Not from the jobs, which may come to know more: a check run is looked up by its name.
    let workflow = Some(&*check_run.job_name).filter(|name| !name.is_empty());
    let name = format!("dayfly / {} (run {})", workflow.unwrap_or("cost"), check_run.run);
    CheckRunBody {
        head_sha: check_run.head_sha.clone(),
        name: markdown::line(&name, MAX_LINE),
        external_id: external_id(check_run.run, check_run.key, check_run.serial),
        details_url: run_url(check_run, links.web),
        conclusion: Some(CheckConclusion::Neutral),
        title: markdown::line(&title(&story.money, story.jobs.len()), MAX_LINE),
        summary: summary(story, links.web, now),
        text: Some(text(&story.jobs, links, now)),
    }
}

fn total(money: &Money) -> String {
    format!("{}{}", money.total.in_cents(), so_far(money.is_final))
}

fn title(all: &Money, jobs: usize) -> String {
    let mut title = format!("{} for {}", total(all), counted(jobs, "job"));
    if let Some(minutes) = all.minutes.filter(|minutes| *minutes > 0) {
        let _ = write!(title, ", {}", counted(minutes, "minute"));
    }
    if let Some(saved) = all.saved.filter(|saved| *saved > MicroDollars::default()) {
        let _ = write!(title, ": {} saved against on-demand capacity", saved.in_cents());
    }
    title
}

fn summary(story: &RunStory, web: &str, now: Timestamp) -> String {
    let mut summary = String::new();
    for (name, amount) in cost_lines(story) {
        let _ = writeln!(summary, "- **{name}:** {amount}");
    }
    if !story.money.is_final {
        let _ = writeln!(
            summary,
            "\nAs of {}. It is updated when something happens.",
            moment(now)
        );
    }
    summary.push_str(
        "\n| Job | State | Instance | Purchase option | Price per hour | Wait | Run time | Cost | Saved |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|\n",
    );
    let shown = story.jobs.iter().take(MOST_ROWS);
    let rows: Vec<String> = shown.map(|job| job_row(job, web, now)).collect();
    let more = story.jobs.len().saturating_sub(MOST_ROWS);
    let tail = if more > 0 {
        format!("\nThe sums include {}.\n", counted(more, "more job"))
    } else {
        String::new()
    };
    markdown::fitting(&summary, &rows, "job", &tail, MAX_TEXT)
}

/// Returns the total cost, and a line for each thing to say about it.
fn cost_lines(story: &RunStory) -> Vec<(&'static str, String)> {
    let all = &story.money;
    let [compute, disk, address] =
        [all.amounts.compute, all.amounts.disk, all.amounts.address].map(MicroDollars::in_cents);
    let cost = format!("{} (machine {compute}, disk {disk}, address {address})", total(all));
    let mut lines = vec![("Cost", cost)];
    if let Some(saved) = all.saved {
        lines.push(("Saved", format!("{} against on-demand capacity", saved.in_cents())));
    }
    if let (Some(on_github), Some(minutes)) = (all.on_github, all.minutes) {
        lines.push((
            "Compared with GitHub",
            against_github(all.total, on_github, minutes, MicroDollars::in_cents),
        ));
    }
    let interruptions = story.interruptions();
    if interruptions > 0 {
        let times = counted(interruptions, "interruption");
        lines.push(("Wasted", format!("{} by {times}", all.wasted.in_cents())));
    }
    if let Some(charge) = all.github_charge {
        lines.push((
            "GitHub's charge",
            format!("{} for self-hosted runners, on top", charge.in_cents()),
        ));
    }
    if all.unknown > 0 {
        lines.push(("Unknown", format!("the cost of {}", counted(all.unknown, "instance"))));
    }
    lines.extend(prices::remark(all.prices_by()).map(|remark| ("Note", remark)));
    lines
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

fn job_row(story: &JobStory, web: &str, now: Timestamp) -> String {
    let main = story.main_try();
    let pool = main.and_then(|main| main.pool.as_ref());
    let price = main.and_then(|main| main.price_per_hour);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        job_link(story, web),
        state(story),
        or_dash(pool.map(|pool| markdown::cell(&pool.to_string()))),
        or_dash(main.map(|main| main.lifecycle.to_string())),
        or_dash(price.map(|price| price.to_string())),
        or_dash(story.waited().map(span)),
        or_dash(story.ran(now).map(span)),
        total(&story.money),
        or_dash(story.money.saved.map(MicroDollars::in_cents)),
    )
}

fn job_link(story: &JobStory, web: &str) -> String {
    let name = markdown::name(&story.name, MAX_NAME);
    format!("[{name}]({})", story.url(web))
}

fn state(story: &JobStory) -> &'static str {
    match &story.state {
        JobState::Running { .. } | JobState::Finished { .. } if story.given_up.is_some() => "given up",
        JobState::Queued => "waiting",
        JobState::Launching => "launching",
        JobState::Running { .. } => "running",
        JobState::Finished { conclusion } => conclusion.words(),
        JobState::Refused { .. } => "refused",
        JobState::Unlaunchable { .. } => "given up",
    }
}

/// Renders the stages of each job, as far as they fit.
fn text(jobs: &[JobStory], links: StoryLinks<'_>, now: Timestamp) -> String {
    let sections: Vec<String> = jobs.iter().map(|job| section(job, links, now)).collect();
    markdown::fitting("", &sections, "job", "", MAX_TEXT)
}

fn section(story: &JobStory, links: StoryLinks<'_>, now: Timestamp) -> String {
    let mut text = format!("### {}\n\n", job_link(story, links.web));
    text.push_str("| When (UTC) | Stage | Source | After | |\n|---|---|---|---:|---|\n");
    let longest = longest(&story.stages);
    let mut day = String::new();
    for one in &story.stages {
        let first_of_day = day != one.at.utc_day();
        day = one.at.utc_day();
        let _ = writeln!(
            text,
            "| {}{} | {} | {} | {} | {} |",
            if first_of_day { format!("{day} ") } else { String::new() },
            one.at.utc_time(),
            one.stage.words(),
            one.source.words(),
            one.after.map(exact).unwrap_or_default(),
            one.after.map(|after| bar(after, longest, BAR)).unwrap_or_default(),
        );
    }
    if !story.launch_tries.is_empty() {
        text.push_str(&runners(story, links.logs, now));
    }
    text.push('\n');
    text
}

fn runners(story: &JobStory, logs: &LogLinks, now: Timestamp) -> String {
    let mut text = "\n| Runner | Instance | Purchase option | Price per hour | Cost | Why it ended | Logs |\n\
                    |---|---|---|---:|---:|---|---|\n"
        .to_owned();
    for one in &story.launch_tries {
        let pool = one.pool.as_ref();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            markdown::cell(one.runner.as_str()),
            or_dash(pool.map(|pool| markdown::cell(&pool.to_string()))),
            one.lifecycle,
            or_dash(one.price_per_hour.map(|price| price.to_string())),
            or_dash(cost(one, story.job.job)),
            or_dash(one.ending.as_deref().map(markdown::cell)),
            or_dash(log_link(one, logs, now)),
        );
    }
    text
}

fn cost(one: &LaunchTry, job: JobId) -> Option<String> {
    let bill = one.bill.as_ref()?;
    let free = if bill.free { ", its machine free" } else { "" };
    let other = one.ran.filter(|ran| ran.job != job);
    let other = other.map_or(String::new(), |other| format!(", job {}'s", other.job));
    Some(format!(
        "{}{}{free}{other}",
        bill.total.in_cents(),
        so_far(bill.is_final)
    ))
}

fn log_link(one: &LaunchTry, logs: &LogLinks, now: Timestamp) -> Option<String> {
    let instance = one.instance.as_ref()?;
    let url = logs.url(instance, one.requested_at, one.ended_at.unwrap_or(now));
    Some(format!("[{instance}](<{url}>)"))
}

#[cfg(test)]
mod tests;
