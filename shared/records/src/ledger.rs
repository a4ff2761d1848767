//! The ledger of a budget: what is spent and reserved in a month.

use std::fmt;

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId {
    pub budget: Budget,
    pub month: Month,
}

/// A threshold of a cap, reported to the owner of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// 50 % of the cap are spent.
    Half,
    /// 80 %.
    FourFifths,
    /// 100 %.
    All,
    /// A launch was refused because it could have exceeded the cap.
    Refused,
}

impl Threshold {
    /// The thresholds of spending, the lowest first.
    pub const EACH: [Self; 3] = [Self::Half, Self::FourFifths, Self::All];

    /// The percentage of the cap, or `None` if spending does not matter.
    #[must_use]
    pub fn percent(self) -> Option<u64> {
        match self {
            Self::Half => Some(50),
            Self::FourFifths => Some(80),
            Self::All => Some(100),
            Self::Refused => None,
        }
    }

    #[must_use]
    pub fn is_reached(self, spent: MicroDollars, cap: MicroDollars) -> bool {
        let reached = |percent| u128::from(spent.0) * 100 >= u128::from(cap.0) * u128::from(percent);
        self.percent().is_some_and(reached)
    }
}

impl fmt::Display for Threshold {
    /// In short: `80 %`, `refused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percent() {
            Some(percent) => write!(f, "{percent} %"),
            None => f.write_str("refused"),
        }
    }
}

/// What is spent and reserved in a month. It is written together with the runners that it reserves for, and with
/// the costs that it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub budget: Budget,
    pub month: Month,
    /// The cost of ended instances.
    pub spent: MicroDollars,
    /// The most that live or requested instances can cost.
    pub reserved: MicroDollars,
    /// The cap at the last reservation or refusal, if any.
    pub cap: Option<MicroDollars>,
    /// The thresholds of this cap that were reached.
    pub passed: Vec<Threshold>,
    /// Each threshold ever reached, with the cap at that moment: each is reported once.
    #[serde(default)]
    pub recorded: Vec<(Threshold, MicroDollars)>,
    /// The thresholds still to be reported, with the cap at that moment.
    pub to_report: Vec<(Threshold, MicroDollars)>,
    /// When the next report is due.
    pub due_at: Option<Timestamp>,
    /// Until when a function holds the right to publish one of them.
    pub publishing_until: Option<Timestamp>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(id: LedgerId) -> Self {
        Self {
            budget: id.budget,
            month: id.month,
            spent: MicroDollars::default(),
            reserved: MicroDollars::default(),
            cap: None,
            passed: Vec::new(),
            recorded: Vec::new(),
            to_report: Vec::new(),
            due_at: None,
            publishing_until: None,
        }
    }

    #[must_use]
    pub fn id(&self) -> LedgerId {
        LedgerId {
            budget: self.budget.clone(),
            month: self.month,
        }
    }

    /// What is spent or may still be spent.
    #[must_use]
    pub fn committed(&self) -> MicroDollars {
        self.spent + self.reserved
    }
}
