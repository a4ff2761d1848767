//! The operations of GitHub's REST API that the twin has.

/// An operation as GitHub's description names it.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// GitHub's operation id.
    pub id: &'static str,
    pub method: &'static str,
    /// The path template of the description.
    pub path: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone.
    Open,
    /// The App, with a JWT.
    App,
    /// An installation that has a permission, or one of several behind each other's `|`, with its token.
    Read(&'static str),
    Write(&'static str),
}

const fn operation(id: &'static str, method: &'static str, path: &'static str, access: Access) -> Operation {
    Operation {
        id,
        method,
        path,
        access,
    }
}

use Access::{App, Open, Read, Write};

/// Every operation that the twin has.
pub(crate) static OPERATIONS: [Operation; 43] = [
    operation("apps/get-authenticated", "GET", "/app", App),
    operation("apps/list-installations", "GET", "/app/installations", App),
    operation(
        "apps/create-installation-access-token",
        "POST",
        "/app/installations/{installation_id}/access_tokens",
        App,
    ),
    operation(
        "apps/get-repo-installation",
        "GET",
        "/repos/{owner}/{repo}/installation",
        App,
    ),
    operation("apps/list-webhook-deliveries", "GET", "/app/hook/deliveries", App),
    operation(
        "apps/get-webhook-delivery",
        "GET",
        "/app/hook/deliveries/{delivery_id}",
        App,
    ),
    operation(
        "apps/redeliver-webhook-delivery",
        "POST",
        "/app/hook/deliveries/{delivery_id}/attempts",
        App,
    ),
    operation("rate-limit/get", "GET", "/rate_limit", Open),
    operation("repos/get", "GET", "/repos/{owner}/{repo}", Read("metadata")),
    operation(
        "repos/get-content",
        "GET",
        "/repos/{owner}/{repo}/contents/{path}",
        Read("contents"),
    ),
    operation(
        "actions/generate-runner-jitconfig-for-repo",
        "POST",
        "/repos/{owner}/{repo}/actions/runners/generate-jitconfig",
        Write("administration"),
    ),
    operation(
        "actions/list-self-hosted-runners-for-repo",
        "GET",
        "/repos/{owner}/{repo}/actions/runners",
        Read("administration"),
    ),
    operation(
        "actions/get-self-hosted-runner-for-repo",
        "GET",
        "/repos/{owner}/{repo}/actions/runners/{runner_id}",
        Read("administration"),
    ),
    operation(
        "actions/delete-self-hosted-runner-from-repo",
        "DELETE",
        "/repos/{owner}/{repo}/actions/runners/{runner_id}",
        Write("administration"),
    ),
    operation(
        "actions/list-workflow-runs-for-repo",
        "GET",
        "/repos/{owner}/{repo}/actions/runs",
        Read("actions"),
    ),
    operation(
        "actions/list-workflow-runs",
        "GET",
        "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
        Read("actions"),
    ),
    operation(
        "actions/get-workflow-run",
        "GET",
        "/repos/{owner}/{repo}/actions/runs/{run_id}",
        Read("actions"),
    ),
    operation(
        "actions/get-workflow-run-attempt",
        "GET",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}",
        Read("actions"),
    ),
    operation(
        "actions/list-jobs-for-workflow-run-attempt",
        "GET",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs",
        Read("actions"),
    ),
    operation(
        "actions/list-jobs-for-workflow-run",
        "GET",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/jobs",
        Read("actions"),
    ),
    operation(
        "actions/get-job-for-workflow-run",
        "GET",
        "/repos/{owner}/{repo}/actions/jobs/{job_id}",
        Read("actions"),
    ),
    operation(
        "actions/download-job-logs-for-workflow-run",
        "GET",
        "/repos/{owner}/{repo}/actions/jobs/{job_id}/logs",
        Read("actions"),
    ),
    operation(
        "actions/re-run-job-for-workflow-run",
        "POST",
        "/repos/{owner}/{repo}/actions/jobs/{job_id}/rerun",
        Write("actions"),
    ),
    operation(
        "actions/re-run-workflow-failed-jobs",
        "POST",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs",
        Write("actions"),
    ),
    operation(
        "actions/re-run-workflow",
        "POST",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/rerun",
        Write("actions"),
    ),
    operation(
        "actions/cancel-workflow-run",
        "POST",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/cancel",
        Write("actions"),
    ),
    operation(
        "actions/force-cancel-workflow-run",
        "POST",
        "/repos/{owner}/{repo}/actions/runs/{run_id}/force-cancel",
        Write("actions"),
    ),
    operation(
        "checks/create",
        "POST",
        "/repos/{owner}/{repo}/check-runs",
        Write("checks"),
    ),
    operation(
        "checks/update",
        "PATCH",
        "/repos/{owner}/{repo}/check-runs/{check_run_id}",
        Write("checks"),
    ),
    operation(
        "checks/get",
        "GET",
        "/repos/{owner}/{repo}/check-runs/{check_run_id}",
        Read("checks"),
    ),
    operation(
        "checks/list-annotations",
        "GET",
        "/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations",
        Read("checks"),
    ),
    operation(
        "checks/list-for-ref",
        "GET",
        "/repos/{owner}/{repo}/commits/{ref}/check-runs",
        Read("checks"),
    ),
    operation(
        "issues/list-comments",
        "GET",
        "/repos/{owner}/{repo}/issues/{issue_number}/comments",
        Read("pull_requests|issues"),
    ),
    operation(
        "issues/create-comment",
        "POST",
        "/repos/{owner}/{repo}/issues/{issue_number}/comments",
        Write("pull_requests|issues"),
    ),
    operation(
        "issues/get-comment",
        "GET",
        "/repos/{owner}/{repo}/issues/comments/{comment_id}",
        Read("pull_requests|issues"),
    ),
    operation(
        "issues/update-comment",
        "PATCH",
        "/repos/{owner}/{repo}/issues/comments/{comment_id}",
        Write("pull_requests|issues"),
    ),
    operation(
        "issues/delete-comment",
        "DELETE",
        "/repos/{owner}/{repo}/issues/comments/{comment_id}",
        Write("pull_requests|issues"),
    ),
    operation(
        "issues/list-events",
        "GET",
        "/repos/{owner}/{repo}/issues/{issue_number}/events",
        Read("issues"),
    ),
    operation(
        "pulls/list",
        "GET",
        "/repos/{owner}/{repo}/pulls",
        Read("pull_requests"),
    ),
    operation(
        "pulls/list-reviews",
        "GET",
        "/repos/{owner}/{repo}/pulls/{pull_number}/reviews",
        Read("pull_requests"),
    ),
    operation(
        "repos/get-collaborator-permission-level",
        "GET",
        "/repos/{owner}/{repo}/collaborators/{username}/permission",
        Read("metadata"),
    ),
    operation(
        "teams/get-membership-for-user-in-org",
        "GET",
        "/orgs/{org}/teams/{team_slug}/memberships/{username}",
        Read("members"),
    ),
    operation(
        "apps/list-repos-accessible-to-installation",
        "GET",
        "/installation/repositories",
        Read("metadata"),
    ),
];

/// The operation of a method and a route of the twin's router.
pub(crate) fn find(method: &str, route: &str) -> Option<&'static Operation> {
    let path = route.replace("{*path}", "{path}");
    OPERATIONS.iter().find(|one| one.method == method && one.path == path)
}

/// The operation of an id.
pub(crate) fn by_id(id: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|one| one.id == id)
}
