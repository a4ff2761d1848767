//! A pull request from a fork: its job is refused with the reason in its log, and runs once a
//! maintainer has approved its commit.

use std::io::Write;

use anyhow::{Context, bail, ensure};
use dayfly_twin::{AccountKind, Conclusion, RepoId, RepoOptions, Rerun, ReviewState, Role, RunId, Status};

use super::{Story, capacity, workflow};
use crate::lab::Lab;
use crate::page;
use crate::timeline::Observation;

/// A user with write access.
const MAINTAINER: &str = "alice";

const POLICY: &str = "\
version: 1
forks: approved
";

/// Allows forks' jobs once their commits are approved.
pub(super) async fn prepare(lab: &Lab) -> anyhow::Result<()> {
    Ok(lab.aws().put_parameter("/dayfly/policy", "String", POLICY).await?)
}

/// The repository, with its workflow on the default branch.
pub(super) fn files() -> Vec<(&'static str, String)> {
    let files = workflow::of(workflow::THREE_EPOCHS).into_iter();
    files
        .map(|(path, text)| (path, text.replace("on: push", "on: pull_request")))
        .collect()
}

/// Opens a pull request from a fork.
pub(super) fn open(lab: &Lab, repository: RepoId, files: &[(&str, &str)]) -> anyhow::Result<RunId> {
    let twin = lab.twin();
    let _on_main = twin.commit(repository, "main", files);
    twin.grant(repository, MAINTAINER, Role::Write);
    let options = RepoOptions {
        owner_kind: AccountKind::User,
        installed: false,
        fork_of: Some(repository),
        ..RepoOptions::default()
    };
    let fork = twin.create_repo_with("mallory/demo", options);
    let change = [files, &[("train.py", "print('mine, all mine')\n")]].concat();
    match twin.pull_request_from_fork(fork, "patch", &change)?[..] {
        [run] => Ok(run),
        ref runs => bail!(
            "the pull request should have started one run, and started {}",
            runs.len()
        ),
    }
}

/// Once the job is refused, the maintainer reads the commit, approves it, and re-runs the job.
pub(super) fn act(_: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    let twin = story.lab.twin();
    let over = twin.inspect(|state| {
        let run = state.run(story.run)?;
        (run.attempt == 1 && run.status == Status::Completed).then_some(())
    });
    if over.is_none() || story.let_go.replace(true) {
        return Ok(());
    }
    let pull = twin.inspect(|state| state.pulls().first().map(|pull| pull.number));
    let pull = pull.context("there is no pull request")?;
    twin.review(pull, MAINTAINER, ReviewState::Approved)?;
    twin.rerun_by(MAINTAINER, story.run, Rerun::Failed)?;
    Ok(())
}

/// Prints what the author of the pull request sees before and after.
pub(super) fn report(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let refused = story.job(1, "train")?;
    capacity::show(story, &refused, out)?;
    let log = page::log_of(&refused).join("\n");
    for words in ["rule `forks` of the stack", "the fork `mallory/demo`", "dayfly-ok/"] {
        ensure!(log.contains(words), "the job's log should say `{words}`");
    }
    let (launch, _) = story.launch_of(&refused)?;
    ensure!(
        &*launch.pool.instance_type == "t4g.nano",
        "a fork's job got {launch:?} before anybody had approved it"
    );
    let approved = story.job(2, "train")?;
    let (launch, _) = story.launch_of(&approved)?;
    writeln!(
        out,
        "\n{MAINTAINER} approved the commit and ran the job again: it ran on {} in {}.",
        launch.pool.instance_type, launch.pool.zone
    )?;
    ensure!(
        approved.conclusion == Some(Conclusion::Success),
        "the approved job is {:?}",
        approved.conclusion
    );
    Ok(())
}
