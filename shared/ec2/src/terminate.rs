//! Ending instances.

use std::collections::HashSet;

use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::terminate_instances::TerminateInstancesError;
use aws_sdk_ec2::types::Reservation;
use dayfly_ports::{FleetError, FleetErrorKind};
use dayfly_types::ids::InstanceId;

use crate::{Ec2Fleet, TAG_STACK, filter, refused, view};

/// What EC2 says of an instance that ended long ago, or that it does not know yet.
const NOT_FOUND: &str = "InvalidInstanceID.NotFound";

impl Ec2Fleet {
    /// Ends the instances that are ours, and those that EC2 does not describe (it may lag behind). One
    /// that is described without our tag is left alone and told as an error; the role's policy says
    /// the same.
    pub(crate) async fn end(&self, instances: &[InstanceId], at_once: bool) -> Result<(), FleetError> {
        if instances.is_empty() {
            return Ok(());
        }
        let foreign = self.foreign(instances).await?;
        let ours: Vec<&InstanceId> = instances.iter().filter(|id| !foreign.contains(id.as_str())).collect();
        self.end_ours(&ours, at_once).await?;
        if foreign.is_empty() {
            return Ok(());
        }
        let mut foreign: Vec<_> = foreign.into_iter().collect();
        foreign.sort();
        Err(FleetError {
            kind: FleetErrorKind::BadRequest,
            code: "NotOurs".to_owned(),
            message: format!(
                "{} left alone: not tagged `{TAG_STACK}={}`",
                foreign.join(", "),
                self.settings.stack
            ),
            pool: None,
        })
    }

    /// Those of the instances that are described, and not as this stack's.
    async fn foreign(&self, instances: &[InstanceId]) -> Result<HashSet<String>, FleetError> {
        let mut pages = self
            .client
            .describe_instances()
            // As a filter: an id that is not known is no error then.
            .filters(filter("instance-id", instances.iter().map(InstanceId::as_str)))
            .into_paginator()
            .send();
        let mut foreign = HashSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(&error))?;
            for instance in page.reservations().iter().flat_map(Reservation::instances) {
                if view::tag(instance, TAG_STACK) != Some(self.settings.stack.as_str()) {
                    foreign.extend(instance.instance_id().map(str::to_owned));
                }
            }
        }
        Ok(foreign)
    }

    async fn end_ours(&self, instances: &[&InstanceId], at_once: bool) -> Result<(), FleetError> {
        match self.end_all(instances, at_once).await {
            // One unknown id and EC2 ends none of them: each by itself, then.
            Err(error) if error.code == NOT_FOUND && instances.len() > 1 => {
                for instance in instances {
                    known(self.end_all(&[instance], at_once).await)?;
                }
                Ok(())
            }
            other => known(other),
        }
    }

    /// With `at_once` the operating system is not waited for, which EC2 bills. Where EC2 will not have
    /// that, the instances end in their own time rather than not at all.
    async fn end_all(&self, instances: &[&InstanceId], at_once: bool) -> Result<(), FleetError> {
        if instances.is_empty() {
            return Ok(());
        }
        match self.end_call(instances, at_once).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = refused(&error);
                let is_option_refused =
                    at_once && error.kind == FleetErrorKind::BadRequest && !error.code.starts_with("InvalidInstanceID");
                if !is_option_refused {
                    return Err(error);
                }
                tracing::warn!(%error, "EC2 does not end the instances at once; ending them in their own time");
                self.end_call(instances, false).await.map_err(|error| refused(&error))
            }
        }
    }

    async fn end_call(
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

/// An end, or that there was nothing to end.
fn known(ended: Result<(), FleetError>) -> Result<(), FleetError> {
    ended.or_else(|error| if error.code == NOT_FOUND { Ok(()) } else { Err(error) })
}
