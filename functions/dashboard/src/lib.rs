//! The board as a custom widget of a CloudWatch dashboard, called only while somebody looks at it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod request;

pub use request::{Context, Request};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_ports::{Store, StoreError};
use dayfly_records::{Cost, Job, Record, Runner};
use dayfly_report::board::{self, Gauge, LiveRunner, PastJob, Today, View, WaitingJob};
use dayfly_types::ids::JobKey;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use futures_util::future::{try_join_all, try_join3};

/// The widget's documentation.
const ABOUT: &str = include_str!("about.md");

/// Live records read at most.
const MOST_RECORDS: usize = 1_000;

/// Costs read at most, the latest launches first. A long job is missed only if more instances were launched while it
/// ran.
const MOST_COSTS: usize = 1_000;

/// Records loaded at once, each over a connection of its own.
const AT_ONCE: usize = 16;

/// The dashboard function.
pub struct Function<S> {
    pub store: S,
    /// GitHub's address.
    pub web_url: String,
    /// The longest life of an instance.
    pub lifetime: Duration,
}

impl<S: Store> Function<S> {
    /// Returns the board as HTML, or the widget's documentation as Markdown.
    ///
    /// # Errors
    /// The table did not answer: CloudWatch shows the error and offers a retry.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Result<String, StoreError> {
        if request.describe {
            return Ok(ABOUT.to_owned());
        }
        let view = self.view(request, now).await?;
        tracing::info!(
            runners = view.live.len(),
            waiting = view.waiting.len(),
            jobs = view.past.len(),
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
        let (mut runners, mut queued, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for stored in due {
            match stored.record {
                Record::Runner(runner) if runner.waits_at_gate() => queued.push(*runner),
                Record::Runner(runner) if runner.is_live() => runners.push(*runner),
                Record::Job(job) => waiting.extend(WaitingJob::of(&job)),
                _ => {}
            }
        }
        for some in [&mut runners, &mut queued] {
            some.sort_by(|one, other| (one.requested_at, &one.name).cmp(&(other.requested_at, &other.name)));
        }
        let oldest = (costs.len() >= MOST_COSTS)
            .then(|| costs.iter().map(|cost| cost.launched_at).min())
            .flatten();
        let today = Today::of(&costs, oldest, self.lifetime, now);
        let costs = PastJob::last(&costs, limit);
        let shown = runners.iter().take(board::MOST_RUNNERS);
        let shown = shown.chain(queued.iter().take(board::MOST_WAITING));
        let jobs = self.jobs(shown, &costs).await?;
        let job = |runner: &Runner| jobs.get(&board::job_of_runner(runner));
        waiting.extend(
            queued
                .iter()
                .map(|runner| WaitingJob::for_its_turn(runner, job(runner))),
        );
        waiting.sort_by_key(|job| job.since);
        let ledgers: Vec<_> = ledgers.into_iter().map(|stored| stored.record).collect();
        Ok(View {
            appearance: request.appearance(),
            web_url: self.web_url.clone(),
            month,
            is_cut,
            live: runners
                .iter()
                .map(|runner| LiveRunner::of(runner, job(runner)))
                .collect(),
            waiting,
            today,
            budgets: Gauge::all(&ledgers),
            past: PastJob::all(&costs, &jobs),
        })
    }

    /// Reads the costs of a month's latest launches and, if they are few, of the month before.
    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        let mut costs = self.store.latest_costs(month, MOST_COSTS).await?;
        let wanted = MOST_COSTS.saturating_sub(costs.len());
        if wanted > 0 {
            costs.extend(self.store.latest_costs(month.previous(), wanted).await?);
        }
        Ok(costs)
    }

    /// Loads the jobs to show, as far as they are still stored.
    async fn jobs(
        &self,
        runners: impl Iterator<Item = &Runner>,
        costs: &[Cost],
    ) -> Result<BTreeMap<JobKey, Job>, StoreError> {
        let keys = runners.map(board::job_of_runner);
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
