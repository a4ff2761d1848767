//! EC2's events, as EventBridge hands them on.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html>
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use dayfly_engine::interruption::Word;
use dayfly_runtime::bus_event::Envelope;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;
use serde::Deserialize;

/// What EC2 said of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Event {
    /// The instance.
    pub instance: InstanceId,
    /// What was said, if it means anything to us.
    pub word: Option<Word>,
    /// When what is said of it happened, if EC2 says that.
    pub at: Option<Timestamp>,
}

/// An event that is none of EC2's, or not of its shape.
#[derive(Debug, thiserror::Error)]
pub enum NotUnderstood {
    /// None that the stack's rules ask for.
    #[error("`{0}` is no event of EC2's that this function knows")]
    Kind(String),
    /// Not of its shape.
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
    type Error = NotUnderstood;

    fn try_from(envelope: Envelope) -> Result<Self, NotUnderstood> {
        let at = envelope.happened_at();
        let detail: Detail = serde_json::from_value(envelope.detail)?;
        let word = match envelope.detail_type.as_str() {
            "EC2 Spot Instance Interruption Warning" => Some(Word::Warning),
            "EC2 Instance Rebalance Recommendation" => Some(Word::Rebalance),
            "EC2 Instance State-change Notification" => match detail.state.as_deref() {
                Some("running") => Some(Word::Running),
                // None of ours is ever stopped but by its own power-off, which ends it.
                Some("shutting-down" | "terminated" | "stopping" | "stopped") => Some(Word::Ended),
                _ => None,
            },
            other => return Err(NotUnderstood::Kind(other.to_owned())),
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

    fn event(detail_type: &str, detail: &serde_json::Value) -> Result<Ec2Event, NotUnderstood> {
        let envelope = serde_json::json!({
            "detail-type": detail_type, "source": "aws.ec2", "time": "2027-01-15T08:00:00Z", "detail": detail,
        });
        Ec2Event::try_from(serde_json::from_value::<Envelope>(envelope).unwrap())
    }

    #[test]
    fn ec2s_events_are_understood() {
        let id = "i-0123456789abcdef0";
        for (kind, detail, word) in [
            (
                "EC2 Spot Instance Interruption Warning",
                serde_json::json!({ "instance-id": id, "instance-action": "terminate" }),
                Some(Word::Warning),
            ),
            (
                "EC2 Instance Rebalance Recommendation",
                serde_json::json!({ "instance-id": id }),
                Some(Word::Rebalance),
            ),
            (
                "EC2 Instance State-change Notification",
                serde_json::json!({ "instance-id": id, "state": "running" }),
                Some(Word::Running),
            ),
            (
                "EC2 Instance State-change Notification",
                serde_json::json!({ "instance-id": id, "state": "pending" }),
                None,
            ),
            (
                "EC2 Instance State-change Notification",
                serde_json::json!({ "instance-id": id, "state": "terminated" }),
                Some(Word::Ended),
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
