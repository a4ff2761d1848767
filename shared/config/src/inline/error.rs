//! What can be wrong with an inline label.

use dayfly_types::ids::InstanceType;

use super::KEYS;
use crate::images::UnknownImage;
use crate::labels::{LONGEST_LABEL, Label};
use crate::machines::RequirementError;

/// An inline label that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the label `{label}`, column {column}: {problem}")]
pub struct LabelError {
    /// The label, or its beginning.
    pub label: String,
    /// The character in the label, from 1.
    pub column: usize,
    pub problem: LabelProblem,
}

/// What is wrong with an inline label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelProblem {
    #[error("an inline label begins with `dayfly/`")]
    NotInline,
    /// The length, which is more than GitHub takes.
    #[error("it has {0} characters, and GitHub takes {LONGEST_LABEL}")]
    TooLong(usize),
    /// Nothing between two slashes, or after the last.
    #[error("a key and its value are missing here, like `gpu=t4`")]
    MissingPair,
    /// A key without `=`.
    #[error("`{0}` has no value: expected a key and its value, like `gpu=t4`")]
    NoValue(String),
    /// A key with nothing after its `=`.
    #[error("`{0}` has no value: expected {1}")]
    EmptyValue(&'static str, &'static str),
    #[error("there is no key `{key}`{}", nearest.map_or_else(
        || format!(": the keys are {}", keys()),
        |nearest| format!(", did you mean `{nearest}`?"),
    ))]
    UnknownKey {
        key: String,
        /// What was most likely meant.
        nearest: Option<&'static str>,
    },
    #[error("`{0}` is set twice: remove one of the two")]
    DuplicateKey(&'static str),
    /// A key, its value, and what is allowed.
    #[error("`{1}` is not a value of `{0}`: expected {2}")]
    Unreadable(&'static str, String, &'static str),
    #[error(transparent)]
    Requirement(RequirementError),
    #[error("{unknown}{}", unknown.nearest.map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?")))]
    UnknownImage { unknown: UnknownImage },
    #[error("EC2 has no machine type `{found}`{} Of this family there are {sizes}", nearest.as_ref().map_or_else(
        || ".".to_owned(),
        |nearest| format!(", did you mean `{nearest}`?"),
    ))]
    UnknownSize {
        found: String,
        /// What was most likely meant.
        nearest: Option<String>,
        /// The types of its family.
        sizes: String,
    },
    #[error("{0} and {1} are of different architectures, and no image boots on both: remove one")]
    Architectures(InstanceType, InstanceType),
    #[error("`{0}` chooses among machine types, and `type` names them: remove one")]
    TypeAndRequirement(&'static str),
    #[error("no key says which machine it is: add one, like `gpu=t4`, `cpu=8` or `type=g5.xlarge`")]
    NoMachine,
    #[error("`{0}` is an inline label too, and a job has one machine: put everything into one label")]
    Several(Label),
}

fn keys() -> String {
    let shown = KEYS.iter().filter(|key| **key != "gpus");
    shown.copied().collect::<Vec<_>>().join(", ")
}

impl LabelError {
    /// Returns the error at a byte offset of a label.
    pub(super) fn at(label: &str, offset: usize, problem: LabelProblem) -> Self {
        let before = label.char_indices().take_while(|(at, _)| *at < offset).count();
        Self {
            label: label.chars().take(LONGEST_LABEL).collect(),
            column: before + 1,
            problem,
        }
    }
}
