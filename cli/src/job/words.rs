//! The story of a job for a person: a timeline, its runners, what it cost, and where to look further.

use dayfly_records::JobState;
use dayfly_records::costs::Amounts;
use dayfly_records::prices;
use dayfly_report::story::words::{against_github, bar, counted, exact, longest};
use dayfly_report::story::{Attempt, Money, Reached, Story};
use dayfly_types::capacity::Tried;
use dayfly_types::time::Timestamp;

use crate::screen;
use crate::words::{plain, span, state};

/// Where the links of a story lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links<'a> {
    /// Where GitHub's pages are.
    pub(super) web: &'a str,
    /// The stack's region.
    pub(super) region: &'a str,
}

/// What stays of the runners' table in a narrow terminal: who it was, on what, what it cost and how it ended.
const RUNNERS: screen::Columns<'_> = screen::Columns {
    numbers: &[5],
    whole: &[0, 4],
    spare: &[2, 5, 3, 1],
};

/// And of the timeline: all but its bars.
const TIMELINE: screen::Columns<'_> = screen::Columns {
    numbers: &[3],
    whole: &[0, 1, 2, 3, 4],
    spare: &[4],
};

/// How long the bar of the longest stage is.
const BAR: usize = 24;

/// All of it.
pub(super) fn of(story: &Story, to: Links<'_>, width: Option<u16>, now: Timestamp) -> String {
    let mut parts = vec![head(story), timeline(&story.stages, now, width)];
    if !story.attempts.is_empty() {
        parts.push(runners(&story.attempts, width));
    }
    let tried: Vec<String> = story
        .attempts
        .iter()
        .flat_map(|one| one.tried.iter().map(tried))
        .collect();
    if !tried.is_empty() {
        parts.push(format!("tried:\n{}", tried.join("\n")));
    }
    parts.push(money(story));
    parts.push(links(story, to));
    parts.join("\n\n")
}

fn head(story: &Story) -> String {
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
        .map(|text| format!(", {}", plain(&text)))
        .collect();
    format!(
        "{} `{}`, job {}, attempt {} of run {}{}\n{}",
        story.repository,
        plain(&story.name),
        story.job.job,
        story.job.attempt,
        story.run,
        of.concat(),
        stands(story),
    )
}

fn stands(story: &Story) -> String {
    let told_no = story.given_up.as_deref().filter(|_| !story.state.is_given_up());
    if let Some(reason) = told_no {
        return format!("it was given up, and a messenger told it so: {}", plain(reason.trim()));
    }
    match &story.state {
        JobState::Queued => "it waits".to_owned(),
        JobState::Launching => "a runner is on its way".to_owned(),
        JobState::Running { runner } => format!("it runs on {}", plain(runner)),
        JobState::Finished { conclusion } => format!("it is over: {}", conclusion.words()),
        JobState::Refused { reason } => format!("it was refused: {}", plain(reason)),
        JobState::Unlaunchable { reason } => format!("it was given up: {}", plain(reason)),
    }
}

/// Each stage with its time, whose word that is, and how long it took to get there.
fn timeline(stages: &[Reached], now: Timestamp, width: Option<u16>) -> String {
    let Some(first) = stages.first() else {
        return "no stage is known".to_owned();
    };
    let longest = longest(stages);
    let rows = stages.iter().map(|one| {
        vec![
            one.at.utc_time(),
            one.stage.words().to_owned(),
            one.source.words().to_owned(),
            one.after.map(exact).unwrap_or_default(),
            one.after.map(|after| bar(after, longest, BAR)).unwrap_or_default(),
        ]
    });
    let heading = [
        first.at.utc_day(),
        "stage".to_owned(),
        "by".to_owned(),
        "after".to_owned(),
        String::new(),
    ];
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = rows.collect();
    let lines = screen::fitted(&heading, &rows, TIMELINE, width);
    let in_all = stages.last().map_or(now, |last| last.at).since(first.at);
    format!("{lines}\nin all {}", span(in_all))
}

fn runners(attempts: &[Attempt], width: Option<u16>) -> String {
    let header = [
        "runner", "state", "bought", "where", "instance", "$/h", "cost", "ending",
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
                let free = if bill.free { ", its machine free" } else { "" };
                format!("{}{so_far}{free}", bill.total)
            })),
            or_dash(attempt.ending.as_deref().map(plain)),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    screen::fitted(&header, &rows, RUNNERS, width)
}

fn role(attempt: &Attempt) -> String {
    let stands = state(attempt.state);
    match attempt.ran.filter(|ran| *ran != attempt.wanted_by) {
        _ if attempt.messenger => format!("{stands}, a messenger"),
        Some(other) => format!("{stands}, had job {other}"),
        None => stands.to_owned(),
    }
}

fn tried(tried: &Tried) -> String {
    let Tried {
        lifecycle,
        pool,
        code,
        times,
        ..
    } = tried;
    let pool = pool.as_ref().map(|pool| format!(" {pool}")).unwrap_or_default();
    let times = if *times == 1 {
        String::new()
    } else {
        format!(", {times} times")
    };
    format!("  {lifecycle}{pool}: {}{times}", plain(code))
}

fn money(story: &Story) -> String {
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
        lines.push(("unknown", format!("what {unknown} of its instances cost")));
    }
    lines.extend(prices::remark(story.money.prices_by()).map(|said| ("note", said)));
    told(&lines)
}

fn links(story: &Story, to: Links<'_>) -> String {
    let mut lines = vec![
        ("job", story.url(to.web)),
        ("logs", format!("dayfly logs {}", story.job)),
    ];
    if let Some(instance) = story.instance() {
        lines.push(("console", crate::logs::console_command(instance, to.region)));
    }
    told(&lines)
}

fn told(lines: &[(&str, String)]) -> String {
    let lines: Vec<String> = lines.iter().map(|(name, text)| format!("{name:<8} {text}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
