//! What several files say together: a repository's own, the one that it extends, its organisation's.

use std::fmt;

use dayfly_types::ids::Repository;

use super::cirun::access::Access;
use super::{Actors, Config, ConfigError, Context, Finding, Format, PATHS, Reading, Severity};

/// Where a file lies, on the default branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which repository.
    pub repository: Repository,
    /// Its path.
    pub path: String,
}

impl Place {
    /// A file of a repository.
    pub fn new(repository: &Repository, path: impl Into<String>) -> Self {
        Self {
            repository: repository.clone(),
            path: path.into(),
        }
    }

    /// Reads what lies here. Errors name the repository too, for it is not the job's own.
    ///
    /// # Errors
    /// If it cannot be used; the text has all errors, each with its line.
    pub fn read(&self, text: &str, context: Context<'_>) -> Result<Config, ConfigError> {
        Config::of_file(&self.long(), text, context)
    }

    /// Its path with the repository's name before it.
    #[must_use]
    pub fn long(&self) -> String {
        format!("{}/{}", self.repository, self.path)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {}", self.path, self.repository)
    }
}

/// Why a file cannot extend what it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtendsError {
    /// It is not the same owner's: whoever that is must not say what runs here.
    #[error("`extends` in {from} names {base}, which has another owner: name a repository of {}", from.repository.owner())]
    OtherOwner {
        /// The file.
        from: Place,
        /// What it names.
        base: Repository,
    },
    /// It is the repository that the file lies in.
    #[error("`extends` in {from} names its own repository: name another one of {}, or take it out", from.repository.owner())]
    Itself {
        /// The file.
        from: Place,
    },
    /// There is nothing to extend, as far as the App can see.
    #[error(
        "`extends` in {from} names {base}, and the GitHub App sees no configuration there: install the App on {base} with the permission `contents: read`, and put a `{}` on its default branch",
        PATHS[0]
    )]
    Missing {
        /// The file.
        from: Place,
        /// What it names.
        base: Repository,
    },
    /// It extends another itself.
    #[error(
        "{base}, which {from} extends, has `extends` itself, and what is extended extends nothing: take it out there, or extend that file directly"
    )]
    Chain {
        /// The file.
        from: Place,
        /// The file that it extends.
        base: Box<Place>,
    },
}

/// What counts for the jobs of a repository, and which file says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// What all of them say together.
    pub config: Config,
    /// The repository's own file; nothing if it has none.
    pub own: Option<Place>,
    /// The file that says whose jobs are taken, if one does.
    pub actors_in: Option<Place>,
    /// Who may use the runners of the organisation, and where that stands; everybody, if there is
    /// nothing.
    pub access: Option<(Access, Place)>,
    /// Why the organisation's file does not count though it is there.
    pub trouble: Option<String>,
}

impl Files {
    /// A repository's own file, or what holds without one.
    #[must_use]
    pub fn new(own: Option<Place>, config: Config) -> Self {
        Self {
            actors_in: own.clone().filter(|_| config.actors.is_some()),
            config,
            own,
            access: None,
            trouble: None,
        }
    }

    /// The repository whose file this one extends, with the file that says so.
    ///
    /// # Errors
    /// If it is none that can be extended.
    pub fn base(&self) -> Result<Option<(&Place, &Repository)>, ExtendsError> {
        let (Some(from), Some(base)) = (&self.own, &self.config.extends) else {
            return Ok(None);
        };
        let own = &from.repository;
        if !base.owner().eq_ignore_ascii_case(own.owner()) {
            return Err(ExtendsError::OtherOwner {
                from: from.clone(),
                base: base.clone(),
            });
        }
        if base.name().eq_ignore_ascii_case(own.name()) {
            return Err(ExtendsError::Itself { from: from.clone() });
        }
        Ok(Some((from, base)))
    }

    /// With the file that this one extends.
    ///
    /// # Errors
    /// If that one extends another.
    pub fn extend(self, place: Place, base: Config) -> Result<Self, ExtendsError> {
        if let (Some(from), Some(_)) = (&self.own, &base.extends) {
            return Err(ExtendsError::Chain {
                from: from.clone(),
                base: Box::new(place),
            });
        }
        let actors_in = self.actors_in.or_else(|| base.actors.is_some().then_some(place));
        Ok(Self {
            config: self.config.extended_by(base),
            actors_in,
            ..self
        })
    }

    /// Whether the organisation's `.cirun.global.yml` counts too: where Cirun's own file does, or none.
    #[must_use]
    pub fn take_global(&self) -> bool {
        let own = self.own.as_ref();
        own.is_none_or(|own| Format::of(&own.path) == Format::Cirun)
    }

    /// With the organisation's `.cirun.global.yml`, and who may use its runners.
    #[must_use]
    pub fn with_global(self, place: Place, global: Config, access: Option<(Access, Place)>) -> Self {
        let actors_in = if global.actors.is_some() {
            Some(place)
        } else {
            self.actors_in
        };
        Self {
            config: self.config.with_global(global),
            actors_in,
            access,
            ..self
        }
    }

    /// Whose jobs are taken, and the file that says so.
    #[must_use]
    pub fn actors(&self) -> Option<(&Actors, &Place)> {
        self.config.actors.as_ref().zip(self.actors_in.as_ref())
    }

    /// The rules that a runner stands under, where they lie, and what they call it.
    #[must_use]
    pub fn access_to(&self, runner: &str) -> Option<(&Access, &Place, &str)> {
        let (access, place) = self.access.as_ref()?;
        Some((access, place, self.config.resource(runner)?))
    }
}

impl Reading {
    /// Finds what does not go together with the file that this one, whose text this is, is to extend.
    pub fn look_at_base(&mut self, path: &str, text: &str, base: &Config) {
        let Some(config) = &self.config else { return };
        let (severity, message, hint) = if config.extends.is_none() {
            let message = "nothing is extended, so the other file does not count for this one";
            (Severity::Warning, message, "say `extends: owner/repository`")
        } else if base.extends.is_some() {
            let message = "the file that is extended has `extends` itself, and what is extended extends nothing";
            (
                Severity::Error,
                message,
                "take it out there, or extend that file directly",
            )
        } else if [config, base]
            .iter()
            .all(|one| one.runners.is_empty() && one.passed.is_empty())
        {
            let message = "neither this file nor the one that it extends has a runner";
            (Severity::Warning, message, "say at least one")
        } else {
            return;
        };
        let (line, start, end) = place_of_extends(text);
        self.findings.push(Finding {
            severity,
            file: path.to_owned(),
            line,
            column: 1,
            key: "extends".to_owned(),
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
            bytes: (start, end),
        });
    }
}

/// The line of the key in a file that was read, and its bytes; those of the file's beginning, if it is
/// written in a way that few write.
fn place_of_extends(text: &str) -> (usize, usize, usize) {
    const KEY: &str = "extends";
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line
            .strip_prefix(KEY)
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
        {
            return (index + 1, start, start + KEY.len());
        }
        start += line.len();
    }
    (1, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(repository: &str, path: &str) -> Place {
        Place::new(&repository.parse().unwrap(), path)
    }

    fn runner(name: &str) -> String {
        format!("  - {{name: {name}, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}}\n")
    }

    fn dayfly(text: &str) -> Files {
        Files::new(Some(place("octo/gpu", ".dayfly.yml")), Config::parse(text).unwrap())
    }

    #[test]
    fn only_another_repository_of_the_same_owner_can_be_extended() {
        for (extends, expected) in [
            ("octo/.github", None),
            ("Octo/shared", None),
            (
                "hexo/.github",
                Some(
                    "`extends` in `.dayfly.yml` of octo/gpu names hexo/.github, which has another owner: name a repository of octo",
                ),
            ),
            (
                "octo/GPU",
                Some(
                    "`extends` in `.dayfly.yml` of octo/gpu names its own repository: name another one of octo, or take it out",
                ),
            ),
        ] {
            let files = dayfly(&format!("extends: {extends}\n"));
            let refused = files.base().err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected, "{extends}");
            let found = files.base().ok().flatten().map(|(_, base)| base.to_string());
            assert_eq!(found.is_some(), expected.is_none(), "{extends}");
        }
        assert_eq!(dayfly("runners: []\n").base(), Ok(None));
    }

    #[test]
    fn what_is_extended_extends_nothing() {
        let base = Config::parse("extends: octo/other\n").unwrap();
        let error = dayfly("extends: octo/.github\n").extend(place("octo/.github", ".dayfly.yml"), base);
        assert_eq!(
            error.unwrap_err().to_string(),
            "`.dayfly.yml` of octo/.github, which `.dayfly.yml` of octo/gpu extends, has `extends` itself, and what is extended extends nothing: take it out there, or extend that file directly"
        );
    }

    #[test]
    fn the_file_that_says_whose_jobs_are_taken_is_named() {
        for (own, base, expected) in [
            ("", "", None),
            ("actors: [a]\n", "", Some("`.dayfly.yml` of octo/gpu")),
            ("", "teams: [b]\n", Some("`.github/dayfly.yml` of octo/.github")),
            ("teams: [a]\n", "actors: [b]\n", Some("`.dayfly.yml` of octo/gpu")),
        ] {
            let files = dayfly(&format!("extends: octo/.github\n{own}"));
            let base = Config::parse(&format!("{base}runners:\n{}", runner("a"))).unwrap();
            let files = files.extend(place("octo/.github", ".github/dayfly.yml"), base).unwrap();
            let found = files.actors().map(|(_, place)| place.to_string());
            assert_eq!(found.as_deref(), expected);
            assert_eq!(files.config.runners.len(), 1);
        }
    }

    #[test]
    fn a_file_is_looked_at_together_with_the_one_that_it_extends() {
        let some = format!("runners:\n{}", runner("a"));
        for (own, base, expected) in [
            ("extends: octo/.github\n", some.as_str(), None),
            (
                "messenger: true\nextends: octo/.github\n",
                "runners: []\n",
                Some("2: warning: neither"),
            ),
            (
                "messenger: true\nextends: octo/.github\n",
                "extends: octo/x\n",
                Some("2: error: the file that is"),
            ),
            ("runners: []\n", &some, Some("1: warning: nothing is extended")),
        ] {
            let mut reading = crate::read(".dayfly.yml", own, Context::default());
            reading.look_at_base(".dayfly.yml", own, &Config::parse(base).unwrap());
            let found: Vec<String> = reading.findings.iter().map(ToString::to_string).collect();
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(words) => {
                    let (line, rest) = words.split_once(": ").unwrap();
                    assert!(
                        found[0].starts_with(&format!(".dayfly.yml:{line}:1: {rest}")),
                        "{found:?}"
                    );
                }
            }
        }
    }

    fn cirun(text: &str) -> Config {
        Config::of_file(".cirun.yml", text, Context::default()).unwrap()
    }

    fn entry(name: &str) -> String {
        format!(
            "  - {{name: {name}, cloud: aws, instance_type: [g5.xlarge, g6.xlarge], machine_image: ami-01234567, labels: [cirun-gpu]}}\n"
        )
    }

    #[test]
    fn the_organisations_runners_come_after_the_repositorys_own_and_stand_under_its_rules() {
        let own = cirun(&format!("run_only_when_triggered_by: ours\nrunners:\n{}", entry("gpu")));
        let global = cirun(&format!(
            "run_only_when_triggered_by: theirs\nrunners:\n{}{}",
            entry("gpu"),
            entry("big")
        ));
        let files = Files::new(Some(place("octo/gpu", ".cirun.yml")), own);
        assert!(files.take_global());
        let access = (Access::default(), place("octo/.cirun", ".access.yml"));
        let files = files.with_global(place("octo/.cirun", ".cirun.global.yml"), global, Some(access));
        let under: Vec<(&str, Option<&str>)> = files
            .config
            .runners
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    files.access_to(&one.name).map(|(.., resource)| resource),
                )
            })
            .collect();
        assert_eq!(
            under,
            [
                ("gpu", None),
                ("gpu/2", None),
                ("gpu#2", Some("gpu")),
                ("gpu/2#2", Some("gpu")),
                ("big", Some("big")),
                ("big/2", Some("big")),
            ]
        );
        let (actors, place) = files.actors().unwrap();
        assert_eq!(
            (actors.to_string().as_str(), place.to_string().as_str()),
            ("the team `theirs`", "`.cirun.global.yml` of octo/.cirun"),
            "the organisation's word goes first"
        );
        assert!(!dayfly("runners: []\n").take_global());
        assert!(Files::new(None, Config::built_in().unwrap()).take_global());
    }
}
