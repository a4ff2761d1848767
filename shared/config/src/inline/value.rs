//! The values of an inline label's keys.

use std::fmt;

use dayfly_types::ids::{ImageId, InstanceType};
use dayfly_types::money::MicroDollars;

use super::error::LabelProblem;
use super::{InlineSpec, UNIQUE_KEYS};
use crate::images::ImageAlias;
use crate::machines::{Arch, MachineType, MiB, Requirements, Table};
use crate::spec::Fallback;
use crate::spelling;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InlineImage {
    Alias(ImageAlias),
    Ami(ImageId),
}

impl fmt::Display for InlineImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => alias.fmt(f),
            Self::Ami(id) => id.fmt(f),
        }
    }
}

/// Whether a job wants spot capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// Spot capacity alone: the job waits if there is none.
    Only,
    /// On-demand capacity if there is no spot capacity.
    First,
    /// On-demand capacity alone.
    Never,
}

impl Spot {
    const ALL: [Self; 3] = [Self::Only, Self::First, Self::Never];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::First => "first",
            Self::Never => "never",
        }
    }

    /// Returns the same as `spot` and `fallback` of a file.
    #[must_use]
    pub fn as_configured(self) -> (bool, Fallback) {
        match self {
            Self::Only => (true, Fallback::None),
            Self::First => (true, Fallback::OnDemand),
            Self::Never => (false, Fallback::None),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            // The file's values.
            "true" => Some(Self::Only),
            "false" => Some(Self::Never),
            _ => Self::ALL.into_iter().find(|spot| spot.as_str() == text),
        }
    }
}

/// Returns whether a key is a requirement of the machine.
pub(super) fn is_requirement(key: &str) -> bool {
    key == "count" || Requirements::KEYS.contains(&key)
}

/// Returns what a key takes, in words.
pub(super) fn allowed(key: &str) -> &'static str {
    if let Some(allowed) = Requirements::allowed(key) {
        return allowed;
    }
    match key {
        "type" => "a machine type like `g5.xlarge`, or several like `g5.xlarge+g6.xlarge`",
        "image" => {
            "an AMI id, `ami-…`, or `dlami-base`, `dlami-pytorch`, `ubuntu-24.04` or `ubuntu-22.04`; an SSM parameter \
             can be set in `.dayfly.yml` only"
        }
        "spot" => "`only`, `first` (on demand if there is no spot capacity) or `never`",
        "price" => "dollars an hour, like `0.40`",
        "disk" => "a size from 1GiB to 64TiB, like `200GiB`",
        "region" => "an AWS region, like `eu-west-1`",
        _ => "anything without `/`",
    }
}

/// The largest volume of EBS.
const MAX_DISK_GIB: u32 = 64 * 1024;

impl InlineSpec {
    /// Sets the value of a key.
    pub(super) fn set(&mut self, key: &'static str, value: &str) -> Result<(), LabelProblem> {
        let unreadable = || LabelProblem::Unreadable(key, value.to_owned(), allowed(key));
        match key {
            "type" => self.types = types(value)?,
            "image" => self.image = Some(image(value).ok_or_else(|| unknown_image(value))?),
            "spot" => self.spot = Some(Spot::read(value).ok_or_else(unreadable)?),
            "price" => self.price = Some(price(value).ok_or_else(unreadable)?),
            "disk" => self.disk_gib = Some(disk(value).ok_or_else(unreadable)?),
            "region" => self.region = Some(region(value).ok_or_else(unreadable)?),
            _ if UNIQUE_KEYS.contains(&key) => self.unique.push((key, value.to_owned())),
            _ => self.requirements.set(key, value).map_err(LabelProblem::Requirement)?,
        }
        Ok(())
    }
}

fn types(value: &str) -> Result<Vec<InstanceType>, LabelProblem> {
    let table = Table::embedded().ok();
    let mut types: Vec<InstanceType> = Vec::new();
    for word in value.split(['+', ',']) {
        let word = word.trim().to_ascii_lowercase();
        let Some((family, _)) = word.split_once('.').filter(|_| is_type_name(&word)) else {
            return Err(LabelProblem::Unreadable("type", word, allowed("type")));
        };
        let known = InstanceType::new(word.clone());
        let of_family = |machine: &&MachineType| {
            machine
                .name
                .as_str()
                .split_once('.')
                .is_some_and(|(other, _)| other == family)
        };
        // A family that the table does not have may exist; the sizes of one that it has are known.
        if let Some(table) = table
            && table.get(&known).is_none()
        {
            let sizes: Vec<&str> = table
                .types()
                .iter()
                .filter(of_family)
                .map(|machine| machine.name.as_str())
                .collect();
            let has_gpus = table
                .types()
                .iter()
                .filter(of_family)
                .any(|machine| machine.gpu.is_some());
            if has_gpus {
                return Err(LabelProblem::UnknownSize {
                    nearest: spelling::nearest(&word, sizes.iter().copied()).map(str::to_owned),
                    sizes: sizes.join(", "),
                    found: word,
                });
            }
        }
        if !types.contains(&known) {
            types.push(known);
        }
    }
    let arch = |name: &InstanceType| table.map_or_else(|| Arch::of(name), |table| table.arch(name));
    match types.iter().find(|one| arch(one) != arch(&types[0])) {
        Some(other) => Err(LabelProblem::Architectures(types[0].clone(), other.clone())),
        None => Ok(types),
    }
}

fn is_type_name(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let plain = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        ends.into_iter().all(|end| end.is_some_and(is_word)) && part.bytes().all(|b| is_word(b) || b == b'-')
    };
    text.split_once('.')
        .is_some_and(|(family, size)| plain(family) && plain(size))
}

fn image(value: &str) -> Option<InlineImage> {
    let value = value.to_ascii_lowercase();
    if let Some(digits) = value.strip_prefix("ami-") {
        let is_id = matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        return is_id.then(|| InlineImage::Ami(ImageId::new(value)));
    }
    value.parse().ok().map(InlineImage::Alias)
}

fn unknown_image(value: &str) -> LabelProblem {
    match value.parse::<ImageAlias>() {
        Err(unknown) if unknown.nearest.is_some() => LabelProblem::UnknownImage { unknown },
        _ => LabelProblem::Unreadable("image", value.to_owned(), allowed("image")),
    }
}

fn price(value: &str) -> Option<MicroDollars> {
    let price = MicroDollars::from_decimal(value.strip_prefix('$').unwrap_or(value)).ok()?;
    (price > MicroDollars::default()).then_some(price)
}

fn disk(value: &str) -> Option<u32> {
    let mib = MiB::parse(value)?.0;
    let gib = mib / 1024;
    (mib.is_multiple_of(1024) && (1..=MAX_DISK_GIB).contains(&gib)).then_some(gib)
}

fn region(value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    let parts: Vec<&str> = value.split('-').collect();
    let letters = |part: &&str| (2..=12).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase());
    let right = match parts.as_slice() {
        [partition @ .., number] => {
            matches!(partition.len(), 2 | 3)
                && partition.iter().all(letters)
                && number.len() == 1
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        [] => false,
    };
    right.then_some(value)
}
