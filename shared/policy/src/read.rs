//! Reads the policy's YAML.

use std::fmt;
use std::time::Duration;

use dayfly_config::Finding;
use dayfly_config::yaml::units::{HourlyPrice, TimeSpan};
use dayfly_config::yaml::{self, At, Fields, Findings, Keyword, List, Node, Read, ScalarValue, Span};
use dayfly_types::money::MicroDollars;

use crate::globs::{Glob, Globs};
use crate::limits::{Caps, CommentCaps, Limit, Limits};
use crate::rules::{FollowUps, Forks, LabelRule, Team};
use crate::{MAX_BYTES, Policy, VERSION, digest};

/// All errors of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors(pub Vec<Finding>);

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stack policy cannot be used:")?;
        for Finding {
            line,
            key,
            message,
            hint,
            ..
        } in &self.0
        {
            write!(f, "\n- line {line}: ")?;
            // A message names the last part of the key.
            if let Some((mapping, _)) = key.rsplit_once('.') {
                write!(f, "in `{mapping}`: ")?;
            }
            f.write_str(message)?;
            hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))?;
        }
        Ok(())
    }
}

/// The keys of a policy.
const KEYS: [&str; 17] = [
    "version",
    "organizations",
    "repositories",
    "regions",
    "instance_types",
    "subnets",
    "security_groups",
    "instance_profiles",
    "max_price",
    "max_lifetime",
    "limits",
    "caps",
    "github_per_minute",
    "comment_caps",
    "labels",
    "forks",
    "workflow_run",
];

/// Reads a policy's text.
pub(crate) fn policy(text: &str) -> Result<Policy, PolicyErrors> {
    let mut findings = Findings::new("the stack policy");
    let policy = if text.len() > MAX_BYTES {
        let message = format!("it has {} bytes, and an SSM parameter holds {MAX_BYTES}", text.len());
        let hint = "use `*` in names, and leave comments out".to_owned();
        findings.error(Span::BEGINNING, message, Some(hint));
        None
    } else {
        yaml::parse(text)
            .map_err(|errors| findings.syntax_errors(errors))
            .ok()
            .and_then(|root| read(&root, text, &mut findings))
    };
    let errors = findings.finish();
    policy.filter(|_| errors.is_empty()).ok_or(PolicyErrors(errors))
}

fn read(root: &Node, text: &str, findings: &mut Findings<'_>) -> Option<Policy> {
    let fields = Fields::read_strict(root, &KEYS, findings)?;
    if let Some(version) = fields.take::<u32>("version", true, findings)
        && version.value != VERSION
    {
        let message = format!("`version` is {}; this release reads version {VERSION}", version.value);
        findings.within("version", |findings| findings.error(version.span, message, None));
    }
    Some(Policy {
        organizations: globs::<LoginGlob>(&fields, "organizations", findings).unwrap_or_else(Globs::all),
        repositories: globs::<RepositoryGlob>(&fields, "repositories", findings).unwrap_or_else(Globs::all),
        regions: globs::<RegionGlob>(&fields, "regions", findings).unwrap_or_else(Globs::all),
        instance_types: globs::<InstanceTypeGlob>(&fields, "instance_types", findings)
            .map_or_else(Globs::all, whole_families),
        subnets: globs::<SubnetGlob>(&fields, "subnets", findings).unwrap_or_default(),
        security_groups: globs::<SecurityGroupGlob>(&fields, "security_groups", findings).unwrap_or_default(),
        instance_profiles: globs::<InstanceProfileGlob>(&fields, "instance_profiles", findings).unwrap_or_default(),
        max_price: value(&fields, "max_price", findings).map(|price: MaxPrice| price.0),
        max_lifetime: value(&fields, "max_lifetime", findings).map(|lifetime: Lifetime| lifetime.0),
        limits: value(&fields, "limits", findings).unwrap_or_default(),
        caps: value(&fields, "caps", findings).unwrap_or_default(),
        github_per_minute: value(&fields, "github_per_minute", findings)
            .map_or_else(MicroDollars::default, |price: MinutePrice| price.0),
        comment_caps: value(&fields, "comment_caps", findings).unwrap_or_default(),
        labels: list(&fields, "labels", findings).unwrap_or_default(),
        forks: value(&fields, "forks", findings).unwrap_or_default(),
        workflow_run: value(&fields, "workflow_run", findings).unwrap_or_default(),
        digest: digest(text),
    })
}

fn value<T: Read>(fields: &Fields<'_>, key: &str, findings: &mut Findings<'_>) -> Option<T> {
    fields.take(key, false, findings).map(|at| at.value)
}

fn list<T: Read>(fields: &Fields<'_>, key: &str, findings: &mut Findings<'_>) -> Option<Vec<T>> {
    let list: List<T> = value(fields, key, findings)?;
    Some(list.0.into_iter().map(|at| at.value).collect())
}

fn globs<T: Read + Into<Glob>>(fields: &Fields<'_>, key: &str, findings: &mut Findings<'_>) -> Option<Globs> {
    let names: Vec<T> = list(fields, key, findings)?;
    Some(Globs(names.into_iter().map(Into::into).collect()))
}

/// Makes a name without a size stand for its whole family.
fn whole_families(globs: Globs) -> Globs {
    let whole = |glob: Glob| match glob.as_str() {
        family if family.contains(['.', '*']) => glob,
        family => Glob::new(format!("{family}.*")),
    };
    Globs(globs.0.into_iter().map(whole).collect())
}

impl Read for Limits {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::read_strict(node, &["stack", "organization", "repository"], findings)?;
        Some(Self {
            stack: value(&fields, "stack", findings).unwrap_or_default(),
            organization: value(&fields, "organization", findings).unwrap_or_default(),
            repository: value(&fields, "repository", findings).unwrap_or_default(),
        })
    }
}

impl Read for Limit {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::read_strict(node, &["runners", "vcpus"], findings)?;
        let mut above_zero = |key: &str| {
            let number: At<u32> = fields.take(key, false, findings)?;
            if number.value == 0 {
                let message = format!("`{key}` is 0, with which jobs would wait forever: expected at least 1");
                let hint = "to launch nothing, set `organizations: []`".to_owned();
                findings.within(key, |findings| findings.error(number.span, message, Some(hint)));
            }
            Some(number.value)
        };
        Some(Self {
            runners: above_zero("runners"),
            vcpus: above_zero("vcpus"),
        })
    }
}

impl Read for Caps {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        const KEYS: [&str; 5] = ["stack", "organization", "repository", "pull_request", "actor"];
        let fields = Fields::read_strict(node, &KEYS, findings)?;
        let [stack, organization, repository, pull_request, actor] =
            KEYS.map(|key| value(&fields, key, findings).map(|cap: Cap| cap.0));
        Some(Self {
            stack,
            organization,
            repository,
            pull_request,
            actor,
        })
    }
}

impl Read for LabelRule {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::read_strict(node, &["labels", "teams", "actors"], findings)?;
        let labels = fields.take::<List<LabelGlob>>("labels", true, findings);
        let teams = list(&fields, "teams", findings);
        let actors = globs::<LoginGlob>(&fields, "actors", findings);
        if let Some(first) = labels.as_ref().and_then(|labels| labels.value.0.first())
            && teams.as_ref().map_or(!fields.has("teams"), Vec::is_empty)
            && actors
                .as_ref()
                .map_or(!fields.has("actors"), |actors| actors.0.is_empty())
        {
            let message = "`labels` has a rule that lets nobody use its labels";
            let hint = "name `teams` or `actors`".to_owned();
            findings.within("labels", |findings| findings.error(first.span, message, Some(hint)));
        }
        let labels = labels?.value.0.into_iter();
        Some(Self {
            labels: Globs(labels.map(|label| label.value.into()).collect()),
            teams: teams.unwrap_or_default(),
            actors: actors.unwrap_or_default(),
        })
    }
}

impl Keyword for Forks {
    const ALL: &'static [(&'static str, Self)] = &[
        ("never", Self::Never),
        ("approved", Self::Approved),
        ("always", Self::Always),
    ];
}

impl Keyword for FollowUps {
    const ALL: &'static [(&'static str, Self)] = &[("never", Self::Never), ("always", Self::Always)];
}

impl Keyword for CommentCaps {
    const ALL: &'static [(&'static str, Self)] = &[("own", Self::Own), ("all", Self::All)];
}

/// Declares scalar values: each with what it parses to, its parser, and what it expects.
macro_rules! values {
    ($($name:ident($type:ty): $parse:expr, $expected:literal;)+) => { $(
        struct $name($type);

        impl ScalarValue for $name {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn parse(text: &str) -> Option<Self> {
                let parse: fn(&str) -> Option<$type> = $parse;
                parse(text).map(Self)
            }
        }
    )+ };
}

values! {
    MaxPrice(MicroDollars): |text| HourlyPrice::parse(text).map(|price| price.0),
        "a price per hour above zero, like `$2.50/h`";
    MinutePrice(MicroDollars): minute_price, "a price per minute, like `$0.002/min`";
    Cap(MicroDollars): |text| dollars(text).filter(|amount| *amount > MicroDollars::default()),
        "an amount of money per month, like `$50`; to launch nothing, set `organizations: []`";
    Lifetime(Duration): lifetime, "a duration above zero and up to 6d, like `90m`, `6h` or `1d`";
}

/// Declares names in which `*` stands for any characters: each with its check, and what it expects.
macro_rules! globs {
    ($($name:ident: $is_valid:expr, $expected:literal;)+) => {
        values! { $(
            $name(Glob): |text| {
                let is_valid: fn(&str) -> bool = $is_valid;
                is_valid(text).then(|| Glob::new(text))
            }, $expected;
        )+ }

        $(
            impl From<$name> for Glob {
                fn from(name: $name) -> Self {
                    name.0
                }
            }
        )+
    };
}

globs! {
    LoginGlob: is_login, "a name on GitHub without `/`, like `octo-org` or `octo-*`";
    RepositoryGlob: is_repository, "a repository, like `octo-org/hello` or `octo-org/*`";
    RegionGlob: |text| consists_of(text, b"-*"), "a region, like `eu-west-1` or `eu-*`";
    InstanceTypeGlob: is_instance_type,
        "a family or an instance type, like `g5`, `g4dn.xlarge` or `g6*.xlarge`";
    SubnetGlob: |text| is_id(text, "subnet-"), "a subnet's id, `subnet-…`, or `*` for any";
    SecurityGroupGlob: |text| is_id(text, "sg-"), "a security group's id, `sg-…`, or `*` for any";
    InstanceProfileGlob: |text| consists_of(text, b"_+=,.@-*:/"),
        "an instance profile's name or ARN, like `gpu-runner` or `ci-*`";
    LabelGlob: is_label, "a label without its suffix after `--`, like `dayfly-h100` or `dayfly/gpu=h100*`";
}

fn consists_of(text: &str, others: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

/// An App's account ends with `[bot]`.
fn is_login(text: &str) -> bool {
    consists_of(text.strip_suffix("[bot]").unwrap_or(text), b"-_*")
}

fn is_repository(text: &str) -> bool {
    let is_pair = |(owner, name)| consists_of(owner, b"-_*") && consists_of(name, b"-_.*");
    text == "*" || text.split_once('/').is_some_and(is_pair)
}

fn is_instance_type(text: &str) -> bool {
    consists_of(text, b"-.*") && !text.starts_with('.') && !text.ends_with('.')
}

fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    text == "*" || digits.is_some_and(|digits| consists_of(digits, b"*"))
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && !text.contains("--") && !text.contains(char::is_whitespace)
}

impl ScalarValue for Team {
    fn expected() -> String {
        "`organisation/team-slug`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let (organization, slug) = text.split_once('/')?;
        (consists_of(organization, b"-_") && consists_of(slug, b"-_.")).then(|| Self {
            organization: organization.to_owned(),
            slug: slug.to_owned(),
        })
    }
}

fn minute_price(text: &str) -> Option<MicroDollars> {
    dollars(text.trim().strip_suffix("/min").unwrap_or(text))
}

fn dollars(text: &str) -> Option<MicroDollars> {
    let text = text.trim();
    MicroDollars::from_decimal(text.strip_prefix('$').unwrap_or(text)).ok()
}

/// Unlike in a repository's file, the unit is required.
fn lifetime(text: &str) -> Option<Duration> {
    let has_unit = text.trim_end().ends_with(|c: char| c.is_ascii_alphabetic());
    TimeSpan::parse(text).filter(|_| has_unit).map(|span| span.0)
}
