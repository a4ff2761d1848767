//! Combines files: a repository's own, the one that it extends, and its organisation's.

use std::fmt;

use dayfly_types::ids::Repository;

use crate::actors::Actors;
use crate::cirun::access::Access;
use crate::config::{Config, Context, Reading};
use crate::paths::{Format, PATHS};
use crate::yaml::{ConfigError, Finding, Severity};

/// A file on a repository's default branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLocation {
    pub repository: Repository,
    pub path: String,
}

impl FileLocation {
    pub fn new(repository: &Repository, path: impl Into<String>) -> Self {
        Self {
            repository: repository.clone(),
            path: path.into(),
        }
    }

    /// Reads the file's text. Errors name the repository too, which is not the job's own.
    ///
    /// # Errors
    /// All errors, each with its line.
    pub fn read(&self, text: &str, context: Context<'_>) -> Result<Config, ConfigError> {
        Config::of_file(&self.full_path(), text, context)
    }

    /// Returns the path after the repository's name.
    #[must_use]
    pub fn full_path(&self) -> String {
        format!("{}/{}", self.repository, self.path)
    }
}

impl fmt::Display for FileLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {}", self.path, self.repository)
    }
}

/// Why a file cannot extend what it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtendsError {
    /// Another owner must not decide what runs here.
    #[error("`extends` in {from} names {base}, which has another owner: name a repository of {}", from.repository.owner())]
    OtherOwner { from: FileLocation, base: Repository },
    #[error("`extends` in {from} names its own repository: name another one of {}, or remove it", from.repository.owner())]
    Itself { from: FileLocation },
    /// The GitHub App sees no file to extend.
    #[error(
        "`extends` in {from} names {base}, and the GitHub App sees no configuration there: install the App on {base} with the permission `contents: read`, and put a `{}` on its default branch",
        PATHS[0]
    )]
    Missing { from: FileLocation, base: Repository },
    /// The base has `extends` itself.
    #[error(
        "{base}, which {from} extends, has `extends` itself, which an extended file must not: remove it there, or extend that file directly"
    )]
    Chain {
        from: FileLocation,
        base: Box<FileLocation>,
    },
}

/// The configuration for the jobs of a repository, and the files that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The combined configuration.
    pub config: Config,
    /// The repository's own file, if it has one.
    pub own: Option<FileLocation>,
    /// The file with `actors` or `teams`, if there is one.
    pub actors_in: Option<FileLocation>,
    /// Who may use the organisation's runners, and the file with it; `None` for everybody.
    pub access: Option<(Access, FileLocation)>,
    /// Why the organisation's file is ignored though it exists.
    pub global_problem: Option<String>,
}

impl Files {
    /// Returns a repository's own file, or the configuration without one.
    #[must_use]
    pub fn new(own: Option<FileLocation>, config: Config) -> Self {
        Self {
            actors_in: own.clone().filter(|_| config.actors.is_some()),
            config,
            own,
            access: None,
            global_problem: None,
        }
    }

    /// Returns the repository whose file the own file extends, with the own file.
    ///
    /// # Errors
    /// If that repository cannot be extended.
    pub fn base(&self) -> Result<Option<(&FileLocation, &Repository)>, ExtendsError> {
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

    /// Adds the file that the own file extends.
    ///
    /// # Errors
    /// If that file extends another.
    pub fn extend(self, location: FileLocation, base: Config) -> Result<Self, ExtendsError> {
        if let (Some(from), Some(_)) = (&self.own, &base.extends) {
            return Err(ExtendsError::Chain {
                from: from.clone(),
                base: Box::new(location),
            });
        }
        let actors_in = self.actors_in.or_else(|| base.actors.is_some().then_some(location));
        Ok(Self {
            config: self.config.extended_by(base),
            actors_in,
            ..self
        })
    }

    /// Returns whether the organisation's `.cirun.global.yml` is used too: with a `.cirun.yml`, or without a file.
    #[must_use]
    pub fn uses_global(&self) -> bool {
        let own = self.own.as_ref();
        own.is_none_or(|own| Format::of(&own.path) == Format::Cirun)
    }

    /// Adds the organisation's `.cirun.global.yml`, and who may use its runners.
    #[must_use]
    pub fn with_global(self, location: FileLocation, global: Config, access: Option<(Access, FileLocation)>) -> Self {
        let actors_in = if global.actors.is_some() {
            Some(location)
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

    /// Returns whose jobs are taken, and the file with it.
    #[must_use]
    pub fn actors(&self) -> Option<(&Actors, &FileLocation)> {
        self.config.actors.as_ref().zip(self.actors_in.as_ref())
    }

    /// Returns the access rules for a runner, their file, and the runner's name in them.
    #[must_use]
    pub fn access_to(&self, runner: &str) -> Option<(&Access, &FileLocation, &str)> {
        let (access, location) = self.access.as_ref()?;
        Some((access, location, self.config.resource(runner)?))
    }
}

impl Reading {
    /// Checks a file, whose text this is, against the file that it is to extend.
    pub fn check_base(&mut self, path: &str, text: &str, base: &Config) {
        let Some(config) = &self.config else { return };
        let (severity, message, hint) = if config.extends.is_none() {
            let message = "this file extends nothing, so the other file is ignored";
            (Severity::Warning, message, "add `extends: owner/repository`")
        } else if base.extends.is_some() {
            let message = "the extended file has `extends` itself, which an extended file must not";
            (
                Severity::Error,
                message,
                "remove it there, or extend that file directly",
            )
        } else if [config, base]
            .iter()
            .all(|one| one.runners.is_empty() && one.skipped.is_empty())
        {
            let message = "neither this file nor the one that it extends has a runner";
            (Severity::Warning, message, "add at least one")
        } else {
            return;
        };
        let (line, start, end) = find_extends(text);
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

/// Returns the line and the byte range of the key in a readable file; those of its beginning if the key is
/// written in an unusual way.
fn find_extends(text: &str) -> (usize, usize, usize) {
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

    fn location(repository: &str, path: &str) -> FileLocation {
        FileLocation::new(&repository.parse().unwrap(), path)
    }

    fn runner(name: &str) -> String {
        format!("  - {{name: {name}, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}}\n")
    }

    fn dayfly(text: &str) -> Files {
        Files::new(Some(location("octo/gpu", ".dayfly.yml")), Config::parse(text).unwrap())
    }

    #[test]
    fn extended_repository_is_another_of_the_same_owner() {
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
                    "`extends` in `.dayfly.yml` of octo/gpu names its own repository: name another one of octo, or remove it",
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
    fn extended_file_must_not_extend() {
        let base = Config::parse("extends: octo/other\n").unwrap();
        let error = dayfly("extends: octo/.github\n").extend(location("octo/.github", ".dayfly.yml"), base);
        assert_eq!(
            error.unwrap_err().to_string(),
            "`.dayfly.yml` of octo/.github, which `.dayfly.yml` of octo/gpu extends, has `extends` itself, which an extended file must not: remove it there, or extend that file directly"
        );
    }

    #[test]
    fn file_with_the_actors_is_named() {
        for (own, base, expected) in [
            ("", "", None),
            ("actors: [a]\n", "", Some("`.dayfly.yml` of octo/gpu")),
            ("", "teams: [b]\n", Some("`.github/dayfly.yml` of octo/.github")),
            ("teams: [a]\n", "actors: [b]\n", Some("`.dayfly.yml` of octo/gpu")),
        ] {
            let files = dayfly(&format!("extends: octo/.github\n{own}"));
            let base = Config::parse(&format!("{base}runners:\n{}", runner("a"))).unwrap();
            let files = files
                .extend(location("octo/.github", ".github/dayfly.yml"), base)
                .unwrap();
            let found = files.actors().map(|(_, location)| location.to_string());
            assert_eq!(found.as_deref(), expected);
            assert_eq!(files.config.runners.len(), 1);
        }
    }

    #[test]
    fn file_is_checked_against_its_base() {
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
                Some("2: error: the extended file"),
            ),
            ("runners: []\n", &some, Some("1: warning: this file extends nothing")),
        ] {
            let mut reading = crate::read(".dayfly.yml", own, Context::default());
            reading.check_base(".dayfly.yml", own, &Config::parse(base).unwrap());
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
    fn organisations_runners_come_last_and_have_access_rules() {
        let own = cirun(&format!("run_only_when_triggered_by: ours\nrunners:\n{}", entry("gpu")));
        let global = cirun(&format!(
            "run_only_when_triggered_by: theirs\nrunners:\n{}{}",
            entry("gpu"),
            entry("big")
        ));
        let files = Files::new(Some(location("octo/gpu", ".cirun.yml")), own);
        assert!(files.uses_global());
        let access = (Access::default(), location("octo/.cirun", ".access.yml"));
        let files = files.with_global(location("octo/.cirun", ".cirun.global.yml"), global, Some(access));
        let resources: Vec<(&str, Option<&str>)> = files
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
            resources,
            [
                ("gpu", None),
                ("gpu/2", None),
                ("gpu#2", Some("gpu")),
                ("gpu/2#2", Some("gpu")),
                ("big", Some("big")),
                ("big/2", Some("big")),
            ]
        );
        let (actors, location) = files.actors().unwrap();
        assert_eq!(
            (actors.to_string().as_str(), location.to_string().as_str()),
            ("the team `theirs`", "`.cirun.global.yml` of octo/.cirun"),
            "the organisation's file takes precedence"
        );
        assert!(!dayfly("runners: []\n").uses_global());
        assert!(Files::new(None, Config::built_in().unwrap()).uses_global());
    }
}
