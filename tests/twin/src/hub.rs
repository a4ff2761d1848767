//! Shared by the twin's servers: the locked state, and the effects of its changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, broadcast, watch};

use crate::api::ApiFault;
use crate::app::AppKey;
use crate::clock::{self, Clock};
use crate::event::{Happening, TwinEvent};
use crate::model::AppId;
use crate::schema::Checker;
use crate::state::{Effect, State, WebhookDraft};
use crate::webhook::Courier;

/// How many events a slow listener may lag behind before it loses some.
const EVENT_BACKLOG: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    pub(crate) clock: Clock,
    pub(crate) key: AppKey,
    pub(crate) courier: Courier,
    pub(crate) checker: Option<Checker>,
    pub(crate) api_faults: Mutex<Vec<ApiFault>>,
    changed: watch::Sender<u64>,
    timer: Notify,
    events: broadcast::Sender<TwinEvent>,
    app_id: AppId,
    hook_id: u64,
    closing: watch::Receiver<bool>,
}

impl Hub {
    pub(crate) fn new(
        state: State,
        clock: Clock,
        key: AppKey,
        courier: Courier,
        checker: Option<Checker>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let (app_id, hook_id) = (state.app.id, state.app.hook_id);
        Self {
            state: Mutex::new(state),
            clock,
            key,
            courier,
            checker,
            api_faults: Mutex::default(),
            changed: watch::channel(0).0,
            timer: Notify::new(),
            events: broadcast::channel(EVENT_BACKLOG).0,
            app_id,
            hook_id,
            closing,
        }
    }

    pub(crate) fn app_id(&self) -> AppId {
        self.app_id
    }

    pub(crate) fn hook_id(&self) -> u64 {
        self.hook_id
    }

    /// Ends when the twin does.
    pub(crate) async fn closed(&self) {
        // An error means that the twin is gone, which also ends the wait.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The state, to read.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, hands out jobs that became free to take, and sees to the effects.
    pub(crate) fn act<R>(self: &Arc<Self>, change: impl FnOnce(&mut State, Timestamp) -> R) -> R {
        let now = self.now();
        let (result, effects) = {
            let mut state = self.state();
            let result = change(&mut state, now);
            state.assign(now);
            (result, std::mem::take(&mut state.effects))
        };
        for effect in effects {
            match effect {
                Effect::Publish(what) => self.broadcast(now, what),
                Effect::Send(draft) => self.dispatch(draft),
            }
        }
        self.changed.send_modify(|count| *count += 1);
        self.timer.notify_one();
        result
    }

    /// Publishes an event that changed nothing.
    pub(crate) fn publish(self: &Arc<Self>, what: Happening) {
        self.broadcast(self.now(), what);
    }

    fn broadcast(&self, at: Timestamp, what: Happening) {
        // Having no listener is no error.
        let _ = self.events.send(TwinEvent { at, what });
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<TwinEvent> {
        self.events.subscribe()
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Handles every deadline until the twin ends.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.state().next_deadline();
            match next {
                None => self.timer.notified().await,
                Some(at) => {
                    let wait = clock::until(self.now(), at);
                    if wait.is_zero() {
                        self.act(State::expire);
                        continue;
                    }
                    let _ = tokio::time::timeout(wait, self.timer.notified()).await;
                }
            }
        }
    }

    /// Records that GitHub's description was broken.
    pub(crate) fn violated(self: &Arc<Self>, what: String) {
        self.act(|state, _| {
            state.violations.push(what.clone());
            state.publish(Happening::Violation { what });
        });
    }

    pub(crate) fn check_webhook(self: &Arc<Self>, draft: &WebhookDraft) {
        if let Some(checker) = &self.checker {
            for violation in checker.webhook(draft.event, draft.action, &draft.payload) {
                self.violated(violation);
            }
        }
    }
}
