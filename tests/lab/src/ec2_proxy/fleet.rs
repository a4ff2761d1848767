//! `CreateFleet`: which pools it takes, and what it answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::script::{Pool, Scenario};
use super::{Form, escape, value};

const OVERRIDES: &str = "LaunchTemplateConfigs.1.Overrides.";

/// One override of a fleet: a pool that would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its place in the request, from 1.
    pub(super) number: usize,
    pub(super) instance_type: String,
    pub(super) subnet: String,
    pub(super) zone: String,
}

impl Candidate {
    pub(super) fn pool(&self) -> Pool {
        Pool::new(&self.instance_type, &self.zone)
    }
}

/// What a `CreateFleet` asks for, as far as the choice depends on it.
#[derive(Clone, Debug)]
pub(super) struct FleetRequest {
    count: u32,
    spot: bool,
    template: String,
    version: String,
    overrides: Vec<(usize, String, String)>,
}

/// An override that got nothing, with EC2's code and words.
pub(super) type Refusal = (Candidate, String, String);

/// What comes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// How many of which.
    pub(super) taken: Vec<(Candidate, u32)>,
    /// What could not be had.
    pub(super) errors: Vec<Refusal>,
}

impl FleetRequest {
    pub(super) fn read(form: &Form) -> Self {
        let text = |name: &str| value(form, name).unwrap_or_default().to_owned();
        let mut overrides = Vec::new();
        loop {
            let number = overrides.len() + 1;
            let kind = text(&format!("{OVERRIDES}{number}.InstanceType"));
            let subnet = text(&format!("{OVERRIDES}{number}.SubnetId"));
            if kind.is_empty() && subnet.is_empty() {
                break;
            }
            overrides.push((number, kind, subnet));
        }
        let specification = "LaunchTemplateConfigs.1.LaunchTemplateSpecification.";
        Self {
            count: text("TargetCapacitySpecification.TotalTargetCapacity")
                .parse()
                .unwrap_or(1),
            spot: text("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot",
            template: text(&format!("{specification}LaunchTemplateId")),
            version: text(&format!("{specification}Version")),
            overrides,
        }
    }

    pub(super) fn spot(&self) -> bool {
        self.spot
    }

    /// Takes instances out of the cheapest pools that have any; on-demand capacity costs the same in
    /// every zone and is taken in the order of the request.
    pub(super) fn choose(&self, scenario: &mut Scenario, zones: &BTreeMap<String, String>) -> Choice {
        let mut candidates: Vec<Candidate> = self
            .overrides
            .iter()
            .map(|(number, kind, subnet)| Candidate {
                number: *number,
                instance_type: kind.clone(),
                subnet: subnet.clone(),
                zone: zones.get(subnet).cloned().unwrap_or_default(),
            })
            .collect();
        if self.spot {
            candidates.sort_by_key(|candidate| micro_dollars(scenario.price(&candidate.pool())));
        }
        let mut choice = Choice::default();
        let mut missing = self.count;
        for candidate in candidates {
            let mut taken = 0;
            while taken < missing {
                match scenario.take(&candidate.pool()) {
                    Ok(()) => taken += 1,
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

    /// EC2's answer: what was launched where, and what was not and why.
    pub(super) fn answer(&self, fleet_id: &str, launched: &[(Candidate, Vec<String>)], errors: &[Refusal]) -> String {
        let lifecycle = if self.spot { "spot" } else { "on-demand" };
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
                candidate.instance_type
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
            self.template, self.version, candidate.instance_type, candidate.subnet, candidate.zone
        )
    }
}

/// The request for `count` instances of the override `number` alone.
pub(super) fn narrowed(form: &Form, number: usize, count: u32) -> String {
    let chosen = format!("{OVERRIDES}{number}.");
    let mut narrow = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form {
        if let Some(rest) = name.strip_prefix(&chosen) {
            narrow.append_pair(&format!("{OVERRIDES}1.{rest}"), value);
        } else if name.ends_with("TargetCapacity") {
            narrow.append_pair(name, &count.to_string());
        } else if name == "ClientToken" {
            // Each pool's share is a fleet of its own to ministack.
            narrow.append_pair(name, &format!("{value}-{number}"));
        } else if !name.starts_with(OVERRIDES) {
            narrow.append_pair(name, value);
        }
    }
    narrow.finish()
}

/// A price as EC2 writes it, as a number that sorts.
fn micro_dollars(price: &str) -> u64 {
    let (whole, part) = price.split_once('.').unwrap_or((price, ""));
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<u64>().unwrap_or(u64::MAX / 2_000_000) * 1_000_000 + part.parse::<u64>().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2_proxy::Supply;

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

    #[test]
    fn the_cheapest_pool_that_has_any_is_taken() {
        let cheap = Pool::new("g4dn.xlarge", "eu-west-1a");
        let cases = [
            ("spot", 1, None, vec![(3, 1)], 0),
            ("spot", 1, Some(Supply::Left(0)), vec![(2, 1)], 1),
            ("spot", 3, Some(Supply::Left(1)), vec![(3, 1), (2, 2)], 1),
            ("on-demand", 1, None, vec![(1, 1)], 0),
        ];
        for (kind, count, supply, expected, errors) in cases {
            let mut scenario = Scenario::default();
            if let Some(supply) = supply {
                scenario.supply.insert(cheap.clone(), supply);
            }
            let choice = FleetRequest::read(&form(count, kind)).choose(&mut scenario, &zones());
            assert_eq!(taken(&choice), expected, "{kind} {count}");
            assert_eq!(choice.errors.len(), errors, "{kind} {count}");
        }
    }

    #[test]
    fn no_capacity_anywhere_gives_an_error_for_each_override() {
        let mut scenario = Scenario::default();
        scenario.exhaust(&["g4dn.xlarge", "g5.xlarge"], &["eu-west-1a", "eu-west-1b"]);
        let request = FleetRequest::read(&form(1, "spot"));
        let choice = request.choose(&mut scenario, &zones());
        assert_eq!((choice.taken.len(), choice.errors.len()), (0, 3));
        let answer = request.answer("fleet-1", &[], &choice.errors);
        assert_eq!(answer.matches("InsufficientInstanceCapacity").count(), 3);
        assert!(answer.contains("<fleetInstanceSet></fleetInstanceSet>"), "{answer}");
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

    #[test]
    fn prices_sort_as_numbers() {
        assert!(micro_dollars("0.2") > micro_dollars("0.158000"));
        assert!(micro_dollars("10.0") > micro_dollars("9.999999"));
    }
}
