#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
//! The GitHub twin: a server that behaves as GitHub does where it matters to dayfly.
//!
//! It has the REST operations that dayfly calls (App JWT, installation tokens, JIT configs, runners,
//! runs, jobs, re-runs, checks, contents with `ETag`), sends signed webhooks (lost, doubled, late and
//! out of order on demand), hands queued jobs to runners as GitHub does (any runner that has the
//! labels, not the one that was made for the job), and fails what vanishes. Requests, answers and
//! webhooks are checked against GitHub's own published descriptions, see [`Twin::violations`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use dayfly_twin::{Status, Twin, TwinConfig};
//!
//! let twin = Twin::start(TwinConfig::checked()).await?;
//! twin.set_webhook_url("http://127.0.0.1:9000/");
//! let repo = twin.create_repo("octo-org/demo");
//! let runs = twin.push(repo, "Add a workflow", &[(".github/workflows/ci.yml", "…")])?;
//! let job = twin
//!     .wait_for("the job to be done", Duration::from_secs(10), |state| {
//!         state.jobs().find(|job| job.status == Status::Completed).map(|job| job.id)
//!     })
//!     .await?;
//! assert!(twin.violations().is_empty());
//! # Ok(()) }
//! ```
//!
//! The stand-in for GitHub's runner speaks [`runner_protocol`] with it.

mod api;
mod app;
mod checks;
mod clock;
mod condition;
mod config;
mod event;
mod expand;
mod handle;
mod hub;
mod model;
mod payload;
mod pulls;
mod runner_api;
pub mod runner_protocol;
mod schema;
mod secrets;
mod state;
mod webhook;
mod workflow;

pub use api::{ApiDisturbance, ApiFault, Operation, UnknownOperation};
pub use app::{AppInfo, KeyError};
pub use checks::{CheckOutput, CheckRun, Comment};
pub use condition::{Condition, StatusFunction, Value};
pub use config::{CarriedOver, JobPick, JwtPolicy, Timings, TwinConfig};
pub use event::{Happening, RunnerRemoval, TwinEvent};
pub use handle::{RepoOptions, StartError, TimedOut, Twin, TwinError};
pub use model::*;
pub use pulls::{LabelEvent, Pull, Review, ReviewState, Role};
pub use schema::{SchemaError, schemas_dir};
pub use secrets::{Secret, SecretKind};
pub use state::{
    CancelRefusal, MergeEntry, MergeFate, Rerun, RerunRefusal, SHUTDOWN_ANNOTATION, State, lost_annotation,
};
pub use webhook::{Delivery, DeliveryOutcome, Disturbance, Odds, WebhookFault, signature};
pub use workflow::{JobSpec, StepSpec, Workflow, WorkflowError};
