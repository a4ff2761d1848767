//! Names with `*` in them.

use std::fmt;

/// A name in which `*` stands for any number of characters. It is case-insensitive, as names on GitHub are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (glob, name) = (self.0.to_ascii_lowercase(), name.to_ascii_lowercase());
        let mut parts = glob.split('*');
        let Some(rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        // The first match leaves the most for what follows.
        let rest = parts
            .into_iter()
            .try_fold(rest, |rest, part| rest.split_once(part).map(|(_, after)| after));
        rest.is_some_and(|rest| rest.ends_with(last))
    }
}

/// A list of globs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs(pub Vec<Glob>);

impl Globs {
    /// Returns the list that matches every name.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![Glob::new("*")])
    }

    /// Returns whether a name matches any of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }
}

impl fmt::Display for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, glob) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{}`", glob.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_match_anything_in_any_case() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("*", "octo/gpu", true),
            ("octo/*", "octo/gpu", true),
            ("octo/*", "OCTO/gpu", true),
            ("octo/*", "octopus/gpu", false),
            ("*/gpu", "octo/gpu", true),
            ("*/gpu", "octo/gpus", false),
            ("g5.*", "g5.xlarge", true),
            ("g5.*", "g5g.xlarge", false),
            ("g*n.x*e", "g4dn.xlarge", true),
            ("a*a", "a", false),
            ("a*ba", "aba", true),
            ("", "", true),
            ("", "a", false),
            ("octo", "octo", true),
            ("octo", "octo2", false),
        ] {
            assert_eq!(Glob::new(glob).matches(name), expected, "{glob} {name}");
        }
    }

    proptest! {
        #[test]
        fn name_matches_with_a_part_replaced_by_a_star(
            start in "[a-z]{0,4}", left_out in "[a-z*]{0,4}", end in "[a-z]{0,4}",
        ) {
            let glob = Glob::new(format!("{start}*{end}"));
            let name = format!("{start}{left_out}{end}");
            prop_assert!(glob.matches(&name));
        }
    }
}
