//! `CreateFleet`: the choice of pools, and the answer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::market::{Lifecycle, Pool, Usage, micro_dollars};
use super::script::Scenario;
use super::{Form, escape, value};

const OVERRIDES: &str = "LaunchTemplateConfigs.1.Overrides.";

/// An override of a fleet: a possible pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its index in the request, from 1.
    pub(super) number: usize,
    pub(super) pool: Pool,
    subnet: String,
    /// The maximum price per hour on spot.
    max_price: Option<String>,
}

/// The parts of a `CreateFleet` request that affect the choice.
#[derive(Clone, Debug)]
pub(super) struct FleetRequest {
    pub(super) lifecycle: Lifecycle,
    pub(super) count: u32,
    /// The allocation strategy for spot.
    strategy: String,
    /// The maximum price per hour of all on-demand instances.
    max_total: Option<u64>,
    template: String,
    version: String,
    overrides: Vec<Candidate>,
}

/// An override that got nothing, with EC2's code and message.
pub(super) type Refusal = (Candidate, String, String);

/// The chosen pools.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// The number of instances per pool.
    pub(super) taken: Vec<(Candidate, u32)>,
    /// The pools that gave nothing.
    pub(super) errors: Vec<Refusal>,
}

impl FleetRequest {
    pub(super) fn read(form: &Form) -> Self {
        let text = |name: &str| value(form, name).unwrap_or_default().to_owned();
        let overrides = (1..).map_while(|number| {
            let field = |name: &str| value(form, &format!("{OVERRIDES}{number}.{name}"));
            let (kind, subnet) = (field("InstanceType"), field("SubnetId"));
            (kind.is_some() || subnet.is_some()).then(|| Candidate {
                number,
                // Its zone is filled in once the subnets are known.
                pool: Pool::new(kind.unwrap_or_default(), ""),
                subnet: subnet.unwrap_or_default().to_owned(),
                max_price: field("MaxPrice").map(str::to_owned),
            })
        });
        let specification = "LaunchTemplateConfigs.1.LaunchTemplateSpecification.";
        let is_spot = text("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot";
        Self {
            lifecycle: if is_spot { Lifecycle::Spot } else { Lifecycle::OnDemand },
            count: text("TargetCapacitySpecification.TotalTargetCapacity")
                .parse()
                .unwrap_or(1),
            strategy: text("SpotOptions.AllocationStrategy"),
            max_total: value(form, "OnDemandOptions.MaxTotalPrice").map(micro_dollars),
            template: text(&format!("{specification}LaunchTemplateId")),
            version: text(&format!("{specification}Version")),
            overrides: overrides.collect(),
        }
    }

    /// Takes instances from one pool after another until there are enough. On demand it stops before
    /// the total price is exceeded, silently: AWS documents that fewer come, and no error for it.
    pub(super) fn choose(
        &self,
        scenario: &mut Scenario,
        zones: &BTreeMap<String, String>,
        in_use: &mut Usage,
    ) -> Choice {
        let mut choice = Choice::default();
        let mut missing = self.count;
        let mut total = 0;
        for candidate in self.candidates(scenario, zones) {
            let price = micro_dollars(scenario.price(self.lifecycle, &candidate.pool));
            let mut taken = 0;
            while taken < missing && self.max_total.is_none_or(|max| total + price <= max) {
                let max_price = candidate.max_price.as_deref();
                match scenario.take(self.lifecycle, &candidate.pool, max_price, in_use) {
                    Ok(()) => {
                        taken += 1;
                        total += price;
                    }
                    Err((code, message)) => {
                        choice.errors.push((candidate.clone(), code, message));
                        break;
                    }
                }
            }
            missing -= taken;
            if taken > 0 {
                choice.taken.push((candidate, taken));
            }
            if missing == 0 {
                break;
            }
        }
        choice
    }

    /// Returns the pools in the order in which they are used: the cheapest first, or the deepest with
    /// `capacity-optimized`, or else as in the request. `price-capacity-optimized` uses the cheapest
    /// too, as it would with equally deep pools.
    fn candidates(&self, scenario: &Scenario, zones: &BTreeMap<String, String>) -> Vec<Candidate> {
        let mut candidates = self.overrides.clone();
        for candidate in &mut candidates {
            candidate.pool.zone = zones.get(&candidate.subnet).cloned().unwrap_or_default();
        }
        let price = |candidate: &Candidate| micro_dollars(scenario.price(self.lifecycle, &candidate.pool));
        let depth = |candidate: &Candidate| scenario.depth(self.lifecycle, &candidate.pool);
        if self.strategy == "capacity-optimized" {
            candidates.sort_by_key(|candidate| Reverse(depth(candidate)));
        } else {
            candidates.sort_by_key(price);
        }
        candidates
    }

    /// Returns EC2's answer: the launches with their pools, and the errors.
    pub(super) fn answer(&self, fleet_id: &str, launched: &[(Candidate, Vec<String>)], errors: &[Refusal]) -> String {
        let lifecycle = self.lifecycle.as_str();
        let mut instances = String::new();
        for (candidate, ids) in launched {
            let ids: String = ids
                .iter()
                .fold(String::new(), |ids, id| ids + "<item>" + id + "</item>");
            // Writing to a String cannot fail, here and below.
            let _ = write!(
                instances,
                "<item>{}<lifecycle>{lifecycle}</lifecycle><instanceIds>{ids}</instanceIds>\
                 <instanceType>{}</instanceType></item>",
                self.origin(candidate),
                candidate.pool.instance_type
            );
        }
        let mut refusals = String::new();
        for (candidate, code, message) in errors {
            let _ = write!(
                refusals,
                "<item>{}<lifecycle>{lifecycle}</lifecycle><errorCode>{}</errorCode>\
                 <errorMessage>{}</errorMessage></item>",
                self.origin(candidate),
                escape(code),
                escape(message)
            );
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <CreateFleetResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>lab</requestId><fleetId>{fleet_id}</fleetId><errorSet>{refusals}</errorSet>\
             <fleetInstanceSet>{instances}</fleetInstanceSet></CreateFleetResponse>"
        )
    }

    fn origin(&self, candidate: &Candidate) -> String {
        format!(
            "<launchTemplateAndOverrides><launchTemplateSpecification><launchTemplateId>{}</launchTemplateId>\
             <version>{}</version></launchTemplateSpecification><overrides><instanceType>{}</instanceType>\
             <subnetId>{}</subnetId><availabilityZone>{}</availabilityZone></overrides>\
             </launchTemplateAndOverrides>",
            self.template, self.version, candidate.pool.instance_type, candidate.subnet, candidate.pool.zone
        )
    }
}

/// Returns the request for `count` instances of the override `number` alone.
pub(super) fn narrowed(form: &Form, number: usize, count: u32) -> String {
    let chosen = format!("{OVERRIDES}{number}.");
    let mut narrow = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form {
        if let Some(rest) = name.strip_prefix(&chosen) {
            narrow.append_pair(&format!("{OVERRIDES}1.{rest}"), value);
        } else if name.ends_with("TargetCapacity") {
            narrow.append_pair(name, &count.to_string());
        } else if name == "ClientToken" {
            // Each pool's share is a fleet of its own in ministack.
            narrow.append_pair(name, &format!("{value}-{number}"));
        } else if !name.starts_with(OVERRIDES) {
            narrow.append_pair(name, value);
        }
    }
    narrow.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2_proxy::{Family, Supply};

    fn form(count: u32, kind: &str) -> Form {
        let mut form = vec![
            ("Action".to_owned(), "CreateFleet".to_owned()),
            ("ClientToken".to_owned(), "t".to_owned()),
            (
                "TargetCapacitySpecification.TotalTargetCapacity".to_owned(),
                count.to_string(),
            ),
            (
                "TargetCapacitySpecification.DefaultTargetCapacityType".to_owned(),
                kind.to_owned(),
            ),
            (
                "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId".to_owned(),
                "lt-1".to_owned(),
            ),
        ];
        for (number, (kind, subnet)) in [("g5.xlarge", "s-a"), ("g4dn.xlarge", "s-b"), ("g4dn.xlarge", "s-a")]
            .iter()
            .enumerate()
        {
            form.push((format!("{OVERRIDES}{}.InstanceType", number + 1), (*kind).to_owned()));
            form.push((format!("{OVERRIDES}{}.SubnetId", number + 1), (*subnet).to_owned()));
        }
        form
    }

    fn zones() -> BTreeMap<String, String> {
        [("s-a", "eu-west-1a"), ("s-b", "eu-west-1b")]
            .map(|(subnet, zone)| (subnet.to_owned(), zone.to_owned()))
            .into()
    }

    fn taken(choice: &Choice) -> Vec<(usize, u32)> {
        choice
            .taken
            .iter()
            .map(|(candidate, count)| (candidate.number, *count))
            .collect()
    }

    fn choose(form: &Form, scenario: &mut Scenario) -> Choice {
        FleetRequest::read(form).choose(scenario, &zones(), &mut Usage::new())
    }

    fn codes(choice: &Choice) -> Vec<(usize, &str)> {
        let errors = choice.errors.iter();
        errors.map(|(candidate, code, _)| (candidate.number, &**code)).collect()
    }

    #[test]
    fn the_cheapest_pool_that_has_any_is_taken() {
        let cheap = Pool::new("g4dn.xlarge", "eu-west-1a");
        let cases = [
            ("spot", 1, None, vec![(3, 1)], 0),
            ("spot", 1, Some(Supply::Left(0)), vec![(2, 1)], 1),
            ("spot", 3, Some(Supply::Left(1)), vec![(3, 1), (2, 2)], 1),
            ("on-demand", 1, None, vec![(2, 1)], 0),
            ("on-demand", 1, Some(Supply::Left(0)), vec![(2, 1)], 0),
        ];
        for (kind, count, supply, expected, errors) in cases {
            let mut scenario = Scenario::default();
            if let Some(supply) = supply {
                scenario.supply.insert(cheap.clone(), supply);
            }
            let choice = choose(&form(count, kind), &mut scenario);
            assert_eq!(taken(&choice), expected, "{kind} {count}");
            assert_eq!(choice.errors.len(), errors, "{kind} {count}");
        }
    }

    #[test]
    fn the_deepest_pool_comes_first_where_that_is_asked_for() {
        let mut form = form(1, "spot");
        form.push(("SpotOptions.AllocationStrategy".into(), "capacity-optimized".into()));
        assert_eq!(taken(&choose(&form, &mut Scenario::default())), [(1, 1)]);
        let mut scenario = Scenario::default();
        for (kind, zone, left) in [("g5.xlarge", "a", 1), ("g4dn.xlarge", "b", 3), ("g4dn.xlarge", "a", 2)] {
            let pool = Pool::new(kind, &format!("eu-west-1{zone}"));
            scenario.stock(Lifecycle::Spot, pool, Supply::Left(left));
        }
        assert_eq!(taken(&choose(&form, &mut scenario)), [(2, 1)]);
    }

    #[test]
    fn as_many_come_as_there_are_and_each_pool_says_why_not_more() {
        let mut scenario = Scenario::default();
        scenario.exhaust(&["g5.xlarge"], &["eu-west-1a"]);
        scenario.stock(Lifecycle::Spot, Pool::new("g4dn.xlarge", "eu-west-1a"), Supply::Left(2));
        scenario.stock(Lifecycle::Spot, Pool::new("g4dn.xlarge", "eu-west-1b"), Supply::Left(3));
        let choice = choose(&form(8, "spot"), &mut scenario);
        assert_eq!(taken(&choice), [(3, 2), (2, 3)]);
        let none = "InsufficientInstanceCapacity";
        assert_eq!(codes(&choice), [(3, none), (2, none), (1, none)]);
    }

    #[test]
    fn a_quota_that_is_reached_amid_a_fleet_leaves_the_rest_out() {
        let mut scenario = Scenario::default();
        scenario.limit_vcpus(Lifecycle::Spot, Family::GAndVt, 10);
        let mut in_use = Usage::from([((Lifecycle::Spot, Family::GAndVt), 4)]);
        let request = FleetRequest::read(&form(3, "spot"));
        let choice = request.choose(&mut scenario, &zones(), &mut in_use);
        assert_eq!(taken(&choice), [(3, 1)]);
        let quota = "MaxSpotInstanceCountExceeded";
        assert_eq!(codes(&choice), [(3, quota), (2, quota), (1, quota)]);
    }

    #[test]
    fn a_price_limit_keeps_dear_pools_out_on_spot_and_stops_a_fleet_on_demand() {
        let mut spot = form(3, "spot");
        spot.extend((1..=3).map(|number| (format!("{OVERRIDES}{number}.MaxPrice"), "0.160000".to_owned())));
        let mut scenario = Scenario::default();
        scenario.stock(Lifecycle::Spot, Pool::new("g4dn.xlarge", "eu-west-1a"), Supply::Left(1));
        let choice = choose(&spot, &mut scenario);
        assert_eq!(taken(&choice), [(3, 1)]);
        let dear = "SpotMaxPriceTooLow";
        assert_eq!(
            codes(&choice),
            [(3, "InsufficientInstanceCapacity"), (2, dear), (1, dear)]
        );

        for (total, expected) in [("2.104000", vec![(2, 4)]), ("2.103999", vec![(2, 3)]), ("0.5", vec![])] {
            let mut on_demand = form(4, "on-demand");
            on_demand.push(("OnDemandOptions.MaxTotalPrice".to_owned(), total.to_owned()));
            let choice = choose(&on_demand, &mut Scenario::default());
            assert_eq!((taken(&choice), choice.errors.len()), (expected, 0), "{total}");
        }
    }

    #[test]
    fn no_capacity_anywhere_gives_an_error_for_each_override() {
        let mut scenario = Scenario::default();
        scenario.exhaust(&["g4dn.xlarge", "g5.xlarge"], &["eu-west-1a", "eu-west-1b"]);
        for kind in ["spot", "on-demand"] {
            let form = form(1, kind);
            let choice = choose(&form, &mut scenario);
            assert_eq!((choice.taken.len(), choice.errors.len()), (0, 3));
            let answer = FleetRequest::read(&form).answer("fleet-1", &[], &choice.errors);
            assert_eq!(answer.matches("InsufficientInstanceCapacity").count(), 3);
            assert_eq!(answer.matches(&format!("<lifecycle>{kind}</lifecycle>")).count(), 3);
            assert!(answer.contains("<fleetInstanceSet></fleetInstanceSet>"), "{answer}");
        }
    }

    #[test]
    fn a_narrowed_request_names_one_pool_and_keeps_the_rest() {
        let form = form(3, "spot");
        let narrow = narrowed(&form, 2, 2);
        let narrow: Form = form_urlencoded::parse(narrow.as_bytes()).into_owned().collect();
        assert_eq!(
            value(&narrow, &format!("{OVERRIDES}1.InstanceType")),
            Some("g4dn.xlarge")
        );
        assert_eq!(value(&narrow, &format!("{OVERRIDES}1.SubnetId")), Some("s-b"));
        assert_eq!(value(&narrow, &format!("{OVERRIDES}2.InstanceType")), None);
        assert_eq!(
            value(&narrow, "TargetCapacitySpecification.TotalTargetCapacity"),
            Some("2")
        );
        assert_eq!(value(&narrow, "ClientToken"), Some("t-2"));
    }
}
