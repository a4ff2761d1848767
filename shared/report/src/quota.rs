//! The explanation of a launch that EC2 refused because of a quota.

use dayfly_config::quota::Quota;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::InstanceType;

use crate::format::counted;

/// Explains which quota it is, its value, and what to do. `needed` is what one more instance takes.
#[must_use]
pub fn explain(quota: Quota, value: Option<u32>, needed: Option<u32>, region: &str) -> String {
    let Quota { code, name } = quota;
    let stands = match (value, needed) {
        (None, None) => format!("does not allow more in {region}"),
        (None, Some(needed)) => format!("does not allow {} in {region}", counted(needed, "more vCPU")),
        (Some(value), None) => format!("is {} in {region}", counted(value, "vCPU")),
        (Some(value), Some(needed)) if value >= needed => {
            format!(
                "is {} in {region}, and {needed} more are not free now",
                counted(value, "vCPU")
            )
        }
        (Some(value), Some(needed)) => format!("is {} in {region}, but {needed} are needed", counted(value, "vCPU")),
    };
    // Other instances end sooner or later; a quota that is too small for one instance stays too small.
    let may_pass = value.zip(needed).is_some_and(|(value, needed)| value >= needed);
    let wait = if may_pass {
        "wait for other instances to end, or "
    } else {
        ""
    };
    format!(
        "the account's quota `{name}` ({code}) {stands}: {wait}request an increase in Service Quotas: {}",
        link(code, region)
    )
}

/// Explains a refusal for an instance type whose quota is unknown.
#[must_use]
pub fn explain_unknown(instance_type: &InstanceType, lifecycle: InstanceLifecycle, region: &str) -> String {
    format!(
        "the account may not have more {lifecycle} instances of the type {instance_type} in {region}: find its \
         quota in Service Quotas and request an increase: {}",
        all(region)
    )
}

/// Returns the quota's page in the console. The host names the region, as quotas are regional.
fn link(code: &str, region: &str) -> String {
    format!("{}/{code}", all(region))
}

fn all(region: &str) -> String {
    format!("https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas")
}

#[cfg(test)]
mod tests {
    use super::*;
    use InstanceLifecycle::{OnDemand, Spot};

    #[test]
    fn explanation_names_the_quota_its_value_and_what_to_do() {
        let on_demand = Quota::of(&InstanceType::new("g5.xlarge"), OnDemand).unwrap();
        let cases = [
            (
                Some(0),
                Some(4),
                "is 0 vCPUs in eu-west-1, but 4 are needed: request an increase",
            ),
            (
                Some(1),
                Some(4),
                "is 1 vCPU in eu-west-1, but 4 are needed: request an increase",
            ),
            (
                Some(8),
                Some(4),
                "is 8 vCPUs in eu-west-1, and 4 more are not free now: wait for other instances to end, or request an increase",
            ),
            (Some(0), None, "is 0 vCPUs in eu-west-1: request an increase"),
            (
                None,
                Some(4),
                "does not allow 4 more vCPUs in eu-west-1: request an increase",
            ),
            (None, None, "does not allow more in eu-west-1: request an increase"),
        ];
        for (value, needed, expected) in cases {
            assert_eq!(
                explain(on_demand, value, needed, "eu-west-1"),
                format!(
                    "the account's quota `Running On-Demand G and VT instances` (L-DB2E81BA) {expected} in \
                     Service Quotas: \
                     https://eu-west-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-DB2E81BA"
                )
            );
        }
    }

    #[test]
    fn unknown_quota_is_explained_by_the_instance_type() {
        let text = explain_unknown(&InstanceType::new("p6-b200.48xlarge"), Spot, "us-east-1");
        assert!(
            text.contains("spot instances of the type p6-b200.48xlarge in us-east-1"),
            "{text}"
        );
        assert!(
            text.ends_with("https://us-east-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas"),
            "{text}"
        );
    }
}
