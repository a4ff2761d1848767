//! Faults of webhooks: GitHub promises neither order nor delivery.

use std::time::Duration;

use crate::model::RepoId;
use crate::state::WebhookDraft;

/// A disturbance of some webhooks. Each webhook meets the first rule that fits it.
///
/// ```
/// use dayfly_twin::{Disturbance, WebhookFault};
/// // `queued` of the next job comes after its `completed`.
/// let late = WebhookFault::on("workflow_job", "queued")
///     .once(Disturbance::HoldUntil { event: "workflow_job".into(), action: "completed".into() });
/// ```
#[derive(Debug, Clone)]
pub struct WebhookFault {
    event: String,
    action: Option<String>,
    repo: Option<RepoId>,
    left: Option<u32>,
    disturbance: Disturbance,
}

/// The effect of a fault.
#[derive(Debug, Clone, PartialEq)]
pub enum Disturbance {
    /// It is never sent, and no list of deliveries knows of it.
    Lose,
    /// It is recorded as failed with this status, and never reaches the receiver; it can be redelivered.
    Fail(u16),
    /// It is sent this many times at once under one GUID.
    Copies(u32),
    /// It is sent so much later.
    Delay(Duration),
    /// It is sent when `Twin::release_webhooks` is called.
    Hold,
    /// It is sent after a webhook about the same job or run was answered.
    HoldUntil {
        /// That webhook's event.
        event: String,
        /// That webhook's action.
        action: String,
    },
    /// It is sent normally; such a rule keeps later ones off.
    Nothing,
}

/// Which fault plan a webhook follows.
#[derive(Debug)]
pub struct Fitting {
    event: String,
    action: Option<String>,
    repo: Option<RepoId>,
}

impl WebhookFault {
    /// Webhooks of this event and action.
    #[must_use]
    pub fn on(event: &str, action: &str) -> Fitting {
        Fitting {
            event: event.to_owned(),
            action: Some(action.to_owned()),
            repo: None,
        }
    }

    /// Webhooks of this event, whatever their action.
    #[must_use]
    pub fn on_all(event: &str) -> Fitting {
        Fitting {
            event: event.to_owned(),
            action: None,
            repo: None,
        }
    }

    fn fits(&self, draft: &WebhookDraft) -> bool {
        self.left != Some(0)
            && self.event == draft.event
            && self.action.as_deref().is_none_or(|action| Some(action) == draft.action)
            && self.repo.is_none_or(|repo| Some(repo) == draft.repo)
    }
}

impl Fitting {
    /// Of these, only those of one repository.
    #[must_use]
    pub fn of(self, repo: RepoId) -> Self {
        Self {
            repo: Some(repo),
            ..self
        }
    }

    /// Disturbs the next one.
    #[must_use]
    pub fn once(self, disturbance: Disturbance) -> WebhookFault {
        self.times(1, disturbance)
    }

    /// Disturbs the next `count`.
    #[must_use]
    pub fn times(self, count: u32, disturbance: Disturbance) -> WebhookFault {
        WebhookFault {
            event: self.event,
            action: self.action,
            repo: self.repo,
            left: Some(count),
            disturbance,
        }
    }

    /// Disturbs all of them.
    #[must_use]
    pub fn always(self, disturbance: Disturbance) -> WebhookFault {
        WebhookFault {
            event: self.event,
            action: self.action,
            repo: self.repo,
            left: None,
            disturbance,
        }
    }
}

/// How likely each disturbance is for webhooks that no rule fits, from one seed.
#[derive(Debug, Clone, Copy)]
pub struct Odds {
    /// The same seed gives the same sequence of draws.
    pub seed: u64,
    pub lose_percent: u8,
    pub double_percent: u8,
    /// Every webhook is late by up to this.
    pub delay_up_to: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    rules: Vec<WebhookFault>,
    odds: Option<Odds>,
}

impl FaultPlan {
    pub(crate) fn add(&mut self, fault: WebhookFault) {
        self.rules.push(fault);
    }

    pub(crate) fn set_odds(&mut self, odds: Option<Odds>) {
        self.odds = odds;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Decides how a webhook is disturbed.
    pub(crate) fn judge(&mut self, draft: &WebhookDraft) -> Vec<Disturbance> {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.fits(draft)) {
            if let Some(left) = &mut rule.left {
                *left -= 1;
            }
            return vec![rule.disturbance.clone()];
        }
        self.odds.as_mut().map(Odds::draw).unwrap_or_default()
    }
}

impl Odds {
    fn draw(&mut self) -> Vec<Disturbance> {
        if self.next() % 100 < u64::from(self.lose_percent) {
            return vec![Disturbance::Lose];
        }
        let mut drawn = Vec::new();
        if self.next() % 100 < u64::from(self.double_percent) {
            drawn.push(Disturbance::Copies(2));
        }
        let most = u64::try_from(self.delay_up_to.as_millis()).unwrap_or(u64::MAX);
        if most > 0 {
            let delay = Duration::from_millis(self.next() % (most + 1));
            drawn.push(Disturbance::Delay(delay));
        }
        drawn
    }

    /// `SplitMix64`: small, and the same everywhere.
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
