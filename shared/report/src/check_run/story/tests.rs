use dayfly_records::Job;
use dayfly_types::ids::{InstanceId, JobId};

use super::*;
use crate::fixtures::{claimed, now};
use crate::story::schedule::{StoryUpdate, schedule};
use crate::story::tests::{at, ran, settled, story_of};

const WEB: &str = "https://github.com";

fn logs() -> LogLinks {
    LogLinks {
        region: "eu-west-1".to_owned(),
        stack: "dayfly".to_owned(),
    }
}

fn rendered(check_run: &CheckRun, stories: &[JobStory], seconds: u64) -> CheckRunBody {
    let logs = logs();
    let links = StoryLinks { web: WEB, logs: &logs };
    render(check_run, &RunStory::of(stories.to_vec()), links, at(seconds))
}

fn check_run(jobs: &[&Job]) -> CheckRun {
    let updates: Vec<StoryUpdate<'_>> = jobs
        .iter()
        .map(|job| StoryUpdate {
            job,
            only_if_shown: false,
        })
        .collect();
    schedule(None, &updates, now(), now()).unwrap()
}

#[test]
fn check_run_shows_cost_and_stages_of_a_run() {
    let (mut job, runner) = ran();
    job.name = "train (1) | @all".to_owned();
    job.attribution.workflow = Some("CI".to_owned());
    let (runner, cost) = settled(&job, runner);
    let (waiting, its) = claimed(12);
    let stories = [
        story_of(&job, &[runner], &[cost], 900),
        story_of(&waiting, &[its], &[], 900),
    ];
    let check = rendered(&check_run(&[&job, &waiting]), &stories, 900);
    assert_eq!(
        (check.name.as_str(), check.external_id.as_str(), check.conclusion),
        ("dayfly / CI (run 22)", "story-22/1", Some(CheckConclusion::Neutral))
    );
    assert_eq!(
        check.title,
        "$0.07 so far for 2 jobs, 10 minutes: $0.12 saved against on-demand capacity"
    );
    insta::assert_snapshot!(format!("{}\n=====\n{}", check.summary, check.text.unwrap()));
}

#[test]
fn check_run_shows_waste_and_unknown_cost() {
    let (mut job, mut runner) = ran();
    job.state = JobState::Finished {
        conclusion: dayfly_records::event::Conclusion::Failure,
    };
    runner.ending = Some(dayfly_records::Ending::Vanished);
    let (mut settled_runner, cost) = settled(&job, runner);
    let story = story_of(&job, &[settled_runner.clone()], &[cost], 900);
    let summary = rendered(&check_run(&[&job]), &[story], 900).summary;
    assert!(summary.contains("- **Wasted:** $0.07 by 1 interruption\n"), "{summary}");
    assert!(
        summary.contains("GitHub's charge:** $0.02 for self-hosted"),
        "{summary}"
    );
    assert!(!summary.contains("As of"), "{summary}");

    settled_runner.reserved = None;
    job.ended_at = None;
    let unknown = story_of(&job, &[settled_runner], &[], 900);
    let summary = rendered(&check_run(&[&job]), &[unknown], 900).summary;
    assert!(summary.contains("- **Unknown:** the cost of 1 instance\n"), "{summary}");
}

#[test]
fn story_of_many_jobs_stays_within_githubs_limits() {
    let (job, runner) = ran();
    let of_many: Vec<JobStory> = (0..600)
        .map(|number| {
            let (mut job, mut runner) = (job.clone(), runner.clone());
            job.key.job = JobId(1_000_000 + number);
            job.name = "@".repeat(300);
            runner.job = Some(job.key);
            runner.launched.as_mut().unwrap().instance = InstanceId::new(format!("i-{number:017x}"));
            story_of(&job, &[runner], &[], 900)
        })
        .collect();
    let check = rendered(&check_run(&[&job]), &of_many, 900);
    let text = check.text.unwrap();
    assert!(check.summary.len() <= 65_535 && text.len() <= 65_535);
    assert!(check.summary.ends_with("\nThe sums include 500 more jobs.\n"));
    assert!(check.summary.contains("\nNot shown here: "), "their names are too long");
    let mut rows = check.summary.lines().filter(|line| line.starts_with("| "));
    assert!(rows.all(|row| row.ends_with(" |")), "each row is whole");
    assert!(text.ends_with(" more jobs.\n"), "{}", &text[text.len() - 80..]);
}
