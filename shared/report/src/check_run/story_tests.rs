use dayfly_records::Job;
use dayfly_types::ids::{InstanceId, JobId};

use super::*;
use crate::fixtures::{claimed, now};
use crate::story::tests::{at, ran, settled, tell};
use crate::story_due::{News, due};

const WEB: &str = "https://github.com";

fn logs() -> Logs {
    Logs {
        region: "eu-west-1".to_owned(),
        stack: "dayfly".to_owned(),
    }
}

fn told(check_run: &CheckRun, stories: &[Story], seconds: u64) -> CheckRunBody {
    let logs = logs();
    render(check_run, stories, Place { web: WEB, logs: &logs }, at(seconds))
}

fn check_run(jobs: &[&Job]) -> CheckRun {
    let news: Vec<News<'_>> = jobs
        .iter()
        .map(|job| News {
            job,
            only_if_told: false,
        })
        .collect();
    due(None, &news, now(), now()).unwrap()
}

#[test]
fn what_a_run_cost_and_went_through_is_told_on_its_commit() {
    let (mut job, runner) = ran();
    job.name = "train (1) | @all".to_owned();
    job.attribution.workflow = Some("CI".to_owned());
    let (runner, cost) = settled(&job, runner);
    let (waiting, its) = claimed(12);
    let stories = [tell(&job, &[runner], &[cost], 900), tell(&waiting, &[its], &[], 900)];
    let check = told(&check_run(&[&job, &waiting]), &stories, 900);
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
fn what_interruptions_have_wasted_and_what_is_not_known_is_said() {
    let (mut job, mut runner) = ran();
    job.state = JobState::Finished {
        conclusion: dayfly_records::event::Conclusion::Failure,
    };
    runner.ending = Some(dayfly_records::Ending::Vanished);
    let (mut settled_runner, cost) = settled(&job, runner);
    let story = tell(&job, &[settled_runner.clone()], &[cost], 900);
    let summary = told(&check_run(&[&job]), &[story], 900).summary;
    assert!(summary.contains("- **Wasted:** $0.07 by 1 interruption\n"), "{summary}");
    assert!(
        summary.contains("GitHub's charge:** $0.02 for self-hosted"),
        "{summary}"
    );
    assert!(!summary.contains("As of"), "{summary}");

    settled_runner.reserved = None;
    job.ended_at = None;
    let unknown = tell(&job, &[settled_runner], &[], 900);
    let summary = told(&check_run(&[&job]), &[unknown], 900).summary;
    assert!(summary.contains("- **Unknown:** what 1 instance cost\n"), "{summary}");
}

#[test]
fn a_story_of_however_many_jobs_is_one_that_github_takes() {
    let (job, runner) = ran();
    let of_many: Vec<Story> = (0..600)
        .map(|number| {
            let (mut job, mut runner) = (job.clone(), runner.clone());
            job.key.job = JobId(1_000_000 + number);
            job.name = "@".repeat(300);
            runner.job = Some(job.key);
            runner.launched.as_mut().unwrap().instance = InstanceId::new(format!("i-{number:017x}"));
            tell(&job, &[runner], &[], 900)
        })
        .collect();
    let check = told(&check_run(&[&job]), &of_many, 900);
    let text = check.text.unwrap();
    assert!(check.summary.len() <= 65_535 && text.len() <= 65_535);
    assert!(check.summary.ends_with("\n500 jobs more are counted above.\n"));
    assert!(
        check.summary.contains(" more are left out here.\n"),
        "their names are too long"
    );
    let mut rows = check.summary.lines().filter(|line| line.starts_with("| "));
    assert!(rows.all(|row| row.ends_with(" |")), "each is whole");
    assert!(
        text.ends_with(" jobs more are left out here.\n"),
        "{}",
        &text[text.len() - 80..]
    );
}
