//! Sends webhooks and records the results.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::faults::FaultPlan;
use super::{Delivery, DeliveryOutcome, Disturbance, signature};
use crate::event::Happening;
use crate::hub::Hub;
use crate::model::DeliveryId;
use crate::state::WebhookDraft;

/// The part of the twin that sends webhooks.
#[derive(Debug)]
pub(crate) struct Courier {
    http: reqwest::Client,
    secret: String,
    url: Mutex<Option<String>>,
    plan: Mutex<FaultPlan>,
    held: Mutex<Vec<Held>>,
    /// The deliveries under way; ended with the twin.
    under_way: Mutex<JoinSet<()>>,
    turns: Semaphore,
}

#[derive(Debug)]
struct Held {
    draft: WebhookDraft,
    /// Event and action of the webhook that lets it go; none: the test does.
    until: Option<(String, String)>,
}

impl Courier {
    pub(crate) fn new(secret: String, url: Option<String>, timeout: Duration, at_once: usize) -> Self {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap_or_default();
        Self {
            http,
            secret,
            url: Mutex::new(url),
            plan: Mutex::default(),
            held: Mutex::default(),
            under_way: Mutex::default(),
            turns: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn url(&self) -> Option<String> {
        locked(&self.url).clone()
    }

    pub(crate) fn set_url(&self, url: &str) {
        *locked(&self.url) = Some(url.to_owned());
    }

    pub(crate) fn plan<R>(&self, change: impl FnOnce(&mut FaultPlan) -> R) -> R {
        change(&mut locked(&self.plan))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut under_way = locked(&self.under_way);
        while under_way.try_join_next().is_some() {}
        under_way.spawn(task);
    }

    /// Ends every delivery under way.
    pub(crate) fn stop(&self) {
        locked(&self.under_way).abort_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Sends or disturbs a webhook, following the fault plan.
    pub(crate) fn dispatch(self: &Arc<Self>, draft: WebhookDraft) {
        if self.courier.url().is_none() {
            return;
        }
        self.check_webhook(&draft);
        let mut copies = 1;
        let mut delay = Duration::ZERO;
        for disturbance in self.courier.plan(|plan| plan.judge(&draft)) {
            self.publish_disturbed(&draft, &disturbance);
            match disturbance {
                Disturbance::Nothing => {}
                Disturbance::Copies(count) => copies = count,
                Disturbance::Delay(by) => delay = by,
                Disturbance::Lose => return,
                Disturbance::Fail(status) => return self.record_failed(&draft, status),
                Disturbance::Hold => return self.hold(draft, None),
                Disturbance::HoldUntil { event, action } => {
                    return self.hold(draft, Some((event, action)));
                }
            }
        }
        self.send_copies(&draft, copies, delay);
    }

    fn publish_disturbed(self: &Arc<Self>, draft: &WebhookDraft, how: &Disturbance) {
        if *how != Disturbance::Nothing {
            self.publish(Happening::WebhookDisturbed {
                event: draft.event.to_owned(),
                action: draft.action.map(str::to_owned),
                how: format!("{how:?}"),
            });
        }
    }

    fn hold(&self, draft: WebhookDraft, until: Option<(String, String)>) {
        locked(&self.courier.held).push(Held { draft, until });
    }

    /// Sends all webhooks held for the test, and returns their number.
    pub(crate) fn release_held(self: &Arc<Self>) -> usize {
        self.release(|held| held.until.is_none())
    }

    fn release(self: &Arc<Self>, goes: impl Fn(&Held) -> bool) -> usize {
        let going: Vec<Held> = locked(&self.courier.held).extract_if(.., |held| goes(held)).collect();
        let count = going.len();
        for held in going {
            self.send_copies(&held.draft, 1, Duration::ZERO);
        }
        count
    }

    fn send_copies(self: &Arc<Self>, draft: &WebhookDraft, copies: u32, delay: Duration) {
        let guid = uuid::Uuid::new_v4().to_string();
        for _ in 0..copies {
            let delivery = self.act(|state, now| {
                let id = DeliveryId(state.ids.next("delivery"));
                let delivery = self.new_delivery(id, &guid, draft, now);
                state.deliveries.insert(id, delivery.clone());
                delivery
            });
            let hub = Arc::downgrade(self);
            self.courier.spawn(async move {
                tokio::time::sleep(delay).await;
                if let Some(hub) = hub.upgrade() {
                    hub.deliver(delivery).await;
                }
            });
        }
    }

    fn new_delivery(&self, id: DeliveryId, guid: &str, draft: &WebhookDraft, now: jiff::Timestamp) -> Delivery {
        let app = self.app_id();
        let body = draft.payload.to_string();
        let headers = [
            ("Accept", "*/*".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("User-Agent", "GitHub-Hookshot/7c3a9f1".to_owned()),
            ("X-GitHub-Delivery", guid.to_owned()),
            ("X-GitHub-Event", draft.event.to_owned()),
            ("X-GitHub-Hook-ID", self.hook_id().to_string()),
            ("X-GitHub-Hook-Installation-Target-ID", app.to_string()),
            ("X-GitHub-Hook-Installation-Target-Type", "integration".to_owned()),
            ("X-Hub-Signature-256", signature(self.courier.secret(), body.as_bytes())),
        ];
        Delivery {
            id,
            guid: guid.to_owned(),
            event: draft.event.to_owned(),
            action: draft.action.map(str::to_owned),
            installation: draft.installation,
            repo: draft.repo,
            subject: draft.subject,
            delivered_at: now,
            redelivery: false,
            duration: Duration::ZERO,
            outcome: None,
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            payload: Arc::new(draft.payload.clone()),
        }
    }

    fn record_failed(self: &Arc<Self>, draft: &WebhookDraft, status: u16) {
        let guid = uuid::Uuid::new_v4().to_string();
        self.act(|state, now| {
            let id = DeliveryId(state.ids.next("delivery"));
            let mut delivery = self.new_delivery(id, &guid, draft, now);
            delivery.outcome = Some(outcome(status, String::new()));
            state.deliveries.insert(id, delivery);
            state.publish(Happening::WebhookAnswered { delivery: id, status });
        });
    }

    /// Redelivers a delivery under its GUID. Returns `false` for an unknown id.
    pub(crate) fn redeliver(self: &Arc<Self>, id: DeliveryId) -> bool {
        let again = self.act(|state, now| {
            let mut again = state.deliveries.get(&id)?.clone();
            again.id = DeliveryId(state.ids.next("delivery"));
            again.redelivery = true;
            again.delivered_at = now;
            again.outcome = None;
            state.deliveries.insert(again.id, again.clone());
            Some(again)
        });
        let Some(again) = again else {
            return false;
        };
        let hub = Arc::clone(self);
        self.courier.spawn(async move { hub.deliver(again).await });
        true
    }

    async fn deliver(self: &Arc<Self>, delivery: Delivery) {
        let Some(url) = self.courier.url() else {
            return;
        };
        // The semaphore is never closed, so there is no error to handle.
        let turn = self.courier.turns.acquire().await;
        let (id, event, action) = (delivery.id, delivery.event.clone(), delivery.action.clone());
        self.publish(Happening::WebhookSent {
            delivery: id,
            event: event.clone(),
            action: action.clone(),
            guid: delivery.guid.clone(),
        });
        let began = Instant::now();
        let outcome = self.post(&url, &delivery).await;
        let took = began.elapsed();
        drop(turn);
        let status = outcome.status_code;
        self.act(|state, _| {
            if let Some(record) = state.deliveries.get_mut(&id) {
                record.duration = took;
                record.outcome = Some(outcome);
            }
            state.publish(Happening::WebhookAnswered { delivery: id, status });
        });
        self.release(|held| {
            held.draft.subject == delivery.subject
                && held
                    .until
                    .as_ref()
                    .is_some_and(|(until_event, until)| *until_event == event && Some(until) == action.as_ref())
        });
    }

    async fn post(&self, url: &str, delivery: &Delivery) -> DeliveryOutcome {
        let mut request = self.courier.http.post(url).body(delivery.payload.to_string());
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                outcome(status, answer.text().await.unwrap_or_default())
            }
            Err(error) if error.is_timeout() => outcome(504, String::new()),
            Err(_) => outcome(502, String::new()),
        }
    }
}

fn outcome(status_code: u16, body: String) -> DeliveryOutcome {
    let status = match status_code {
        200..400 => "OK".to_owned(),
        502 => "failed to connect to host".to_owned(),
        504 => "timed out".to_owned(),
        other => format!("Invalid HTTP Response: {other}"),
    };
    DeliveryOutcome {
        status_code,
        status,
        body,
    }
}
