//! Inline labels as they are written.

use std::fmt;

use dayfly_types::ids::InstanceType;

use super::{Asked, LONGEST, LabelError, PREFIX, Wrong};
use crate::labels::Label;

impl Asked {
    /// The label that asks for this, its keys in a fixed order.
    ///
    /// # Errors
    /// If it is longer than GitHub takes.
    pub fn label(&self) -> Result<Label, LabelError> {
        let text = self.to_string();
        let length = text.chars().count();
        if length > LONGEST {
            return Err(LabelError::at(&text, LONGEST, Wrong::TooLong(length)));
        }
        Ok(Label::new(text))
    }

    /// The same without what makes it unique to a job: what jobs that ask for the same have in common.
    #[must_use]
    pub fn kind(&self) -> String {
        let pairs: Vec<_> = self.pairs().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{PREFIX}{}", pairs.join("/"))
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        let wants = self.wants.written().into_iter().map(|(key, value)| match key {
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
        wants.chain(others.into_iter().filter_map(|(key, value)| Some((key, value?))))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only what stands behind `--` may have these in it, and so it stands there again. What is before it
        // is a value of the machine's, for none of them ends with a dash.
        let is_behind = |(_, value): &&(_, String)| value.contains('/') || value.contains("--");
        let unique = |f: &mut fmt::Formatter<'_>| {
            let pairs = self.unique.iter().filter(|pair| !is_behind(pair));
            pairs
                .map(|(key, value)| format!("/{key}={value}"))
                .try_for_each(|pair| f.write_str(&pair))
        };
        let kind = self.kind();
        match self.unique.iter().find(is_behind) {
            None => {
                f.write_str(&kind)?;
                unique(f)
            }
            Some((_, behind)) => {
                let (name, pairs) = kind.split_at(PREFIX.len() - 1);
                f.write_str(name)?;
                unique(f)?;
                write!(f, "{pairs}--{behind}")
            }
        }
    }
}
