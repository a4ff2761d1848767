//! The policy as it is written, checked and turned into what it means.

use std::fmt;
use std::time::Duration;

use dayfly_types::money::MicroDollars;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{
    Caps, CommentCaps, FollowUps, Forks, Glob, Globs, LabelRule, Limit, Limits, MAX_BYTES, Policy, Team, VERSION,
    digest,
};

/// Something wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The line that it is in, if it is in one.
    pub line: Option<u64>,
    /// The key, if it is one's.
    pub key: Option<String>,
    /// What is wrong, and what to do about it.
    pub words: String,
}

/// All that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors(pub Vec<PolicyError>);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        f.write_str(&self.words)
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stack policy cannot be used:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n- {error}"))
    }
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: Spanned<u32>,
    organizations: Option<Vec<Text>>,
    repositories: Option<Vec<Text>>,
    regions: Option<Vec<Text>>,
    instance_types: Option<Vec<Text>>,
    #[serde(default)]
    subnets: Vec<Text>,
    #[serde(default)]
    security_groups: Vec<Text>,
    #[serde(default)]
    instance_profiles: Vec<Text>,
    max_price: Option<Text>,
    max_lifetime: Option<Text>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    caps: RawCaps,
    github_per_minute: Option<Text>,
    #[serde(default)]
    comment_caps: CommentCaps,
    #[serde(default)]
    labels: Vec<RawRule>,
    #[serde(default)]
    forks: Forks,
    #[serde(default)]
    workflow_run: FollowUps,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    #[serde(default)]
    stack: RawLimit,
    #[serde(default)]
    organization: RawLimit,
    #[serde(default)]
    repository: RawLimit,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    runners: Option<Spanned<u32>>,
    vcpus: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCaps {
    stack: Option<Text>,
    organization: Option<Text>,
    repository: Option<Text>,
    pull_request: Option<Text>,
    actor: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    labels: Vec<Text>,
    #[serde(default)]
    teams: Vec<Text>,
    #[serde(default)]
    actors: Vec<Text>,
}

/// Longer than GitHub lets any self-hosted job run.
const LONGEST_LIFETIME: Duration = Duration::from_hours(6 * 24);

/// Reads a policy's text.
pub(super) fn policy(text: &str) -> Result<Policy, PolicyErrors> {
    let whole = |words: String| {
        PolicyErrors(vec![PolicyError {
            line: None,
            key: None,
            words,
        }])
    };
    if text.len() > MAX_BYTES {
        return Err(whole(format!(
            "it has {} bytes, and an SSM parameter holds {MAX_BYTES}: use `*` in names, and leave comments out",
            text.len()
        )));
    }
    // Its words name line, column and key, and what would be right.
    let raw: Raw = serde_saphyr::from_str(text).map_err(|error| whole(error.to_string()))?;
    let mut reader = Reader { errors: Vec::new() };
    let policy = reader.policy(raw, text);
    if reader.errors.is_empty() {
        Ok(policy)
    } else {
        Err(PolicyErrors(reader.errors))
    }
}

/// Notes all that is wrong, and goes on.
struct Reader {
    errors: Vec<PolicyError>,
}

impl Reader {
    fn wrong<T>(&mut self, key: &str, at: &Spanned<T>, words: impl Into<String>) {
        self.errors.push(PolicyError {
            line: Some(at.referenced.line()),
            key: Some(key.to_owned()),
            words: words.into(),
        });
    }

    fn policy(&mut self, raw: Raw, text: &str) -> Policy {
        if raw.version.value != VERSION {
            let words = format!("is {}; this release reads version {VERSION}", raw.version.value);
            self.wrong("version", &raw.version, words);
        }
        Policy {
            organizations: self.names("organizations", raw.organizations, is_login),
            repositories: self.names("repositories", raw.repositories, is_repository),
            regions: self.names("regions", raw.regions, is_plain),
            instance_types: self.instance_types(raw.instance_types),
            subnets: self.names("subnets", Some(raw.subnets), is_subnet),
            security_groups: self.names("security_groups", Some(raw.security_groups), is_security_group),
            instance_profiles: self.names("instance_profiles", Some(raw.instance_profiles), is_instance_profile),
            max_price: self.read(
                "max_price",
                raw.max_price,
                price,
                "a price per hour above zero, like `$2.50/h`",
            ),
            max_lifetime: self.read(
                "max_lifetime",
                raw.max_lifetime,
                lifetime,
                "a duration above zero and up to 6d, like `90m`, `6h` or `1d`",
            ),
            limits: Limits {
                stack: self.limit("stack", raw.limits.stack),
                organization: self.limit("organization", raw.limits.organization),
                repository: self.limit("repository", raw.limits.repository),
            },
            caps: self.caps(raw.caps),
            github_per_minute: self
                .read(
                    "github_per_minute",
                    raw.github_per_minute,
                    per_minute,
                    "a price per minute, like `$0.002/min`",
                )
                .unwrap_or_default(),
            comment_caps: raw.comment_caps,
            labels: raw.labels.into_iter().map(|rule| self.rule(rule)).collect(),
            forks: raw.forks,
            workflow_run: raw.workflow_run,
            digest: digest(text),
        }
    }

    fn names(&mut self, key: &str, raw: Option<Vec<Text>>, fits: fn(&str) -> Result<(), &'static str>) -> Globs {
        let Some(raw) = raw else { return Globs::all() };
        let globs = raw.into_iter().map(|text| {
            if let Err(expected) = fits(&text.value) {
                self.wrong(key, &text, format!("has `{}`: expected {expected}", text.value));
            }
            Glob::new(text.value)
        });
        Globs(globs.collect())
    }

    /// A name without a size stands for its family.
    fn instance_types(&mut self, raw: Option<Vec<Text>>) -> Globs {
        let globs = self.names("instance_types", raw, is_instance_type);
        let whole = |glob: Glob| match glob.as_str() {
            family if family.contains(['.', '*']) => glob,
            family => Glob::new(format!("{family}.*")),
        };
        Globs(globs.0.into_iter().map(whole).collect())
    }

    fn read<T>(&mut self, key: &str, raw: Option<Text>, read: fn(&str) -> Option<T>, expected: &str) -> Option<T> {
        let text = raw?;
        let value = read(&text.value);
        if value.is_none() {
            self.wrong(key, &text, format!("is `{}`: expected {expected}", text.value));
        }
        value
    }

    fn limit(&mut self, whose: &str, raw: RawLimit) -> Limit {
        let mut above_zero = |what: &str, number: Option<Spanned<u32>>| {
            let number = number?;
            if number.value == 0 {
                let mend = "is 0, with which jobs would wait for ever: expected at least 1. To launch nothing, name no `organizations`";
                self.wrong(&format!("limits.{whose}.{what}"), &number, mend);
            }
            Some(number.value)
        };
        Limit {
            runners: above_zero("runners", raw.runners),
            vcpus: above_zero("vcpus", raw.vcpus),
        }
    }

    fn caps(&mut self, raw: RawCaps) -> Caps {
        let mut cap = |key: &str, text: Option<Text>| {
            let expected = "an amount of money per month, like `$50`; to launch nothing, name no `organizations`";
            self.read(&format!("caps.{key}"), text, amount, expected)
        };
        Caps {
            stack: cap("stack", raw.stack),
            organization: cap("organization", raw.organization),
            repository: cap("repository", raw.repository),
            pull_request: cap("pull_request", raw.pull_request),
            actor: cap("actor", raw.actor),
        }
    }

    fn rule(&mut self, raw: RawRule) -> LabelRule {
        if let Some(first) = raw.labels.first()
            && raw.teams.is_empty()
            && raw.actors.is_empty()
        {
            self.wrong(
                "labels",
                first,
                "has a rule that lets nobody use its labels: name `teams` or `actors`",
            );
        }
        let labels = self.names("labels", Some(raw.labels), is_label);
        let teams = raw.teams.into_iter().filter_map(|text| {
            let team = team(&text.value);
            if team.is_none() {
                let words = format!("has `{}`: expected `organisation/team-slug`", text.value);
                self.wrong("labels.teams", &text, words);
            }
            team
        });
        LabelRule {
            labels,
            teams: teams.collect(),
            actors: self.names("labels.actors", Some(raw.actors), is_login),
        }
    }
}

fn of(text: &str, more: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}

/// An App's account has `[bot]` behind its name.
fn is_login(text: &str) -> Result<(), &'static str> {
    let name = text.strip_suffix("[bot]").unwrap_or(text);
    let fits = of(name, b"-_*");
    fits.then_some(())
        .ok_or("a name on GitHub without `/`, like `octo-org` or `octo-*`")
}

fn is_repository(text: &str) -> Result<(), &'static str> {
    let parts = text.split_once('/');
    let fits = text == "*" || parts.is_some_and(|(owner, name)| of(owner, b"-_*") && of(name, b"-_.*"));
    fits.then_some(())
        .ok_or("a repository, like `octo-org/hello` or `octo-org/*`")
}

fn is_plain(text: &str) -> Result<(), &'static str> {
    of(text, b"-*")
        .then_some(())
        .ok_or("a region, like `eu-west-1` or `eu-*`")
}

fn is_instance_type(text: &str) -> Result<(), &'static str> {
    let fits = of(text, b"-.*") && !text.starts_with('.') && !text.ends_with('.');
    fits.then_some(())
        .ok_or("a family or an instance type, like `g5`, `g4dn.xlarge` or `g6*.xlarge`")
}

/// Whether a text is what begins ids of a kind, with a star somewhere, or the star alone.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    text == "*" || digits.is_some_and(|digits| of(digits, b"*"))
}

fn is_subnet(text: &str) -> Result<(), &'static str> {
    is_id(text, "subnet-")
        .then_some(())
        .ok_or("a subnet's id, `subnet-…`, or `*` for any")
}

fn is_security_group(text: &str) -> Result<(), &'static str> {
    is_id(text, "sg-")
        .then_some(())
        .ok_or("a security group's id, `sg-…`, or `*` for any")
}

fn is_instance_profile(text: &str) -> Result<(), &'static str> {
    of(text, b"_+=,.@-*:/")
        .then_some(())
        .ok_or("an instance profile's name or ARN, like `gpu-runner` or `ci-*`")
}

fn is_label(text: &str) -> Result<(), &'static str> {
    let fits = !text.is_empty() && !text.contains("--") && !text.contains(char::is_whitespace);
    fits.then_some(())
        .ok_or("a label without what stands behind `--`, like `dayfly-h100` or `dayfly/gpu=h100*`")
}

fn team(text: &str) -> Option<Team> {
    let (organization, slug) = text.split_once('/')?;
    (of(organization, b"-_") && of(slug, b"-_.")).then(|| Team {
        organization: organization.to_owned(),
        slug: slug.to_owned(),
    })
}

fn price(text: &str) -> Option<MicroDollars> {
    amount(text.trim().strip_suffix("/h").unwrap_or(text))
}

fn per_minute(text: &str) -> Option<MicroDollars> {
    dollars(text.trim().strip_suffix("/min").unwrap_or(text))
}

/// An amount above nothing.
fn amount(text: &str) -> Option<MicroDollars> {
    dollars(text).filter(|amount| *amount > MicroDollars::default())
}

fn dollars(text: &str) -> Option<MicroDollars> {
    let text = text.trim();
    MicroDollars::from_decimal(text.strip_prefix('$').unwrap_or(text)).ok()
}

fn lifetime(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let seconds = match text[digits..].trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let number: u64 = text[..digits].parse().ok()?;
    let span = Duration::from_secs(number.checked_mul(seconds)?);
    (span > Duration::ZERO && span <= LONGEST_LIFETIME).then_some(span)
}
