//! The part of the workflow language that the twin understands.
//!
//! `on: push` (also with branches), `merge_group` and `workflow_dispatch`; `concurrency` of the whole
//! workflow; jobs with `name`, `runs-on`, `needs`, `if`, `continue-on-error`, `outputs`,
//! `strategy.matrix` (lists, `include`, `exclude`), `strategy.fail-fast`, `environment`, `env` and
//! `steps` with `id`, `name`, `run`, `env`. A step with `uses` is kept and reported, never run. What the
//! twin does not know is refused rather than ignored, so that no test believes in what isn't there.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::condition::Condition;
use crate::expand;
use crate::model::WorkflowId;

/// A workflow file, read.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub id: WorkflowId,
    /// Its name, or its path where it has none.
    pub name: String,
    pub path: String,
}

/// A job of a workflow, its matrix expanded and its expressions filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    pub key: String,
    /// Its name as shown, with the matrix's values.
    pub name: String,
    /// The labels that its runner must have.
    pub labels: Vec<String>,
    /// The keys of the jobs that come first.
    pub needs: Vec<String>,
    /// When it runs, if not only after all of these went well.
    pub condition: Option<Condition>,
    /// Whether the run passes although it fails.
    pub continue_on_error: bool,
    /// Its outputs, by name.
    pub outputs: BTreeMap<String, OutputSpec>,
    /// The environment that may hold it back.
    pub environment: Option<String>,
    /// Whether its failure cancels the other jobs of its matrix.
    pub fail_fast: bool,
    pub env: BTreeMap<String, String>,
    pub steps: Vec<StepSpec>,
}

/// Where a job's output comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    pub step: String,
    pub name: String,
}

/// A group whose runs exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    pub name: String,
    /// Whether a new run cancels the running one instead of waiting for it.
    pub cancel_in_progress: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepSpec {
    pub id: Option<String>,
    pub name: String,
    /// The script; none for a step with `uses`.
    pub run: Option<String>,
    pub env: BTreeMap<String, String>,
}

/// Why a workflow file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    #[error("workflow `{path}`: {why}")]
    Unreadable { path: String, why: String },
    /// A job needs one that isn't there.
    #[error("workflow `{path}`: job `{job}` needs `{needs}`, which is not in the file")]
    UnknownNeed { path: String, job: String, needs: String },
}

/// The names available to expressions: `github.*`.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// Name after `github.` → value.
    pub github: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FileDoc {
    name: Option<String>,
    on: On,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    #[serde(rename = "permissions")]
    _permissions: Option<Value>,
    concurrency: Option<ConcurrencyDoc>,
    jobs: BTreeMap<String, JobDoc>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum On {
    One(String),
    Several(Vec<String>),
    Detailed(BTreeMap<String, Option<Trigger>>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trigger {
    branches: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ConcurrencyDoc {
    Group(String),
    Detailed(DetailedConcurrency),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DetailedConcurrency {
    group: String,
    #[serde(default)]
    cancel_in_progress: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct JobDoc {
    pub(crate) name: Option<String>,
    pub(crate) runs_on: OneOrMany,
    #[serde(default)]
    pub(crate) needs: Option<OneOrMany>,
    #[serde(rename = "if")]
    pub(crate) condition: Option<String>,
    #[serde(default)]
    pub(crate) continue_on_error: bool,
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) strategy: Option<Strategy>,
    #[serde(default)]
    pub(crate) environment: Option<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, Value>,
    #[serde(rename = "timeout-minutes")]
    _timeout_minutes: Option<f64>,
    #[serde(rename = "permissions")]
    _permissions: Option<Value>,
    pub(crate) steps: Vec<StepDoc>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Strategy {
    #[serde(default = "yes")]
    pub(crate) fail_fast: bool,
    #[serde(default)]
    pub(crate) matrix: BTreeMap<String, Vec<Value>>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Many(many) => many.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StepDoc {
    pub(crate) name: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) uses: Option<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, Value>,
    pub(crate) id: Option<String>,
    #[serde(rename = "with")]
    _with: Option<Value>,
    #[serde(rename = "shell")]
    _shell: Option<String>,
}

/// A workflow file as written, ready to be expanded for a run.
#[derive(Debug)]
pub struct WorkflowFile {
    path: String,
    doc: FileDoc,
}

impl WorkflowFile {
    /// Reads a workflow file.
    ///
    /// # Errors
    /// When it is not YAML, has something that the twin does not know, or needs a job that isn't there.
    pub fn parse(path: &str, text: &str) -> Result<Self, WorkflowError> {
        let doc: FileDoc = serde_saphyr::from_str(text).map_err(|error| WorkflowError::Unreadable {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        for (key, job) in &doc.jobs {
            for need in job.needs.iter().flat_map(OneOrMany::to_vec) {
                if !doc.jobs.contains_key(&need) {
                    return Err(WorkflowError::UnknownNeed {
                        path: path.to_owned(),
                        job: key.clone(),
                        needs: need,
                    });
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            doc,
        })
    }

    /// The workflow's name, or its path where it has none.
    #[must_use]
    pub fn name(&self) -> String {
        self.doc.name.clone().unwrap_or_else(|| self.path.clone())
    }

    /// Whether `event` on `branch` starts it.
    #[must_use]
    pub fn starts_on(&self, event: &str, branch: &str) -> bool {
        match &self.doc.on {
            On::One(one) => one == event,
            On::Several(several) => several.iter().any(|one| one == event),
            On::Detailed(detailed) => detailed.get(event).is_some_and(|trigger| {
                trigger
                    .as_ref()
                    .and_then(|trigger| trigger.branches.as_ref())
                    .is_none_or(|branches| branches.iter().any(|one| one == branch))
            }),
        }
    }

    /// Its jobs for one run: matrices expanded, expressions filled in.
    ///
    /// # Errors
    /// When an expression names what the twin does not know.
    pub fn jobs(&self, context: &RunContext) -> Result<Vec<JobSpec>, WorkflowError> {
        let mut specs = Vec::new();
        for (key, job) in &self.doc.jobs {
            expand::job(key, job, &self.doc.env, context, &mut specs).map_err(|why| WorkflowError::Unreadable {
                path: self.path.clone(),
                why,
            })?;
        }
        check_forgiven(&specs).map_err(|why| WorkflowError::Unreadable {
            path: self.path.clone(),
            why,
        })?;
        Ok(specs)
    }

    /// Its concurrency group for one run.
    ///
    /// # Errors
    /// When an expression names what the twin does not know.
    pub fn concurrency(&self, context: &RunContext) -> Result<Option<Concurrency>, WorkflowError> {
        let (group, cancel_in_progress) = match &self.doc.concurrency {
            None => return Ok(None),
            Some(ConcurrencyDoc::Group(group)) => (group, false),
            Some(ConcurrencyDoc::Detailed(detailed)) => (&detailed.group, detailed.cancel_in_progress),
        };
        let name = expand::text(group, context).map_err(|why| WorkflowError::Unreadable {
            path: self.path.clone(),
            why,
        })?;
        Ok(Some(Concurrency {
            name,
            cancel_in_progress,
        }))
    }
}

/// Sources disagree on how later jobs see one that failed with `continue-on-error`, so no test may
/// depend on it.
fn check_forgiven(specs: &[JobSpec]) -> Result<(), String> {
    let forgiven = |key: &str| specs.iter().any(|one| one.key == key && one.continue_on_error);
    for spec in specs {
        let condition = spec.condition.as_ref();
        let needs_one = spec.needs.iter().any(|need| forgiven(need));
        let asks = condition.is_some_and(|condition| condition.results().into_iter().any(forgiven));
        if needs_one && (asks || !condition.is_some_and(Condition::tolerates_failures)) {
            return Err(format!(
                "the twin does not know what job `{}` sees of a job with `continue-on-error`: give it an `if` with `always()` or `!cancelled()`, without `needs.….result`",
                spec.key
            ));
        }
    }
    Ok(())
}
