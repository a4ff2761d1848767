//! Explains EC2's quota errors with the quota that is used up.

use dayfly_config::quota::{self, Quota};
use dayfly_ports::Quotas;
use dayfly_records::FleetCall;
use dayfly_report::quota as report;
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle};
use dayfly_types::ids::InstanceType;

/// Adds what is known of the quota to the quota errors of a call. A quota that does not allow even one such
/// instance becomes an error of its own kind, as waiting does not help.
pub(super) async fn explain<Q: Quotas>(
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
        let (explanation, too_small) = explanation(quotas, region, instance_type, call.option.lifecycle).await;
        error.message = format!("{}; {explanation}", error.message);
        if too_small {
            error.kind = FleetErrorKind::QuotaTooSmall;
        }
    }
    errors
}

async fn explanation<Q: Quotas>(
    quotas: &Q,
    region: &str,
    instance_type: &InstanceType,
    lifecycle: InstanceLifecycle,
) -> (String, bool) {
    let Some(of) = Quota::of(instance_type, lifecycle) else {
        return (report::explain_unknown(instance_type, lifecycle, region), false);
    };
    let value = match quotas.value(of.code).await {
        Ok(value) => value,
        Err(error) => {
            tracing::warn!(quota = of.code, %error, "the quota could not be read");
            None
        }
    };
    let needed = quota::vcpus(instance_type);
    let too_small = value.zip(needed).is_some_and(|(value, needed)| value < needed);
    (report::explain(of, value, needed, region), too_small)
}
