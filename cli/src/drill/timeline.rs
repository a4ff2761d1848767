//! What there is to tell of a runner that is interrupted, each thing once.

use std::collections::BTreeSet;

use dayfly_types::time::Timestamp;

use super::seen::{Again, Watched};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) what: String,
}

impl Line {
    /// A line of text, or of JSON.
    pub(crate) fn told(&self, json: bool) -> String {
        let Self { at, what } = self;
        if json {
            serde_json::json!({ "at": moment(*at).map(|at| at.to_string()), "what": what }).to_string()
        } else {
            format!("{}  {what}", clock(*at))
        }
    }
}

/// What is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    Rebalance,
    Notice,
    JobOver,
    Noted,
    Gone,
    Again,
}

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    told: BTreeSet<News>,
    /// Whether there is a job that was or may yet be interrupted.
    had_job: bool,
}

impl Timeline {
    /// What is new, a line each. What the table has no time for is dated `now`.
    pub(crate) fn news(&mut self, watched: &Watched, now: Timestamp) -> Vec<Line> {
        let runner = watched.runner.as_ref();
        self.had_job |= runner.is_some_and(|runner| runner.job.is_some());
        let at = |get: fn(&super::Seen) -> Option<Timestamp>| runner.and_then(get);
        let mut news = Vec::new();
        let mut tell = |what: News, at: Option<Timestamp>, words: String| {
            if let Some(at) = at
                && self.told.insert(what)
            {
                news.push(Line { at, what: words });
            }
        };
        let advice = "EC2 recommends to leave the instance";
        tell(News::Rebalance, at(|runner| runner.rebalance_at), advice.to_owned());
        let notice = "EC2's notice has come: the runner is to end its job";
        tell(News::Notice, at(|runner| runner.interrupted_at), notice.to_owned());
        let over = "the instance says that its job has ended";
        tell(News::JobOver, at(|runner| runner.job_over_at), over.to_owned());
        if watched.again != Again::NotNoted {
            let noted = "the job is noted as interrupted: it is looked after once its run is over";
            tell(News::Noted, Some(now), noted.to_owned());
        }
        let gone = watched.is_gone().then_some(now);
        let because = runner.and_then(|runner| runner.ending.clone());
        tell(
            News::Gone,
            at(|runner| runner.ended_at).or(gone),
            because.map_or_else(
                || "the runner is gone".to_owned(),
                |because| format!("the runner is gone: {because}"),
            ),
        );
        match &watched.again {
            Again::Runs => tell(News::Again, Some(now), "GitHub runs the job again".to_owned()),
            Again::Declined(reason) => tell(News::Again, Some(now), format!("the job is not run again: {reason}")),
            Again::NotNoted | Again::Waits => {}
        }
        news
    }

    /// Whether all is told: the runner is gone, and so is the doubt about its job if it had one.
    pub(crate) fn is_over(&self) -> bool {
        self.told.contains(&News::Gone) && (self.told.contains(&News::Again) || !self.had_job)
    }

    /// What is left to say when the watching ends before that.
    pub(crate) fn rest(&self) -> &'static str {
        if self.told.contains(&News::Noted) {
            "the run of the job is not over yet; once it is, its interrupted jobs run again"
        } else {
            "the job was not interrupted: it had ended before, or it waits for another runner"
        }
    }
}

/// A moment as it stands in front of a line, in UTC.
fn clock(at: Timestamp) -> String {
    moment(at).map_or_else(|| "?".to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

/// Nothing for what lies outside of the calendar.
fn moment(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(at.seconds()).ok()
}
