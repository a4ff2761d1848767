//! Pull requests from a fork, where the policy requires approved commits: the first commit, its
//! approval by a label, and the next commit. Approval by a review is a demo.

use dayfly_lab::lab::Lab;
use dayfly_twin::{AccountKind, Conclusion, RepoId, RepoOptions, Rerun, Role, RunId};

use crate::whole::{Pushed, assert_nothing_left, start};

const REPOSITORY: &str = "octo-org/open";

const WORKFLOW: &str = "\
on: pull_request
jobs:
  train:
    runs-on: dayfly-gpu
    steps:
      - run: echo \"mine, all mine\"
";

/// Opens a pull request of this change from the fork.
fn proposes<'a>(lab: &'a Lab, fork: RepoId, change: &str) -> Pushed<'a> {
    let files = [(".github/workflows/train.yml", WORKFLOW), ("train.py", change)];
    let runs: Vec<RunId> = lab.twin().pull_request_from_fork(fork, "patch", &files).unwrap();
    let [run] = runs[..] else {
        panic!("one run should have been started: {runs:?}");
    };
    Pushed {
        lab,
        repository: REPOSITORY,
        run,
    }
}

/// The job fails before its first step, with the rule in its log, on the smallest machine.
async fn is_refused(pushed: &Pushed<'_>, attempt: u32) {
    assert_eq!(pushed.over(attempt).await, Conclusion::Failure);
    let output = pushed.output(attempt).join("\n");
    assert!(output.contains("rule `forks` of the stack"), "{output}");
    assert!(!output.contains("mine, all mine"), "{output}");
}

#[tokio::test]
async fn a_forks_commit_runs_once_a_label_names_its_sha_and_the_next_does_not() {
    let lab = start().await;
    let parameter = lab.cloud().deployment().output("PolicyParameterName").unwrap();
    let policy = "version: 1\nforks: approved\n";
    lab.aws().put_parameter(parameter, "String", policy).await.unwrap();
    let twin = lab.twin();
    let repository = twin.create_repo(REPOSITORY);
    let _on_main = twin.commit(repository, "main", &[(".github/workflows/train.yml", WORKFLOW)]);
    twin.grant(repository, "alice", Role::Write);
    let options = RepoOptions {
        owner_kind: AccountKind::User,
        installed: false,
        fork_of: Some(repository),
        ..RepoOptions::default()
    };
    let fork = twin.create_repo_with("mallory/open", options);

    let first = proposes(&lab, fork, "print(1)\n");
    is_refused(&first, 1).await;

    let (pull, sha) = twin.inspect(|state| {
        let pull = &state.pulls()[0];
        (pull.number, pull.head_sha.clone())
    });
    // A user without write access approves nothing.
    twin.label(pull, "mallory", &format!("dayfly-ok/{sha}"), true).unwrap();
    twin.rerun_by("alice", first.run, Rerun::Failed).unwrap();
    is_refused(&first, 2).await;
    twin.label(pull, "mallory", &format!("dayfly-ok/{sha}"), false).unwrap();

    twin.label(pull, "alice", &format!("dayfly-ok/{sha}"), true).unwrap();
    twin.rerun_by("alice", first.run, Rerun::Failed).unwrap();
    assert_eq!(first.over(3).await, Conclusion::Success);
    assert!(first.output(3).iter().any(|line| line == "mine, all mine"));

    let next = proposes(&lab, fork, "print(2)\n");
    is_refused(&next, 1).await;

    let bought: Vec<String> = first
        .instances()
        .await
        .into_iter()
        .map(|instance| instance.instance_type)
        .collect();
    let nanos = bought.iter().filter(|kind| *kind == "t4g.nano").count();
    assert_eq!((bought.len(), nanos), (4, 3), "{bought:?}");
    assert_nothing_left(&lab).await;
    lab.shutdown().await.unwrap();
}
