//! The board as a custom widget of a CloudWatch dashboard: called while somebody looks at it, and never else.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod request;

pub use request::{Context, Request};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_ports::{Store, StoreError};
use dayfly_records::{Cost, Job, Record, Runner};
use dayfly_report::board::{self, Gauge, Live, Ran, Today, View, Waiting};
use dayfly_types::ids::JobKey;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use futures_util::future::{try_join_all, try_join3};

/// What the function answers if it is asked what it is.
const ABOUT: &str = include_str!("about.md");

/// The most live records that are looked at.
const MOST_RECORDS: usize = 1_000;

/// The most costs that are looked at: those of the instances that were launched last. A long job is missed only if
/// so many were launched while it ran.
const MOST_COSTS: usize = 1_000;

/// How many records are loaded at once: each load of more needs a connection of its own.
const AT_ONCE: usize = 16;

/// The dashboard function.
pub struct Function<S> {
    /// The table.
    pub store: S,
    /// Where GitHub's pages are.
    pub web_url: String,
    /// The longest that an instance lives.
    pub lifetime: Duration,
}

impl<S: Store> Function<S> {
    /// Answers with the board as HTML, or with the widget's documentation as Markdown.
    ///
    /// # Errors
    /// If the table did not answer: CloudWatch says so, and offers to try again.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Result<String, StoreError> {
        if request.describe {
            return Ok(ABOUT.to_owned());
        }
        let view = self.view(request, now).await?;
        tracing::info!(
            runners = view.live.len(),
            waiting = view.waiting.len(),
            jobs = view.ran.len(),
            "shown"
        );
        Ok(board::page(&view, now))
    }

    async fn view(&self, request: &Request, now: Timestamp) -> Result<View, StoreError> {
        let month = Month::of(now);
        let limit = request.jobs();
        let ever = Timestamp::from_millis(i64::MAX);
        let (due, ledgers, costs) = try_join3(
            self.store.due(ever, MOST_RECORDS),
            self.store.ledgers(month),
            self.costs(month),
        )
        .await?;
        let is_cut = due.len() >= MOST_RECORDS;
        let (mut runners, mut held_back, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for stored in due {
            match stored.record {
                Record::Runner(runner) if runner.waits_for_its_turn() => held_back.push(*runner),
                Record::Runner(runner) if runner.is_live() => runners.push(*runner),
                Record::Job(job) => waiting.extend(Waiting::of(&job)),
                _ => {}
            }
        }
        for some in [&mut runners, &mut held_back] {
            some.sort_by(|one, other| (one.requested_at, &one.name).cmp(&(other.requested_at, &other.name)));
        }
        let oldest = (costs.len() >= MOST_COSTS)
            .then(|| costs.iter().map(|cost| cost.launched_at).min())
            .flatten();
        let today = Today::of(&costs, oldest, self.lifetime, now);
        let costs = Ran::last(&costs, limit);
        let shown = runners.iter().take(board::MOST_RUNNERS);
        let shown = shown.chain(held_back.iter().take(board::MOST_WAITING));
        let jobs = self.jobs(shown, &costs).await?;
        let job = |runner: &Runner| jobs.get(&board::job_of(runner));
        waiting.extend(
            held_back
                .iter()
                .map(|runner| Waiting::for_its_turn(runner, job(runner))),
        );
        waiting.sort_by_key(|job| job.since);
        let ledgers: Vec<_> = ledgers.into_iter().map(|stored| stored.record).collect();
        Ok(View {
            look: request.look(),
            web_url: self.web_url.clone(),
            month,
            is_cut,
            live: runners.iter().map(|runner| Live::of(runner, job(runner))).collect(),
            waiting,
            today,
            budgets: Gauge::all(&ledgers),
            ran: Ran::all(&costs, &jobs),
        })
    }

    /// What the instances cost that were launched last in a month and, if those are few, in the month before.
    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        let mut costs = self.store.latest_costs(month, MOST_COSTS).await?;
        let wanted = MOST_COSTS.saturating_sub(costs.len());
        if wanted > 0 {
            costs.extend(self.store.latest_costs(month.before(), wanted).await?);
        }
        Ok(costs)
    }

    /// The jobs of what is shown, as far as they are still known.
    async fn jobs(
        &self,
        runners: impl Iterator<Item = &Runner>,
        costs: &[Cost],
    ) -> Result<BTreeMap<JobKey, Job>, StoreError> {
        let keys = runners.map(board::job_of);
        let keys: BTreeSet<JobKey> = keys.chain(costs.iter().filter_map(|cost| cost.job)).collect();
        let keys: Vec<JobKey> = keys.into_iter().collect();
        let mut jobs = BTreeMap::new();
        for some in keys.chunks(AT_ONCE) {
            let found = try_join_all(some.iter().map(|key| self.store.job(*key))).await?;
            jobs.extend(
                found
                    .into_iter()
                    .flatten()
                    .map(|stored| (stored.record.key, stored.record)),
            );
        }
        Ok(jobs)
    }
}
