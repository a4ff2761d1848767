//! Labels: which jobs may be for dayfly, and which runner a job asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One label of a `runs-on`, compared as GitHub does: case-insensitively.
#[derive(Clone, Debug, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(String);

/// The longest label that GitHub takes.
pub const LONGEST_LABEL: usize = 256;

/// GitHub's label for every self-hosted runner.
const SELF_HOSTED: &str = "self-hosted";

/// Prefixes of dayfly's labels, and of Cirun's, which dayfly takes too.
const PREFIXES: [&str; 2] = ["dayfly", "cirun-"];

impl Label {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the label as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part before `--`, which decides the runner. The rest makes a label unique to a run, so that no
    /// other job takes its runner.
    #[must_use]
    pub fn kind(&self) -> &str {
        // `str::find` costs more than a short label does, and every label of a file is compared.
        let dashes = self.0.as_bytes().windows(2).position(|two| two == b"--");
        dashes.and_then(|at| self.0.get(..at)).unwrap_or(&self.0)
    }

    fn is_self_hosted(&self) -> bool {
        self.0.eq_ignore_ascii_case(SELF_HOSTED)
    }

    fn has_our_prefix(&self) -> bool {
        PREFIXES.iter().any(|prefix| {
            self.0
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether a job with these labels may be for dayfly.
#[must_use]
pub fn may_be_ours(labels: &[Label]) -> bool {
    labels
        .iter()
        .any(|label| label.is_self_hosted() || label.has_our_prefix())
}

/// Returns whether a job with these labels can only be for dayfly: left alone, it would wait forever.
#[must_use]
pub fn must_be_ours(labels: &[Label]) -> bool {
    labels.iter().any(Label::has_our_prefix)
}

/// Returns whether a runner with the labels `offered` fits a job with the labels `asked`: the runner has every
/// label of the job except `self-hosted`, regardless of suffixes.
#[must_use]
pub fn matches(asked: &[Label], offered: &[Label]) -> bool {
    let mut asked = asked.iter().filter(|label| !label.is_self_hosted()).peekable();
    asked.peek().is_some()
        && asked.all(|label| {
            offered
                .iter()
                .any(|other| other.kind().eq_ignore_ascii_case(label.kind()))
        })
}

/// Writes labels as `a, b`.
#[must_use]
pub fn listed(labels: &[Label]) -> String {
    labels.iter().map(Label::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(texts: &[&str]) -> Vec<Label> {
        texts.iter().map(|text| Label::new(*text)).collect()
    }

    #[test]
    fn labels_tell_which_jobs_may_be_ours() {
        for (texts, may, must) in [
            (&["dayfly-gpu"][..], true, true),
            (&["DayFly-GPU"], true, true),
            (&["dayfly/gpu=t4"], true, true),
            (&["cirun-gpu--123"], true, true),
            (&["self-hosted", "gpu"], true, false),
            (&["ubuntu-latest"], false, false),
            (&["day"], false, false),
            (&["é"], false, false),
            (&[], false, false),
        ] {
            assert_eq!(
                (may_be_ours(&labels(texts)), must_be_ours(&labels(texts))),
                (may, must),
                "{texts:?}"
            );
        }
    }

    #[test]
    fn runner_matches_with_every_label_of_the_job() {
        for (asked, offered, expected) in [
            (&["dayfly-gpu"][..], &["dayfly-gpu"][..], true),
            (&["self-hosted", "dayfly-gpu"], &["dayfly-gpu"], true),
            (&["DAYFLY-GPU"], &["dayfly-gpu"], true),
            (&["dayfly-gpu--run-7"], &["dayfly-gpu"], true),
            (&["dayfly-gpu", "large"], &["dayfly-gpu", "large", "linux"], true),
            (&["dayfly-gpu", "large"], &["dayfly-gpu"], false),
            (&["self-hosted"], &["dayfly-gpu"], false),
            (&[], &["dayfly-gpu"], false),
        ] {
            assert_eq!(
                matches(&labels(asked), &labels(offered)),
                expected,
                "{asked:?} on {offered:?}"
            );
        }
    }
}
