//! Inline labels: a runner that a job describes in its `runs-on`, without a file.
//!
//! `dayfly/gpu=l4/spot=only/disk=200GiB/run=42`: keys and values behind `dayfly/`, with `/` between
//! them, in any order, without regard to case, each key once. `docs/labels.md` is for their authors.

mod error;
mod spec;
mod value;
mod write;

#[cfg(test)]
mod tests;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;

use super::Label;
use crate::machines::Wants;
use crate::spelling;

pub use error::{LabelError, Wrong};
pub use spec::CannotServe;
pub use value::{AskedImage, Spot};

/// How an inline label begins.
pub const PREFIX: &str = "dayfly/";

/// GitHub takes no longer label.
pub const LONGEST: usize = 256;

/// The keys that say nothing but what makes a label unique to a job.
pub const UNIQUE_KEYS: [&str; 5] = ["run", "job", "attempt", "matrix", "id"];

/// All keys, as they are written.
const KEYS: [&str; 20] = [
    "gpu", "count", "vram", "cc", "cpu", "mem", "nvme", "arch", "type", "image", "spot", "price", "disk", "region",
    "run", "job", "attempt", "matrix", "id", "gpus",
];

/// What a job asks for in an inline label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What it wants of the machine; nothing if it names types.
    pub wants: Wants,
    /// The machine types that will do; none if it says what it wants.
    pub types: Vec<InstanceType>,
    /// The image to start.
    pub image: Option<AskedImage>,
    /// Whether on spot.
    pub spot: Option<Spot>,
    /// What an hour of an instance may cost at most.
    pub price: Option<MicroDollars>,
    /// The root volume's size in GiB.
    pub disk_gib: Option<u32>,
    /// The region that it must be in.
    pub region: Option<String>,
    /// What makes the label unique to the job, so that no other job takes its runner.
    pub unique: Vec<(&'static str, String)>,
}

/// Whether a label is an inline one, well written or not.
#[must_use]
pub fn is_inline(label: &Label) -> bool {
    let start = label.as_str().get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// What a job with these labels asks for by an inline one; nothing if none is inline. Labels beside it,
/// `self-hosted` say, ask for nothing more.
///
/// # Errors
/// If an inline label cannot be read, or there are several.
pub fn asked(labels: &[Label]) -> Result<Option<(&Label, Asked)>, LabelError> {
    let mut inline = labels.iter().filter(|label| is_inline(label));
    let Some(label) = inline.next() else {
        return Ok(None);
    };
    if let Some(other) = inline.find(|other| *other != label) {
        return Err(LabelError::at(label.as_str(), 0, Wrong::Several(other.clone())));
    }
    read(label.as_str()).map(|asked| Some((label, asked)))
}

/// Reads an inline label.
///
/// # Errors
/// If it is none, or is not well written: with the column, and what is allowed there.
pub fn read(text: &str) -> Result<Asked, LabelError> {
    let length = text.chars().count();
    if length > LONGEST {
        return Err(LabelError::at(text, LONGEST, Wrong::TooLong(length)));
    }
    if !is_inline(&Label::new(text)) {
        return Err(LabelError::at(text, 0, Wrong::NotInline));
    }
    let mut reader = Reader {
        text,
        seen: Vec::new(),
        asked: Asked::default(),
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
        reader.take(at, "id", at, suffix)?;
    }
    reader.finish()
}

/// A label while it is read. Places are byte offsets into it.
struct Reader<'a> {
    text: &'a str,
    seen: Vec<(&'static str, usize)>,
    asked: Asked,
}

impl Reader<'_> {
    fn wrong(&self, at: usize, wrong: Wrong) -> LabelError {
        LabelError::at(self.text, at, wrong)
    }

    fn pair(&mut self, at: usize, pair: &str) -> Result<(), LabelError> {
        match pair.split_once('=') {
            Some((key, value)) => self.take(at, key, at + key.len() + 1, value),
            None if pair.trim().is_empty() => Err(self.wrong(at, Wrong::Nothing)),
            None => Err(self.wrong(at, Wrong::NoValue(pair.to_owned()))),
        }
    }

    fn take(&mut self, at: usize, key: &str, value_at: usize, value: &str) -> Result<(), LabelError> {
        let Some(known) = KEYS.into_iter().find(|known| known.eq_ignore_ascii_case(key.trim())) else {
            return Err(self.wrong(
                at,
                Wrong::UnknownKey {
                    key: key.to_owned(),
                    nearest: spelling::nearest(key, KEYS),
                },
            ));
        };
        // The file's word for it.
        let known = if known == "gpus" { "count" } else { known };
        if self.seen.iter().any(|(seen, _)| *seen == known) {
            return Err(self.wrong(at, Wrong::Twice(known)));
        }
        self.seen.push((known, at));
        let value = value.trim();
        if value.is_empty() {
            return Err(self.wrong(value_at, Wrong::EmptyValue(known, value::allowed(known))));
        }
        let taken = self.asked.take(known, value);
        taken.map_err(|wrong| LabelError::at(self.text, value_at, wrong))
    }

    fn finish(self) -> Result<Asked, LabelError> {
        let wanted = self.seen.iter().find(|(key, _)| value::is_of_wants(key));
        if let (Some((_, at)), false) = (wanted, self.asked.types.is_empty()) {
            let key = wanted.map_or("", |(key, _)| key);
            return Err(self.wrong(*at, Wrong::TypeAndWants(key)));
        }
        if self.asked.types.is_empty() && self.asked.wants.is_empty() {
            return Err(self.wrong(PREFIX.len(), Wrong::NoMachine));
        }
        Ok(self.asked)
    }
}
