//! GitHub's pages of a commit and of a job, as text.

use std::io::Write;

use dayfly_twin::{CheckRun, Conclusion, Job};

use crate::scenario::Story;

/// Prints the checks of a story's commit: GitHub's own for each job of the latest attempt, and
/// dayfly's.
///
/// # Errors
/// If it cannot be written.
pub fn checks(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let attempt = story
        .lab
        .twin()
        .inspect(|state| state.run(story.run).map(|run| run.attempt));
    for job in story.jobs(attempt.unwrap_or(1)) {
        let sign = sign(job.conclusion.map(Conclusion::as_str));
        writeln!(out, "  {sign} train / {}", job.spec.name)?;
    }
    let checks = story.lab.twin().inspect(|state| state.check_runs().to_vec());
    for check in checks {
        writeln!(
            out,
            "  {} {} — {}",
            sign(check.conclusion.as_deref()),
            check.name,
            title(&check)
        )?;
    }
    Ok(())
}

/// Prints a check run's own page.
///
/// # Errors
/// If it cannot be written.
pub fn check_run(check: &CheckRun, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "\n  ┌ {} — {}", check.name, title(check))?;
    let output = check.output.as_ref();
    let texts = [
        output.and_then(|output| output.summary.as_deref()),
        output.and_then(|output| output.text.as_deref()),
    ];
    for text in texts.into_iter().flatten() {
        writeln!(out, "  │")?;
        for line in text.trim_end().lines() {
            writeln!(out, "  │ {line}")?;
        }
    }
    writeln!(out, "  └")?;
    Ok(())
}

/// Prints a job's log.
///
/// # Errors
/// If it cannot be written.
pub fn log(job: &Job, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "\n  ┌ the log of `{}`", job.spec.name)?;
    for line in log_of(job) {
        writeln!(out, "  │ {line}")?;
    }
    writeln!(out, "  └\n")?;
    Ok(())
}

/// Returns the lines of a job's log that its page shows.
#[must_use]
pub fn log_of(job: &Job) -> Vec<String> {
    job.log.iter().map(|line| line.text.clone()).collect()
}

fn title(check: &CheckRun) -> &str {
    let title = check.output.as_ref().and_then(|output| output.title.as_deref());
    title.unwrap_or_default()
}

fn sign(conclusion: Option<&str>) -> char {
    match conclusion {
        Some("success") => '✓',
        Some("failure") => '✗',
        Some("neutral" | "skipped") => '□',
        Some(_) => '⊘',
        None => '●',
    }
}
