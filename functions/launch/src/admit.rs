//! Admission: asks whether the stack policy lets a job run, and who pays for it.

use dayfly_flows::{Admission, Blocked, RunRequester};
use dayfly_policy::Policy;
use dayfly_records::Job;
use dayfly_types::time::Timestamp;

use crate::{Function, LaunchPorts};

impl<P: LaunchPorts> Function<P> {
    /// Admits a job under the policy, and attributes it to its requester and pull request where a cap or
    /// a comment depends on them.
    pub(crate) async fn admit(
        &self,
        job: &mut Job,
        requester: &mut RunRequester<'_>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), Blocked> {
        // A run that does not exist any more is over, which the next check of the job finds.
        let admission = self.policies.admit(self.ports.github(), policy, requester, now).await?;
        if let Admission::Refused(refused) = admission {
            return Err(Blocked::denied(refused));
        }
        if policy.caps.need_requester() {
            (job.attribution.actor, job.attribution.pull) =
                self.policies.attribution(self.ports.github(), requester, now).await?;
        } else if job.reporting.comment.is_some() {
            // No job waits for a comment.
            match self.policies.attribution(self.ports.github(), requester, now).await {
                Ok((_, pull)) => job.attribution.pull = pull,
                Err(why) => tracing::warn!(job = %job.key, %why, "the job's pull request is not known"),
            }
        }
        Ok(())
    }

    /// Attributes the messenger of a denied job to the job's requester, if they have a cap of their own.
    /// Nothing waits for that: where GitHub does not say who they are, only the wider caps hold.
    pub(crate) async fn attribute_messenger(
        &self,
        job: &mut Job,
        requester: &mut RunRequester<'_>,
        policy: &Policy,
        now: Timestamp,
    ) {
        if !policy.caps.need_requester() {
            return;
        }
        match self.policies.attribution(self.ports.github(), requester, now).await {
            Ok((actor, pull)) => (job.attribution.actor, job.attribution.pull) = (actor, pull),
            Err(why) => tracing::warn!(job = %job.key, %why, "it is not known who pays for the job's messenger"),
        }
    }
}
