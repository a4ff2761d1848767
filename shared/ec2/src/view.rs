//! Reads instances as EC2 describes them.

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat as Format};
use aws_sdk_ec2::types::{Instance, InstanceLifecycleType, InstanceStateName, InstanceType as SdkInstanceType};
use dayfly_ports::{FleetError, InstanceState, InstanceView, Scope};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{FleetId, InstallationId, InstanceId, InstanceType, Zone};
use dayfly_types::time::Timestamp;

use crate::{TAG_FLEET, TAG_INSTALLATION, TAG_REPOSITORY, unexpected};

pub(crate) fn tag<'a>(instance: &'a Instance, key: &str) -> Option<&'a str> {
    instance
        .tags()
        .iter()
        .find(|tag| tag.key() == Some(key))
        .and_then(|tag| tag.value())
}

pub(crate) fn read(instance: &Instance) -> Result<InstanceView, FleetError> {
    let id = instance
        .instance_id()
        .ok_or_else(|| unexpected("EC2 describes an instance without an id"))?;
    let launched_at = instance
        .launch_time()
        .and_then(|at| at.to_millis().ok())
        .ok_or_else(|| unexpected(&format!("EC2 does not say when {id} was launched")))?;
    Ok(InstanceView {
        instance: InstanceId::new(id),
        state: state(instance),
        instance_type: InstanceType::new(instance.instance_type().map_or("", SdkInstanceType::as_str)),
        zone: Zone::new(
            instance
                .placement()
                .and_then(|p| p.availability_zone())
                .unwrap_or_default(),
        ),
        lifecycle: match instance.instance_lifecycle() {
            Some(InstanceLifecycleType::Spot) => InstanceLifecycle::Spot,
            // EC2 leaves the field out for on-demand instances.
            _ => InstanceLifecycle::OnDemand,
        },
        launched_at: Timestamp::from_millis(launched_at),
        ended_at: ended_at(instance),
        fleet: tag(instance, TAG_FLEET).map(FleetId::new),
        scope: scope(instance),
    })
}

/// EC2 gives the end only inside a text: `User initiated (2027-01-15 08:00:00 GMT)`.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html>
fn ended_at(instance: &Instance) -> Option<Timestamp> {
    if !state(instance).is_ended() {
        return None;
    }
    let (_, at) = instance.state_transition_reason()?.rsplit_once('(')?;
    let at = at.strip_suffix(" GMT)")?.replace(' ', "T");
    let at = DateTime::from_str(&format!("{at}Z"), Format::DateTime).ok()?;
    at.to_millis().ok().map(Timestamp::from_millis)
}

fn scope(instance: &Instance) -> Option<Scope> {
    Some(Scope {
        installation: InstallationId(tag(instance, TAG_INSTALLATION)?.parse().ok()?),
        repository: tag(instance, TAG_REPOSITORY)?.parse().ok()?,
    })
}

fn state(instance: &Instance) -> InstanceState {
    match instance.state().and_then(|state| state.name()) {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::ShuttingDown) => InstanceState::ShuttingDown,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        Some(InstanceStateName::Stopping | InstanceStateName::Stopped) => InstanceState::Stopped,
        // An unknown state counts as billed.
        _ => InstanceState::Running,
    }
}
