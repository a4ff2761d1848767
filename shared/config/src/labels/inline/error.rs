//! What can be wrong with an inline label.

use dayfly_types::ids::InstanceType;

use super::{KEYS, LONGEST};
use crate::images::UnknownImage;
use crate::labels::Label;
use crate::machines::WantsError;

/// An inline label that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the label `{label}`, column {column}: {wrong}")]
pub struct LabelError {
    /// The label, or its beginning.
    pub label: String,
    /// Where in it, in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub wrong: Wrong,
}

/// What is wrong with an inline label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is none.
    #[error("an inline label begins with `dayfly/`")]
    NotInline,
    /// There are more characters than GitHub takes.
    #[error("it has {0} characters, and GitHub takes {LONGEST}")]
    TooLong(usize),
    /// Nothing between two slashes, or behind the last.
    #[error("a key and its value are missing here, `gpu=t4` say")]
    Nothing,
    /// A word that is no key with a value.
    #[error("`{0}` has no value: expected a key and its value, `gpu=t4` say")]
    NoValue(String),
    /// A key with nothing behind it.
    #[error("`{0}` has no value: expected {1}")]
    EmptyValue(&'static str, &'static str),
    /// No key is called so.
    #[error("there is no key `{key}`{}", nearest.map_or_else(
        || format!(": the keys are {}", keys()),
        |nearest| format!(", did you mean `{nearest}`?"),
    ))]
    UnknownKey {
        /// What was written.
        key: String,
        /// What was most likely meant.
        nearest: Option<&'static str>,
    },
    /// A key stands there twice.
    #[error("`{0}` is there twice: say it once")]
    Twice(&'static str),
    /// A value is not what its key takes.
    #[error("`{1}` is nothing that `{0}` takes: expected {2}")]
    Unreadable(&'static str, String, &'static str),
    /// A want is none.
    #[error(transparent)]
    Wants(WantsError),
    /// No image is called so.
    #[error("{unknown}{}", unknown.nearest.map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?")))]
    UnknownImage {
        /// What was written.
        unknown: UnknownImage,
    },
    /// A family has no such size.
    #[error("EC2 has no machine type `{found}`{} Of this family there are {sizes}", nearest.as_ref().map_or_else(
        || ".".to_owned(),
        |nearest| format!(", did you mean `{nearest}`?"),
    ))]
    UnknownSize {
        /// What was written.
        found: String,
        /// What was most likely meant.
        nearest: Option<String>,
        /// The types of its family.
        sizes: String,
    },
    /// One image cannot start both.
    #[error("{0} and {1} are of different architectures, and one image starts on one only: leave one out")]
    Architectures(InstanceType, InstanceType),
    /// Types are named, and something else is wanted of them.
    #[error("`{0}` chooses among machine types, and `type` names them: leave one out")]
    TypeAndWants(&'static str),
    /// Nothing is said of the machine.
    #[error("nothing is said of the machine: add `gpu=t4`, `cpu=8` or `type=g5.xlarge`, say")]
    NoMachine,
    /// A job can have one machine only.
    #[error("`{0}` is an inline label too, and a job has one machine: put all into one label")]
    Several(Label),
}

fn keys() -> String {
    let shown = KEYS.iter().filter(|key| **key != "gpus");
    shown.copied().collect::<Vec<_>>().join(", ")
}

impl LabelError {
    /// Something wrong at a byte offset of a label.
    pub(super) fn at(label: &str, offset: usize, wrong: Wrong) -> Self {
        let before = label.char_indices().take_while(|(at, _)| *at < offset).count();
        Self {
            label: label.chars().take(LONGEST).collect(),
            column: before + 1,
            wrong,
        }
    }
}
