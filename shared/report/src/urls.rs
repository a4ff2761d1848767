//! GitHub's pages of runs and jobs. `web` is the host's address, such as `https://github.com`.

use dayfly_types::ids::{JobId, Repository, RunAttempt, RunId};

pub(crate) fn run(web: &str, repository: &Repository, run: RunId) -> String {
    format!("{web}/{repository}/actions/runs/{run}")
}

pub(crate) fn attempt(web: &str, repository: &Repository, id: RunId, attempt: RunAttempt) -> String {
    format!("{}/attempts/{attempt}", run(web, repository, id))
}

pub(crate) fn job(web: &str, repository: &Repository, id: RunId, job: JobId) -> String {
    format!("{}/job/{job}", run(web, repository, id))
}
