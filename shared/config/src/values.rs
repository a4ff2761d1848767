//! The scalar values of the files: names, ids and texts, each with what it allows.

use dayfly_types::ids::{ImageId, InstanceType, Region, Repository, SecurityGroupId, SubnetId};

use crate::images::{ImageAlias, MachineImage};
use crate::labels::{LONGEST_LABEL, Label};
use crate::spec::{AllocationStrategy, Fallback, Rebalance, RerunOnDemand, RerunWhat, VolumeType};
use crate::yaml::{Findings, Keyword, Node, OneOrMore, Read, ScalarValue, Value, report_wrong_kind};

impl Keyword for Fallback {
    const ALL: &'static [(&'static str, Self)] = &[("none", Self::None), ("on-demand", Self::OnDemand)];
}

impl Keyword for AllocationStrategy {
    const ALL: &'static [(&'static str, Self)] = &[
        ("price-capacity-optimized", Self::PriceCapacityOptimized),
        ("capacity-optimized", Self::CapacityOptimized),
        ("lowest-price", Self::LowestPrice),
    ];
}

impl Keyword for Rebalance {
    const ALL: &'static [(&'static str, Self)] = &[("mark", Self::Mark), ("drain-if-idle", Self::DrainIfIdle)];
}

impl Keyword for RerunWhat {
    const ALL: &'static [(&'static str, Self)] = &[
        ("interrupted", Self::Interrupted),
        ("failed", Self::Failed),
        ("never", Self::Never),
    ];
}

impl Keyword for RerunOnDemand {
    const ALL: &'static [(&'static str, Self)] =
        &[("last", Self::Last), ("always", Self::Always), ("never", Self::Never)];
}

impl Keyword for VolumeType {
    const ALL: &'static [(&'static str, Self)] = &[
        ("gp3", Self::Gp3),
        ("gp2", Self::Gp2),
        ("io1", Self::Io1),
        ("io2", Self::Io2),
    ];
}

/// The name of a runner, an actor or a team.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(crate) String);

/// A name is part of keys in the table and of log lines.
const LONGEST_NAME: usize = 100;

impl ScalarValue for Name {
    fn expected() -> String {
        format!("a name of 1 to {LONGEST_NAME} characters on one line")
    }

    fn parse(text: &str) -> Option<Self> {
        let fits = !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.trim().to_owned()))
    }
}

impl ScalarValue for Label {
    fn expected() -> String {
        format!("a label of 1 to {LONGEST_LABEL} characters without spaces around it and without commas")
    }

    fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.trim() == text && text.chars().count() <= LONGEST_LABEL;
        (fits && !text.chars().any(|c| c == ',' || c.is_control())).then(|| Self::new(text))
    }

    fn suggestion(text: &str) -> Option<String> {
        let plain = text.trim();
        (plain != text && Self::parse(plain).is_some()).then(|| plain.to_owned())
    }
}

fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl ScalarValue for InstanceType {
    fn expected() -> String {
        "an EC2 instance type like `g5.xlarge`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let valid = text
            .split_once('.')
            .is_some_and(|(family, size)| is_plain(family) && is_plain(size));
        valid.then(|| Self::new(text))
    }

    fn suggestion(text: &str) -> Option<String> {
        let lower = text.trim().to_ascii_lowercase().replace([' ', '_'], ".");
        let dotted = if lower.contains('.') {
            lower
        } else {
            let sizes = ["nano", "micro", "small", "medium", "large", "metal"];
            let at = lower.find(|c: char| c.is_ascii_digit())?;
            // `g5xlarge`, `g52xlarge`: the generation is one digit.
            let size_at = lower[at + 1..].find(|c: char| c.is_ascii_digit() || c == 'x');
            let size = sizes.iter().find_map(|size| lower.find(size));
            let at = size_at.map(|found| at + 1 + found).or(size)?;
            format!("{}.{}", lower.get(..at)?, lower.get(at..)?)
        };
        Self::parse(&dotted).map(|_| dotted)
    }
}

impl ScalarValue for MachineImage {
    fn expected() -> String {
        let names = ImageAlias::ALL.map(|alias| format!("`{alias}`")).join(", ");
        format!("an AMI id, `ami-…`, an SSM parameter, `ssm:/path`, or one of the names {names}")
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("ssm:") {
            let plain =
                path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
            return plain.then(|| Self::Parameter(path.to_owned()));
        }
        let ami = is_id(text, "ami-").then(|| Self::Ami(ImageId::new(text)));
        ami.or_else(|| text.parse().ok().map(Self::Alias))
    }

    fn suggestion(text: &str) -> Option<String> {
        let path = text
            .strip_prefix("resolve:ssm:")
            .or(text.starts_with('/').then_some(text));
        let Some(path) = path else {
            let unknown = text.parse::<ImageAlias>().err();
            return unknown.and_then(|unknown| unknown.nearest).map(str::to_owned);
        };
        let meant = format!("ssm:{path}");
        Self::parse(&meant).map(|_| meant)
    }
}

/// Returns whether a text is an image's name or a pattern of one.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html>
fn is_image_name(text: &str) -> bool {
    (3..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"()[] ./-'@_*?".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

/// The name of an image, or a pattern.
#[derive(Clone, Debug)]
pub(crate) struct ImagePattern(pub(crate) String);

impl ScalarValue for ImagePattern {
    fn expected() -> String {
        "an image name of 3 to 128 characters, in which `*` stands for any number of characters".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        is_image_name(text).then(|| Self(text.to_owned()))
    }
}

/// The owner of images. There is no default: anybody may publish an image under any name.
#[derive(Clone, Debug)]
pub(crate) struct ImageOwner(pub(crate) String);

impl ScalarValue for ImageOwner {
    fn expected() -> String {
        "an AWS account's number of 12 digits, `amazon`, `aws-marketplace` or `self`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let account = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        (account || ["amazon", "aws-marketplace", "self"].contains(&text)).then(|| Self(text.to_owned()))
    }

    fn suggestion(text: &str) -> Option<String> {
        let lower = text.trim().to_ascii_lowercase();
        let meant = match lower.as_str() {
            "aws" => "amazon".to_owned(),
            "canonical" => "099720109477".to_owned(),
            _ => lower.replace('-', ""),
        };
        Self::parse(&meant).map(|_| meant)
    }
}

/// Returns whether a text is an id of EC2: the prefix and 8 or 17 hexadecimal digits.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl ScalarValue for SubnetId {
    fn expected() -> String {
        "a subnet's id, `subnet-…`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        is_id(text, "subnet-").then(|| Self::new(text))
    }
}

impl ScalarValue for SecurityGroupId {
    fn expected() -> String {
        "a security group's id, `sg-…`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        is_id(text, "sg-").then(|| Self::new(text))
    }
}

impl ScalarValue for Region {
    fn expected() -> String {
        "an AWS region like `eu-west-1`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let (number, words) = parts.split_last()?;
        let valid = (2..=4).contains(&words.len())
            && words
                .iter()
                .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
            && words.first().is_some_and(|word| word.len() == 2)
            && (1..=2).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| Self::new(text))
    }

    fn suggestion(text: &str) -> Option<String> {
        let lower = text.trim().to_ascii_lowercase().replace('_', "-");
        // `eu-west-1a` is a zone of the region.
        let region = lower.trim_end_matches(|c: char| c.is_ascii_lowercase());
        Self::parse(region).map(|_| region.to_owned())
    }
}

/// An instance profile by name or ARN.
#[derive(Clone, Debug)]
pub(crate) struct Profile(pub(crate) String);

impl ScalarValue for Profile {
    fn expected() -> String {
        "an instance profile's name, or its ARN, `arn:aws:iam::…:instance-profile/…`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let plain = |name: &str| {
            (1..=128).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
        };
        let valid = match text.strip_prefix("arn:") {
            Some(rest) => rest
                .split_once(":instance-profile/")
                .is_some_and(|(before, name)| before.contains(":iam::") && name.rsplit('/').next().is_some_and(plain)),
            None => plain(text),
        };
        valid.then(|| Self(text.to_owned()))
    }
}

/// A script in bash.
#[derive(Clone, Debug)]
pub(crate) struct Script(pub(crate) String);

/// A script is part of the runner's record, and of the answer to the instance's claim.
const MAX_SCRIPT_BYTES: usize = 8 * 1024;

impl ScalarValue for Script {
    fn expected() -> String {
        format!(
            "at most {} KiB of bash, so keep a longer script in the repository or the image and call it here",
            MAX_SCRIPT_BYTES / 1024
        )
    }

    fn parse(text: &str) -> Option<Self> {
        (text.len() <= MAX_SCRIPT_BYTES && !text.contains('\0')).then(|| Self(text.to_owned()))
    }
}

impl ScalarValue for Repository {
    fn expected() -> String {
        "a repository, `owner/name`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn suggestion(text: &str) -> Option<String> {
        let plain = text
            .trim()
            .trim_start_matches("https://github.com/")
            .trim_end_matches('/');
        let meant = if plain.contains('/') || plain.is_empty() {
            plain.to_owned()
        } else {
            format!("{plain}/.github")
        };
        Self::parse(&meant).map(|_| meant)
    }
}

/// A requirement of a machine, as it is written.
#[derive(Clone, Debug)]
pub(crate) struct RequirementText(pub(crate) String);

impl ScalarValue for RequirementText {
    fn expected() -> String {
        "a value like `t4` or `\">=24GiB\"`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        (text.len() <= 200).then(|| Self(text.to_owned()))
    }
}

/// Alternatives, as they are written in a label: `a10g+l4`.
#[derive(Clone, Debug)]
pub(crate) struct AnyOf(pub(crate) String);

impl Read for AnyOf {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let each = OneOrMore::<RequirementText>::read(node, findings)?.values();
        Some(Self(each.into_iter().map(|one| one.0).collect::<Vec<_>>().join("+")))
    }
}

/// A scalar, or a mapping with more detail.
#[derive(Clone, Debug)]
pub(crate) enum ShortOrLong<S, L> {
    Short(S),
    Long(L),
}

impl<S: ScalarValue, L: Read> Read for ShortOrLong<S, L> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        match &node.value {
            Value::Map(_) => L::read(node, findings).map(Self::Long),
            Value::Scalar(_) => S::read(node, findings).map(Self::Short),
            Value::List(_) => {
                report_wrong_kind(node, &format!("{}, or a mapping", S::expected()), findings);
                None
            }
        }
    }
}
