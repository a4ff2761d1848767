//! The check run of a run attempt's story: what its jobs went through and what they cost.

use std::time::Duration;

use dayfly_engine::check_run::{self, CheckRunCall, CheckRunStep, combined};
use dayfly_flows::{FlowError, load_stories};
use dayfly_ports::{Alerts, Clock, GitHub, Store};
use dayfly_records::{Change, CheckConclusion, CheckContent, CheckRun, CommentSettings, Job, Stored};
use dayfly_report::check_run::story::{StoryLinks, render};
use dayfly_report::story::schedule::next_update;
use dayfly_report::story::{JobStory, RunStory};
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::check_run::CheckAnswer;
use crate::{Function, ReportOutcome};

/// How often one invocation starts over after a conflict or a look-up.
const ROUNDS: usize = 3;

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Publishes the story of a run attempt as of `now`.
    pub(crate) async fn publish_story(
        &self,
        due: Stored<CheckRun>,
        now: Timestamp,
    ) -> Result<ReportOutcome, FlowError> {
        let mut next = Some(due);
        for _ in 0..ROUNDS {
            let Some(Stored {
                record: before,
                version,
            }) = next
            else {
                return Ok(ReportOutcome::Nothing);
            };
            let CheckRunStep::Call(held, call) = check_run::step(&before, Some(CheckConclusion::Neutral), now) else {
                return Ok(ReportOutcome::Nothing);
            };
            // This precedes reading the stories, which takes a while where they are many: each update of a job is
            // written into this record, so later updates make it due again.
            if !self.record(Change::update(version, (*held).clone())).await? {
                next = self.store.check_run(before.run, before.key).await?;
                continue;
            }
            let held = Stored::over(version, *held);
            let (jobs, stories): (Vec<Job>, Vec<JobStory>) = self.stories(&before, now).await?.into_iter().unzip();
            let story = RunStory::of(stories);
            let is_wanted = jobs.iter().any(|job| job.reporting.check);
            if !is_wanted {
                return self.add_to_comment_only((&before, &held), &jobs, &story, now).await;
            }
            if call != CheckRunCall::Find
                && let Err(wait) = self.acquire(&before, now).await?
            {
                let later = combined::defer(&before, wait, now);
                self.release(&held, later, wait, now).await?;
                return Ok(ReportOutcome::Postponed);
            }
            self.add_to_comment(&held.record, &jobs, &story, now).await?;
            let links = StoryLinks {
                web: &self.web_url,
                logs: &self.logs,
            };
            let check = render(&held.record, &story, links, now);
            match self.call_checks(&held.record, call, &check).await {
                Ok(CheckAnswer::Published(id)) => {
                    let again = next_update(&story.jobs, now);
                    let newer = self.record_published(&held, id, &check, again, now).await?;
                    // Where nothing lives any more, no later sweep finds it due.
                    let Some(newer) = newer.filter(|_| again.is_none()) else {
                        return Ok(ReportOutcome::Published);
                    };
                    next = Some(newer);
                }
                Ok(CheckAnswer::Found(found)) => {
                    let found = found.map(|view| (view.id, view.concluded));
                    let then = check_run::found(&held.record, found, now);
                    self.record(Change::update(held.version, then)).await?;
                    next = self.store.check_run(before.run, before.key).await?;
                }
                Err(error) => return self.record_failure(&before, &held, &error, now).await,
            }
        }
        Ok(ReportOutcome::Postponed)
    }

    /// Adds the cost to the comment where no check run is wanted. The record is held all the same: of two concurrent
    /// invocations, the one with the older sum could write last.
    async fn add_to_comment_only(
        &self,
        (before, held): (&CheckRun, &Stored<CheckRun>),
        jobs: &[Job],
        story: &RunStory,
        now: Timestamp,
    ) -> Result<ReportOutcome, FlowError> {
        self.add_to_comment(&held.record, jobs, story, now).await?;
        let next = CheckRun {
            due_at: next_update(&story.jobs, now),
            ..combined::release(before)
        };
        self.release(held, next, Duration::ZERO, now).await?;
        Ok(ReportOutcome::Nothing)
    }

    /// Releases a held check run. If it was updated meanwhile, it is due after `wait`.
    async fn release(
        &self,
        held: &Stored<CheckRun>,
        next: CheckRun,
        wait: Duration,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        if self.record(Change::update(held.version, next)).await? {
            return Ok(());
        }
        let newer = self.store.check_run(held.record.run, held.record.key).await?;
        if let Some(newer) = newer.filter(|newer| newer.record.held_until == held.record.held_until) {
            let due = combined::defer(&newer.record, wait, now);
            self.record(Change::update(newer.version, due)).await?;
        }
        Ok(())
    }

    async fn stories(&self, check_run: &CheckRun, now: Timestamp) -> Result<Vec<(Job, JobStory)>, FlowError> {
        let CheckContent::Story { jobs } = &check_run.content else {
            return Ok(Vec::new());
        };
        let attempt = check_run.key.attempt;
        let keys: Vec<JobKey> = jobs.iter().map(|job| JobKey { job: *job, attempt }).collect();
        Ok(load_stories(&self.store, &keys, now).await?)
    }

    /// Adds the cost to the comment of the pull request, if one is wanted.
    async fn add_to_comment(
        &self,
        check_run: &CheckRun,
        jobs: &[Job],
        story: &RunStory,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let above = jobs.iter().find_map(|job| job.reporting.comment);
        let pull = jobs.iter().find_map(|job| job.attribution.pull);
        let (Some(above), Some(pull)) = (above, pull) else {
            return Ok(());
        };
        let run = RunKey {
            run: check_run.run,
            attempt: check_run.key.attempt,
        };
        let settings = CommentSettings {
            installation: check_run.installation,
            above,
            all_caps: jobs.iter().any(|job| job.reporting.all_caps),
            actor: jobs.iter().find_map(|job| job.attribution.actor.clone()),
        };
        self.add_to_pull(&check_run.repository, pull, settings, story.sum(run), now)
            .await
    }
}
