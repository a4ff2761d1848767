//! What a check run says, in words: what happened, what happens next, what to do about it.

use dayfly_config::CONFIG_PATH;
use dayfly_records::{AfterInterruption, CheckContent, CheckRun, MessengerNews};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, Tried};
use dayfly_types::ids::RunAttempt;
use dayfly_types::time::Timestamp;

use crate::check_run::{combined, markdown, plain, run_url};

/// A check run in words. All but the title is Markdown.
pub(super) struct Words {
    pub(super) title: String,
    happened: String,
    next: String,
    to_do: String,
}

impl Words {
    pub(super) fn summary(&self) -> String {
        format!(
            "**What happened:** {}\n\n**What happens next:** {}\n\n**What to do:** {}\n",
            self.happened, self.next, self.to_do
        )
    }
}

const NOTHING_TO_DO: &str = "Nothing.";

pub(super) fn of(check_run: &CheckRun, web: &str) -> Words {
    match &check_run.content {
        CheckContent::Waiting { next_at, tried } => waiting(*next_at, tried),
        CheckContent::Queued { place, of, words } => Words {
            title: format!("Waits for its turn: place {place} of {of}"),
            happened: format!("This job has no runner yet. {}.", clause(words)),
            next:
                "It gets its runner when it is its turn. Repositories take turns, so that none keeps another waiting \
                   for all of its jobs."
                    .to_owned(),
            to_do: "Nothing. Whoever owns the AWS account can raise the limit, with `dayfly policy apply`.".to_owned(),
        },
        CheckContent::Launched { pool, lifecycle, tried } => Words {
            title: format!("Found: {pool}, {lifecycle}"),
            happened: format!(
                "This job had to wait for its runner{}. Then an instance could be had, {} ({lifecycle}).",
                what_for(tried),
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
            let place = ran_on.as_ref().map_or_else(String::new, |(pool, lifecycle)| {
                format!(" It ran on {} ({lifecycle}).", markdown::escaped(&pool.to_string()))
            });
            let happened = format!("At {} the job lost its instance: {}.{place}", moment(*at), clause(what));
            interrupted(happened, next, check_run, web)
        }
        CheckContent::Again { of, lifecycle } => Words {
            title: format!("Runs again after an interruption, on {lifecycle} capacity"),
            happened: format!(
                "This job runs again because it was interrupted in {}: it lost its instance there.",
                attempt_link(*of, check_run, web)
            ),
            next: format!("It gets an instance of {lifecycle} capacity."),
            to_do: NOTHING_TO_DO.to_owned(),
        },
        CheckContent::Over { tried } => Words {
            title: "The job ended while it waited for an instance".to_owned(),
            happened: format!(
                "This job waited for its runner{}. It ended before an instance could be had.",
                what_for(tried)
            ),
            next: "Nothing is tried for it any more.".to_owned(),
            to_do: "Nothing. *Re-run jobs* in the run asks for an instance anew.".to_owned(),
        },
        // Its own check run has more than words: see `check run::story`.
        CheckContent::Story { jobs } => Words {
            title: format!("What {} jobs went through, and what they cost", jobs.len()),
            happened: "They ran.".to_owned(),
            next: NOTHING_TO_DO.to_owned(),
            to_do: NOTHING_TO_DO.to_owned(),
        },
        CheckContent::Combined { parts } => Words {
            title: combined::title(parts, check_run, web),
            happened: "Several jobs of this run are told of below.".to_owned(),
            next: "It stands with each of them.".to_owned(),
            to_do: "It stands with each of them.".to_owned(),
        },
    }
}

fn waiting(next_at: Timestamp, tried: &[Tried]) -> Words {
    let kind = latest(tried);
    let title = format!("Waiting: {}, next try at {} UTC", short(kind), next_at.utc_time());
    let to_do = match advice(tried) {
        None => NOTHING_TO_DO.to_owned(),
        Some(advice) => format!("Nothing, if it can wait. {advice}"),
    };
    Words {
        title,
        happened: if tried.is_empty() {
            "No instance could be had for this job yet.".to_owned()
        } else {
            format!("No instance could be had for this job yet: {}.", why(tried))
        },
        next: format!("It is tried again at {}.", moment(next_at)),
        to_do,
    }
}

fn given_up(reason: &str, tried: &[Tried], messenger: &MessengerNews) -> Words {
    let title = match latest(tried) {
        None => "Refused: the job asks for what it cannot have".to_owned(),
        kind => format!("Given up: {}", short(kind)),
    };
    let next = match messenger {
        MessengerNews::OnItsWay => {
            "A messenger takes the job in order to fail it, so that its log ends with this reason.".to_owned()
        }
        MessengerNews::Off => format!(
            "No runner takes the job: it stays queued until somebody cancels its run, or GitHub ends it after 24 hours, \
             because `messenger: false` in `{CONFIG_PATH}` wants nobody to take it in order to fail it."
        ),
        MessengerNews::Failed { reason, cancelled } => {
            let rest = if *cancelled {
                format!("The whole run is cancelled, as `cancel_run_when_unlaunchable` in `{CONFIG_PATH}` asks.")
            } else {
                format!(
                    "The job stays queued until somebody cancels its run, or GitHub ends it after 24 hours. \
                     With `cancel_run_when_unlaunchable: true` in `{CONFIG_PATH}` it is cancelled at once."
                )
            };
            format!(
                "Not even a messenger could be launched that fails the job with this reason in its log: {}. {rest}",
                clause(reason)
            )
        }
    };
    let advice = advice(tried).unwrap_or_else(|| "Mend what the reason names.".to_owned());
    Words {
        title,
        happened: format!(
            "This job gets no runner. {}",
            markdown::reason(&plain::sentence(reason))
        ),
        next,
        to_do: format!("{advice} Then run the job again, with *Re-run jobs* in the run."),
    }
}

fn interrupted(happened: String, next: &AfterInterruption, check_run: &CheckRun, web: &str) -> Words {
    let (title, next, to_do) = match next {
        AfterInterruption::WhenRunIsOver => (
            "Interrupted: runs again once its run is over",
            "GitHub runs no job again while others of its run are at work, so the job runs again once the run is over."
                .to_owned(),
            NOTHING_TO_DO.to_owned(),
        ),
        AfterInterruption::RunAgain { attempt, with_failed } => {
            let link = attempt_link(*attempt, check_run, web);
            let others = if *with_failed {
                " Jobs that failed by themselves run again with it: GitHub has no call for several jobs that leaves those out."
            } else {
                ""
            };
            (
                "Interrupted: runs again",
                format!("It runs again in {link}.{others}"),
                NOTHING_TO_DO.to_owned(),
            )
        }
        AfterInterruption::Not { reason } => (
            "Interrupted: does not run again by itself",
            format!("It does not run again by itself: {}.", clause(reason)),
            "If it is still wanted, run it again, with *Re-run jobs* in the run.".to_owned(),
        ),
        AfterInterruption::AnotherInstance => (
            "Interrupted before it began: gets another instance",
            "The job had not begun and still waits, so it simply gets another instance.".to_owned(),
            NOTHING_TO_DO.to_owned(),
        ),
    };
    Words {
        title: title.to_owned(),
        happened,
        next,
        to_do,
    }
}

fn attempt_link(attempt: RunAttempt, check_run: &CheckRun, web: &str) -> String {
    format!("[attempt {attempt}]({}/attempts/{attempt})", run_url(check_run, web))
}

fn moment(at: Timestamp) -> String {
    format!("{} {} UTC", at.utc_day(), at.utc_time())
}

/// Somebody's words within a sentence of ours, which has a full stop of its own.
fn clause(text: &str) -> String {
    markdown::reason(text.trim().trim_end_matches('.'))
}

/// What kind of failure came last.
fn latest(tried: &[Tried]) -> Option<FleetErrorKind> {
    tried.iter().max_by_key(|one| one.last).map(|one| one.kind)
}

fn short(kind: Option<FleetErrorKind>) -> &'static str {
    match kind {
        None => "no instance could be had",
        Some(FleetErrorKind::Capacity) => "EC2 has no capacity",
        Some(FleetErrorKind::Quota | FleetErrorKind::QuotaTooSmall) => "the AWS account's quota is used up",
        Some(FleetErrorKind::Price | FleetErrorKind::TooDear) => "the price is above the limit",
        Some(FleetErrorKind::BadRequest) => "EC2 refuses the request",
        Some(FleetErrorKind::Throttled) => "EC2 takes no more calls for now",
        Some(FleetErrorKind::Unknown | FleetErrorKind::TokenUsed) => "EC2 did not answer as it should",
    }
}

/// The kinds of failure there were, each once, in the order in which they came.
fn kinds(tried: &[Tried]) -> Vec<FleetErrorKind> {
    let mut kinds = Vec::new();
    for one in tried {
        if !kinds.contains(&one.kind) {
            kinds.push(one.kind);
        }
    }
    kinds
}

/// What a job had to wait for that does not wait any more: its turn, if nothing was tried.
fn what_for(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return String::new();
    }
    format!(": {}", why(tried))
}

fn why(tried: &[Tried]) -> String {
    let kinds = kinds(tried);
    if kinds.is_empty() {
        return short(None).to_owned();
    }
    let reasons: Vec<&str> = kinds.into_iter().map(|kind| short(Some(kind))).collect();
    reasons.join("; ")
}

fn advice(tried: &[Tried]) -> Option<String> {
    let has_fallback = tried.iter().any(|one| one.lifecycle == InstanceLifecycle::OnDemand);
    let mend = |kind| match kind {
        FleetErrorKind::Capacity if has_fallback => Some(format!(
            "More types in `instance_type` of `{CONFIG_PATH}` give EC2 more places to look."
        )),
        FleetErrorKind::Capacity => Some(format!(
            "More types in `instance_type` of `{CONFIG_PATH}`, or `fallback: on-demand`, give EC2 more places to look."
        )),
        FleetErrorKind::Quota | FleetErrorKind::QuotaTooSmall => Some(
            "Whoever owns the AWS account can ask for more in *Service Quotas*: EC2's words below say of what."
                .to_owned(),
        ),
        FleetErrorKind::Price | FleetErrorKind::TooDear => Some(format!(
            "A higher `max_price` in `{CONFIG_PATH}`, or more types in `instance_type`, may meet the price."
        )),
        FleetErrorKind::BadRequest => Some(format!(
            "EC2's words below name what it refuses: mend that in `{CONFIG_PATH}`, or in the stack."
        )),
        FleetErrorKind::Throttled | FleetErrorKind::TokenUsed => None,
        FleetErrorKind::Unknown => {
            Some("If this goes on, whoever runs dayfly finds more in the log of its `launch` function.".to_owned())
        }
    };
    let mends: Vec<String> = kinds(tried).into_iter().filter_map(mend).collect();
    (!mends.is_empty()).then(|| mends.join(" "))
}
