//! Inline labels: a runner that a job describes in its `runs-on`, without a file.
//!
//! `dayfly/gpu=l4/spot=only/disk=200GiB/run=42`: keys and values after `dayfly/`, separated by `/`, in any
//! order and any case, each key once. `docs/labels.md` documents them for authors.

mod error;
mod spec;
mod value;
mod write;

#[cfg(test)]
mod tests;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;

use crate::labels::{LONGEST_LABEL, Label};
use crate::machines::Requirements;
use crate::spelling;

pub use error::{LabelError, LabelProblem};
pub use spec::InlineSpecError;
pub use value::{InlineImage, Spot};

/// The beginning of an inline label.
pub const PREFIX: &str = "dayfly/";

/// The keys that only make a label unique to a job.
pub const UNIQUE_KEYS: [&str; 5] = ["run", "job", "attempt", "matrix", "id"];

const KEYS: [&str; 20] = [
    "gpu", "count", "vram", "cc", "cpu", "mem", "nvme", "arch", "type", "image", "spot", "price", "disk", "region",
    "run", "job", "attempt", "matrix", "id", "gpus",
];

/// What a job asks for in an inline label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InlineSpec {
    /// Empty if `types` names the machine.
    pub requirements: Requirements,
    /// The machine types to choose from; empty if `requirements` choose.
    pub types: Vec<InstanceType>,
    pub image: Option<InlineImage>,
    pub spot: Option<Spot>,
    /// The highest price of an instance per hour.
    pub price: Option<MicroDollars>,
    /// The root volume's size in GiB.
    pub disk_gib: Option<u32>,
    pub region: Option<String>,
    /// The pairs that make the label unique to the job, so that no other job takes its runner.
    pub unique: Vec<(&'static str, String)>,
}

/// Returns whether a label is an inline one, readable or not.
#[must_use]
pub fn is_inline(label: &Label) -> bool {
    let start = label.as_str().get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Finds and reads the inline label of a job. Labels beside it, like `self-hosted`, ask for nothing more.
///
/// # Errors
/// If the label cannot be read, or there are several.
pub fn find(labels: &[Label]) -> Result<Option<(&Label, InlineSpec)>, LabelError> {
    let mut inline = labels.iter().filter(|label| is_inline(label));
    let Some(label) = inline.next() else {
        return Ok(None);
    };
    if let Some(other) = inline.find(|other| *other != label) {
        return Err(LabelError::at(label.as_str(), 0, LabelProblem::Several(other.clone())));
    }
    read(label.as_str()).map(|spec| Some((label, spec)))
}

/// Reads an inline label.
///
/// # Errors
/// What is wrong, with the column and what is allowed there.
pub fn read(text: &str) -> Result<InlineSpec, LabelError> {
    let length = text.chars().count();
    if length > LONGEST_LABEL {
        return Err(LabelError::at(text, LONGEST_LABEL, LabelProblem::TooLong(length)));
    }
    if !is_inline(&Label::new(text)) {
        return Err(LabelError::at(text, 0, LabelProblem::NotInline));
    }
    let mut reader = Reader {
        text,
        keys: Vec::new(),
        spec: InlineSpec::default(),
    };
    let (pairs, suffix) = match text.split_once("--") {
        Some((pairs, suffix)) => (pairs, Some(suffix)),
        None => (text, None),
    };
    let mut at = PREFIX.len();
    for pair in pairs.get(at..).unwrap_or_default().split('/') {
        reader.pair(at, pair)?;
        at += pair.len() + 1;
    }
    if let Some(suffix) = suffix {
        let at = pairs.len() + "--".len();
        reader.set(at, "id", at, suffix)?;
    }
    reader.finish()
}

/// Reads a label. Places are byte offsets into it.
struct Reader<'a> {
    text: &'a str,
    keys: Vec<(&'static str, usize)>,
    spec: InlineSpec,
}

impl Reader<'_> {
    fn error(&self, at: usize, problem: LabelProblem) -> LabelError {
        LabelError::at(self.text, at, problem)
    }

    fn pair(&mut self, at: usize, pair: &str) -> Result<(), LabelError> {
        match pair.split_once('=') {
            Some((key, value)) => self.set(at, key, at + key.len() + 1, value),
            None if pair.trim().is_empty() => Err(self.error(at, LabelProblem::MissingPair)),
            None => Err(self.error(at, LabelProblem::NoValue(pair.to_owned()))),
        }
    }

    fn set(&mut self, at: usize, key: &str, value_at: usize, value: &str) -> Result<(), LabelError> {
        let Some(known) = KEYS.into_iter().find(|known| known.eq_ignore_ascii_case(key.trim())) else {
            return Err(self.error(
                at,
                LabelProblem::UnknownKey {
                    key: key.to_owned(),
                    nearest: spelling::nearest(key, KEYS),
                },
            ));
        };
        // The file's name for it.
        let known = if known == "gpus" { "count" } else { known };
        if self.keys.iter().any(|(key, _)| *key == known) {
            return Err(self.error(at, LabelProblem::DuplicateKey(known)));
        }
        self.keys.push((known, at));
        let value = value.trim();
        if value.is_empty() {
            return Err(self.error(value_at, LabelProblem::EmptyValue(known, value::allowed(known))));
        }
        let set = self.spec.set(known, value);
        set.map_err(|problem| LabelError::at(self.text, value_at, problem))
    }

    fn finish(self) -> Result<InlineSpec, LabelError> {
        let requirement = self.keys.iter().find(|(key, _)| value::is_requirement(key));
        if let (Some((key, at)), false) = (requirement, self.spec.types.is_empty()) {
            return Err(self.error(*at, LabelProblem::TypeAndRequirement(key)));
        }
        if self.spec.types.is_empty() && self.spec.requirements.is_empty() {
            return Err(self.error(PREFIX.len(), LabelProblem::NoMachine));
        }
        Ok(self.spec)
    }
}
