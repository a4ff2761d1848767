//! EC2's events, as EventBridge hands them on.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html>
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_runtime::bus_event::Envelope;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;
use serde::Deserialize;

/// An event of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Event {
    pub instance: InstanceId,
    /// `None` if dayfly ignores the event.
    pub word: Option<Ec2Signal>,
    /// When it happened, if EC2 says so.
    pub at: Option<Timestamp>,
}

/// An event that cannot be read as one of EC2's.
#[derive(Debug, thiserror::Error)]
pub enum UnknownEvent {
    #[error("`{0}` is no event of EC2's that this function knows")]
    Kind(String),
    #[error("the EC2 event cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    instance_id: InstanceId,
    #[serde(default)]
    state: Option<String>,
}

impl TryFrom<Envelope> for Ec2Event {
    type Error = UnknownEvent;

    fn try_from(envelope: Envelope) -> Result<Self, UnknownEvent> {
        let at = envelope.happened_at();
        let detail: Detail = serde_json::from_value(envelope.detail)?;
        let word = match envelope.detail_type.as_str() {
            "EC2 Spot Instance Interruption Warning" => Some(Ec2Signal::Warning),
            "EC2 Instance Rebalance Recommendation" => Some(Ec2Signal::Rebalance),
            "EC2 Instance State-change Notification" => match detail.state.as_deref() {
                Some("running") => Some(Ec2Signal::Running),
                // Our instances stop only by their own power-off, which ends them.
                Some("shutting-down" | "terminated" | "stopping" | "stopped") => Some(Ec2Signal::Ended),
                _ => None,
            },
            other => return Err(UnknownEvent::Kind(other.to_owned())),
        };
        Ok(Self {
            instance: detail.instance_id,
            word,
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail_type: &str, detail: &serde_json::Value) -> Result<Ec2Event, UnknownEvent> {
        let envelope = serde_json::json!({
            "detail-type": detail_type, "source": "aws.ec2", "time": "2027-01-15T08:00:00Z", "detail": detail,
        });
        Ec2Event::try_from(serde_json::from_value::<Envelope>(envelope).unwrap())
    }

    #[test]
    fn ec2_events_are_read() {
        let id = "i-0123456789abcdef0";
        for (kind, detail, word) in [
            (
                "EC2 Spot Instance Interruption Warning",
                serde_json::json!({ "instance-id": id, "instance-action": "terminate" }),
                Some(Ec2Signal::Warning),
            ),
            (
                "EC2 Instance Rebalance Recommendation",
                serde_json::json!({ "instance-id": id }),
                Some(Ec2Signal::Rebalance),
            ),
            (
                "EC2 Instance State-change Notification",
                serde_json::json!({ "instance-id": id, "state": "running" }),
                Some(Ec2Signal::Running),
            ),
            (
                "EC2 Instance State-change Notification",
                serde_json::json!({ "instance-id": id, "state": "pending" }),
                None,
            ),
            (
                "EC2 Instance State-change Notification",
                serde_json::json!({ "instance-id": id, "state": "terminated" }),
                Some(Ec2Signal::Ended),
            ),
        ] {
            assert_eq!(
                event(kind, &detail).unwrap(),
                Ec2Event {
                    instance: InstanceId::new(id),
                    word,
                    at: Some(Timestamp::from_seconds(1_800_000_000)),
                },
                "{kind}"
            );
        }
        assert!(event("EC2 Instance Launch", &serde_json::json!({ "instance-id": id })).is_err());
        assert!(event("EC2 Instance State-change Notification", &serde_json::json!({})).is_err());
    }
}
