//! Terminates instances.

use std::collections::HashSet;

use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::terminate_instances::TerminateInstancesError;
use aws_sdk_ec2::types::Reservation;
use dayfly_ports::{FleetError, FleetErrorKind};
use dayfly_types::ids::InstanceId;

use crate::{Ec2Fleet, TAG_STACK, call_error, filter, fleet_error, view};

/// EC2's code for an instance that ended long ago, or that it does not list yet.
const NOT_FOUND: &str = "InvalidInstanceID.NotFound";

impl Ec2Fleet {
    /// Terminates the instances of this stack, and those that EC2 does not list yet (it may lag behind).
    /// Instances without our tag are left alone and reported as an error; the role's policy forbids the same.
    pub(crate) async fn terminate_ours(&self, instances: &[InstanceId], at_once: bool) -> Result<(), FleetError> {
        if instances.is_empty() {
            return Ok(());
        }
        let foreign = self.foreign(instances).await?;
        let ours: Vec<&InstanceId> = instances.iter().filter(|id| !foreign.contains(id.as_str())).collect();
        self.terminate_known(&ours, at_once).await?;
        if foreign.is_empty() {
            return Ok(());
        }
        let mut foreign: Vec<_> = foreign.into_iter().collect();
        foreign.sort();
        Err(fleet_error(
            FleetErrorKind::BadRequest,
            "NotOurs",
            format!(
                "{} left alone: not tagged `{TAG_STACK}={}`",
                foreign.join(", "),
                self.settings.stack
            ),
        ))
    }

    /// Returns the ids of instances that EC2 lists without this stack's tag.
    async fn foreign(&self, instances: &[InstanceId]) -> Result<HashSet<String>, FleetError> {
        let mut pages = self
            .client
            .describe_instances()
            // A filter, because an unknown id in the request proper is an error.
            .filters(filter("instance-id", instances.iter().map(InstanceId::as_str)))
            .into_paginator()
            .send();
        let mut foreign = HashSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| call_error(&error))?;
            for instance in page.reservations().iter().flat_map(Reservation::instances) {
                if view::tag(instance, TAG_STACK) != Some(self.settings.stack.as_str()) {
                    foreign.extend(instance.instance_id().map(str::to_owned));
                }
            }
        }
        Ok(foreign)
    }

    async fn terminate_known(&self, instances: &[&InstanceId], at_once: bool) -> Result<(), FleetError> {
        match self.terminate_all(instances, at_once).await {
            // With one unknown id EC2 terminates none of them, so each gets its own call.
            Err(error) if error.code == NOT_FOUND && instances.len() > 1 => {
                for instance in instances {
                    ignore_missing(self.terminate_all(&[instance], at_once).await)?;
                }
                Ok(())
            }
            other => ignore_missing(other),
        }
    }

    /// `at_once` skips the shutdown of the operating system, which EC2 bills. If EC2 refuses that, the
    /// instances shut down normally rather than stay.
    async fn terminate_all(&self, instances: &[&InstanceId], at_once: bool) -> Result<(), FleetError> {
        if instances.is_empty() {
            return Ok(());
        }
        match self.send_terminate(instances, at_once).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = call_error(&error);
                let is_option_refused =
                    at_once && error.kind == FleetErrorKind::BadRequest && !error.code.starts_with("InvalidInstanceID");
                if !is_option_refused {
                    return Err(error);
                }
                tracing::warn!(%error, "EC2 refuses to skip the OS shutdown; terminating the instances with it");
                self.send_terminate(instances, false)
                    .await
                    .map_err(|error| call_error(&error))
            }
        }
    }

    async fn send_terminate(
        &self,
        instances: &[&InstanceId],
        at_once: bool,
    ) -> Result<(), SdkError<TerminateInstancesError>> {
        let ids = instances.iter().map(|id| id.as_str().to_owned()).collect();
        let call = self.client.terminate_instances().set_instance_ids(Some(ids));
        let call = if at_once {
            call.force(true).skip_os_shutdown(true)
        } else {
            call
        };
        call.send().await.map(drop)
    }
}

/// An instance that is already gone is no error.
fn ignore_missing(ended: Result<(), FleetError>) -> Result<(), FleetError> {
    ended.or_else(|error| if error.code == NOT_FOUND { Ok(()) } else { Err(error) })
}
