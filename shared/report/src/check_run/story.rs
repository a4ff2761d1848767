//! The story of a run attempt's jobs as one check run: what each went through, on what, and what it cost.

use std::fmt::Write as _;

use dayfly_records::CheckConclusion;
use dayfly_records::prices;
use dayfly_records::{CheckRun, JobState};
use dayfly_types::ids::JobId;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::check_run::{CheckRunBody, Logs, MAX_LINE, MAX_TEXT, external_id, markdown, run_url};
use crate::story::words::{against_github, bar, counted, exact, longest, span};
use crate::story::{Attempt, Money, Stage, Story};

/// How long the bar of the longest stage is.
const BAR: usize = 20;

/// More of a name says nothing to anybody.
const MAX_NAME: usize = 100;

/// How many jobs have a row; GitHub's own page tells of the others.
const MOST_ROWS: usize = 100;

/// Where a story's links lead.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Where GitHub's pages are, `https://github.com` say.
    pub web: &'a str,
    /// Where the functions' logs are.
    pub logs: &'a Logs,
}

/// The check run that tells it, as of `now`. It is always concluded, as neutral: one that is open would have a
/// pull request wait until the last instance is settled, and GitHub lets the words of one that is concluded
/// be changed.
#[must_use]
pub fn render(check_run: &CheckRun, stories: &[Story], place: Place<'_>, now: Timestamp) -> CheckRunBody {
    let all: Money = stories.iter().map(|story| story.money.clone()).sum();
    let workflow = stories.iter().find_map(|story| story.attribution.workflow.as_deref());
    let name = format!("dayfly / {} (run {})", workflow.unwrap_or("cost"), check_run.run);
    CheckRunBody {
        head_sha: check_run.head_sha.clone(),
        name: markdown::line(&name, MAX_LINE),
        external_id: external_id(check_run.run, check_run.key, check_run.serial),
        details_url: run_url(check_run, place.web),
        conclusion: Some(CheckConclusion::Neutral),
        title: markdown::line(&title(&all, stories.len()), MAX_LINE),
        summary: summary(&all, stories, place.web, now),
        text: Some(text(stories, place, now)),
    }
}

fn so_far(money: &Money) -> &'static str {
    if money.is_final { "" } else { " so far" }
}

fn jobs(count: usize) -> String {
    counted(u64::try_from(count).unwrap_or(u64::MAX), "job")
}

fn title(all: &Money, count: usize) -> String {
    let mut title = format!("{}{} for {}", all.total.in_cents(), so_far(all), jobs(count));
    if let Some(minutes) = all.minutes.filter(|minutes| *minutes > 0) {
        let _ = write!(title, ", {}", counted(minutes, "minute"));
    }
    if let Some(saved) = all.saved.filter(|saved| *saved > MicroDollars::default()) {
        let _ = write!(title, ": {} saved against on-demand capacity", saved.in_cents());
    }
    title
}

fn summary(all: &Money, stories: &[Story], web: &str, now: Timestamp) -> String {
    let mut summary = String::new();
    for (name, words) in money(all, stories) {
        let _ = writeln!(summary, "- **{name}:** {words}");
    }
    if !all.is_final {
        let _ = writeln!(
            summary,
            "\nAs of {} {} UTC. It is told again when something has happened.",
            now.utc_day(),
            now.utc_time()
        );
    }
    summary.push_str(
        "\n| Job | Stands | On | Bought as | Price per hour | Until it began | Ran | Cost | Saved |\n\
         |---|---|---|---|---:|---:|---:|---:|---:|\n",
    );
    let rows: Vec<String> = stories
        .iter()
        .take(MOST_ROWS)
        .map(|story| row(story, web, now))
        .collect();
    let more = stories.len().saturating_sub(MOST_ROWS);
    let behind = if more > 0 {
        format!("\n{} more are counted above.\n", jobs(more))
    } else {
        String::new()
    };
    markdown::fitting(&summary, &rows, &behind, MAX_TEXT)
}

/// What it cost in all, a line for each thing that there is to say of it.
fn money(all: &Money, stories: &[Story]) -> Vec<(&'static str, String)> {
    let [compute, disk, address] =
        [all.amounts.compute, all.amounts.disk, all.amounts.address].map(MicroDollars::in_cents);
    let cost = format!(
        "{}{} (machine {compute}, disk {disk}, address {address})",
        all.total.in_cents(),
        so_far(all)
    );
    let mut lines = vec![("Cost", cost)];
    if let Some(saved) = all.saved {
        lines.push(("Saved", format!("{} against on-demand capacity", saved.in_cents())));
    }
    if let (Some(on_github), Some(minutes)) = (all.on_github, all.minutes) {
        lines.push((
            "Beside GitHub",
            against_github(all.total, on_github, minutes, MicroDollars::in_cents),
        ));
    }
    let interruptions: usize = stories.iter().map(Story::interruptions).sum();
    if interruptions > 0 {
        let times = counted(u64::try_from(interruptions).unwrap_or(u64::MAX), "interruption");
        lines.push(("Wasted", format!("{} by {times}", all.wasted.in_cents())));
    }
    if let Some(charge) = all.github_charge {
        lines.push((
            "GitHub's charge",
            format!("{} for self-hosted runners, on top", charge.in_cents()),
        ));
    }
    if all.unknown > 0 {
        let instances = counted(u64::try_from(all.unknown).unwrap_or(u64::MAX), "instance");
        lines.push(("Unknown", format!("what {instances} cost")));
    }
    lines.extend(prices::remark(all.prices_by()).map(|said| ("Note", said)));
    lines
}

fn row(story: &Story, web: &str, now: Timestamp) -> String {
    let dash = || "–".to_owned();
    let or_dash = |text: Option<String>| text.unwrap_or_else(dash);
    let attempt = story.attempt();
    let pool = attempt.and_then(|attempt| attempt.pool.as_ref());
    let price = attempt.and_then(|attempt| attempt.price_per_hour);
    let (queued, began) = (story.reached(Stage::Queued), story.reached(Stage::JobStarted));
    let since = queued.or(story.reached(Stage::Seen));
    let waited = began.zip(since).map(|(began, since)| span(began.since(since)));
    let ended = story.reached(Stage::JobFinished);
    let ran = began.map(|began| span(ended.unwrap_or(now).since(began)));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {}{} | {} |\n",
        linked(story, web),
        stands(story),
        or_dash(pool.map(|pool| markdown::cell(&pool.to_string()))),
        or_dash(attempt.map(|attempt| attempt.lifecycle.to_string())),
        or_dash(price.map(|price| price.to_string())),
        or_dash(waited),
        or_dash(ran),
        story.money.total.in_cents(),
        so_far(&story.money),
        or_dash(story.money.saved.map(MicroDollars::in_cents)),
    )
}

fn linked(story: &Story, web: &str) -> String {
    let name = markdown::name(&story.name, MAX_NAME);
    format!("[{name}]({})", story.url(web))
}

fn stands(story: &Story) -> &'static str {
    match &story.state {
        JobState::Running { .. } | JobState::Finished { .. } if story.given_up.is_some() => "given up",
        JobState::Queued => "waits",
        JobState::Launching => "a runner is on its way",
        JobState::Running { .. } => "runs",
        JobState::Finished { conclusion } => conclusion.words(),
        JobState::Refused { .. } => "refused",
        JobState::Unlaunchable { .. } => "given up",
    }
}

/// The stages of each job, as far as they fit.
fn text(stories: &[Story], place: Place<'_>, now: Timestamp) -> String {
    let mut text = String::new();
    for (index, story) in stories.iter().enumerate() {
        let told = of_job(story, place, now);
        let remark = format!(
            "\nThe stages of {} more are left out here.\n",
            jobs(stories.len() - index)
        );
        if text.len() + told.len() + remark.len() > MAX_TEXT {
            text.push_str(&remark);
            break;
        }
        text.push_str(&told);
    }
    text
}

fn of_job(story: &Story, place: Place<'_>, now: Timestamp) -> String {
    let mut text = format!("### {}\n\n", linked(story, place.web));
    text.push_str("| When (UTC) | Stage | Told by | After | |\n|---|---|---|---:|---|\n");
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
    if !story.attempts.is_empty() {
        text.push_str(&runners(story, place.logs, now));
    }
    text.push('\n');
    text
}

fn runners(story: &Story, logs: &Logs, now: Timestamp) -> String {
    let mut text = "\n| Runner | On | Bought as | Price per hour | Cost | How it ended | Logs |\n\
                    |---|---|---|---:|---:|---|---|\n"
        .to_owned();
    for attempt in &story.attempts {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let pool = attempt.pool.as_ref();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            markdown::cell(attempt.runner.as_str()),
            or_dash(pool.map(|pool| markdown::cell(&pool.to_string()))),
            attempt.lifecycle,
            or_dash(attempt.price_per_hour.map(|price| price.to_string())),
            or_dash(cost(attempt, story.job.job)),
            or_dash(attempt.ending.as_deref().map(markdown::cell)),
            or_dash(logs_of(attempt, logs, now)),
        );
    }
    text
}

fn cost(attempt: &Attempt, job: JobId) -> Option<String> {
    let bill = attempt.bill.as_ref()?;
    let so_far = if bill.is_final { "" } else { " so far" };
    let free = if bill.free { ", its machine free" } else { "" };
    let other = attempt.ran.filter(|ran| ran.job != job);
    let other = other.map_or(String::new(), |other| format!(", job {}'s", other.job));
    Some(format!("{}{so_far}{free}{other}", bill.total.in_cents()))
}

fn logs_of(attempt: &Attempt, logs: &Logs, now: Timestamp) -> Option<String> {
    let instance = attempt.instance.as_ref()?;
    let to = attempt.ended_at.unwrap_or(now);
    let page = logs.of(instance, attempt.requested_at, to);
    Some(format!("[{instance}](<{page}>)"))
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
