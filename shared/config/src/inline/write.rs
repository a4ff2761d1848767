//! Writes inline labels.

use std::fmt;

use dayfly_types::ids::InstanceType;

use super::{InlineSpec, LabelError, LabelProblem, PREFIX};
use crate::labels::{LONGEST_LABEL, Label};

impl InlineSpec {
    /// Returns the label, with its keys in a fixed order.
    ///
    /// # Errors
    /// If the label is longer than GitHub takes.
    pub fn label(&self) -> Result<Label, LabelError> {
        let text = self.to_string();
        let length = text.chars().count();
        if length > LONGEST_LABEL {
            return Err(LabelError::at(&text, LONGEST_LABEL, LabelProblem::TooLong(length)));
        }
        Ok(Label::new(text))
    }

    /// Returns the label without what makes it unique to a job: jobs that ask for the same have it in common.
    #[must_use]
    pub fn kind(&self) -> String {
        let pairs: Vec<_> = self.pairs().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{PREFIX}{}", pairs.join("/"))
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        let requirements = self.requirements.written().into_iter().map(|(key, value)| match key {
            "gpus" => ("count", value),
            _ => (key, value),
        });
        let types: Vec<_> = self.types.iter().map(InstanceType::as_str).collect();
        let others = [
            ("type", (!types.is_empty()).then(|| types.join("+"))),
            ("image", self.image.as_ref().map(ToString::to_string)),
            ("spot", self.spot.map(|spot| spot.as_str().to_owned())),
            (
                "price",
                self.price
                    .map(|price| price.to_string().trim_start_matches('$').to_owned()),
            ),
            ("disk", self.disk_gib.map(|gib| format!("{gib}GiB"))),
            ("region", self.region.clone()),
        ];
        requirements.chain(others.into_iter().filter_map(|(key, value)| Some((key, value?))))
    }
}

impl fmt::Display for InlineSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only a value after `--` may contain these, so it goes there again. Before it is a value of the machine,
        // because none of them ends with a dash.
        let is_suffix = |(_, value): &&(_, String)| value.contains('/') || value.contains("--");
        let unique = |f: &mut fmt::Formatter<'_>| {
            let pairs = self.unique.iter().filter(|pair| !is_suffix(pair));
            pairs
                .map(|(key, value)| format!("/{key}={value}"))
                .try_for_each(|pair| f.write_str(&pair))
        };
        let kind = self.kind();
        match self.unique.iter().find(is_suffix) {
            None => {
                f.write_str(&kind)?;
                unique(f)
            }
            Some((_, suffix)) => {
                let (name, pairs) = kind.split_at(PREFIX.len() - 1);
                f.write_str(name)?;
                unique(f)?;
                write!(f, "{pairs}--{suffix}")
            }
        }
    }
}
