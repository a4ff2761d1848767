//! Pools, prices and quotas.

use std::collections::BTreeMap;

/// How an instance is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifecycle {
    /// Spare capacity, which EC2 may reclaim.
    Spot,
    /// Capacity at its full price.
    OnDemand,
}

impl Lifecycle {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

/// Capacity of one instance type in one zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    /// Such as `g4dn.xlarge`.
    pub instance_type: String,
    /// Such as `eu-west-1a`.
    pub zone: String,
}

impl Pool {
    #[must_use]
    pub fn new(instance_type: &str, zone: &str) -> Self {
        Self {
            instance_type: instance_type.to_owned(),
            zone: zone.to_owned(),
        }
    }
}

/// The capacity of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Unlimited.
    Plenty,
    /// This many instances; then `InsufficientInstanceCapacity`.
    Left(u32),
    /// None, with this error of EC2's.
    Error {
        /// Such as `UnfulfillableCapacity`.
        code: String,
        message: String,
    },
}

/// The instance types that share a vCPU quota. Each family has one for spot and one for on-demand.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// G and VT: `L-3819A6DF` on spot, `L-DB2E81BA` on demand. A new account has 0.
    GAndVt,
    /// P.
    P,
    /// A, C, D, H, I, M, R, T and Z.
    Standard,
    /// All others together.
    Other,
}

impl Family {
    /// Returns its code in Service Quotas, if it has one.
    #[must_use]
    pub fn quota(self, lifecycle: Lifecycle) -> Option<&'static str> {
        match (self, lifecycle) {
            (Self::GAndVt, Lifecycle::Spot) => Some("L-3819A6DF"),
            (Self::GAndVt, Lifecycle::OnDemand) => Some("L-DB2E81BA"),
            (Self::P, Lifecycle::Spot) => Some("L-7212CCBC"),
            (Self::P, Lifecycle::OnDemand) => Some("L-417A185B"),
            (Self::Standard, Lifecycle::Spot) => Some("L-34B43A08"),
            (Self::Standard, Lifecycle::OnDemand) => Some("L-1216C47A"),
            (Self::Other, _) => None,
        }
    }

    /// Returns the family of an instance type.
    #[must_use]
    pub fn of(instance_type: &str) -> Self {
        let letters: String = instance_type.chars().take_while(char::is_ascii_lowercase).collect();
        match &*letters {
            "g" | "gr" | "vt" => Self::GAndVt,
            "p" => Self::P,
            "dl" | "f" | "hpc" | "inf" | "mac" | "trn" | "u" | "x" => Self::Other,
            _ if letters.starts_with(|letter| "acdhimrtz".contains(letter)) => Self::Standard,
            _ => Self::Other,
        }
    }
}

/// The vCPUs in use, by quota.
pub type Usage = BTreeMap<(Lifecycle, Family), u32>;

/// Returns the vCPUs of an instance type, derived from its size: 4 for `xlarge`, 8 for `2xlarge`.
#[must_use]
pub fn vcpus(instance_type: &str) -> u32 {
    let size = instance_type.split_once('.').map_or("", |(_, size)| size);
    match size.strip_suffix("xlarge") {
        Some("") => 4,
        Some(times) => times.parse::<u32>().map_or(4, |times| 4 * times),
        None if size.starts_with("metal") => 96,
        None => 2,
    }
}

/// Converts EC2's price to millionths of a dollar.
pub(super) fn micro_dollars(price: &str) -> u64 {
    let (whole, part) = price.split_once('.').unwrap_or((price, ""));
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<u64>().unwrap_or(u64::MAX / 2_000_000) * 1_000_000 + part.parse::<u64>().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_counts_to_its_familys_quota_with_its_vcpus() {
        for (instance_type, family, count) in [
            ("g4dn.xlarge", Family::GAndVt, 4),
            ("g5.12xlarge", Family::GAndVt, 48),
            ("g4dn.metal", Family::GAndVt, 96),
            ("vt1.3xlarge", Family::GAndVt, 12),
            ("p4d.24xlarge", Family::P, 96),
            ("t4g.nano", Family::Standard, 2),
            ("m7i.large", Family::Standard, 2),
            ("c7g.xlarge", Family::Standard, 4),
            ("trn1.2xlarge", Family::Other, 8),
            ("inf2.xlarge", Family::Other, 4),
            ("x2idn.16xlarge", Family::Other, 64),
        ] {
            assert_eq!(
                (Family::of(instance_type), vcpus(instance_type)),
                (family, count),
                "{instance_type}"
            );
        }
    }

    #[test]
    fn prices_sort_as_numbers() {
        assert!(micro_dollars("0.2") > micro_dollars("0.158000"));
        assert!(micro_dollars("10.0") > micro_dollars("9.999999"));
    }
}
