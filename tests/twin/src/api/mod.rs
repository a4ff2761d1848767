//! GitHub's REST API, as far as dayfly needs it.

mod answer;
mod app;
mod checks;
mod faults;
mod guard;
mod operations;
mod pulls;
mod repos;
mod runners;
mod runs;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post};

pub use self::faults::{ApiDisturbance, ApiFault, UnknownOperation};
pub(crate) use self::operations::OPERATIONS;
pub use self::operations::Operation;
pub(crate) use self::runs::log_text;
use crate::hub::Hub;
use crate::runner_api;

/// Everything that the twin answers.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let repo = Router::new()
        .route("/", get(repos::get))
        .route("/installation", get(app::repo_installation))
        .route("/contents/{*path}", get(repos::contents))
        .route("/actions/runners/generate-jitconfig", post(runners::generate_jitconfig))
        .route("/actions/runners", get(runners::list))
        .route(
            "/actions/runners/{runner_id}",
            get(runners::get).merge(delete(runners::remove)),
        )
        .route("/actions/runs", get(runs::list))
        .route("/actions/workflows/{workflow_id}/runs", get(runs::list_of_workflow))
        .route("/actions/runs/{run_id}", get(runs::get))
        .route("/actions/runs/{run_id}/attempts/{attempt_number}", get(runs::attempt))
        .route(
            "/actions/runs/{run_id}/attempts/{attempt_number}/jobs",
            get(runs::attempt_jobs),
        )
        .route("/actions/runs/{run_id}/jobs", get(runs::jobs))
        .route("/actions/runs/{run_id}/rerun", post(runs::rerun))
        .route("/actions/runs/{run_id}/rerun-failed-jobs", post(runs::rerun_failed))
        .route("/actions/runs/{run_id}/cancel", post(runs::cancel))
        .route("/actions/runs/{run_id}/force-cancel", post(runs::force_cancel))
        .route("/actions/jobs/{job_id}", get(runs::job))
        .route("/actions/jobs/{job_id}/logs", get(runs::job_logs))
        .route("/actions/jobs/{job_id}/rerun", post(runs::rerun_job))
        .route("/check-runs", post(checks::create))
        .route(
            "/check-runs/{check_run_id}",
            patch(checks::update).merge(get(checks::get)),
        )
        .route("/check-runs/{check_run_id}/annotations", get(checks::annotations))
        .route("/commits/{ref}/check-runs", get(checks::list_for_ref))
        .route("/collaborators/{username}/permission", get(pulls::permission))
        .route("/pulls", get(pulls::list))
        .route("/pulls/{pull_number}/reviews", get(pulls::reviews))
        .route("/issues/{issue_number}/events", get(pulls::issue_events))
        .route(
            "/issues/{issue_number}/comments",
            get(checks::comments).merge(post(checks::create_comment)),
        )
        .route(
            "/issues/comments/{comment_id}",
            get(checks::comment)
                .merge(patch(checks::update_comment))
                .merge(delete(checks::delete_comment)),
        );
    Router::new()
        .route("/app", get(app::get))
        .route("/app/installations", get(app::installations))
        .route(
            "/app/installations/{installation_id}/access_tokens",
            post(app::create_token),
        )
        .route("/app/hook/deliveries", get(app::deliveries))
        .route("/app/hook/deliveries/{delivery_id}", get(app::delivery))
        .route("/app/hook/deliveries/{delivery_id}/attempts", post(app::redeliver))
        .route("/installation/repositories", get(repos::accessible))
        .route("/rate_limit", get(app::rate_limit))
        .route(
            "/orgs/{org}/teams/{team_slug}/memberships/{username}",
            get(pulls::membership),
        )
        .nest("/repos/{owner}/{repo}", repo)
        .nest("/_twin", runner_api::router())
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(Arc::clone(&hub), guard::guard))
        .with_state(hub)
}
