//! When the story of a run attempt's jobs is told: what they went through, and what they cost.
//!
//! One check run tells it, and is changed as it goes on: soon after a job begins, after it ended, and after
//! it was settled what its instance cost; in between, should it take long, at spans that grow. So a run
//! attempt takes a handful of GitHub's writes, however many jobs it has and however long they run.

use std::time::Duration;

use dayfly_records::{CheckContent, CheckRun, Job, RunSum, Runner, RunnerState};
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::story::{Attempt, Money, Story};

/// After what time of running the cost so far is told again for the first time; then after as long again
/// as it has taken by then.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// After what time it is looked for the first time whether it has been counted what an instance has cost of which
/// nothing is left.
const COUNTED: Duration = Duration::from_mins(1);

/// A job of which there is something new to tell.
#[derive(Clone, Copy, Debug)]
pub struct News<'a> {
    /// The job.
    pub job: &'a Job,
    /// Whether it is told only if there is a story of it already: one that was told by a messenger why it is
    /// given up has a check run that says so, and went through nothing else; what ran elsewhere is not our story,
    /// but for what a runner cost that was meant for it.
    pub only_if_told: bool,
}

impl<'a> News<'a> {
    /// What is new of a job by what its runner did: none, if that is not one of ours.
    #[must_use]
    pub fn of(job: &'a Job, runner: Option<&Runner>) -> Self {
        Self {
            job,
            only_if_told: runner.is_none_or(|runner| runner.message.is_some()),
        }
    }
}

/// The check run by which something new about these jobs of one run attempt will be told by `soon`. Nothing if it
/// is told by then anyway, or there is none among them.
#[must_use]
pub fn due(known: Option<&CheckRun>, news: &[News<'_>], soon: Timestamp, now: Timestamp) -> Option<CheckRun> {
    let mut of = match known.map(|known| &known.content) {
        Some(CheckContent::Story { jobs }) => jobs.clone(),
        _ => Vec::new(),
    };
    let before = of.len();
    let is_told = |news: &&News<'_>| !news.only_if_told || of.contains(&news.job.key.job);
    let jobs: Vec<&Job> = news.iter().filter(is_told).map(|news| news.job).collect();
    let first = jobs.first()?;
    for job in &jobs {
        if !of.contains(&job.key.job) {
            of.push(job.key.job);
        }
    }
    let told_soon = |known: &CheckRun| {
        known.held_until.is_none() && known.due_at.is_some_and(|at| at <= soon) && of.len() == before
    };
    if known.is_some_and(told_soon) {
        return None;
    }
    let next = CheckRun::of(known.cloned(), first, CheckContent::Story { jobs: of }, now);
    let due_at = known
        .and_then(|known| known.due_at)
        .map_or(soon, |due_at| due_at.min(soon));
    Some(CheckRun {
        key: JobKey::story_of(first.key.attempt),
        job_name: String::new(),
        due_at: next.held_until.max(Some(due_at)),
        ..next
    })
}

/// When the story is told again though nothing new is heard: while something of it lives and costs, and until it
/// is told what it cost at last. Who counts that announces it first, and may be overtaken by whoever tells it.
#[must_use]
pub fn look_again(stories: &[Story], now: Timestamp) -> Option<Timestamp> {
    stories.iter().filter_map(|story| look_again_at(story, now)).min()
}

fn look_again_at(story: &Story, now: Timestamp) -> Option<Timestamp> {
    if story.money.is_final {
        return None;
    }
    let ended = |attempt: &Attempt| attempt.ended_at.filter(|_| attempt.state == RunnerState::Gone);
    let ends: Option<Vec<Timestamp>> = story.attempts.iter().map(ended).collect();
    let (since, least) = match ends {
        None => (story.stages.first()?.at, LOOK_AGAIN),
        // Its sum is missing, for which its runner is due, or its end, which is asked for. Either is news, but
        // that may have been told before it was written down.
        Some(ends) => (ends.into_iter().max()?, COUNTED),
    };
    Some(now.after(now.since(since).max(least)))
}

/// What the jobs of a run attempt cost, for the comment of its pull request.
#[must_use]
pub fn sum(run: RunKey, stories: &[Story]) -> RunSum {
    let all: Money = stories.iter().map(|story| story.money.clone()).sum();
    RunSum {
        run: run.run,
        attempt: run.attempt,
        workflow: stories.iter().find_map(|story| story.attribution.workflow.clone()),
        jobs: u32::try_from(stories.len()).unwrap_or(u32::MAX),
        minutes: all.minutes.unwrap_or_default(),
        cost: all.total,
        saved: all.saved,
        wasted: all.wasted,
        on_github: all.on_github,
        github_charge: all.github_charge,
        is_final: all.is_final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, now};
    use crate::story::tests::{ran, settled, tell};
    use dayfly_engine::check_run::{Step, step};
    use dayfly_records::CheckConclusion;
    use dayfly_records::{JobState, Message};

    const MINUTE: Duration = Duration::from_mins(1);
    const GATHER: Duration = Duration::from_secs(15);

    fn news<'a>(jobs: &[&'a Job]) -> Vec<News<'a>> {
        let of = |job: &&'a Job| News {
            job,
            only_if_told: false,
        };
        jobs.iter().map(of).collect()
    }

    fn of(jobs: &[&Job]) -> CheckRun {
        due(None, &news(jobs), now().after(GATHER), now()).unwrap()
    }

    fn later(known: &CheckRun, jobs: &[&Job], now: Timestamp) -> Option<CheckRun> {
        due(Some(known), &news(jobs), now.after(GATHER), now)
    }

    fn told(check_run: &CheckRun) -> Vec<u64> {
        match &check_run.content {
            CheckContent::Story { jobs } => jobs.iter().map(|job| job.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_happens_together_is_told_together_a_little_later() {
        let (one, other) = (claimed(11).0, claimed(12).0);
        let first = of(&[&one]);
        assert_eq!(first.due_at, Some(now().after(GATHER)));
        assert!(first.key.is_story() && first.job_name.is_empty());
        let soon = now().after(GATHER / 2);
        assert_eq!(later(&first, &[&one], soon), None, "it is told soon anyway");
        let both = later(&first, &[&other, &one], soon).unwrap();
        assert_eq!(
            (told(&both), both.due_at),
            (vec![11, 12], first.due_at),
            "and not later"
        );
        assert_eq!(later(&both, &[], soon), None);
    }

    #[test]
    fn who_was_only_told_why_it_is_given_up_has_no_story_but_one_that_there_is_goes_on() {
        let (job, mut messenger) = claimed(11);
        messenger.message = Some(Message {
            job: job.key,
            run: job.run,
            text: "no".to_owned(),
        });
        let news = [News::of(&job, Some(&messenger))];
        assert_eq!(due(None, &news, now(), now()), None);
        assert_eq!(
            due(None, &[News::of(&job, None)], now(), now()),
            None,
            "it ran elsewhere"
        );
        let other = of(&[&claimed(12).0]);
        assert_eq!(due(Some(&other), &news, now(), now()), None);
        assert_eq!(told(&due(Some(&of(&[&job])), &news, now(), now()).unwrap()), [11]);
    }

    #[test]
    fn what_is_new_while_somebody_tells_is_told_after_that() {
        let job = claimed(11).0;
        let at = now().after(MINUTE);
        let Step::Ask(held, _) = step(&of(&[&job]), Some(CheckConclusion::Neutral), at) else {
            panic!("it should be due")
        };
        let next = later(&held, &[&job], at).unwrap();
        assert_eq!((next.held_until, next.due_at), (held.held_until, held.held_until));
    }

    #[test]
    fn what_is_to_be_told_again_much_later_is_told_as_soon_as_there_is_news() {
        let job = claimed(11).0;
        let again = CheckRun {
            due_at: Some(now().after(40 * MINUTE)),
            ..of(&[&job])
        };
        let next = later(&again, &[&job], now()).unwrap();
        assert_eq!(next.due_at, Some(now().after(GATHER)));
    }

    #[test]
    fn the_cost_so_far_is_told_at_growing_spans_until_nothing_is_left() {
        let (job, runner) = ran();
        let live = dayfly_records::Runner {
            state: RunnerState::Busy,
            ended_at: None,
            ..runner.clone()
        };
        let stories = [tell(&job, &[live], &[], 60)];
        let began = stories[0].stages[0].at;
        for (minutes, next) in [(1, 11), (11, 22), (60, 120)] {
            let again = look_again(&stories, began.after(minutes * MINUTE));
            assert_eq!(again, Some(began.after(next * MINUTE)), "{minutes}");
        }
        let (gone, cost) = settled(&job, runner);
        assert_eq!(look_again(&[tell(&job, &[gone], &[cost], 900)], now()), None);
        assert_eq!(look_again(&[], now()), None);
    }

    #[test]
    fn what_is_over_but_not_counted_yet_is_told_again_soon() {
        let (job, runner) = ran();
        let gone_at = runner.ended_at.unwrap();
        let story = tell(&job, &[runner], &[], 900);
        assert!(!story.money.is_final);
        for (minutes, next) in [(0, 1), (1, 2), (5, 10)] {
            let again = look_again(std::slice::from_ref(&story), gone_at.after(minutes * MINUTE));
            assert_eq!(again, Some(gone_at.after(next * MINUTE)), "{minutes}");
        }
    }

    #[test]
    fn a_job_whose_end_is_not_known_yet_is_told_again_and_one_that_runs_elsewhere_is_not() {
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
            let story = tell(&job, &[runner], &[cost], 900);
            assert_eq!(look_again(&[story], now()).is_some(), again, "elsewhere: {elsewhere}");
        }
    }
}
