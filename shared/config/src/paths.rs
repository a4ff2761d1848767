//! Where configuration files are, and which of a repository's files is used.

use crate::cirun::access;

/// Where a repository's configuration is, on its default branch.
pub const CONFIG_PATH: &str = ".dayfly.yml";

/// Where a repository's file may be on its default branch, by precedence.
pub const PATHS: [&str; 3] = [CONFIG_PATH, ".github/dayfly.yml", ".cirun.yml"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.dayfly.yml`
    Dayfly,
    /// `.cirun.yml`, and an organisation's `.cirun.global.yml`
    Cirun,
    /// An organisation's `.access.yml`, which has no runners
    Access,
}

impl Format {
    /// Returns the format of a file, by its name.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        if name == access::PATH {
            Self::Access
        } else if name.to_ascii_lowercase().contains("cirun") {
            Self::Cirun
        } else {
            Self::Dayfly
        }
    }
}

/// The file of a repository that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenFile<'a> {
    pub path: &'a str,
    /// Files that are present too, but ignored.
    pub ignored: Vec<&'a str>,
}

impl ChosenFile<'_> {
    /// Returns a warning for the author if files are ignored.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (!self.ignored.is_empty()).then(|| {
            format!(
                "`{}` is used, and `{}` is ignored: remove the one that is not meant",
                self.path,
                self.ignored.join("` and `")
            )
        })
    }
}

/// Chooses among the files that are present.
#[must_use]
pub fn choose_file<'a>(present: &[&'a str]) -> Option<ChosenFile<'a>> {
    let mut ordered = PATHS
        .iter()
        .filter_map(|path| present.iter().find(|one| *one == path).copied());
    let path = ordered.next()?;
    Some(ChosenFile {
        path,
        ignored: ordered.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_path_is_chosen_and_the_others_are_named() {
        for (present, path, expected_ignored) in [
            (&[".dayfly.yml"][..], Some(".dayfly.yml"), &[][..]),
            (&[".cirun.yml", "README.md"], Some(".cirun.yml"), &[]),
            (
                &[".cirun.yml", ".github/dayfly.yml", ".dayfly.yml"],
                Some(".dayfly.yml"),
                &[".github/dayfly.yml", ".cirun.yml"],
            ),
            (
                &[".cirun.yml", ".github/dayfly.yml"],
                Some(".github/dayfly.yml"),
                &[".cirun.yml"],
            ),
            (&["dayfly.yml"], None, &[]),
            (&[], None, &[]),
        ] {
            let chosen = choose_file(present);
            assert_eq!(chosen.as_ref().map(|one| one.path), path, "{present:?}");
            let ignored = chosen.map(|one| (one.ignored.clone(), one.warning()));
            let (named, warning) = ignored.unwrap_or_default();
            assert_eq!(
                (named.as_slice(), warning.is_some()),
                (expected_ignored, !expected_ignored.is_empty())
            );
        }
    }

    #[test]
    fn file_name_tells_the_format() {
        for (path, format) in [
            (".dayfly.yml", Format::Dayfly),
            (".github/dayfly.yml", Format::Dayfly),
            (".cirun.yml", Format::Cirun),
            ("some/.cirun.global.yml", Format::Cirun),
            ("octo/.cirun/.access.yml", Format::Access),
            ("octo/.cirun/.dayfly.yml", Format::Dayfly),
            ("cirun/.dayfly.yml", Format::Dayfly),
        ] {
            assert_eq!(Format::of(path), format, "{path}");
        }
    }
}
