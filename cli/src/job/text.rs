//! A job's report as text: its timeline, runners, cost and links.

use dayfly_records::JobState;
use dayfly_records::costs::Amounts;
use dayfly_records::prices;
use dayfly_report::format::{against_github, bar, counted, exact, longest};
use dayfly_report::story::{JobStory, LaunchTry, Money, Reached};
use dayfly_types::capacity::LaunchFailure;
use dayfly_types::time::Timestamp;

use crate::aws;
use crate::screen;
use crate::text::{runner_state, span, strip_control_chars};

/// What the report's links depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkTargets<'a> {
    /// The URL of GitHub's web pages.
    pub(super) web_url: &'a str,
    pub(super) region: &'a str,
}

/// In a narrow terminal the runner, its instance, its cost and its ending remain.
const RUNNERS: screen::Columns<'_> = screen::Columns {
    numbers: &[5],
    whole: &[0, 4],
    optional: &[2, 5, 3, 1],
};

/// In a narrow terminal the bars are dropped.
const TIMELINE: screen::Columns<'_> = screen::Columns {
    numbers: &[3],
    whole: &[0, 1, 2, 3, 4],
    optional: &[4],
};

/// The length of the longest stage's bar.
const BAR_LENGTH: usize = 24;

pub(super) fn render(story: &JobStory, targets: LinkTargets<'_>, width: Option<u16>, now: Timestamp) -> String {
    let mut parts = vec![head(story), timeline(&story.stages, now, width)];
    if !story.launch_tries.is_empty() {
        parts.push(runners(&story.launch_tries, width));
    }
    let failures: Vec<String> = story
        .launch_tries
        .iter()
        .flat_map(|one| one.tried.iter().map(launch_failure))
        .collect();
    if !failures.is_empty() {
        parts.push(format!("failed launches:\n{}", failures.join("\n")));
    }
    parts.push(money(story));
    parts.push(links(story, targets));
    parts.join("\n\n")
}

fn head(story: &JobStory) -> String {
    let of = [
        story
            .attribution
            .workflow
            .as_ref()
            .map(|name| format!("workflow {name}")),
        story.attribution.actor.as_ref().map(|login| format!("for @{login}")),
        story.attribution.pull.map(|number| format!("pull request #{number}")),
    ];
    let of: Vec<String> = of
        .into_iter()
        .flatten()
        .map(|text| format!(", {}", strip_control_chars(&text)))
        .collect();
    format!(
        "{} `{}`, job {}, attempt {} of run {}{}\n{}",
        story.repository,
        strip_control_chars(&story.name),
        story.job.job,
        story.job.attempt,
        story.run,
        of.concat(),
        state(story),
    )
}

fn state(story: &JobStory) -> String {
    let reason_given = story.given_up.as_deref().filter(|_| !story.state.is_given_up());
    if let Some(reason) = reason_given {
        return format!(
            "given up, and failed by a messenger: {}",
            strip_control_chars(reason.trim())
        );
    }
    match &story.state {
        JobState::Queued => "waiting".to_owned(),
        JobState::Launching => "a runner is launching".to_owned(),
        JobState::Running { runner } => format!("running on {}", strip_control_chars(runner)),
        JobState::Finished { conclusion } => format!("finished: {}", conclusion.words()),
        JobState::Refused { reason } => format!("denied: {}", strip_control_chars(reason)),
        JobState::Unlaunchable { reason } => format!("given up: {}", strip_control_chars(reason)),
    }
}

/// Each stage with its time, its source, and the time since the stage before.
fn timeline(stages: &[Reached], now: Timestamp, width: Option<u16>) -> String {
    let Some(first) = stages.first() else {
        return "no stage has been reached".to_owned();
    };
    let longest = longest(stages);
    let rows = stages.iter().map(|one| {
        vec![
            one.at.utc_time(),
            one.stage.words().to_owned(),
            one.source.words().to_owned(),
            one.after.map(exact).unwrap_or_default(),
            one.after
                .map(|after| bar(after, longest, BAR_LENGTH))
                .unwrap_or_default(),
        ]
    });
    let heading = [
        first.at.utc_day(),
        "stage".to_owned(),
        "source".to_owned(),
        "after".to_owned(),
        String::new(),
    ];
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = rows.collect();
    let lines = screen::fitted(&heading, &rows, TIMELINE, width);
    let total = stages.last().map_or(now, |last| last.at).since(first.at);
    format!("{lines}\ntotal {}", span(total))
}

fn runners(attempts: &[LaunchTry], width: Option<u16>) -> String {
    let header = [
        "runner", "state", "capacity", "pool", "instance", "$/h", "cost", "ending",
    ];
    let rows = attempts.iter().map(|attempt| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            attempt.runner.to_string(),
            role(attempt),
            attempt.lifecycle.to_string(),
            or_dash(attempt.pool.as_ref().map(ToString::to_string)),
            or_dash(attempt.instance.as_ref().map(ToString::to_string)),
            or_dash(attempt.price_per_hour.map(|price| price.to_string())),
            or_dash(attempt.bill.as_ref().map(|bill| {
                let so_far = if bill.is_final { "" } else { " so far" };
                let free = if bill.free { ", machine free" } else { "" };
                format!("{}{so_far}{free}", bill.total)
            })),
            or_dash(attempt.ending.as_deref().map(strip_control_chars)),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    screen::fitted(&header, &rows, RUNNERS, width)
}

fn role(attempt: &LaunchTry) -> String {
    let state = runner_state(attempt.state);
    match attempt.ran.filter(|ran| *ran != attempt.wanted_by) {
        _ if attempt.messenger => format!("{state}, messenger"),
        Some(other) => format!("{state}, ran job {other}"),
        None => state.to_owned(),
    }
}

fn launch_failure(failure: &LaunchFailure) -> String {
    let LaunchFailure {
        lifecycle,
        pool,
        code,
        times,
        ..
    } = failure;
    let pool = pool.as_ref().map(|pool| format!(" {pool}")).unwrap_or_default();
    let times = if *times == 1 {
        String::new()
    } else {
        format!(", {times} times")
    };
    format!("  {lifecycle}{pool}: {}{times}", strip_control_chars(code))
}

fn money(story: &JobStory) -> String {
    let Money {
        total,
        amounts,
        is_final,
        unknown,
        shipped_prices: _,
        earlier_prices: _,
        saved,
        wasted,
        minutes,
        on_github,
        github_charge,
    } = &story.money;
    let so_far = if *is_final { "" } else { " so far" };
    let Amounts { compute, disk, address } = amounts;
    let cost = format!("{total}{so_far}: machine {compute}, disk {disk}, address {address}");
    let mut lines = vec![("cost", cost)];
    if let Some(saved) = saved.filter(|saved| saved.0 > 0) {
        lines.push(("saved", format!("{saved} against on-demand capacity")));
    }
    if let (Some(on_github), Some(minutes)) = (on_github, minutes) {
        lines.push((
            "",
            against_github(*total, *on_github, *minutes, |amount| amount.to_string()),
        ));
    }
    if story.interruptions() > 0 {
        let times = match story.interruptions() {
            1 => "an interruption".to_owned(),
            times => format!("{times} interruptions"),
        };
        lines.push(("wasted", format!("{wasted} by {times}")));
    }
    if let Some(charge) = github_charge {
        let minutes = minutes.map_or_else(|| "its time".to_owned(), |minutes| counted(minutes, "minute"));
        lines.push(("GitHub", format!("{charge} for {minutes} on a self-hosted runner")));
    }
    if *unknown > 0 {
        lines.push(("unknown", format!("the cost of {unknown} of its instances")));
    }
    lines.extend(prices::remark(story.money.prices_by()).map(|remark| ("note", remark)));
    labelled(&lines)
}

fn links(story: &JobStory, targets: LinkTargets<'_>) -> String {
    let mut lines = vec![
        ("job", story.url(targets.web_url)),
        ("logs", format!("dayfly logs {}", story.job)),
    ];
    if let Some(instance) = story.instance() {
        lines.push(("console", aws::console_command(instance, targets.region)));
    }
    labelled(&lines)
}

fn labelled(lines: &[(&str, String)]) -> String {
    let lines: Vec<String> = lines.iter().map(|(name, text)| format!("{name:<8} {text}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
