//! What the jobs of a run attempt went through and what they cost, told by one check run.

use std::time::Duration;

use dayfly_engine::check_run::{self, Ask, Step};
use dayfly_engine::combined;
use dayfly_flows::{FlowError, load_stories};
use dayfly_ports::{Alerts, Clock, GitHub, Store};
use dayfly_records::CheckConclusion;
use dayfly_records::{Change, CheckContent, CheckRun, Job, Stored, Wish};
use dayfly_report::check_run::story::{Place, render};
use dayfly_report::story::Story;
use dayfly_report::story_due as decide;
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::{Function, Outcome, Told};

/// How often one call goes on after it looked for a check run.
const ROUNDS: usize = 3;

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Tells the story of a run attempt as it stands.
    pub(crate) async fn tell_story(&self, due: Stored<CheckRun>, now: Timestamp) -> Result<Outcome, FlowError> {
        let mut next = Some(due);
        for _ in 0..ROUNDS {
            let Some(Stored {
                record: before,
                version,
            }) = next
            else {
                return Ok(Outcome::Nothing);
            };
            let Step::Ask(held, ask) = check_run::step(&before, Some(CheckConclusion::Neutral), now) else {
                return Ok(Outcome::Nothing);
            };
            // Before the stories are read, which takes a while where they are many: every news of a job is written
            // into this record, and what is new after this is told again.
            if !self.record(Change::update(version, (*held).clone())).await? {
                next = self.store.check_run(before.run, before.key).await?;
                continue;
            }
            let held = Stored::over(version, *held);
            let (jobs, stories): (Vec<Job>, Vec<Story>) = self.stories(&before, now).await?.into_iter().unzip();
            let is_wanted = jobs.iter().any(|job| job.reporting.check);
            if !is_wanted {
                return self.only_count((&before, &held), &jobs, &stories, now).await;
            }
            if ask != Ask::Find
                && let Err(wait) = self.acquire(&before, now).await?
            {
                let later = combined::put_off(&before, wait, now);
                self.let_go(&held, later, wait, now).await?;
                return Ok(Outcome::Postponed);
            }
            self.tell_pull(&held.record, &jobs, &stories, now).await?;
            let place = Place {
                web: &self.web_url,
                logs: &self.logs,
            };
            let check = render(&held.record, &stories, place, now);
            match self.ask(&held.record, ask, &check).await {
                Ok(Told::Said(id)) => {
                    let again = decide::look_again(&stories, now);
                    let newer = self.said(&held, id, &check, again, now).await?;
                    // Where nothing lives any more nobody is awake to find it later.
                    let Some(newer) = newer.filter(|_| again.is_none()) else {
                        return Ok(Outcome::Said);
                    };
                    next = Some(newer);
                }
                Ok(Told::Found(found)) => {
                    let found = found.map(|view| (view.id, view.concluded));
                    let then = check_run::found(&held.record, found, now);
                    self.record(Change::update(held.version, then)).await?;
                    next = self.store.check_run(before.run, before.key).await?;
                }
                Err(error) => return self.failed(&before, &held, &error, now).await,
            }
        }
        Ok(Outcome::Postponed)
    }

    /// Counts what they cost for the comment, where no check run is to tell it. It is held meanwhile as any that is
    /// told: of two who count, the one whose sum is old could be the last.
    async fn only_count(
        &self,
        (before, held): (&CheckRun, &Stored<CheckRun>),
        jobs: &[Job],
        stories: &[Story],
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        self.tell_pull(&held.record, jobs, stories, now).await?;
        let told = CheckRun {
            due_at: decide::look_again(stories, now),
            ..combined::let_go(before)
        };
        self.let_go(held, told, Duration::ZERO, now).await?;
        Ok(Outcome::Nothing)
    }

    /// Lets go of a check run that was held. If something is new by now, that waits for it, and is due after so long.
    async fn let_go(
        &self,
        held: &Stored<CheckRun>,
        then: CheckRun,
        wait: Duration,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        if self.record(Change::update(held.version, then)).await? {
            return Ok(());
        }
        let newer = self.store.check_run(held.record.run, held.record.key).await?;
        if let Some(newer) = newer.filter(|newer| newer.record.held_until == held.record.held_until) {
            let due = combined::put_off(&newer.record, wait, now);
            self.record(Change::update(newer.version, due)).await?;
        }
        Ok(())
    }

    async fn stories(&self, check_run: &CheckRun, now: Timestamp) -> Result<Vec<(Job, Story)>, FlowError> {
        let CheckContent::Story { jobs } = &check_run.content else {
            return Ok(Vec::new());
        };
        let attempt = check_run.key.attempt;
        let keys: Vec<JobKey> = jobs.iter().map(|job| JobKey { job: *job, attempt }).collect();
        Ok(load_stories(&self.store, &keys, now).await?)
    }

    /// Counts what they cost for the comment of their pull request, where there is to be one.
    async fn tell_pull(
        &self,
        check_run: &CheckRun,
        jobs: &[Job],
        stories: &[Story],
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
        let wish = Wish {
            installation: check_run.installation,
            above,
            all_caps: jobs.iter().any(|job| job.reporting.all_caps),
            actor: jobs.iter().find_map(|job| job.attribution.actor.clone()),
        };
        let sum = decide::sum(run, stories);
        self.add_to_pull(&check_run.repository, pull, wish, sum, now).await
    }
}
