//! Check runs and comments of the App.

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::{CheckRunId, CommentId, RepoId};

#[derive(Debug, Clone)]
pub struct CheckRun {
    pub id: CheckRunId,
    pub repo: RepoId,
    pub head_sha: String,
    pub name: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    pub conclusion: Option<String>,
    pub external_id: Option<String>,
    /// Where more is to be read.
    pub details_url: Option<String>,
    pub started_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub output: Option<CheckOutput>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct CheckOutput {
    pub title: Option<String>,
    /// Its summary, in Markdown.
    pub summary: Option<String>,
    /// Its details, in Markdown.
    pub text: Option<String>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone)]
pub struct Comment {
    pub id: CommentId,
    pub repo: RepoId,
    pub issue: u64,
    /// Its text, in Markdown.
    pub body: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
