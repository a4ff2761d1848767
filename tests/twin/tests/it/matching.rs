//! Which runner gets which job.

use dayfly_twin::{Conclusion, JobPick, TwinConfig, labels_match};

use crate::support::{Lab, ONE_JOB};

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

#[test]
fn a_runner_takes_a_job_whose_labels_it_all_has_in_any_case() {
    let table: &[(&[&str], &[&str], bool)] = &[
        (&["self-hosted"], &["self-hosted"], true),
        (&["self-hosted"], &["self-hosted", "gpu"], true),
        (&["Self-Hosted", "GPU"], &["self-hosted", "gpu"], true),
        (&["self-hosted", "gpu"], &["self-hosted"], false),
        (&["self-hosted", "gpu"], &["gpu"], false),
        (&["gpu", "gpu"], &["gpu"], true),
        (&["gpu--42"], &["gpu"], false),
        (&["gpu"], &["gpu--42"], false),
        (&[], &["gpu"], true),
        (&["ubuntu-latest"], &["self-hosted"], false),
    ];
    for (job, runner, expected) in table {
        let got = labels_match(&owned(job), &owned(runner));
        assert_eq!(got, *expected, "job {job:?}, runner {runner:?}");
    }
}

#[tokio::test]
async fn a_runner_without_a_label_is_offered_nothing() {
    let lab = Lab::start().await;
    let poor = lab.runner("poor", &["self-hosted"]).await;
    let rich = lab.runner("rich", &["self-hosted", "dayfly-gpu", "x64"]).await;
    let run = lab.push(ONE_JOB);
    assert_eq!(rich.take().await.job_id, lab.job_named(run, "build").id);
    let (_, listed) = lab.api.get("/actions/runners?name=poor").await;
    assert_eq!(listed["runners"][0]["busy"], false);
    poor.close().await;
}

#[tokio::test]
async fn a_runner_created_for_one_job_is_stolen_by_another() {
    let config = TwinConfig {
        job_pick: JobPick::NewestFirst,
        ..TwinConfig::checked()
    };
    let lab = Lab::start_with(config).await;
    let first = lab.push(ONE_JOB);
    let second = lab.push(ONE_JOB);
    let meant_for = lab.job_named(first, "build").id;
    let thief = lab.job_named(second, "build").id;
    let name = format!("dayfly-{meant_for}-1-1");
    let runner = lab.runner(&name, &["self-hosted", "dayfly-gpu"]).await;
    assert_eq!(runner.take().await.job_id, thief);
    assert_eq!(lab.job(thief).runner.unwrap().name, name);
    assert!(lab.job(meant_for).runner.is_none());
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_job_is_given_to_one_runner_only() {
    let lab = Lab::start().await;
    let labels = ["self-hosted", "dayfly-gpu"];
    let one = lab.runner("one", &labels).await;
    let two = lab.runner("two", &labels).await;
    let run = lab.push(ONE_JOB);
    let job = lab.job_named(run, "build").id;
    assert_eq!(one.poll().await, Ok(job));
    assert_eq!(two.acknowledge(job).await.unwrap_err(), 409);
    one.acknowledge(job).await.unwrap();
    assert_eq!(one.acknowledge(job).await.unwrap_err(), 409);
}

#[tokio::test]
async fn a_runner_of_another_repository_gets_nothing() {
    let lab = Lab::start().await;
    let runner = lab.runner("dayfly-1", &["self-hosted", "dayfly-gpu"]).await;
    let other = lab.twin.create_repo("octo-org/other");
    let files = [(".github/workflows/ci.yml", ONE_JOB)];
    let elsewhere = lab.twin.push(other, "Push", &files).unwrap()[0];
    let here = lab.push(ONE_JOB);
    assert_eq!(runner.take().await.job_id, lab.job_named(here, "build").id);
    let job = lab.job_named(elsewhere, "build");
    assert!(job.offer.is_none() && job.runner.is_none());
    lab.twin.run_elsewhere(job.id, Conclusion::Success).unwrap();
}
