//! `DescribeSpotPriceHistory`, which ministack does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Form, Lifecycle, Pool, Scenario};

/// Returns the answer: today's price for each requested type and zone.
pub(super) fn history(form: &Form, scenario: &Scenario, subnet_zones: &BTreeMap<String, String>) -> String {
    let types = listed(form, "InstanceType.");
    let mut zones: BTreeSet<String> = listed(form, "AvailabilityZone").into_iter().collect();
    zones.extend(filtered(form, "availability-zone"));
    if zones.is_empty() {
        zones.extend(subnet_zones.values().cloned());
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let mut items = String::new();
    for kind in &types {
        for zone in &zones {
            let price = scenario.price(Lifecycle::Spot, &Pool::new(kind, zone));
            // Writing to a String cannot fail.
            let _ = write!(
                items,
                "<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>\
                 <spotPrice>{price}</spotPrice><timestamp>{now}</timestamp>\
                 <availabilityZone>{zone}</availabilityZone></item>"
            );
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <DescribeSpotPriceHistoryResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>lab</requestId><spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken/>\
         </DescribeSpotPriceHistoryResponse>"
    )
}

fn listed(form: &Form, prefix: &str) -> Vec<String> {
    form.iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(_, value)| value.clone())
        .collect()
}

/// Returns the values of the `Filter.n` named `filter`.
fn filtered(form: &Form, filter: &str) -> Vec<String> {
    form.iter()
        .filter(|(name, value)| name.starts_with("Filter.") && name.ends_with(".Name") && value == filter)
        .flat_map(|(name, _)| listed(form, &name.replace(".Name", ".Value.")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pools_that_are_asked_for_get_todays_price() {
        let form = |pairs: &[(&str, &str)]| -> Form {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let zones = BTreeMap::from([("subnet-1".to_owned(), "eu-west-1c".to_owned())]);
        let asked = [
            (
                form(&[("InstanceType.1", "g4dn.xlarge"), ("AvailabilityZone", "eu-west-1b")]),
                "0.171200",
            ),
            (
                form(&[
                    ("InstanceType.1", "g4dn.xlarge"),
                    ("Filter.1.Name", "availability-zone"),
                    ("Filter.1.Value.1", "eu-west-1a"),
                ]),
                "0.158000",
            ),
            (form(&[("InstanceType.1", "g4dn.xlarge")]), "0.180400"),
            (form(&[("InstanceType.1", "p5.48xlarge")]), "0.250000"),
        ];
        for (form, price) in asked {
            let answer = history(&form, &Scenario::default(), &zones);
            assert!(
                answer.contains(&format!("<spotPrice>{price}</spotPrice>")),
                "{form:?}: {answer}"
            );
            assert_eq!(answer.matches("<item>").count(), 1);
        }
    }
}
