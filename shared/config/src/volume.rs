//! Root volumes, and what EBS allows for each type.

use crate::spec::{Volume, VolumeType};
use crate::yaml::units::Size;
use crate::yaml::{At, Findings, Keyword as _};

/// A volume as a file asks for it.
pub(crate) struct VolumeRequest {
    pub(crate) kind: Option<At<VolumeType>>,
    pub(crate) size: Option<At<Size>>,
    pub(crate) iops: Option<At<u32>>,
    pub(crate) throughput: Option<At<u32>>,
    /// The file's keys for size, IOPS and throughput.
    pub(crate) keys: [&'static str; 3],
}

/// The minimum and the maximum; `None` if the type does not take it.
type Bounds = Option<(u32, u32)>;

/// Returns what a type of volume allows: the most GiB, the IOPS, the MiB per second.
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

/// Returns whether EBS requires the IOPS of such a volume.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html>
fn needs_iops(kind: VolumeType) -> bool {
    matches!(kind, VolumeType::Io1 | VolumeType::Io2)
}

impl VolumeRequest {
    /// Returns the size in GiB and the rest, and reports what EBS does not allow.
    pub(crate) fn check(self, findings: &mut Findings<'_>) -> (Option<u32>, Volume) {
        // The type of a volume that names none.
        let assumed = self.kind.as_ref().map_or(VolumeType::Gp3, |kind| kind.value);
        let (most, iops, throughput) = bounds(assumed);
        let name = assumed.keyword();
        let [size_key, iops_key, throughput_key] = self.keys;
        if let Some(size) = self.size.as_ref().filter(|size| size.value.0 > most) {
            let message = format!(
                "`{size_key}` is more than the {}TiB that a volume of type `{name}` may have",
                most / 1024
            );
            findings.within(size_key, |findings| findings.error(size.span, message, None));
        }
        for (key, given, allowed) in [
            (iops_key, &self.iops, iops),
            (throughput_key, &self.throughput, throughput),
        ] {
            let Some(given) = given else { continue };
            let message = match allowed {
                None => format!("a volume of type `{name}` takes no `{key}`"),
                Some((least, most)) if !(least..=most).contains(&given.value) => format!(
                    "`{key}` is `{}`, expected {least} to {most} for a volume of type `{name}`",
                    given.value
                ),
                Some(_) => continue,
            };
            findings.within(key, |findings| findings.error(given.span, message, None));
        }
        if let Some(kind) = self
            .kind
            .as_ref()
            .filter(|kind| needs_iops(kind.value) && self.iops.is_none())
        {
            let message = format!("a volume of type `{name}` needs `{iops_key}`");
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
