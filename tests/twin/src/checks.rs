//! Check runs and comments that the App made.

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::{CheckRunId, CommentId, RepoId};

/// A check run made through the API.
#[derive(Debug, Clone)]
pub struct CheckRun {
    /// Its id.
    pub id: CheckRunId,
    /// Its repository.
    pub repo: RepoId,
    /// The commit it is on.
    pub head_sha: String,
    /// Its name.
    pub name: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// The App's own reference.
    pub external_id: Option<String>,
    /// Where more is to be read.
    pub details_url: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What it shows.
    pub output: Option<CheckOutput>,
}

/// What a check run shows.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CheckOutput {
    /// Its title.
    pub title: Option<String>,
    /// Its summary, in Markdown.
    pub summary: Option<String>,
    /// Its details, in Markdown.
    pub text: Option<String>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone)]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// Its repository.
    pub repo: RepoId,
    /// The issue's number.
    pub issue: u64,
    /// Its text, in Markdown.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
