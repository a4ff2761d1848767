//! When the story of a run attempt's jobs is published: what they went through, and what they cost.
//!
//! One check run shows it and is updated soon after a job starts, after it ends, and once the cost of its instance
//! is known; in between, for a long job, at growing intervals. A run attempt therefore takes a handful of GitHub's
//! writes, however many jobs it has and however long they run.

use std::time::Duration;

use dayfly_records::{CheckContent, CheckRun, CheckRunKey, CheckSubject, Job, Runner, RunnerState};
use dayfly_types::time::Timestamp;

use crate::story::{JobStory, LaunchTry};

/// After how long a running job's cost is updated for the first time; each later wait is as long as the job has
/// run by then.
const FIRST_UPDATE: Duration = Duration::from_mins(10);

/// After how long the cost of an instance that is gone is first looked for.
const COST_CHECK: Duration = Duration::from_mins(1);

/// A job with something new in its story.
#[derive(Clone, Copy, Debug)]
pub struct StoryUpdate<'a> {
    pub job: &'a Job,
    /// Whether the job is added only to a story that shows it already. A job that a messenger failed has a check run
    /// with the reason and no story. A job that ran elsewhere has none either, except for the cost of a runner
    /// that was meant for it.
    pub only_if_shown: bool,
}

impl<'a> StoryUpdate<'a> {
    /// Returns the update after `runner` did something for the job; `None` stands for a foreign runner.
    #[must_use]
    pub fn of(job: &'a Job, runner: Option<&Runner>) -> Self {
        Self {
            job,
            only_if_shown: runner.is_none_or(|runner| runner.message.is_some()),
        }
    }
}

/// Schedules the check run that shows these jobs of one run attempt by `soon`. Returns `None` if it is due by then
/// anyway, or if no job belongs in it.
#[must_use]
pub fn schedule(
    known: Option<&CheckRun>,
    updates: &[StoryUpdate<'_>],
    soon: Timestamp,
    now: Timestamp,
) -> Option<CheckRun> {
    let mut shown = match known.map(|known| &known.content) {
        Some(CheckContent::Story { jobs }) => jobs.clone(),
        _ => Vec::new(),
    };
    let before = shown.len();
    let belongs = |update: &&StoryUpdate<'_>| !update.only_if_shown || shown.contains(&update.job.key.job);
    let jobs: Vec<&Job> = updates.iter().filter(belongs).map(|update| update.job).collect();
    let first = jobs.first()?;
    for job in &jobs {
        if !shown.contains(&job.key.job) {
            shown.push(job.key.job);
        }
    }
    let is_due_soon = |known: &CheckRun| {
        known.held_until.is_none() && known.due_at.is_some_and(|at| at <= soon) && shown.len() == before
    };
    if known.is_some_and(is_due_soon) {
        return None;
    }
    let next = CheckRun::of(known.cloned(), first, CheckContent::Story { jobs: shown }, now);
    let due_at = known
        .and_then(|known| known.due_at)
        .map_or(soon, |due_at| due_at.min(soon));
    let its_name = || first.attribution.workflow.clone().unwrap_or_default();
    Some(CheckRun {
        key: CheckRunKey::new(CheckSubject::Story, first.key.attempt),
        job_name: known.map_or_else(its_name, |known| known.job_name.clone()),
        due_at: next.held_until.max(Some(due_at)),
        ..next
    })
}

/// Returns when the story is published again without an update: while a job still costs money, and until its final
/// cost is shown. The final cost is announced before it is recorded, so publishing can come first and miss it.
#[must_use]
pub fn next_update(stories: &[JobStory], now: Timestamp) -> Option<Timestamp> {
    stories.iter().filter_map(|story| next_update_of(story, now)).min()
}

fn next_update_of(story: &JobStory, now: Timestamp) -> Option<Timestamp> {
    if story.money.is_final {
        return None;
    }
    let ended = |one: &LaunchTry| one.ended_at.filter(|_| one.state == RunnerState::Gone);
    let ends: Option<Vec<Timestamp>> = story.launch_tries.iter().map(ended).collect();
    let (since, least) = match ends {
        None => (story.stages.first()?.at, FIRST_UPDATE),
        // Only the cost or the end of the job is missing. Its runner is due for the one, GitHub is asked for the
        // other. Both schedule an update, but the story may be published before they are recorded.
        Some(ends) => (ends.into_iter().max()?, COST_CHECK),
    };
    Some(now.after(now.since(since).max(least)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, now};
    use crate::story::tests::{ran, settled, story_of};
    use dayfly_engine::check_run::{CheckRunStep, step};
    use dayfly_records::{CheckConclusion, JobState, MessengerTask};

    const MINUTE: Duration = Duration::from_mins(1);
    const GATHER: Duration = Duration::from_secs(15);

    fn updates<'a>(jobs: &[&'a Job]) -> Vec<StoryUpdate<'a>> {
        let of = |job: &&'a Job| StoryUpdate {
            job,
            only_if_shown: false,
        };
        jobs.iter().map(of).collect()
    }

    fn of(jobs: &[&Job]) -> CheckRun {
        schedule(None, &updates(jobs), now().after(GATHER), now()).unwrap()
    }

    fn later(known: &CheckRun, jobs: &[&Job], now: Timestamp) -> Option<CheckRun> {
        schedule(Some(known), &updates(jobs), now.after(GATHER), now)
    }

    fn shown(check_run: &CheckRun) -> Vec<u64> {
        match &check_run.content {
            CheckContent::Story { jobs } => jobs.iter().map(|job| job.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn updates_that_come_together_are_published_together() {
        let (one, other) = (claimed(11).0, claimed(12).0);
        let first = of(&[&one]);
        assert_eq!(first.due_at, Some(now().after(GATHER)));
        assert!(first.key.of == CheckSubject::Story && first.job_name.is_empty());
        let soon = now().after(GATHER / 2);
        assert_eq!(later(&first, &[&one], soon), None, "it is due soon anyway");
        let both = later(&first, &[&other, &one], soon).unwrap();
        assert_eq!(
            (shown(&both), both.due_at),
            (vec![11, 12], first.due_at),
            "and not later"
        );
        assert_eq!(later(&both, &[], soon), None);
    }

    #[test]
    fn story_keeps_the_name_that_it_is_looked_up_by() {
        let (mut one, mut other) = (claimed(11).0, claimed(12).0);
        other.attribution.workflow = Some("ci".to_owned());
        let unnamed = later(&of(&[&one]), &[&other], now()).unwrap();
        assert_eq!(unnamed.job_name, "", "GitHub may have it under that name already");
        one.attribution.workflow = Some("ci".to_owned());
        other.attribution.workflow = None;
        assert_eq!(later(&of(&[&one]), &[&other], now()).unwrap().job_name, "ci");
    }

    #[test]
    fn job_failed_by_a_messenger_gets_no_story_but_keeps_one() {
        let (job, mut messenger) = claimed(11);
        messenger.message = Some(MessengerTask {
            job: job.key,
            run: job.run,
            text: "no".to_owned(),
        });
        let updates = [StoryUpdate::of(&job, Some(&messenger))];
        assert_eq!(schedule(None, &updates, now(), now()), None);
        assert_eq!(
            schedule(None, &[StoryUpdate::of(&job, None)], now(), now()),
            None,
            "it ran elsewhere"
        );
        let other = of(&[&claimed(12).0]);
        assert_eq!(schedule(Some(&other), &updates, now(), now()), None);
        assert_eq!(
            shown(&schedule(Some(&of(&[&job])), &updates, now(), now()).unwrap()),
            [11]
        );
    }

    #[test]
    fn update_during_publishing_is_published_after_it() {
        let job = claimed(11).0;
        let at = now().after(MINUTE);
        let CheckRunStep::Call(held, _) = step(&of(&[&job]), Some(CheckConclusion::Neutral), at) else {
            panic!("it should be due")
        };
        let next = later(&held, &[&job], at).unwrap();
        assert_eq!((next.held_until, next.due_at), (held.held_until, held.held_until));
    }

    #[test]
    fn update_brings_a_later_publication_forward() {
        let job = claimed(11).0;
        let again = CheckRun {
            due_at: Some(now().after(40 * MINUTE)),
            ..of(&[&job])
        };
        let next = later(&again, &[&job], now()).unwrap();
        assert_eq!(next.due_at, Some(now().after(GATHER)));
    }

    #[test]
    fn cost_so_far_is_published_at_growing_intervals() {
        let (job, runner) = ran();
        let live = dayfly_records::Runner {
            state: RunnerState::Busy,
            ended_at: None,
            ..runner.clone()
        };
        let stories = [story_of(&job, &[live], &[], 60)];
        let began = stories[0].stages[0].at;
        for (minutes, next) in [(1, 11), (11, 22), (60, 120)] {
            let again = next_update(&stories, began.after(minutes * MINUTE));
            assert_eq!(again, Some(began.after(next * MINUTE)), "{minutes}");
        }
        let (gone, cost) = settled(&job, runner);
        assert_eq!(next_update(&[story_of(&job, &[gone], &[cost], 900)], now()), None);
        assert_eq!(next_update(&[], now()), None);
    }

    #[test]
    fn ended_job_with_unknown_cost_is_published_again_soon() {
        let (job, runner) = ran();
        let gone_at = runner.ended_at.unwrap();
        let story = story_of(&job, &[runner], &[], 900);
        assert!(!story.money.is_final);
        for (minutes, next) in [(0, 1), (1, 2), (5, 10)] {
            let again = next_update(std::slice::from_ref(&story), gone_at.after(minutes * MINUTE));
            assert_eq!(again, Some(gone_at.after(next * MINUTE)), "{minutes}");
        }
    }

    #[test]
    fn unknown_end_is_published_again_unless_it_runs_elsewhere() {
        for (elsewhere, again) in [(false, true), (true, false)] {
            let (mut job, runner) = ran();
            let registered = runner.name.registration(runner.instance().unwrap(), 1);
            let runner_name = if elsewhere {
                "somebody-elses".to_owned()
            } else {
                registered
            };
            job.state = JobState::Running { runner: runner_name };
            let (runner, cost) = settled(&job, runner);
            let story = story_of(&job, &[runner], &[cost], 900);
            assert_eq!(next_update(&[story], now()).is_some(), again, "elsewhere: {elsewhere}");
        }
    }
}
