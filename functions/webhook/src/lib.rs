//! Receives GitHub's webhooks: checks the signature, drops duplicates, and puts a small event of dayfly's own on the
//! bus. It knows nothing of EC2 and never calls GitHub.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod delivery;
mod payload;
mod request;
mod secret;
mod signature;

use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use dayfly_ports::{Bus, Parameters, Store};
use dayfly_runtime::answer;
use dayfly_types::time::Timestamp;

use crate::delivery::DeliveryOutcome;
use crate::payload::Meaning;
use crate::request::Webhook;
use crate::secret::Secret;

/// The webhook function.
pub struct Function<S, B, P> {
    store: S,
    bus: B,
    secret: Secret<P>,
}

impl<S: Store, B: Bus, P: Parameters> Function<S, B, P> {
    /// `secret_parameter` is the SSM parameter with the webhook's secret.
    pub fn new(store: S, bus: B, parameters: P, secret_parameter: String) -> Self {
        Self {
            store,
            bus,
            secret: Secret::new(parameters, secret_parameter),
        }
    }

    /// Handles one webhook. GitHub records a failed delivery for every answer outside 2XX.
    pub async fn handle(&self, request: LambdaFunctionUrlRequest, now: Timestamp) -> LambdaFunctionUrlResponse {
        let (status, message) = match self.receive(request, now).await {
            Ok(accepted) => accepted,
            Err(refused) => refused,
        };
        if status >= 400 {
            tracing::warn!(status, message, "refused a webhook");
        } else {
            tracing::info!(status, message, "received a webhook");
        }
        answer::message(status, &message)
    }

    async fn receive(&self, request: LambdaFunctionUrlRequest, now: Timestamp) -> Result<Reply, Reply> {
        let body = request::body(&request)?;
        self.check_signature(&request, &body, now).await?;
        let webhook = Webhook::read(&request)?;
        tracing::Span::current().record("delivery", webhook.delivery.as_str());
        match payload::read(&webhook, &body, now).map_err(|wrong| (400, wrong))? {
            Meaning::Ping => Ok((200, "pong".to_owned())),
            Meaning::NotOurs(reason) => Ok((202, reason)),
            Meaning::Event(event) => {
                let delivery = &webhook.delivery;
                match delivery::publish_once(&self.store, &self.bus, delivery, &event, now).await {
                    Ok(DeliveryOutcome::Published) => Ok((202, format!("{} is on its way", event.kind()))),
                    Ok(DeliveryOutcome::Duplicate) => Ok((200, "this delivery was received before".to_owned())),
                    Err(error) => Err((503, error.to_string())),
                }
            }
        }
    }

    async fn check_signature(
        &self,
        request: &LambdaFunctionUrlRequest,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Reply> {
        let header = request::header(request, "x-hub-signature-256").ok_or_else(|| {
            (
                401,
                "there is no `X-Hub-Signature-256` header: set a secret in the App's webhook settings".to_owned(),
            )
        })?;
        let given = signature::parse(header).map_err(|wrong| (401, wrong.to_owned()))?;
        let secret = self.secret.get(now).await.map_err(|error| (503, error.to_string()))?;
        if signature::is_valid(&secret, body, &given) {
            return Ok(());
        }
        // The secret may have changed since it was read.
        let secret = self
            .secret
            .refresh(now)
            .await
            .map_err(|error| (503, error.to_string()))?;
        if signature::is_valid(&secret, body, &given) {
            return Ok(());
        }
        Err((
            401,
            "the signature does not match the body: is the App's webhook secret the one in SSM?".to_owned(),
        ))
    }
}

/// A status and a message.
type Reply = (u16, String);

#[cfg(test)]
mod tests;
