//! Scenarios of EC2.

use std::collections::BTreeMap;

use super::bucket::Bucket;
use super::market::{Family, Lifecycle, Pool, Supply, Usage, micro_dollars, vcpus};

/// The effect of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// EC2 refuses and does nothing.
    Refuse { status: u16, code: String, message: String },
    /// The connection breaks before EC2 gets the request.
    LoseRequest,
    /// EC2 acts, and the connection breaks before the answer.
    LoseAnswer,
}

impl FaultKind {
    /// EC2's throttling.
    #[must_use]
    pub fn throttled() -> Self {
        Self::Refuse {
            status: 503,
            code: "RequestLimitExceeded".to_owned(),
            message: "Request limit exceeded.".to_owned(),
        }
    }
}

/// A fault of EC2 calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub action: String,
    /// The only function affected, if given.
    pub caller: Option<String>,
    /// How many calls it affects.
    pub times: u32,
    pub kind: FaultKind,
}

impl Fault {
    /// Throttles the next `times` calls of `action`.
    #[must_use]
    pub fn throttle(action: &str, times: u32) -> Self {
        Self {
            action: action.to_owned(),
            caller: None,
            times,
            kind: FaultKind::throttled(),
        }
    }

    /// Loses the next answer to `action` after EC2 has acted.
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

/// The state of EC2.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Spot prices in dollars per hour; other pools have the default.
    pub spot_prices: BTreeMap<Pool, String>,
    /// The spot price of all other pools, in dollars per hour.
    pub default_spot_price: String,
    /// On-demand prices in dollars per hour, the same in every zone.
    pub on_demand_prices: BTreeMap<String, String>,
    /// The on-demand price of all other types, in dollars per hour.
    pub default_on_demand_price: String,
    /// Volume prices in dollars per month: type, the price list's usage type, unit, and price.
    pub volume_rates: Vec<(String, String, String, String)>,
    /// Spot capacity; other pools are unlimited.
    pub supply: BTreeMap<Pool, Supply>,
    /// On-demand capacity; other pools are unlimited.
    pub on_demand_supply: BTreeMap<Pool, Supply>,
    /// vCPU limits of the account; other quotas are unlimited.
    pub limits: Usage,
    /// The rate limit of launches, if any.
    pub bucket: Option<Bucket>,
    /// In order.
    pub faults: Vec<Fault>,
    /// The account's own quotas, in vCPUs by code; for others it has AWS's default.
    pub quotas: BTreeMap<String, u32>,
}

impl Default for Scenario {
    /// Spot prices as seen in Ireland, list prices, unlimited capacity and no faults.
    fn default() -> Self {
        let spot = [
            ("g4dn.xlarge", "eu-west-1a", "0.158000"),
            ("g4dn.xlarge", "eu-west-1b", "0.171200"),
            ("g4dn.xlarge", "eu-west-1c", "0.180400"),
            ("g5.xlarge", "eu-west-1a", "0.402400"),
            ("g5.xlarge", "eu-west-1b", "0.388100"),
            ("g5.xlarge", "eu-west-1c", "0.431000"),
        ];
        let on_demand = [
            ("g4dn.xlarge", "0.526000"),
            ("g5.xlarge", "1.006000"),
            ("m7i.large", "0.100800"),
            ("t4g.nano", "0.004200"),
        ];
        let volumes = [
            ("gp3", "EBS:VolumeUsage.gp3", "GB-Mo", "0.0880000000"),
            ("gp3", "EBS:VolumeP-IOPS.gp3", "IOPS-Mo", "0.0055000000"),
            ("gp3", "EBS:VolumeP-Throughput.gp3", "GiBps-mo", "45.0560000000"),
            ("gp2", "EBS:VolumeUsage.gp2", "GB-Mo", "0.1100000000"),
            ("io1", "EBS:VolumeUsage.piops", "GB-Mo", "0.1380000000"),
            ("io1", "EBS:VolumeP-IOPS.piops", "IOPS-Mo", "0.0720000000"),
            ("io2", "EBS:VolumeUsage.io2", "GB-Mo", "0.1380000000"),
            ("io2", "EBS:VolumeP-IOPS.io2", "IOPS-Mo", "0.0720000000"),
        ];
        Self {
            spot_prices: spot
                .map(|(kind, zone, price)| (Pool::new(kind, zone), price.to_owned()))
                .into(),
            default_spot_price: "0.250000".to_owned(),
            on_demand_prices: on_demand
                .map(|(kind, price)| (kind.to_owned(), price.to_owned()))
                .into(),
            default_on_demand_price: "0.800000".to_owned(),
            volume_rates: volumes
                .map(|(volume, usage, unit, price)| {
                    (volume.to_owned(), usage.to_owned(), unit.to_owned(), price.to_owned())
                })
                .into(),
            supply: BTreeMap::new(),
            on_demand_supply: BTreeMap::new(),
            limits: Usage::new(),
            bucket: None,
            faults: Vec::new(),
            // G and VT, on-demand and on spot.
            quotas: ["L-DB2E81BA", "L-3819A6DF"].map(|code| (code.to_owned(), 64)).into(),
        }
    }
}

/// EC2's code and message for an unavailable instance.
pub(super) type Refused = (String, String);

impl Scenario {
    /// Returns the price of a pool, in dollars per hour as EC2 writes it.
    #[must_use]
    pub fn price(&self, lifecycle: Lifecycle, pool: &Pool) -> &str {
        match lifecycle {
            Lifecycle::Spot => self.spot_prices.get(pool).unwrap_or(&self.default_spot_price),
            Lifecycle::OnDemand => self.on_demand_price(&pool.instance_type),
        }
    }

    /// Returns the on-demand price of a type, in dollars per hour.
    #[must_use]
    pub fn on_demand_price(&self, instance_type: &str) -> &str {
        let known = self.on_demand_prices.get(instance_type);
        known.unwrap_or(&self.default_on_demand_price)
    }

    /// Empties the pools of `instance_types` in `zones`, on spot and on demand.
    pub fn exhaust(&mut self, instance_types: &[&str], zones: &[&str]) {
        self.empty(Lifecycle::Spot, instance_types, zones);
        self.empty(Lifecycle::OnDemand, instance_types, zones);
    }

    /// Empties the pools of `instance_types` in `zones`.
    pub fn empty(&mut self, lifecycle: Lifecycle, instance_types: &[&str], zones: &[&str]) {
        for pool in pools(instance_types, zones) {
            self.stock(lifecycle, pool, Supply::Left(0));
        }
    }

    /// Makes the pools of `instance_types` in `zones` unlimited again.
    pub fn refill(&mut self, lifecycle: Lifecycle, instance_types: &[&str], zones: &[&str]) {
        for pool in pools(instance_types, zones) {
            self.stock(lifecycle, pool, Supply::Plenty);
        }
    }

    /// Sets a pool's capacity.
    pub fn stock(&mut self, lifecycle: Lifecycle, pool: Pool, supply: Supply) {
        self.supply_of(lifecycle).insert(pool, supply);
    }

    /// Limits the running vCPUs of a family.
    pub fn limit_vcpus(&mut self, lifecycle: Lifecycle, family: Family, vcpus: u32) {
        self.limits.insert((lifecycle, family), vcpus);
        if let Some(code) = family.quota(lifecycle) {
            self.quotas.insert(code.to_owned(), vcpus);
        }
    }

    fn supply_of(&mut self, lifecycle: Lifecycle) -> &mut BTreeMap<Pool, Supply> {
        match lifecycle {
            Lifecycle::Spot => &mut self.supply,
            Lifecycle::OnDemand => &mut self.on_demand_supply,
        }
    }

    /// Returns how many instances a pool has: the deepest is the last to be interrupted.
    pub(super) fn depth(&self, lifecycle: Lifecycle, pool: &Pool) -> u32 {
        let supply = match lifecycle {
            Lifecycle::Spot => &self.supply,
            Lifecycle::OnDemand => &self.on_demand_supply,
        };
        match supply.get(pool) {
            None | Some(Supply::Plenty) => u32::MAX,
            Some(Supply::Left(left)) => *left,
            Some(Supply::Error { .. }) => 0,
        }
    }

    /// Returns the fault of this call, if any.
    pub(super) fn take_fault(&mut self, action: &str, caller: &str) -> Option<FaultKind> {
        let fault = self.faults.iter_mut().find(|fault| {
            fault.times > 0 && fault.action == action && fault.caller.as_ref().is_none_or(|only| only == caller)
        })?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    /// Takes one instance of a pool for at most `max_price`, in addition to those `in_use`.
    ///
    /// # Errors
    /// EC2's code and message if it is unavailable.
    pub(super) fn take(
        &mut self,
        lifecycle: Lifecycle,
        pool: &Pool,
        max_price: Option<&str>,
        in_use: &mut Usage,
    ) -> Result<(), Refused> {
        let price = self.price(lifecycle, pool);
        if let Some(limit) = max_price.filter(|limit| micro_dollars(limit) < micro_dollars(price)) {
            return Err(too_low(limit, price));
        }
        let quota = (lifecycle, Family::of(&pool.instance_type));
        let used = in_use.get(&quota).copied().unwrap_or_default() + vcpus(&pool.instance_type);
        if let Some(limit) = self.limits.get(&quota).filter(|limit| used > **limit) {
            return Err(over_quota(lifecycle, *limit));
        }
        match self.supply_of(lifecycle).get_mut(pool) {
            None | Some(Supply::Plenty) => {}
            Some(Supply::Left(0)) => return Err(nothing_left(lifecycle, pool)),
            Some(Supply::Left(left)) => *left -= 1,
            Some(Supply::Error { code, message }) => return Err((code.clone(), message.clone())),
        }
        in_use.insert(quota, used);
        Ok(())
    }
}

fn pools(instance_types: &[&str], zones: &[&str]) -> Vec<Pool> {
    let pools = instance_types
        .iter()
        .flat_map(|kind| zones.iter().map(|zone| Pool::new(kind, zone)));
    pools.collect()
}

fn too_low(limit: &str, price: &str) -> Refused {
    (
        "SpotMaxPriceTooLow".to_owned(),
        format!(
            "Your Spot request price of {limit} is lower than the minimum required Spot request fulfillment price \
             of {price}."
        ),
    )
}

fn over_quota(lifecycle: Lifecycle, limit: u32) -> Refused {
    match lifecycle {
        Lifecycle::Spot => (
            "MaxSpotInstanceCountExceeded".to_owned(),
            "Max spot instance count exceeded".to_owned(),
        ),
        Lifecycle::OnDemand => (
            "VcpuLimitExceeded".to_owned(),
            format!(
                "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance \
                 bucket that the specified instance type belongs to. Please visit \
                 http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
            ),
        ),
    }
}

fn nothing_left(lifecycle: Lifecycle, pool: &Pool) -> Refused {
    let message = match lifecycle {
        Lifecycle::Spot => "There is no Spot capacity available that matches your request.".to_owned(),
        Lifecycle::OnDemand => format!(
            "We currently do not have sufficient {} capacity in the Availability Zone you requested ({}).",
            pool.instance_type, pool.zone
        ),
    };
    ("InsufficientInstanceCapacity".to_owned(), message)
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Such as `CreateFleet`.
    pub action: String,
    /// `launch`, `job-events` …
    pub caller: String,
    /// All parameters as sent.
    pub parameters: Vec<(String, String)>,
    /// The injected fault.
    pub fault: Option<FaultKind>,
}

impl Call {
    /// Returns a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }

    /// Returns a tag that it requests for its instances.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        let resource = self
            .parameters
            .iter()
            .find(|(name, value)| name.ends_with(".ResourceType") && value == "instance")?;
        let prefix = resource.0.trim_end_matches("ResourceType");
        let named = self
            .parameters
            .iter()
            .find(|(name, value)| name.starts_with(prefix) && name.ends_with(".Key") && value == key)?;
        self.parameter(&format!("{}Value", named.0.trim_end_matches("Key")))
    }

    /// Whether it is a write.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !["Describe", "Get", "List", "Search"]
            .iter()
            .any(|reading| self.action.starts_with(reading))
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
                    caller: Some("job-events".into()),
                    ..Fault::throttle("TerminateInstances", 1)
                },
                Fault::lose_answer("CreateFleet"),
            ],
            ..Scenario::default()
        };
        assert_eq!(scenario.take_fault("DescribeInstances", "launch"), None);
        assert_eq!(scenario.take_fault("TerminateInstances", "sweeper"), None);
        assert!(matches!(
            scenario.take_fault("TerminateInstances", "job-events"),
            Some(FaultKind::Refuse { status: 503, .. })
        ));
        assert_eq!(scenario.take_fault("TerminateInstances", "job-events"), None);
        assert_eq!(
            scenario.take_fault("CreateFleet", "launch"),
            Some(FaultKind::LoseAnswer)
        );
        assert_eq!(scenario.take_fault("CreateFleet", "launch"), None);
    }

    const ZONE: &str = "eu-west-1a";

    /// Returns the codes of the answers to consecutive requests for one instance each.
    fn asked(scenario: &mut Scenario, lifecycle: Lifecycle, max_price: Option<&str>, times: usize) -> Vec<String> {
        let mut in_use = Usage::new();
        let pool = Pool::new("g4dn.xlarge", ZONE);
        (0..times)
            .map(|_| match scenario.take(lifecycle, &pool, max_price, &mut in_use) {
                Ok(()) => "taken".to_owned(),
                Err((code, _)) => code,
            })
            .collect()
    }

    #[test]
    fn a_pool_gives_what_it_has_on_spot_and_on_demand_apart() {
        let mut scenario = Scenario::default();
        scenario.stock(Lifecycle::Spot, Pool::new("g4dn.xlarge", ZONE), Supply::Left(1));
        assert_eq!(
            asked(&mut scenario, Lifecycle::Spot, None, 2),
            ["taken", "InsufficientInstanceCapacity"]
        );
        assert_eq!(asked(&mut scenario, Lifecycle::OnDemand, None, 2), ["taken", "taken"]);
        scenario.empty(Lifecycle::OnDemand, &["g4dn.xlarge"], &[ZONE]);
        scenario.refill(Lifecycle::Spot, &["g4dn.xlarge"], &[ZONE]);
        assert_eq!(asked(&mut scenario, Lifecycle::Spot, None, 2), ["taken", "taken"]);
        assert_eq!(
            asked(&mut scenario, Lifecycle::OnDemand, None, 1),
            ["InsufficientInstanceCapacity"]
        );
    }

    #[test]
    fn a_quota_counts_vcpus_and_is_of_one_lifecycle_and_family() {
        for (lifecycle, limit, expected) in [
            (Lifecycle::Spot, 8, ["taken", "taken", "MaxSpotInstanceCountExceeded"]),
            (Lifecycle::Spot, 0, ["MaxSpotInstanceCountExceeded"; 3]),
            (
                Lifecycle::OnDemand,
                7,
                ["taken", "VcpuLimitExceeded", "VcpuLimitExceeded"],
            ),
        ] {
            let mut scenario = Scenario::default();
            scenario.limit_vcpus(lifecycle, Family::GAndVt, limit);
            scenario.limit_vcpus(lifecycle, Family::Standard, 0);
            assert_eq!(asked(&mut scenario, lifecycle, None, 3), expected, "{limit}");
            let other = if lifecycle == Lifecycle::Spot {
                Lifecycle::OnDemand
            } else {
                Lifecycle::Spot
            };
            assert_eq!(asked(&mut scenario, other, None, 3), ["taken"; 3]);
        }
    }

    #[test]
    fn a_pool_that_costs_more_than_the_limit_is_not_to_be_had() {
        for (limit, expected) in [
            ("0.157999", "SpotMaxPriceTooLow"),
            ("0.158000", "taken"),
            ("0.2", "taken"),
        ] {
            assert_eq!(
                asked(&mut Scenario::default(), Lifecycle::Spot, Some(limit), 1),
                [expected],
                "{limit}"
            );
        }
    }

    #[test]
    fn a_calls_tags_are_those_of_its_instances() {
        let parameters = [
            ("TagSpecification.1.ResourceType", "fleet"),
            ("TagSpecification.1.Tag.1.Key", "a"),
            ("TagSpecification.1.Tag.1.Value", "of the fleet"),
            ("TagSpecification.2.ResourceType", "instance"),
            ("TagSpecification.2.Tag.1.Key", "b"),
            ("TagSpecification.2.Tag.1.Value", "1"),
            ("TagSpecification.2.Tag.2.Key", "a"),
            ("TagSpecification.2.Tag.2.Value", "2"),
        ];
        let call = Call {
            action: "CreateFleet".to_owned(),
            caller: "launch".to_owned(),
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            fault: None,
        };
        assert_eq!(
            [call.tag("a"), call.tag("b"), call.tag("c")],
            [Some("2"), Some("1"), None]
        );
        assert!(call.is_write());
        let reading = Call {
            action: "DescribeInstances".to_owned(),
            ..call
        };
        assert!(!reading.is_write());
    }
}
