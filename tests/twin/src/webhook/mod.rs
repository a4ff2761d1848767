//! Webhooks: signed, sent, disturbed, recorded and redelivered.

mod courier;
mod faults;

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

pub(crate) use self::courier::Courier;
pub(crate) use self::faults::FaultPlan;
pub use self::faults::{Disturbance, Odds, WebhookFault};
use crate::clock::iso;
use crate::model::{DeliveryId, InstallationId, RepoId};

/// A webhook delivery, as in `GET /app/hook/deliveries`.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// A redelivery has its own.
    pub id: DeliveryId,
    /// `X-GitHub-Delivery`; a redelivery keeps it.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    pub action: Option<String>,
    pub installation: Option<InstallationId>,
    pub repo: Option<RepoId>,
    /// The job or run it is about.
    pub subject: Option<u64>,
    pub delivered_at: Timestamp,
    pub redelivery: bool,
    /// How long the answer took.
    pub duration: Duration,
    /// `None` while it is being sent.
    pub outcome: Option<DeliveryOutcome>,
    /// The request's headers, in the order sent.
    pub headers: Vec<(String, String)>,
    pub payload: Arc<Value>,
}

/// The result of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// The answer's status; 502 if the receiver could not be reached, 504 if it did not answer in time.
    pub status_code: u16,
    /// GitHub's text for it.
    pub status: String,
    pub body: String,
}

impl DeliveryOutcome {
    /// Whether GitHub counts it as delivered.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..400).contains(&self.status_code)
    }
}

impl Delivery {
    /// The hex digits of its signature.
    pub(crate) fn signature(&self) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "X-Hub-Signature-256")?;
        value.strip_prefix("sha256=")
    }

    /// An entry of `GET /app/hook/deliveries`.
    pub(crate) fn to_item(&self) -> Value {
        let outcome = self.outcome.as_ref();
        json!({
            "id": self.id,
            "guid": self.guid,
            "delivered_at": iso(self.delivered_at),
            "redelivery": self.redelivery,
            "duration": (self.duration.as_secs_f64() * 100.0).round() / 100.0,
            "status": outcome.map_or("pending", |outcome| outcome.status.as_str()),
            "status_code": outcome.map_or(0, |outcome| outcome.status_code),
            "event": self.event,
            "action": self.action,
            "installation_id": self.installation,
            "repository_id": self.repo,
            "throttled_at": null,
        })
    }

    /// `GET /app/hook/deliveries/{id}`.
    pub(crate) fn to_json(&self, url: &str) -> Value {
        let mut value = self.to_item();
        // GitHub leaves a field out rather than sending null where the description has no null.
        if let Some(object) = value.as_object_mut() {
            object.remove("throttled_at");
        }
        let headers: serde_json::Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        value["url"] = json!(url);
        value["request"] = json!({"headers": headers, "payload": *self.payload});
        value["response"] = json!({
            "headers": {},
            "payload": self.outcome.as_ref().map(|outcome| &outcome.body),
        });
        value
    }
}

/// `X-Hub-Signature-256` of a body.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    // HMAC takes a key of any length, so there is no error to report.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(body);
            format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
        },
    )
}
