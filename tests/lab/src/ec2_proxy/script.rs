//! What a scenario says about EC2.

use std::collections::BTreeMap;

/// Capacity of one instance type in one zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    /// Such as `g4dn.xlarge`.
    pub instance_type: String,
    /// Such as `eu-west-1a`.
    pub zone: String,
}

impl Pool {
    /// The pool of this type in this zone.
    #[must_use]
    pub fn new(instance_type: &str, zone: &str) -> Self {
        Self {
            instance_type: instance_type.to_owned(),
            zone: zone.to_owned(),
        }
    }
}

/// What a pool has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supply {
    /// As much as anybody wants.
    Plenty,
    /// This many instances; then `InsufficientInstanceCapacity`.
    Left(u32),
    /// Nothing, and EC2 says this.
    Error {
        /// Such as `MaxSpotInstanceCountExceeded`.
        code: String,
        /// EC2's words.
        message: String,
    },
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// EC2 says no and does nothing.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// EC2's code.
        code: String,
        /// EC2's words.
        message: String,
    },
    /// The connection breaks before EC2 has heard of it.
    LoseRequest,
    /// EC2 does it, and the connection breaks before it can say so.
    LoseAnswer,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The EC2 action it befalls.
    pub action: String,
    /// Only this function's calls, if one is named.
    pub caller: Option<String>,
    /// How many calls it befalls; then it is over.
    pub times: u32,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// EC2's throttling, for the next `times` calls of `action`.
    #[must_use]
    pub fn throttle(action: &str, times: u32) -> Self {
        Self {
            action: action.to_owned(),
            caller: None,
            times,
            kind: FaultKind::Refuse {
                status: 503,
                code: "RequestLimitExceeded".to_owned(),
                message: "Request limit exceeded.".to_owned(),
            },
        }
    }

    /// The next answer to `action` gets lost after EC2 has acted.
    #[must_use]
    pub fn lose_answer(action: &str) -> Self {
        Self {
            action: action.to_owned(),
            caller: None,
            times: 1,
            kind: FaultKind::LoseAnswer,
        }
    }
}

/// What EC2 is like.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Dollars an hour of spot capacity; a pool that is not named has the default.
    pub spot_prices: BTreeMap<Pool, String>,
    /// Dollars an hour of spot capacity in all other pools.
    pub default_spot_price: String,
    /// What the pools have; a pool that is not named has plenty.
    pub supply: BTreeMap<Pool, Supply>,
    /// What goes wrong, first come first served.
    pub faults: Vec<Fault>,
    /// The account's own quotas, in vCPUs by their codes; of one that is not named it has never had
    /// another than AWS's.
    pub quotas: BTreeMap<String, u32>,
}

impl Default for Scenario {
    /// Prices as they were seen in Ireland, plenty of everything and no faults.
    fn default() -> Self {
        let prices = [
            ("g4dn.xlarge", "eu-west-1a", "0.158000"),
            ("g4dn.xlarge", "eu-west-1b", "0.171200"),
            ("g4dn.xlarge", "eu-west-1c", "0.180400"),
            ("g5.xlarge", "eu-west-1a", "0.402400"),
            ("g5.xlarge", "eu-west-1b", "0.388100"),
            ("g5.xlarge", "eu-west-1c", "0.431000"),
        ];
        Self {
            spot_prices: prices
                .map(|(kind, zone, price)| (Pool::new(kind, zone), price.to_owned()))
                .into(),
            default_spot_price: "0.250000".to_owned(),
            supply: BTreeMap::new(),
            faults: Vec::new(),
            // G and VT, on-demand and on spot.
            quotas: ["L-DB2E81BA", "L-3819A6DF"].map(|code| (code.to_owned(), 64)).into(),
        }
    }
}

impl Scenario {
    /// The spot price of a pool, in dollars an hour as EC2 writes it.
    #[must_use]
    pub fn price(&self, pool: &Pool) -> &str {
        self.spot_prices.get(pool).unwrap_or(&self.default_spot_price)
    }

    /// Nothing is left anywhere of `instance_types` in `zones`.
    pub fn exhaust(&mut self, instance_types: &[&str], zones: &[&str]) {
        for kind in instance_types {
            for zone in zones {
                self.supply.insert(Pool::new(kind, zone), Supply::Left(0));
            }
        }
    }

    /// The fault that befalls this call, if one does.
    pub(super) fn take_fault(&mut self, action: &str, caller: &str) -> Option<FaultKind> {
        let fault = self.faults.iter_mut().find(|fault| {
            fault.times > 0 && fault.action == action && fault.caller.as_ref().is_none_or(|only| only == caller)
        })?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    /// Takes one instance of a pool.
    ///
    /// # Errors
    /// EC2's code and words when it has none.
    pub(super) fn take(&mut self, pool: &Pool) -> Result<(), (String, String)> {
        match self.supply.get_mut(pool) {
            None | Some(Supply::Plenty) => Ok(()),
            Some(Supply::Left(0)) => Err((
                "InsufficientInstanceCapacity".to_owned(),
                format!(
                    "We currently do not have sufficient {} capacity in the Availability Zone you requested ({}).",
                    pool.instance_type, pool.zone
                ),
            )),
            Some(Supply::Left(left)) => {
                *left -= 1;
                Ok(())
            }
            Some(Supply::Error { code, message }) => Err((code.clone(), message.clone())),
        }
    }
}

/// A call that a function made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Such as `CreateFleet`.
    pub action: String,
    /// `launch`, `settle` …
    pub caller: String,
    /// All parameters as they were sent.
    pub parameters: Vec<(String, String)>,
    /// What went wrong with it on purpose.
    pub fault: Option<FaultKind>,
}

impl Call {
    /// A parameter of it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_befall_the_named_calls_only_and_end() {
        let mut scenario = Scenario {
            faults: vec![
                Fault {
                    caller: Some("settle".into()),
                    ..Fault::throttle("TerminateInstances", 1)
                },
                Fault::lose_answer("CreateFleet"),
            ],
            ..Scenario::default()
        };
        assert_eq!(scenario.take_fault("DescribeInstances", "launch"), None);
        assert_eq!(scenario.take_fault("TerminateInstances", "sweeper"), None);
        assert!(matches!(
            scenario.take_fault("TerminateInstances", "settle"),
            Some(FaultKind::Refuse { status: 503, .. })
        ));
        assert_eq!(scenario.take_fault("TerminateInstances", "settle"), None);
        assert_eq!(
            scenario.take_fault("CreateFleet", "launch"),
            Some(FaultKind::LoseAnswer)
        );
        assert_eq!(scenario.take_fault("CreateFleet", "launch"), None);
    }

    #[test]
    fn a_pool_gives_what_it_has() {
        let pool = Pool::new("g4dn.xlarge", "eu-west-1a");
        let mut scenario = Scenario::default();
        assert_eq!(scenario.take(&pool), Ok(()));
        scenario.supply.insert(pool.clone(), Supply::Left(1));
        assert_eq!(scenario.take(&pool), Ok(()));
        assert_eq!(scenario.take(&pool).unwrap_err().0, "InsufficientInstanceCapacity");
    }
}
