//! The models of GPU, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::spelling;

/// A model of GPU that EC2 has, by its short name: `t4`, `a10g`, `l40s`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuModel(String);

/// A model with its other names, in letters and digits alone.
struct Known {
    name: &'static str,
    others: &'static [&'static str],
}

const fn known(name: &'static str, others: &'static [&'static str]) -> Known {
    Known { name, others }
}

/// The models in the table of machine types: a test compares the two.
const MODELS: [Known; 16] = [
    known("t4", &[]),
    known("t4g", &[]),
    known("a10g", &["a10"]),
    known("l4", &[]),
    known("l40s", &["l40"]),
    known(
        "rtx-pro-4500",
        &["rtxpro4500blackwell", "rtxpro4500blackwellserveredition"],
    ),
    known(
        "rtx-pro-6000",
        &[
            "rtxproserver6000",
            "rtxpro6000blackwell",
            "rtxpro6000blackwellserveredition",
            "rtx6000pro",
        ],
    ),
    known("v100", &[]),
    known("a100", &[]),
    known("h100", &[]),
    known("h200", &[]),
    known("b200", &[]),
    known("b300", &[]),
    // Fractions of an L4, shared with other instances.
    known("l4-half", &[]),
    known("l4-quarter", &[]),
    known("l4-eighth", &[]),
];

/// A GPU that EC2 does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("EC2 has no GPU `{found}`")]
pub struct UnknownGpu {
    pub found: String,
    /// What was most likely meant.
    pub nearest: Option<&'static str>,
}

impl GpuModel {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        MODELS.iter().map(|model| model.name)
    }

    /// Returns whether it is a fractional GPU, which needs NVIDIA's driver for virtual GPUs: few images have it.
    #[must_use]
    pub fn is_fraction(&self) -> bool {
        self.0.starts_with("l4-")
    }
}

impl fmt::Display for GpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GpuModel {
    type Err = UnknownGpu;

    /// Parses a name as people write it: `T4`, `tesla-t4`, `NVIDIA A10G`, `a10`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = plain(text);
        let mut word = plain.as_str();
        for prefix in ["nvidia", "tesla"] {
            word = word.strip_prefix(prefix).unwrap_or(word);
        }
        let found = MODELS
            .iter()
            .find(|model| self::plain(model.name) == word || model.others.contains(&word));
        match found {
            Some(model) => Ok(Self(model.name.to_owned())),
            None => Err(UnknownGpu {
                found: text.to_owned(),
                nearest: spelling::nearest(word, Self::names()),
            }),
        }
    }
}

/// Returns the letters and digits of a text, in lower case.
fn plain(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_have_many_spellings_and_one_name() {
        for (text, name) in [
            ("t4", "t4"),
            ("T4", "t4"),
            ("tesla-t4", "t4"),
            ("NVIDIA Tesla T4", "t4"),
            ("nvidia-l4", "l4"),
            ("a10", "a10g"),
            ("A10G", "a10g"),
            ("L40", "l40s"),
            ("RTX PRO Server 6000", "rtx-pro-6000"),
            ("rtx_pro_6000", "rtx-pro-6000"),
            ("rtxpro4500", "rtx-pro-4500"),
            ("l4-half", "l4-half"),
        ] {
            assert_eq!(text.parse::<GpuModel>().unwrap().as_str(), name, "{text}");
        }
    }

    #[test]
    fn unknown_gpu_suggests_the_nearest() {
        for (text, nearest) in [
            ("a10q", Some("a10g")),
            ("h10", Some("h100")),
            ("mi300x", None),
            ("", None),
        ] {
            let refused = text.parse::<GpuModel>().unwrap_err();
            assert_eq!((refused.found.as_str(), refused.nearest), (text, nearest));
        }
    }

    #[test]
    fn no_two_models_share_a_spelling() {
        let all = MODELS.iter().flat_map(|model| {
            model
                .others
                .iter()
                .map(|other| (*other).to_owned())
                .chain([plain(model.name)])
        });
        let mut all: Vec<String> = all.collect();
        let before = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), before);
    }
}
