//! What is said when EC2 refuses because of a quota.

use dayfly_config::quota::Quota;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::InstanceType;

/// What to say when EC2 refuses because of a quota: which one it is, where it stands, and what to do.
///
/// `value` is what it is now and `needed` what one more instance takes, as far as they are known.
#[must_use]
pub fn words(quota: Quota, value: Option<u32>, needed: Option<u32>, region: &str) -> String {
    let Quota { code, name } = quota;
    let stands = match (value, needed) {
        (None, None) => format!("does not let it have more in {region}"),
        (None, Some(needed)) => format!("does not let it have {} more in {region}", count(needed)),
        (Some(value), None) => format!("is {} in {region}", count(value)),
        (Some(value), Some(needed)) if value >= needed => {
            format!(
                "is {} in {region}, of which {needed} more are not free now",
                count(value)
            )
        }
        (Some(value), Some(needed)) => format!("is {} in {region}, and {needed} are needed", count(value)),
    };
    // What others run now ends one day; a quota that is too small for one instance does not.
    let may_pass = value.zip(needed).is_some_and(|(value, needed)| value >= needed);
    let wait = if may_pass {
        "wait for other instances to end, or "
    } else {
        ""
    };
    format!(
        "the account's quota `{name}` ({code}) {stands}: {wait}ask for more in Service Quotas: {}",
        link(code, region)
    )
}

/// The same where AWS names no quota for such an instance.
#[must_use]
pub fn words_without_quota(instance_type: &InstanceType, lifecycle: InstanceLifecycle, region: &str) -> String {
    format!(
        "the account may not have more {lifecycle} instances of the type {instance_type} in {region}: look for its \
         quota in Service Quotas, and ask for more: {}",
        all(region)
    )
}

fn count(vcpus: u32) -> String {
    format!("{vcpus} vCPU{}", if vcpus == 1 { "" } else { "s" })
}

/// The console's page of a quota. The host names the region: a quota is asked for in one.
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
    fn what_is_said_names_the_quota_where_it_stands_and_what_to_do() {
        let on_demand = Quota::of(&InstanceType::new("g5.xlarge"), OnDemand).unwrap();
        let cases = [
            (Some(0), Some(4), "is 0 vCPUs in eu-west-1, and 4 are needed: ask"),
            (Some(1), Some(4), "is 1 vCPU in eu-west-1, and 4 are needed: ask"),
            (
                Some(8),
                Some(4),
                "is 8 vCPUs in eu-west-1, of which 4 more are not free now: wait for other instances to end, or ask",
            ),
            (Some(0), None, "is 0 vCPUs in eu-west-1: ask"),
            (None, Some(4), "does not let it have 4 vCPUs more in eu-west-1: ask"),
            (None, None, "does not let it have more in eu-west-1: ask"),
        ];
        for (value, needed, expected) in cases {
            assert_eq!(
                words(on_demand, value, needed, "eu-west-1"),
                format!(
                    "the account's quota `Running On-Demand G and VT instances` (L-DB2E81BA) {expected} for more in \
                     Service Quotas: \
                     https://eu-west-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-DB2E81BA"
                )
            );
        }
    }

    #[test]
    fn where_no_quota_is_known_the_type_is_named() {
        let said = words_without_quota(&InstanceType::new("p6-b200.48xlarge"), Spot, "us-east-1");
        assert!(
            said.contains("spot instances of the type p6-b200.48xlarge in us-east-1"),
            "{said}"
        );
        assert!(
            said.ends_with("https://us-east-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas"),
            "{said}"
        );
    }
}
