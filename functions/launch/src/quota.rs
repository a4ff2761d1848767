//! Which quota stands in the way, told with EC2's own words.

use dayfly_config::quota::{self, Quota};
use dayfly_ports::Quotas;
use dayfly_records::FleetCall;
use dayfly_report::quota as report;
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle};
use dayfly_types::ids::InstanceType;

/// The errors of a call, those of quotas with what is known of the quota. One that does not allow even
/// one such instance is no matter of waiting.
pub async fn explained<Q: Quotas>(
    quotas: &Q,
    region: &str,
    call: &FleetCall,
    mut errors: Vec<FleetError>,
) -> Vec<FleetError> {
    for error in errors.iter_mut().filter(|error| error.kind == FleetErrorKind::Quota) {
        let asked = error.pool.as_ref().map(|pool| &pool.instance_type);
        let Some(instance_type) = asked.or_else(|| call.option.spec.instance_types.first()) else {
            continue;
        };
        let (words, too_small) = words(quotas, region, instance_type, call.option.lifecycle).await;
        error.message = format!("{}; {words}", error.message);
        if too_small {
            error.kind = FleetErrorKind::QuotaTooSmall;
        }
    }
    errors
}

async fn words<Q: Quotas>(
    quotas: &Q,
    region: &str,
    instance_type: &InstanceType,
    lifecycle: InstanceLifecycle,
) -> (String, bool) {
    let Some(of) = Quota::of(instance_type, lifecycle) else {
        return (report::words_without_quota(instance_type, lifecycle, region), false);
    };
    let value = match quotas.value(of.code).await {
        Ok(value) => value,
        Err(error) => {
            tracing::warn!(quota = of.code, %error, "what the quota is could not be read");
            None
        }
    };
    let needed = quota::vcpus(instance_type);
    let too_small = value.zip(needed).is_some_and(|(value, needed)| value < needed);
    (report::words(of, value, needed, region), too_small)
}
