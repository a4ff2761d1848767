//! The words of the file: names, ids and texts, each with what it allows.

use dayfly_types::ids::{ImageId, InstanceType, Region, Repository, SecurityGroupId, SubnetId};

use super::finding::Findings;
use super::node::{Choice, OneOrMore, Read, Word, wrong_kind};
use super::spec::{AllocationStrategy, Fallback, MachineImage, Rebalance, RerunOnDemand, RerunWhat, VolumeType};
use super::yaml::{Node, Value, shown};
use crate::images::ImageAlias;
use crate::labels::Label;

impl Choice for Fallback {
    const ALL: &'static [(&'static str, Self)] = &[("none", Self::None), ("on-demand", Self::OnDemand)];
}

impl Choice for AllocationStrategy {
    const ALL: &'static [(&'static str, Self)] = &[
        ("price-capacity-optimized", Self::PriceCapacityOptimized),
        ("capacity-optimized", Self::CapacityOptimized),
        ("lowest-price", Self::LowestPrice),
    ];
}

impl Choice for Rebalance {
    const ALL: &'static [(&'static str, Self)] = &[("mark", Self::Mark), ("drain-if-idle", Self::DrainIfIdle)];
}

impl Choice for RerunWhat {
    const ALL: &'static [(&'static str, Self)] = &[
        ("interrupted", Self::Interrupted),
        ("failed", Self::Failed),
        ("never", Self::Never),
    ];
}

impl Choice for RerunOnDemand {
    const ALL: &'static [(&'static str, Self)] =
        &[("last", Self::Last), ("always", Self::Always), ("never", Self::Never)];
}

impl Choice for VolumeType {
    const ALL: &'static [(&'static str, Self)] = &[
        ("gp3", Self::Gp3),
        ("gp2", Self::Gp2),
        ("io1", Self::Io1),
        ("io2", Self::Io2),
    ];
}

/// What a runner is called.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) String);

/// It stands in keys of the table and in log lines.
const LONGEST_NAME: usize = 100;

impl Word for Name {
    fn expected() -> String {
        format!("a name of 1 to {LONGEST_NAME} characters on one line")
    }

    fn word(text: &str) -> Option<Self> {
        let fits = !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.trim().to_owned()))
    }
}

/// GitHub takes no longer label.
const LONGEST_LABEL: usize = 256;

impl Word for Label {
    fn expected() -> String {
        format!("a label of 1 to {LONGEST_LABEL} characters without spaces around it and without commas")
    }

    fn word(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.trim() == text && text.chars().count() <= LONGEST_LABEL;
        (fits && !text.chars().any(|c| c == ',' || c.is_control())).then(|| Self::new(text))
    }

    fn meant(text: &str) -> Option<String> {
        let plain = text.trim();
        (plain != text && Self::word(plain).is_some()).then(|| plain.to_owned())
    }
}

fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Word for InstanceType {
    fn expected() -> String {
        "an EC2 instance type like `g5.xlarge`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        let sound = text
            .split_once('.')
            .is_some_and(|(family, size)| is_plain(family) && is_plain(size));
        sound.then(|| Self::new(text))
    }

    fn meant(text: &str) -> Option<String> {
        let lower = text.trim().to_ascii_lowercase().replace([' ', '_'], ".");
        let dotted = if lower.contains('.') {
            lower
        } else {
            let sizes = ["nano", "micro", "small", "medium", "large", "metal"];
            let at = lower.find(|c: char| c.is_ascii_digit())?;
            // `g5xlarge`, `g52xlarge`: the generation is one digit.
            let behind = lower[at + 1..].find(|c: char| c.is_ascii_digit() || c == 'x');
            let size = sizes.iter().find_map(|size| lower.find(size));
            let at = behind.map(|found| at + 1 + found).or(size)?;
            format!("{}.{}", lower.get(..at)?, lower.get(at..)?)
        };
        Self::word(&dotted).map(|_| dotted)
    }
}

impl Word for MachineImage {
    fn expected() -> String {
        let names = ImageAlias::ALL.map(|alias| format!("`{alias}`")).join(", ");
        format!("an AMI id, `ami-…`, an SSM parameter, `ssm:/path`, or one of the names {names}")
    }

    fn word(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("ssm:") {
            let plain =
                path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
            return plain.then(|| Self::Parameter(path.to_owned()));
        }
        let ami = is_id(text, "ami-").then(|| Self::Ami(ImageId::new(text)));
        ami.or_else(|| text.parse().ok().map(Self::Alias))
    }

    fn meant(text: &str) -> Option<String> {
        let path = text
            .strip_prefix("resolve:ssm:")
            .or(text.starts_with('/').then_some(text));
        let Some(path) = path else {
            let unknown = text.parse::<ImageAlias>().err();
            return unknown.and_then(|unknown| unknown.nearest).map(str::to_owned);
        };
        let meant = format!("ssm:{path}");
        Self::word(&meant).map(|_| meant)
    }
}

impl MachineImage {
    /// As it is written in a file.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Ami(id) => id.to_string(),
            Self::Parameter(path) => format!("ssm:{path}"),
            Self::Alias(alias) => alias.to_string(),
            Self::Newest { name, .. } => name.to_string(),
            Self::Fitting => "the one that fits the machine".to_owned(),
        }
    }
}

/// What the names of images are made of, with what stands for others.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html>
fn is_image_name(text: &str) -> bool {
    (3..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"()[] ./-'@_*?".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

/// The name of an image, or what several go by.
#[derive(Clone, Debug)]
pub(super) struct ImagePattern(pub(super) String);

impl Word for ImagePattern {
    fn expected() -> String {
        "the name of an image of 3 to 128 characters, in which `*` stands for any number of them".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        is_image_name(text).then(|| Self(text.to_owned()))
    }
}

/// Whose images are looked at. There is no default: anybody may publish an image under any name.
#[derive(Clone, Debug)]
pub(super) struct ImageOwner(pub(super) String);

impl Word for ImageOwner {
    fn expected() -> String {
        "an AWS account's number of 12 digits, `amazon`, `aws-marketplace` or `self`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        let account = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        (account || ["amazon", "aws-marketplace", "self"].contains(&text)).then(|| Self(text.to_owned()))
    }

    fn meant(text: &str) -> Option<String> {
        let lower = text.trim().to_ascii_lowercase();
        let meant = match lower.as_str() {
            "aws" => "amazon".to_owned(),
            "canonical" => "099720109477".to_owned(),
            _ => lower.replace('-', ""),
        };
        Self::word(&meant).map(|_| meant)
    }
}

/// Whether a text is an id as EC2 makes them: 8 or 17 hexadecimal digits.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Word for SubnetId {
    fn expected() -> String {
        "a subnet's id, `subnet-…`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        is_id(text, "subnet-").then(|| Self::new(text))
    }
}

impl Word for SecurityGroupId {
    fn expected() -> String {
        "a security group's id, `sg-…`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        is_id(text, "sg-").then(|| Self::new(text))
    }
}

impl Word for Region {
    fn expected() -> String {
        "an AWS region like `eu-west-1`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let (number, words) = parts.split_last()?;
        let sound = (2..=4).contains(&words.len())
            && words
                .iter()
                .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
            && words.first().is_some_and(|word| word.len() == 2)
            && (1..=2).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| Self::new(text))
    }

    fn meant(text: &str) -> Option<String> {
        let lower = text.trim().to_ascii_lowercase().replace('_', "-");
        // `eu-west-1a` is one of its zones.
        let region = lower.trim_end_matches(|c: char| c.is_ascii_lowercase());
        Self::word(region).map(|_| region.to_owned())
    }
}

/// An instance profile by name or ARN.
#[derive(Clone, Debug)]
pub(super) struct Profile(pub(super) String);

impl Word for Profile {
    fn expected() -> String {
        "an instance profile's name, or its ARN, `arn:aws:iam::…:instance-profile/…`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        let plain = |name: &str| {
            (1..=128).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
        };
        let sound = match text.strip_prefix("arn:") {
            Some(rest) => rest
                .split_once(":instance-profile/")
                .is_some_and(|(before, name)| before.contains(":iam::") && name.rsplit('/').next().is_some_and(plain)),
            None => plain(text),
        };
        sound.then(|| Self(text.to_owned()))
    }
}

/// A script in bash.
#[derive(Clone, Debug)]
pub(super) struct Script(pub(super) String);

/// It is part of the runner's record, and travels to the instance in the answer to its claim.
const MAX_SCRIPT_BYTES: usize = 8 * 1024;

impl Word for Script {
    fn expected() -> String {
        format!(
            "at most {} KiB of bash, so keep a longer script in the repository or the image and call it here",
            MAX_SCRIPT_BYTES / 1024
        )
    }

    fn word(text: &str) -> Option<Self> {
        (text.len() <= MAX_SCRIPT_BYTES && !text.contains('\0')).then(|| Self(text.to_owned()))
    }
}

impl Word for u32 {
    fn expected() -> String {
        "a whole number".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        // Rust takes a sign too.
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
    }
}

/// The repository that holds an organisation's file.
impl Word for Repository {
    fn expected() -> String {
        "a repository, `owner/name`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn meant(text: &str) -> Option<String> {
        let plain = text
            .trim()
            .trim_start_matches("https://github.com/")
            .trim_end_matches('/');
        let meant = if plain.contains('/') || plain.is_empty() {
            plain.to_owned()
        } else {
            format!("{plain}/.github")
        };
        Self::word(&meant).map(|_| meant)
    }
}

/// What is wanted of a machine, as it is written: a word, or a list of words.
#[derive(Clone, Debug)]
pub(super) struct Want(pub(super) String);

impl Word for Want {
    fn expected() -> String {
        "a value like `t4` or `\">=24GiB\"`".to_owned()
    }

    fn word(text: &str) -> Option<Self> {
        (text.len() <= 200).then(|| Self(text.to_owned()))
    }
}

/// Several wants of a kind, any of which will do.
#[derive(Clone, Debug)]
pub(super) struct AnyOf(pub(super) String);

impl Read for AnyOf {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let wants: OneOrMore<Want> = OneOrMore::read(node, findings)?;
        Some(Self(
            wants
                .values()
                .into_iter()
                .map(|want| want.0)
                .collect::<Vec<_>>()
                .join("+"),
        ))
    }
}

/// A value, or a mapping that says more.
#[derive(Clone, Debug)]
pub(super) enum ShortOrLong<S, L> {
    Short(S),
    Long(L),
}

impl<S: Word, L: Read> Read for ShortOrLong<S, L> {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        match &node.value {
            Value::Map(_) => L::read(node, findings).map(Self::Long),
            Value::Scalar(_) => S::read(node, findings).map(Self::Short),
            Value::List(_) => {
                wrong_kind(node, &format!("{}, or a mapping", S::expected()), findings);
                None
            }
        }
    }
}

/// What is wrong with a tag, if anything is.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
pub(super) fn wrong_tag(key: &str, value: &str) -> Option<String> {
    const OURS: [&str; 2] = ["aws:", "dayfly:"];
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
    if let Some(prefix) = OURS
        .iter()
        .find(|prefix| key.to_ascii_lowercase().starts_with(**prefix))
    {
        return Some(format!("`{}` begins with `{prefix}`, which is taken", shown(key)));
    }
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Some(format!(
            "`{}` is too long or empty: a tag's name has 1 to 128 characters and its value at most 256",
            shown(key)
        ));
    }
    (!plain(key) || !plain(value)).then(|| {
        format!(
            "`{}` has a character that EC2 takes in no tag: letters, digits, spaces and `_.:/=+-@` are allowed",
            shown(key)
        )
    })
}

/// What is wrong with the name of an environment variable, if anything is.
pub(super) fn wrong_variable(name: &str) -> Option<String> {
    const TAKEN: [&str; 4] = ["GITHUB_", "RUNNER_", "ACTIONS_", "DAYFLY_"];
    // With these the runner itself, or the shell around it, would be another program.
    const POWERFUL: [&str; 16] = [
        "BASH_ENV",
        "CDPATH",
        "COMPlus_",
        "CORECLR_",
        "DOTNET_",
        "ENV",
        "GLIBC_TUNABLES",
        "HOME",
        "IFS",
        "LD_",
        "LOGNAME",
        "NODE_OPTIONS",
        "PATH",
        "SHELL",
        "SHELLOPTS",
        "USER",
    ];
    let sound = name
        .bytes()
        .enumerate()
        .all(|(at, b)| b.is_ascii_alphabetic() || b == b'_' || (at > 0 && b.is_ascii_digit()));
    if name.is_empty() || !sound {
        return Some(format!(
            "`{}` is no name of a variable: letters, digits and `_` are allowed, and no digit at the beginning",
            shown(name)
        ));
    }
    let taken = TAKEN
        .iter()
        .find(|prefix| name.to_ascii_uppercase().starts_with(**prefix));
    if let Some(prefix) = taken {
        return Some(format!(
            "`{}` begins with `{prefix}`, which the runner sets itself",
            shown(name)
        ));
    }
    let powerful = POWERFUL.iter().any(|one| match one.strip_suffix('_') {
        Some(_) => name.to_ascii_uppercase().starts_with(&one.to_ascii_uppercase()),
        None => name == *one,
    });
    powerful.then(|| {
        format!(
            "`{}` decides how the runner itself runs: set it in the workflow",
            shown(name)
        )
    })
}
