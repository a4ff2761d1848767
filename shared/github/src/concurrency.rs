//! Whether a newer run has taken the place of an older one, as a workflow's `concurrency` wants it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dayfly_ports::{Parameters, Scope};
use dayfly_types::ids::RunId;
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answers::{RunOrigin, RunsOfWorkflow};
use crate::call::Call;
use crate::calls::path;
use crate::failure::Failure;
use crate::{GitHubApp, PER_PAGE};

impl<P: Parameters> GitHubApp<P> {
    /// Three calls at most: the run, the runs of its workflow since, and the workflow's file.
    pub(crate) async fn read_newer_run(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, Failure> {
        let what = "look up where a run comes from";
        let call = Call::get(what, path(scope, &format!("actions/runs/{run}")));
        let origin: RunOrigin = self.read(scope, call).await?;
        let Some(branch) = &origin.head_branch else {
            return Ok(None);
        };
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("branch", branch)
            .append_pair("event", &origin.event)
            .append_pair("created", &format!(">={}", origin.created_at))
            .append_pair("per_page", &PER_PAGE.to_string())
            .finish();
        let rest = format!("actions/workflows/{}/runs?{query}", origin.workflow_id);
        let call = Call::get("list the newer runs of a workflow", path(scope, &rest));
        let listed: RunsOfWorkflow = self.read(scope, call).await?;
        let newest = listed
            .runs
            .iter()
            .filter(|one| origin.is_older_than(one))
            .max_by_key(|one| one.run_number);
        let Some(newest) = newest else {
            return Ok(None);
        };
        Ok(self.allows_one_run(scope, &origin).await?.then_some(newest.id))
    }

    async fn allows_one_run(&self, scope: &Scope, origin: &RunOrigin) -> Result<bool, Failure> {
        // A file of another repository, or of another branch, is named with its ref.
        let file = origin.path.split('@').next().unwrap_or_default();
        let rest = format!("contents/{}?ref={}", escaped(file), escaped(&origin.head_sha));
        let call = Call::get("read a run's workflow", path(scope, &rest)).accept("application/vnd.github.raw+json");
        match self.call(scope, call).await {
            Ok(answer) => Ok(has_concurrency(&String::from_utf8_lossy(&answer.body))),
            // A workflow that the organisation requires lies elsewhere; a fork's commit may be gone.
            Err(refused) if refused.status == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(refused) => Err(refused),
        }
    }
}

#[derive(Deserialize)]
struct Workflow {
    concurrency: Option<IgnoredAny>,
    #[serde(default)]
    jobs: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
struct Job {
    concurrency: Option<IgnoredAny>,
}

/// Whether a workflow has a `concurrency` group, at its top or in a job. Which group that is, is
/// GitHub's to evaluate: nearly all are of the workflow and the branch.
fn has_concurrency(text: &str) -> bool {
    match serde_saphyr::from_str::<Workflow>(text) {
        Ok(workflow) => workflow.concurrency.is_some() || workflow.jobs.values().any(|job| job.concurrency.is_some()),
        Err(error) => {
            tracing::warn!(%error, "a workflow that GitHub has run cannot be read; it is taken for one without `concurrency`");
            false
        }
    }
}

/// What may stand in a path or a query, as it must be written there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_at_the_top_and_in_a_job_and_nowhere_else() {
        let job = "jobs:\n  test:\n    runs-on: dayfly-gpu\n    steps: [{run: echo concurrency}]\n";
        for (text, expected) in [
            (format!("on: push\n{job}"), false),
            (format!("on: push\nconcurrency: ${{{{ github.ref }}}}\n{job}"), true),
            (
                format!("on: [push]\nconcurrency:\n  group: x\n  cancel-in-progress: true\n{job}"),
                true,
            ),
            (format!("on: push\n{job}    concurrency: gpu\n"), true),
            (format!("on: push\nenv: {{concurrency: 4}}\n{job}"), false),
            ("jobs: [".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(has_concurrency(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_name_of_a_file_keeps_its_place_in_a_url() {
        assert_eq!(escaped(".github/workflows/ci.yml"), ".github/workflows/ci.yml");
        assert_eq!(escaped("a b#c?d/é.yml"), "a%20b%23c%3Fd/%C3%A9.yml");
    }
}
