//! What was spent and what is reserved in a month, by whom.

use std::fmt;

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Which ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId {
    /// Whose.
    pub budget: Budget,
    /// Of which month.
    pub month: Month,
}

/// What is told of a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// 50 % are spent.
    Half,
    /// 80 % are.
    FourFifths,
    /// 100 % are.
    All,
    /// A launch was refused because it could have passed it, however much is spent.
    Refused,
}

impl Threshold {
    /// Those that so much spent makes, the lowest first.
    pub const EACH: [Self; 3] = [Self::Half, Self::FourFifths, Self::All];

    /// In percent of the cap, if it is spending that makes it.
    #[must_use]
    pub fn percent(self) -> Option<u64> {
        match self {
            Self::Half => Some(50),
            Self::FourFifths => Some(80),
            Self::All => Some(100),
            Self::Refused => None,
        }
    }

    /// Whether it is reached when so much is spent of a cap.
    #[must_use]
    pub fn is_reached(self, spent: MicroDollars, cap: MicroDollars) -> bool {
        let reached = |percent| u128::from(spent.0) * 100 >= u128::from(cap.0) * u128::from(percent);
        self.percent().is_some_and(reached)
    }
}

impl fmt::Display for Threshold {
    /// In few words: `80 %`, `refused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percent() {
            Some(percent) => write!(f, "{percent} %"),
            None => f.write_str("refused"),
        }
    }
}

/// What was spent and what is reserved in a month. It is written together with the runners that it
/// reserves for, and with the costs that it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Whose.
    pub budget: Budget,
    /// Of which month.
    pub month: Month,
    /// What ended instances have cost.
    pub spent: MicroDollars,
    /// What the instances that live, or are asked for, can cost at most.
    pub reserved: MicroDollars,
    /// The cap that held when something was last reserved or refused, if there was one.
    #[serde(default)]
    pub cap: Option<MicroDollars>,
    /// The thresholds of this cap that were passed.
    #[serde(default)]
    pub passed: Vec<Threshold>,
    /// All that was ever to be told, with the cap of that moment: each is told once.
    #[serde(default)]
    pub noted: Vec<(Threshold, MicroDollars)>,
    /// Those that are still to be told, with the cap at that moment.
    #[serde(default)]
    pub to_tell: Vec<(Threshold, MicroDollars)>,
    /// When somebody has to tell them.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// Until when it is left to somebody to tell one of them.
    #[serde(default)]
    pub publishing_until: Option<Timestamp>,
}

impl Ledger {
    /// One in which nothing is written yet.
    #[must_use]
    pub fn new(id: LedgerId) -> Self {
        Self {
            budget: id.budget,
            month: id.month,
            spent: MicroDollars::default(),
            reserved: MicroDollars::default(),
            cap: None,
            passed: Vec::new(),
            noted: Vec::new(),
            to_tell: Vec::new(),
            due_at: None,
            publishing_until: None,
        }
    }

    /// Which it is.
    #[must_use]
    pub fn id(&self) -> LedgerId {
        LedgerId {
            budget: self.budget.clone(),
            month: self.month,
        }
    }

    /// What is spent or may still be.
    #[must_use]
    pub fn committed(&self) -> MicroDollars {
        self.spent + self.reserved
    }
}
