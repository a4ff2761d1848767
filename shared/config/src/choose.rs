//! Which of a repository's files counts.

/// Where a repository's file may lie on its default branch, the one that counts first.
pub const PATHS: [&str; 3] = [super::CONFIG_PATH, ".github/dayfly.yml", ".cirun.yml"];

/// In which language a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.dayfly.yml`
    Dayfly,
    /// `.cirun.yml`, and an organisation's `.cirun.global.yml`
    Cirun,
    /// An organisation's `.access.yml`, which says no runners
    Access,
}

impl Format {
    /// The format of a file, by its name.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        if name == super::cirun::access::PATH {
            Self::Access
        } else if name.to_ascii_lowercase().contains("cirun") {
            Self::Cirun
        } else {
            Self::Dayfly
        }
    }
}

/// The file that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Its path.
    pub path: &'a str,
    /// Those that are left aside though they are there.
    pub instead_of: Vec<&'a str>,
}

impl Choice<'_> {
    /// What its author should know, if anything is left aside.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (!self.instead_of.is_empty()).then(|| {
            format!(
                "`{}` counts, and `{}` is left aside: take out the one that is not meant",
                self.path,
                self.instead_of.join("` and `")
            )
        })
    }
}

/// The file that counts among those that are there.
#[must_use]
pub fn choose<'a>(present: &[&'a str]) -> Option<Choice<'a>> {
    let mut ordered = PATHS
        .iter()
        .filter_map(|path| present.iter().find(|one| *one == path).copied());
    let path = ordered.next()?;
    Some(Choice {
        path,
        instead_of: ordered.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_counts_and_the_others_are_named() {
        for (present, path, instead_of) in [
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
            let chosen = choose(present);
            assert_eq!(chosen.as_ref().map(|one| one.path), path, "{present:?}");
            let left = chosen.map(|one| (one.instead_of.clone(), one.warning()));
            let (named, warning) = left.unwrap_or_default();
            assert_eq!(
                (named.as_slice(), warning.is_some()),
                (instead_of, !instead_of.is_empty())
            );
        }
    }

    #[test]
    fn a_name_tells_the_format() {
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
