//! The instance host's AWS calls, answered by ministack.

use std::time::{Duration, SystemTime};

use dayfly_host::{Cloud as HostCloud, CloudError, CloudInstance, CloudState, InstanceEnd, RoleSession};

use crate::aws::Aws;
use crate::front_door::Sessions;

/// The default lifetime of a role's session in STS.
const SESSION: Duration = Duration::from_hours(1);

/// EC2 and STS for the host of one stack's instances.
#[derive(Clone, Debug)]
pub struct StackInstances {
    /// The account owner's view: the host's calls are not counted as the functions'.
    pub aws: Aws,
    pub stack: String,
    /// The instances' launch template.
    pub launch_template: String,
    pub role_arn: String,
    /// The registry of the sessions it opens.
    pub sessions: Sessions,
}

impl HostCloud for StackInstances {
    async fn instances(&self) -> Result<Vec<CloudInstance>, CloudError> {
        let instances = self.aws.instances().await?;
        Ok(instances
            .into_iter()
            .filter(|instance| instance.tags.get("dayfly:stack") == Some(&self.stack))
            .map(|instance| CloudInstance {
                state: CloudState::named(&instance.state),
                id: instance.id,
                instance_type: instance.instance_type,
                zone: instance.zone,
            })
            .collect())
    }

    /// ministack keeps the user data with the template only, so all its instances have the latest.
    async fn user_data(&self, _: &str) -> Result<String, CloudError> {
        Ok(self.aws.template_user_data(&self.launch_template).await?)
    }

    async fn role_session(&self, instance: &str) -> Result<RoleSession, CloudError> {
        let session = self.aws.assume_role(&self.role_arn, instance).await?;
        self.sessions.insert(session.clone());
        Ok(RoleSession {
            access_key: session.credentials.access_key,
            secret_key: session.credentials.secret,
            token: session.credentials.token.unwrap_or_default(),
            expires: SystemTime::now() + SESSION,
        })
    }

    async fn terminate(&self, instance: &str, ending: InstanceEnd) -> Result<(), CloudError> {
        let reason = match ending {
            InstanceEnd::Interrupted => "Server.SpotInstanceTermination",
            _ => "Client.InstanceInitiatedShutdown",
        };
        match self.aws.ended(instance, reason).await {
            // EC2 forgets ended instances.
            Err(error) if error.code() == Some("InvalidInstanceID.NotFound") => Ok(()),
            other => Ok(other?),
        }
    }
}
