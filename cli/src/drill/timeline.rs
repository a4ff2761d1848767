//! The milestones of an interruption, each reported once.

use std::collections::BTreeSet;

use dayfly_types::time::Timestamp;

use super::snapshot::{DrillProgress, RerunProgress};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimelineEntry {
    pub(crate) at: Timestamp,
    pub(crate) text: String,
}

impl TimelineEntry {
    /// Renders the entry as a line of text or JSON.
    pub(crate) fn render(&self, json: bool) -> String {
        let Self { at, text } = self;
        if json {
            serde_json::json!({ "at": calendar_time(*at).map(|at| at.to_string()), "what": text }).to_string()
        } else {
            format!("{}  {text}", at.utc_time())
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Milestone {
    Rebalance,
    Notice,
    JobOver,
    Recorded,
    Gone,
    Rerun,
}

/// The milestones that were reported so far.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    reported: BTreeSet<Milestone>,
    /// Whether a job was or may yet be interrupted.
    had_job: bool,
}

impl Timeline {
    /// Returns an entry for each new milestone. Those without a recorded time get `now`.
    pub(crate) fn update(&mut self, progress: &DrillProgress, now: Timestamp) -> Vec<TimelineEntry> {
        let runner = progress.runner.as_ref();
        self.had_job |= runner.is_some_and(|runner| runner.job.is_some());
        let at = |get: fn(&super::RunnerSnapshot) -> Option<Timestamp>| runner.and_then(get);
        let mut entries = Vec::new();
        let mut report = |milestone: Milestone, at: Option<Timestamp>, text: String| {
            if let Some(at) = at
                && self.reported.insert(milestone)
            {
                entries.push(TimelineEntry { at, text });
            }
        };
        let advice = "EC2 recommends leaving the instance";
        report(
            Milestone::Rebalance,
            at(|runner| runner.rebalance_at),
            advice.to_owned(),
        );
        let notice = "EC2's notice has come: the runner ends its job";
        report(Milestone::Notice, at(|runner| runner.interrupted_at), notice.to_owned());
        let over = "the instance says that its job has ended";
        report(Milestone::JobOver, at(|runner| runner.job_over_at), over.to_owned());
        if progress.rerun != RerunProgress::NotRecorded {
            let recorded = "the job is recorded as interrupted: it is handled once its run is over";
            report(Milestone::Recorded, Some(now), recorded.to_owned());
        }
        let gone = progress.is_gone().then_some(now);
        let because = runner.and_then(|runner| runner.ending.clone());
        report(
            Milestone::Gone,
            at(|runner| runner.ended_at).or(gone),
            because.map_or_else(
                || "the runner is gone".to_owned(),
                |because| format!("the runner is gone: {because}"),
            ),
        );
        match &progress.rerun {
            RerunProgress::Accepted => report(Milestone::Rerun, Some(now), "GitHub runs the job again".to_owned()),
            RerunProgress::Declined(reason) => report(
                Milestone::Rerun,
                Some(now),
                format!("the job is not run again: {reason}"),
            ),
            RerunProgress::NotRecorded | RerunProgress::Waiting => {}
        }
        entries
    }

    /// Whether the runner is gone, and the rerun of its job, if it had one, is decided.
    pub(crate) fn is_over(&self) -> bool {
        self.reported.contains(&Milestone::Gone) && (self.reported.contains(&Milestone::Rerun) || !self.had_job)
    }

    /// Returns what is still open if the watch ends earlier.
    pub(crate) fn open_end(&self) -> &'static str {
        if self.reported.contains(&Milestone::Recorded) {
            "the run of the job is not over yet; once it is, its interrupted jobs run again"
        } else {
            "the job was not interrupted: it had ended before, or it waits for another runner"
        }
    }
}

/// Returns `None` for a time outside of the calendar.
fn calendar_time(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(at.seconds()).ok()
}
