//! Root volumes: what EBS makes of each type.

use super::finding::Findings;
use super::node::{At, Choice as _};
use super::spec::{Volume, VolumeType};
use super::units::Size;

/// A volume as it is asked for.
pub(super) struct Asked {
    pub(super) kind: Option<At<VolumeType>>,
    pub(super) size: Option<At<Size>>,
    pub(super) iops: Option<At<u32>>,
    pub(super) throughput: Option<At<u32>>,
    /// What the file calls the last three.
    pub(super) keys: [&'static str; 3],
}

/// The least and the most; nothing if it cannot be said.
type Bounds = Option<(u32, u32)>;

/// What a type of volume takes: GiB at most, operations per second, MiB per second.
///
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>
fn bounds(kind: VolumeType) -> (u32, Bounds, Bounds) {
    const TIB: u32 = 1024;
    match kind {
        VolumeType::Gp3 => (64 * TIB, Some((3000, 80_000)), Some((125, 2000))),
        VolumeType::Gp2 => (16 * TIB, None, None),
        VolumeType::Io1 => (16 * TIB, Some((100, 64_000)), None),
        VolumeType::Io2 => (64 * TIB, Some((100, 256_000)), None),
    }
}

/// Whether EBS makes no such volume without being told how fast.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html>
fn needs_iops(kind: VolumeType) -> bool {
    matches!(kind, VolumeType::Io1 | VolumeType::Io2)
}

impl Asked {
    /// Its size in GiB, and what it is besides. What EBS does not make is found.
    pub(super) fn checked(self, findings: &mut Findings<'_>) -> (Option<u32>, Volume) {
        // What the volume gets where none is said.
        let assumed = self.kind.as_ref().map_or(VolumeType::Gp3, |kind| kind.value);
        let (most, iops, throughput) = bounds(assumed);
        let word = assumed.as_word();
        let [size_key, iops_key, throughput_key] = self.keys;
        if let Some(size) = self.size.as_ref().filter(|size| size.value.0 > most) {
            let message = format!(
                "`{size_key}` is more than the {}TiB that a volume of type `{word}` may have",
                most / 1024
            );
            findings.within(size_key, |findings| findings.error(size.span, message, None));
        }
        for (key, said, allowed) in [
            (iops_key, &self.iops, iops),
            (throughput_key, &self.throughput, throughput),
        ] {
            let Some(said) = said else { continue };
            let message = match allowed {
                None => format!("a volume of type `{word}` takes no `{key}`"),
                Some((least, most)) if !(least..=most).contains(&said.value) => format!(
                    "`{key}` is `{}`, expected {least} to {most} for a volume of type `{word}`",
                    said.value
                ),
                Some(_) => continue,
            };
            findings.within(key, |findings| findings.error(said.span, message, None));
        }
        if let Some(kind) = self
            .kind
            .as_ref()
            .filter(|kind| needs_iops(kind.value) && self.iops.is_none())
        {
            let message = format!("a volume of type `{word}` needs `{iops_key}`");
            findings.error(kind.span, message, None);
        }
        let kind = self.kind.map(|at| at.value);
        let volume = Volume {
            kind,
            iops: self.iops.map(|at| at.value),
            throughput: self.throughput.map(|at| at.value),
        };
        (self.size.map(|size| size.value.0), volume)
    }
}
