//! The caps of a seed's stack, their changes, and the start of its history.

use std::time::Duration;

use dayfly_policy::Caps;
use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::dice::Dice;
use crate::plan::Plan;
use crate::sim::Sim;

/// In the middle of a month.
pub(crate) const MIDDLE: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// How long a function may use an outdated policy: it caches one for a minute, and runs on for another.
const STALE: Duration = Duration::from_mins(2);

/// Draws the caps of a seed's stack, and a later change of them.
pub fn draw(seed: u64, active: Duration) -> (Caps, Option<(Duration, Caps)>) {
    let mut dice = Dice::of(seed, "caps", "");
    if !dice.happens(0.3) {
        return (Caps::default(), None);
    }
    let caps = drawn(&mut dice);
    let changed = dice.happens(0.2).then(|| {
        let percent = *dice.one_of(&[30, 60, 150, 300]);
        let change = |cap: Option<MicroDollars>| cap.map(|cap| MicroDollars(cap.0 * percent / 100));
        let later = Caps {
            stack: change(caps.stack),
            organization: change(caps.organization),
            repository: change(caps.repository),
            pull_request: change(caps.pull_request),
            actor: change(caps.actor),
        };
        (dice.seconds(60, active.as_secs()), later)
    });
    (caps, changed)
}

fn drawn(dice: &mut Dice) -> Caps {
    let mut amount = |from: u64, to: u64| Some(MicroDollars(dice.number(from, to) * 100_000));
    let most = amount(5, 400);
    let repository = amount(5, 200);
    let pull_request = amount(5, 100);
    let actor = amount(5, 200);
    let none = Caps::default();
    *dice.one_of(&[
        Caps { stack: most, ..none },
        Caps { repository, ..none },
        Caps {
            stack: most,
            repository,
            ..none
        },
        Caps {
            organization: most,
            repository,
            ..none
        },
        Caps {
            organization: most,
            actor,
            ..none
        },
        Caps {
            pull_request,
            actor,
            ..none
        },
        Caps {
            stack: most,
            organization: actor,
            repository,
            pull_request,
            actor,
        },
    ])
}

/// Draws when a seed's history starts: in the middle of a month, or some time before its end.
pub fn start(seed: u64) -> Timestamp {
    let mut dice = Dice::of(seed, "start", "");
    if !dice.happens(0.3) {
        return MIDDLE;
    }
    let ends = Month::of(MIDDLE).ends();
    let before = dice.seconds(60, 4 * 3600);
    Timestamp::from_millis(ends.millis() - i64::try_from(before.as_millis()).unwrap_or(0))
}

/// Returns the policy's text on caps.
pub(crate) fn policy_text(caps: &Caps) -> String {
    let caps = [
        ("stack", caps.stack),
        ("organization", caps.organization),
        ("repository", caps.repository),
        ("pull_request", caps.pull_request),
        ("actor", caps.actor),
    ];
    let lines: String = caps
        .into_iter()
        .filter_map(|(key, cap)| cap.map(|cap| format!("  {key}: {cap}\n")))
        .collect();
    if lines.is_empty() {
        lines
    } else {
        format!("caps:\n{lines}")
    }
}

/// Returns the cap of a budget.
fn of(caps: &Caps, budget: &Budget) -> Option<MicroDollars> {
    match budget {
        Budget::Stack => caps.stack,
        Budget::Organization { .. } => caps.organization,
        Budget::Repository { .. } => caps.repository,
        Budget::PullRequest { .. } => caps.pull_request,
        Budget::Actor { .. } => caps.actor,
    }
}

impl Plan {
    /// Returns the policy's caps after this time.
    pub(crate) fn caps_at(&self, elapsed: Duration) -> &Caps {
        match &self.caps_later {
            Some((from, later)) if *from <= elapsed => later,
            _ => &self.caps,
        }
    }
}

impl Sim {
    /// Returns the most that a budget may hold, by the current policy or the one until a moment ago.
    pub(crate) fn cap_of(&self, budget: &Budget) -> Option<MicroDollars> {
        let now = self.elapsed();
        let held = of(self.plan.caps_at(now), budget)?;
        let just_now = of(self.plan.caps_at(now.saturating_sub(STALE)), budget)?;
        Some(held.max(just_now))
    }

    /// Whether the caps never change.
    pub(crate) fn caps_stay(&self) -> bool {
        self.plan.caps_later.is_none()
    }
}
