//! Labels: which jobs may be ours, and which runner a job asks for.

pub mod inline;

use std::fmt;

use serde::{Deserialize, Serialize};

/// One label of a `runs-on`, compared as GitHub does: without regard to case.
#[derive(Clone, Debug, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(String);

/// The label that GitHub gives every runner of one's own.
const SELF_HOSTED: &str = "self-hosted";

/// How our own labels begin; those of Cirun are taken over.
const PREFIXES: [&str; 2] = ["dayfly", "cirun-"];

impl Label {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The label as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that decides which runner is meant: all before `--`. What stands behind makes a
    /// label unique to a run, so that no other job takes its runner.
    #[must_use]
    pub fn kind(&self) -> &str {
        // A search for a text costs more than labels are long, and every label of a file is asked.
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

/// Whether a job with these labels may be meant for us at all.
#[must_use]
pub fn may_be_ours(labels: &[Label]) -> bool {
    labels
        .iter()
        .any(|label| label.is_self_hosted() || label.has_our_prefix())
}

/// Whether a job with these labels can only be meant for us, so that leaving it alone would leave
/// it waiting for ever.
#[must_use]
pub fn must_be_ours(labels: &[Label]) -> bool {
    labels.iter().any(Label::has_our_prefix)
}

/// Whether a runner with the labels `offered` is what a job with the labels `asked` wants: every
/// label of the job, but for `self-hosted`, is one of the runner's, suffixes left aside.
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

/// Labels as a person reads them: `a, b`.
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
    fn a_job_may_be_ours_by_its_labels() {
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
    fn a_runner_is_meant_when_it_has_every_label_of_the_job() {
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
