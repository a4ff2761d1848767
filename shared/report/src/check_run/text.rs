//! The text of a check run: what happened, what happens next, what to do about it.

use dayfly_config::CONFIG_PATH;
use dayfly_records::{AfterInterruption, CheckContent, CheckRun, MessengerReport};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, LaunchFailure};
use dayfly_types::ids::RunAttempt;
use dayfly_types::time::Timestamp;

use crate::check_run::{combined, job_log};
use crate::format::{counted, moment};
use crate::{markdown, urls};

/// All but the title is Markdown.
pub(super) struct CheckText {
    pub(super) title: String,
    happened: String,
    next: String,
    to_do: String,
}

impl CheckText {
    pub(super) fn summary(&self) -> String {
        format!(
            "**What happened:** {}\n\n**What happens next:** {}\n\n**What to do:** {}\n",
            self.happened, self.next, self.to_do
        )
    }
}

const NOTHING_TO_DO: &str = "Nothing.";

pub(super) fn of(check_run: &CheckRun, web: &str) -> CheckText {
    match &check_run.content {
        CheckContent::Waiting { next_at, tried } => waiting(*next_at, tried),
        CheckContent::Queued { place, of, words } => CheckText {
            title: format!("Waiting for its turn: place {place} of {of}"),
            happened: format!("This job has no runner yet. {}.", clause(words)),
            next:
                "It gets a runner when its turn comes. Repositories take turns, so that none holds up the others with \
                   all of its jobs."
                    .to_owned(),
            to_do: "Nothing. The owner of the AWS account can raise the limit with `dayfly policy apply`.".to_owned(),
        },
        CheckContent::Launched { pool, lifecycle, tried } => CheckText {
            title: format!("Found: {pool}, {lifecycle}"),
            happened: format!(
                "This job had to wait for its runner{}. Now it has an instance: {} ({lifecycle}).",
                waited_for(tried),
                markdown::escaped(&pool.to_string()),
            ),
            next: "The instance boots, and its runner takes the job.".to_owned(),
            to_do: NOTHING_TO_DO.to_owned(),
        },
        CheckContent::GivenUp {
            reason,
            tried,
            messenger,
        } => given_up(reason, tried, messenger),
        CheckContent::Interrupted { at, what, ran_on, next } => {
            let pool = ran_on.as_ref().map_or_else(String::new, |(pool, lifecycle)| {
                format!(" It ran on {} ({lifecycle}).", markdown::escaped(&pool.to_string()))
            });
            let happened = format!("At {} the job lost its instance: {}.{pool}", moment(*at), clause(what));
            interrupted(happened, next, check_run, web)
        }
        CheckContent::Rerun { of, lifecycle } => CheckText {
            title: format!("Runs again after an interruption, on {lifecycle} capacity"),
            happened: format!(
                "This job was interrupted in {}: it lost its instance there.",
                attempt_link(*of, check_run, web)
            ),
            next: format!("It runs again on {lifecycle} capacity."),
            to_do: NOTHING_TO_DO.to_owned(),
        },
        CheckContent::Ended { tried } => CheckText {
            title: "The job ended while it waited for an instance".to_owned(),
            happened: format!(
                "This job waited for its runner{}. It ended before an instance was available.",
                waited_for(tried)
            ),
            next: "Nothing more is tried for it.".to_owned(),
            to_do: "Nothing. *Re-run jobs* in the run requests an instance again.".to_owned(),
        },
        // `check_run::story` renders these.
        CheckContent::Story { jobs } => CheckText {
            title: format!("Stages and cost of {}", counted(jobs.len(), "job")),
            happened: "They ran.".to_owned(),
            next: NOTHING_TO_DO.to_owned(),
            to_do: NOTHING_TO_DO.to_owned(),
        },
        CheckContent::Combined { parts } => CheckText {
            title: combined::title(parts, check_run, web),
            happened: "Several jobs of this run are listed below.".to_owned(),
            next: "See each of them.".to_owned(),
            to_do: "See each of them.".to_owned(),
        },
    }
}

fn waiting(next_at: Timestamp, tried: &[LaunchFailure]) -> CheckText {
    let title = format!(
        "Waiting: {}, next try at {} UTC",
        short(latest(tried)),
        next_at.utc_time()
    );
    let to_do = match advice(tried) {
        None => NOTHING_TO_DO.to_owned(),
        Some(advice) => format!("Nothing, if it can wait. {advice}"),
    };
    CheckText {
        title,
        happened: format!("No instance was available for this job yet{}.", waited_for(tried)),
        next: format!("It is tried again at {}.", moment(next_at)),
        to_do,
    }
}

fn given_up(reason: &str, tried: &[LaunchFailure], messenger: &MessengerReport) -> CheckText {
    let title = match latest(tried) {
        None => "Refused: the job asks for what it cannot have".to_owned(),
        kind => format!("Given up: {}", short(kind)),
    };
    let next = match messenger {
        MessengerReport::OnItsWay => {
            "A messenger takes the job and fails it, so that its log ends with this reason.".to_owned()
        }
        MessengerReport::Off => format!(
            "No messenger fails the job, because `{CONFIG_PATH}` says `messenger: false`: it stays queued until somebody \
             cancels its run or GitHub ends it after 24 hours."
        ),
        MessengerReport::Failed { reason, cancelled } => {
            let rest = if *cancelled {
                format!("The whole run is cancelled, as `cancel_run_when_unlaunchable` in `{CONFIG_PATH}` asks.")
            } else {
                format!(
                    "The job stays queued until somebody cancels its run or GitHub ends it after 24 hours. \
                     With `cancel_run_when_unlaunchable: true` in `{CONFIG_PATH}` the run is cancelled at once."
                )
            };
            format!(
                "The messenger that fails the job with this reason in its log could not be launched either: {}. {rest}",
                clause(reason)
            )
        }
    };
    let advice = advice(tried).unwrap_or_else(|| "Fix what the reason names.".to_owned());
    CheckText {
        title,
        happened: format!(
            "This job gets no runner. {}",
            markdown::reason(&job_log::sentence(reason))
        ),
        next,
        to_do: format!("{advice} Then run the job again with *Re-run jobs* in the run."),
    }
}

fn interrupted(happened: String, next: &AfterInterruption, check_run: &CheckRun, web: &str) -> CheckText {
    let (title, next, to_do) = match next {
        AfterInterruption::WhenRunIsOver => (
            "Interrupted: runs again once its run is over",
            "GitHub re-runs no job while others of its run are still running, so this job runs again once the run is \
             over."
                .to_owned(),
            NOTHING_TO_DO,
        ),
        AfterInterruption::Rerun { attempt, with_failed } => {
            let link = attempt_link(*attempt, check_run, web);
            let others = if *with_failed {
                " Jobs that failed on their own run again with it: GitHub has no call that re-runs several jobs without them."
            } else {
                ""
            };
            (
                "Interrupted: runs again",
                format!("It runs again in {link}.{others}"),
                NOTHING_TO_DO,
            )
        }
        AfterInterruption::NotRerun { reason } => (
            "Interrupted: does not run again by itself",
            format!("It does not run again by itself: {}.", clause(reason)),
            "If it is still wanted, run it again with *Re-run jobs* in the run.",
        ),
        AfterInterruption::AnotherInstance => (
            "Interrupted before it started: gets another instance",
            "The job had not started and is still queued, so it simply gets another instance.".to_owned(),
            NOTHING_TO_DO,
        ),
    };
    CheckText {
        title: title.to_owned(),
        happened,
        next,
        to_do: to_do.to_owned(),
    }
}

fn attempt_link(attempt: RunAttempt, check_run: &CheckRun, web: &str) -> String {
    let url = urls::attempt(web, &check_run.repository, check_run.run, attempt);
    format!("[attempt {attempt}]({url})")
}

/// Escapes a foreign text for the end of a sentence that has its own full stop.
fn clause(text: &str) -> String {
    markdown::reason(text.trim().trim_end_matches('.'))
}

/// Returns the kind of the latest failure.
fn latest(tried: &[LaunchFailure]) -> Option<FleetErrorKind> {
    tried.iter().max_by_key(|one| one.last).map(|one| one.kind)
}

fn short(kind: Option<FleetErrorKind>) -> &'static str {
    match kind {
        None => "no instance was available",
        Some(FleetErrorKind::Capacity) => "EC2 has no capacity",
        Some(FleetErrorKind::Quota | FleetErrorKind::QuotaTooSmall) => "the AWS account's quota is used up",
        Some(FleetErrorKind::Price | FleetErrorKind::PriceLimitTooLow) => "the price is above the limit",
        Some(FleetErrorKind::BadRequest) => "EC2 rejects the request",
        Some(FleetErrorKind::Throttled) => "EC2 accepts no more calls for now",
        Some(FleetErrorKind::Unknown | FleetErrorKind::TokenUsed) => "EC2 did not answer as expected",
    }
}

/// Returns each kind of failure once, in the order in which they came.
fn kinds(tried: &[LaunchFailure]) -> Vec<FleetErrorKind> {
    let mut kinds = Vec::new();
    for one in tried {
        if !kinds.contains(&one.kind) {
            kinds.push(one.kind);
        }
    }
    kinds
}

/// Returns what a job waited for, after a colon. A job without a failed launch waited for its turn.
fn waited_for(tried: &[LaunchFailure]) -> String {
    let kinds = kinds(tried).into_iter();
    let reasons: Vec<&str> = kinds.map(|kind| short(Some(kind))).collect();
    if reasons.is_empty() {
        return String::new();
    }
    format!(": {}", reasons.join("; "))
}

fn advice(tried: &[LaunchFailure]) -> Option<String> {
    let has_fallback = tried.iter().any(|one| one.lifecycle == InstanceLifecycle::OnDemand);
    let advice = |kind| {
        match kind {
        FleetErrorKind::Capacity if has_fallback => Some(format!(
            "More types in `instance_type` of `{CONFIG_PATH}` give EC2 more pools to choose from."
        )),
        FleetErrorKind::Capacity => Some(format!(
            "More types in `instance_type` of `{CONFIG_PATH}`, or `fallback: on-demand`, give EC2 more pools to choose from."
        )),
        FleetErrorKind::Quota | FleetErrorKind::QuotaTooSmall => Some(
            "The owner of the AWS account can request an increase in *Service Quotas*: EC2's answer below names the quota."
                .to_owned(),
        ),
        FleetErrorKind::Price | FleetErrorKind::PriceLimitTooLow => Some(format!(
            "A higher `max_price` in `{CONFIG_PATH}`, or more types in `instance_type`, may bring the price within the limit."
        )),
        FleetErrorKind::BadRequest => Some(format!(
            "EC2's answer below names what it rejects: fix that in `{CONFIG_PATH}` or in the stack."
        )),
        FleetErrorKind::Throttled | FleetErrorKind::TokenUsed => None,
        FleetErrorKind::Unknown => {
            Some("If this continues, the log of dayfly's `launch` function has more details.".to_owned())
        }
    }
    };
    let all: Vec<String> = kinds(tried).into_iter().filter_map(advice).collect();
    (!all.is_empty()).then(|| all.join(" "))
}
