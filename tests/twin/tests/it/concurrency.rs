//! Concurrency groups, and the runs of a workflow by which a newer one is found.

use dayfly_twin::{Conclusion, Rerun, RunId, Status};
use serde_json::json;

use crate::support::Lab;

fn workflow(concurrency: &str) -> String {
    format!(
        "\
on: push
concurrency: {concurrency}
jobs:
  build:
    runs-on: self-hosted
    steps: [{{run: echo}}]
"
    )
}

impl Lab {
    fn status(&self, run: RunId) -> (Status, Option<Conclusion>) {
        self.twin.inspect(|world| {
            let run = world.run(run).unwrap();
            (run.status, run.conclusion)
        })
    }
}

const CANCELLED: (Status, Option<Conclusion>) = (Status::Completed, Some(Conclusion::Cancelled));

#[tokio::test]
async fn one_run_of_a_group_runs_and_the_newest_waits() {
    let lab = Lab::start().await;
    let text = workflow("'${{ github.workflow }}-${{ github.ref }}'");
    let [first, second, third] = [1, 2, 3].map(|_| lab.push(&text));
    assert_eq!(lab.status(first).0, Status::Queued);
    assert_eq!(lab.status(second), CANCELLED);
    assert_eq!(lab.status(third).0, Status::Pending);
    assert!(lab.twin.inspect(|world| world.jobs_of(third, 1).is_empty()));
    let job = lab.job_named(first, "build").id;
    lab.twin.run_elsewhere(job, Conclusion::Success).unwrap();
    assert_eq!(lab.status(third).0, Status::Queued);
    assert_eq!(lab.job_named(third, "build").status, Status::Queued);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_rerun_cancels_the_newer_run_or_waits_for_it() {
    for (cancels, old, newer) in [
        (true, Status::Queued, CANCELLED),
        (false, Status::Pending, (Status::Queued, None)),
    ] {
        let lab = Lab::start().await;
        let text = workflow(&format!("{{group: gpu, cancel-in-progress: {cancels}}}"));
        let first = lab.push(&text);
        let job = lab.job_named(first, "build").id;
        lab.twin.run_elsewhere(job, Conclusion::Failure).unwrap();
        let second = lab.push(&text);
        lab.twin.rerun(first, Rerun::Failed).unwrap();
        assert_eq!(lab.status(first).0, old, "cancels: {cancels}");
        assert_eq!(lab.status(second), newer, "cancels: {cancels}");
        lab.assert_no_violations();
    }
}

#[tokio::test]
async fn branches_have_groups_of_their_own_if_the_name_says_so() {
    let lab = Lab::start().await;
    let text = workflow("'${{ github.ref }}'");
    lab.push(&text);
    let other = lab.twin.push_to(lab.repo, "feature", "Push", &[]).unwrap()[0];
    assert_eq!(lab.status(other).0, Status::Queued);
}

#[tokio::test]
async fn the_runs_of_a_workflow_are_listed_by_branch_event_and_time() {
    let lab = Lab::start().await;
    let text = workflow("gpu");
    let first = lab.push(&text);
    let (_, shown) = lab.api.get(&format!("/actions/runs/{first}")).await;
    lab.twin.advance(std::time::Duration::from_secs(2));
    let second = lab.push(&text);
    lab.twin.push_to(lab.repo, "feature", "Push", &[]).unwrap();
    let workflow = &shown["workflow_id"];
    let created = shown["created_at"].as_str().unwrap();
    for (query, runs) in [
        ("branch=main&event=push".to_owned(), vec![second, first]),
        (
            format!("branch=main&event=push&created=%3E%3D{created}"),
            vec![second, first],
        ),
        (
            "branch=main&event=push&created=%3E%3D2099-01-01T00:00:00Z".to_owned(),
            vec![],
        ),
        ("branch=main&event=merge_group".to_owned(), vec![]),
    ] {
        let path = format!("/actions/workflows/{workflow}/runs?{query}");
        let (status, listed) = lab.api.get(&path).await;
        let ids: Vec<_> = listed["workflow_runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["id"].clone())
            .collect();
        let expected: Vec<_> = runs.iter().map(|run| json!(run)).collect();
        assert_eq!((status, ids), (200, expected), "{query}");
    }
    let (status, _) = lab.api.get("/actions/workflows/1/runs").await;
    assert_eq!(status, 404);
    lab.assert_no_violations();
}
