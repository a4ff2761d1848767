//! Check runs on commits.

use dayfly_ports::{CheckView, Parameters, Scope};
use dayfly_records::CheckConclusion;
use dayfly_records::CheckRunBody;
use dayfly_types::ids::CheckRunId;
use serde::Serialize;

use crate::GitHubApp;
use crate::answers::{Check, CheckRuns};
use crate::call::Call;
use crate::calls::{path, query_escaped};
use crate::failure::Failure;

/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>
#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    /// Only when the check run is created: it cannot change.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_sha: Option<&'a str>,
    external_id: &'a str,
    details_url: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conclusion: Option<CheckConclusion>,
    output: Output<'a>,
}

#[derive(Serialize)]
struct Output<'a> {
    title: &'a str,
    summary: &'a str,
    /// Sent even when empty: GitHub keeps the old text otherwise.
    text: &'a str,
}

impl<'a> Body<'a> {
    fn new(check: &'a CheckRunBody, head_sha: Option<&'a str>) -> Self {
        Self {
            name: &check.name,
            head_sha,
            external_id: &check.external_id,
            details_url: &check.details_url,
            status: match check.conclusion {
                None => "in_progress",
                Some(_) => "completed",
            },
            conclusion: check.conclusion,
            output: Output {
                title: &check.title,
                summary: &check.summary,
                text: check.text.as_deref().unwrap_or_default(),
            },
        }
    }
}

fn json(what: &'static str, body: &Body<'_>) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(body).map_err(|error| Failure::unanswered(what, error.to_string()))
}

impl<P: Parameters> GitHubApp<P> {
    pub(crate) async fn post_check(&self, scope: &Scope, check: &CheckRunBody) -> Result<CheckRunId, Failure> {
        const WHAT: &str = "create a check run";
        let body = json(WHAT, &Body::new(check, Some(&check.head_sha)))?;
        let call = Call::post(WHAT, path(scope, "check-runs"), Some(body));
        self.read::<Check>(scope, call).await.map(|made| made.id)
    }

    pub(crate) async fn patch_check(&self, scope: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), Failure> {
        const WHAT: &str = "update a check run";
        let body = json(WHAT, &Body::new(check, None))?;
        let call = Call::patch(WHAT, path(scope, &format!("check-runs/{id}")), body);
        self.call(scope, call).await.map(drop)
    }

    pub(crate) async fn search_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, Failure> {
        const WHAT: &str = "look up a check run";
        // Without `all`, only the latest of each name and App is listed, whatever its external id.
        let query = format!(
            "commits/{}/check-runs?check_name={}&filter=all",
            query_escaped(head_sha),
            query_escaped(name)
        );
        let all = self.pages::<CheckRuns>(scope, WHAT, &path(scope, &query)).await?;
        let found = all
            .into_iter()
            .find(|one| one.name == name && one.external_id.as_deref() == Some(external_id));
        Ok(found.map(Into::into))
    }
}
