//! Finds the run that supersedes another under its workflow's `concurrency` group.

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
    /// Makes three calls at most: the run, the newer runs of its workflow, and the workflow's file.
    pub(crate) async fn read_superseding_run(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, Failure> {
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
        // The path of a file in another repository or branch ends with `@` and its ref.
        let file = origin.path.split('@').next().unwrap_or_default();
        let rest = format!(
            "contents/{}?ref={}",
            percent_encoded(file),
            percent_encoded(&origin.head_sha)
        );
        let call = Call::get("read a run's workflow", path(scope, &rest)).accept("application/vnd.github.raw+json");
        match self.call(scope, call).await {
            Ok(answer) => Ok(has_concurrency(&String::from_utf8_lossy(&answer.body))),
            // A workflow required by the organisation is in another repository; a fork's commit may be gone.
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

/// Whether a workflow has a `concurrency` group, at the top or in a job. Only GitHub can evaluate its name;
/// nearly all are made of the workflow and the branch.
fn has_concurrency(text: &str) -> bool {
    match serde_saphyr::from_str::<Workflow>(text) {
        Ok(workflow) => workflow.concurrency.is_some() || workflow.jobs.values().any(|job| job.concurrency.is_some()),
        Err(error) => {
            tracing::warn!(%error, "cannot read a workflow that GitHub has run; assuming that it has no `concurrency`");
            false
        }
    }
}

/// Percent-encodes text for a path or a query, but leaves `/`.
fn percent_encoded(text: &str) -> String {
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
    fn a_group_is_found_only_at_the_top_or_in_a_job() {
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
    fn a_file_name_survives_in_a_url() {
        assert_eq!(percent_encoded(".github/workflows/ci.yml"), ".github/workflows/ci.yml");
        assert_eq!(percent_encoded("a b#c?d/é.yml"), "a%20b%23c%3Fd/%C3%A9.yml");
    }
}
