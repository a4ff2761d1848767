//! The account's quotas for EC2 instances, by instance type.
//!
//! Names and codes are those of "Amazon EC2 instance type quotas"
//! (<https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>); all are
//! counted in vCPUs, per region.

use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::InstanceType;

/// A quota of the service `ec2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quota {
    /// The code in Service Quotas, `L-…`.
    pub code: &'static str,
    /// The name in Service Quotas.
    pub name: &'static str,
}

/// Families that share a quota.
struct Families {
    /// What is before the first digit of their types.
    prefixes: &'static [&'static str],
    on_demand: Quota,
    /// `None` for families without spot capacity.
    spot: Option<Quota>,
}

const fn quota(code: &'static str, name: &'static str) -> Quota {
    Quota { code, name }
}

const FAMILIES: [Families; 9] = [
    Families {
        prefixes: &["g", "gr", "vt"],
        on_demand: quota("L-DB2E81BA", "Running On-Demand G and VT instances"),
        spot: Some(quota("L-3819A6DF", "All G and VT Spot Instance Requests")),
    },
    Families {
        prefixes: &["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"],
        on_demand: quota(
            "L-1216C47A",
            "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        ),
        spot: Some(quota(
            "L-34B43A08",
            "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        )),
    },
    Families {
        prefixes: &["inf"],
        on_demand: quota("L-1945791B", "Running On-Demand Inf instances"),
        spot: Some(quota("L-B5D1601B", "All Inf Spot Instance Requests")),
    },
    Families {
        prefixes: &["trn"],
        on_demand: quota("L-2C3B7624", "Running On-Demand Trn instances"),
        spot: Some(quota("L-6B0D517C", "All Trn Spot Instance Requests")),
    },
    Families {
        prefixes: &["dl"],
        on_demand: quota("L-6E869C2A", "Running On-Demand DL instances"),
        spot: Some(quota("L-85EED4F7", "All DL Spot Instance Requests")),
    },
    Families {
        prefixes: &["f"],
        on_demand: quota("L-74FC7D96", "Running On-Demand F instances"),
        spot: Some(quota("L-88CF9481", "All F Spot Instance Requests")),
    },
    Families {
        prefixes: &["x"],
        on_demand: quota("L-7295265B", "Running On-Demand X instances"),
        spot: Some(quota("L-E3A00192", "All X Spot Instance Requests")),
    },
    Families {
        prefixes: &["hpc"],
        on_demand: quota("L-F7808C92", "Running On-Demand HPC instances"),
        spot: None,
    },
    Families {
        prefixes: &["u", "u-"],
        on_demand: quota("L-43DA4232", "Running On-Demand High Memory instances"),
        spot: None,
    },
];

/// P alone has several quotas for spot.
const P_ON_DEMAND: Quota = quota("L-417A185B", "Running On-Demand P instances");
const P2_TO_P4_SPOT: Quota = quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests");
const P5_SPOT: Quota = quota("L-C4BD4855", "All P5 Spot Instance Requests");

impl Quota {
    /// Returns the quota that an instance of this type counts towards, if AWS has one.
    #[must_use]
    pub fn of(instance_type: &InstanceType, lifecycle: InstanceLifecycle) -> Option<Self> {
        let (family, generation) = family(instance_type);
        if family == "p" {
            return match (lifecycle, generation) {
                (InstanceLifecycle::OnDemand, _) => Some(P_ON_DEMAND),
                (InstanceLifecycle::Spot, Some('2'..='4')) => Some(P2_TO_P4_SPOT),
                (InstanceLifecycle::Spot, Some('5')) => Some(P5_SPOT),
                (InstanceLifecycle::Spot, _) => None,
            };
        }
        let shared = FAMILIES.iter().find(|shared| shared.prefixes.contains(&family))?;
        match lifecycle {
            InstanceLifecycle::OnDemand => Some(shared.on_demand),
            InstanceLifecycle::Spot => shared.spot,
        }
    }

    /// Returns the quotas that instances of these types count towards, each once, in the types' order.
    #[must_use]
    pub fn of_all<'a>(
        instance_types: impl IntoIterator<Item = &'a InstanceType>,
        lifecycle: InstanceLifecycle,
    ) -> Vec<Self> {
        let mut quotas = Vec::new();
        for instance_type in instance_types {
            if let Some(quota) = Self::of(instance_type, lifecycle)
                && !quotas.contains(&quota)
            {
                quotas.push(quota);
            }
        }
        quotas
    }
}

/// Returns `g` and `4` of `g4dn.xlarge`.
fn family(instance_type: &InstanceType) -> (&str, Option<char>) {
    let text = instance_type.as_str();
    let digit = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..digit], text[digit..].chars().next())
}

/// Returns the vCPUs of a type, if its name tells: a `large` has two, an `xlarge` four, an `Nxlarge` N times
/// four. Other sizes, and some families, do not follow that rule.
#[must_use]
pub fn vcpus(instance_type: &InstanceType) -> Option<u32> {
    if matches!(family(instance_type).0, "hpc" | "u" | "u-") {
        return None;
    }
    let (_, size) = instance_type.as_str().split_once('.')?;
    match size.strip_suffix("xlarge") {
        Some("") => Some(4),
        Some(times) => times.parse::<u32>().ok()?.checked_mul(4),
        None => (size == "large").then_some(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InstanceLifecycle::{OnDemand, Spot};

    fn code(instance_type: &str, lifecycle: InstanceLifecycle) -> Option<&'static str> {
        Quota::of(&InstanceType::new(instance_type), lifecycle).map(|quota| quota.code)
    }

    #[test]
    fn every_family_counts_towards_its_own_quota() {
        let standard = (Some("L-1216C47A"), Some("L-34B43A08"));
        let graphics = (Some("L-DB2E81BA"), Some("L-3819A6DF"));
        let cases = [
            ("g4dn.xlarge", graphics),
            ("g4ad.xlarge", graphics),
            ("g5.48xlarge", graphics),
            ("g6e.xlarge", graphics),
            ("g6f.large", graphics),
            ("gr6.4xlarge", graphics),
            ("vt1.3xlarge", graphics),
            ("p3.2xlarge", (Some("L-417A185B"), Some("L-7212CCBC"))),
            ("p4de.24xlarge", (Some("L-417A185B"), Some("L-7212CCBC"))),
            ("p5.4xlarge", (Some("L-417A185B"), Some("L-C4BD4855"))),
            ("p5en.48xlarge", (Some("L-417A185B"), Some("L-C4BD4855"))),
            ("p6-b200.48xlarge", (Some("L-417A185B"), None)),
            ("a1.large", standard),
            ("c7i-flex.large", standard),
            ("d3en.xlarge", standard),
            ("h1.2xlarge", standard),
            ("i7ie.large", standard),
            ("im4gn.large", standard),
            ("is4gen.large", standard),
            ("m7i.large", standard),
            ("r8g.large", standard),
            ("t4g.nano", standard),
            ("z1d.large", standard),
            ("inf2.xlarge", (Some("L-1945791B"), Some("L-B5D1601B"))),
            ("trn1n.32xlarge", (Some("L-2C3B7624"), Some("L-6B0D517C"))),
            ("dl2q.24xlarge", (Some("L-6E869C2A"), Some("L-85EED4F7"))),
            ("f2.6xlarge", (Some("L-74FC7D96"), Some("L-88CF9481"))),
            ("x2iedn.xlarge", (Some("L-7295265B"), Some("L-E3A00192"))),
            ("hpc7g.4xlarge", (Some("L-F7808C92"), None)),
            ("u7i-12tb.224xlarge", (Some("L-43DA4232"), None)),
            ("u-6tb1.112xlarge", (Some("L-43DA4232"), None)),
            // Dedicated hosts only.
            ("mac2.metal", (None, None)),
            ("quantum", (None, None)),
            ("", (None, None)),
        ];
        for (instance_type, (on_demand, spot)) in cases {
            assert_eq!(code(instance_type, OnDemand), on_demand, "{instance_type}");
            assert_eq!(code(instance_type, Spot), spot, "{instance_type} on spot");
        }
    }

    #[test]
    fn quotas_have_unique_codes_and_names() {
        let shared = FAMILIES
            .iter()
            .flat_map(|shared| [Some(shared.on_demand), shared.spot])
            .flatten();
        let all: Vec<Quota> = shared.chain([P_ON_DEMAND, P2_TO_P4_SPOT, P5_SPOT]).collect();
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert!(one.code != other.code && one.name != other.name, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn types_of_one_quota_name_it_once() {
        let types = ["g5.xlarge", "g6.xlarge", "mac2.metal", "p5.4xlarge", "g4dn.xlarge"].map(InstanceType::new);
        let codes: Vec<_> = Quota::of_all(&types, Spot)
            .into_iter()
            .map(|quota| quota.code)
            .collect();
        assert_eq!(codes, ["L-3819A6DF", "L-C4BD4855"]);
    }

    #[test]
    fn type_name_tells_the_vcpus() {
        let cases = [
            ("g4dn.xlarge", Some(4)),
            ("g6f.large", Some(2)),
            ("g5.12xlarge", Some(48)),
            ("p5.48xlarge", Some(192)),
            ("t4g.nano", None),
            ("g4dn.metal", None),
            ("hpc6a.48xlarge", None),
            ("u7i-12tb.224xlarge", None),
            ("m5.9999999999xlarge", None),
            ("g5", None),
        ];
        for (instance_type, expected) in cases {
            assert_eq!(vcpus(&InstanceType::new(instance_type)), expected, "{instance_type}");
        }
    }
}
