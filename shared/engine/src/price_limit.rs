//! Which types of an attempt keep its price limit.

use dayfly_records::LaunchOption;
use dayfly_records::prices::{Price, PriceSource};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle};
use dayfly_types::ids::InstanceType;

/// The types of an attempt that are asked for. EC2 keeps the limit of spot capacity in each pool. That of
/// on-demand capacity it keeps on average over all instances of a call only, and has nothing to offer if every
/// type costs more: types of which AWS tells that they do are not asked for. `price` knows what they cost on
/// demand.
///
/// # Errors
/// None is left: in words, with the prices and the limit.
pub fn within(
    option: &LaunchOption,
    price: impl Fn(&InstanceType) -> Option<Price>,
) -> Result<Vec<InstanceType>, FleetError> {
    let types = &option.spec.instance_types;
    let limit = match (option.lifecycle, option.spec.max_price) {
        (InstanceLifecycle::OnDemand, Some(limit)) => limit,
        (InstanceLifecycle::OnDemand, None) | (InstanceLifecycle::Spot, _) => return Ok(types.clone()),
    };
    let mut within = Vec::new();
    let mut above = Vec::new();
    for instance_type in types {
        match price(instance_type) {
            // What the program came with is of another day, and maybe of another region.
            Some(Price {
                per_hour,
                source: PriceSource::Aws,
            }) if per_hour > limit => above.push(format!("`{instance_type}` costs {per_hour} an hour on demand")),
            _ => within.push(instance_type.clone()),
        }
    }
    if within.is_empty() && !above.is_empty() {
        return Err(FleetError {
            kind: FleetErrorKind::TooDear,
            code: "NotAsked".to_owned(),
            message: format!(
                "{}, and `max_price` is {limit}: EC2 was not asked for it",
                above.join(", ")
            ),
            pool: None,
        });
    }
    Ok(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::option;
    use dayfly_types::money::MicroDollars;

    fn dollars(text: &str) -> MicroDollars {
        MicroDollars::from_decimal(text).unwrap()
    }

    fn price(name: &InstanceType) -> Option<Price> {
        let (per_hour, source) = match name.as_str() {
            "g4dn.xlarge" => ("0.526", PriceSource::Aws),
            "g5.xlarge" => ("1.006", PriceSource::Aws),
            // Twice what it costs in the region of the table.
            "g6.xlarge" => ("1.6096", PriceSource::Shipped),
            _ => return None,
        };
        Some(Price {
            per_hour: dollars(per_hour),
            source,
        })
    }

    fn asked(types: &[&str], limit: Option<&str>, lifecycle: InstanceLifecycle) -> Result<Vec<String>, FleetError> {
        let mut option = option(lifecycle);
        option.spec.instance_types = types.iter().map(|name| InstanceType::new(*name)).collect();
        option.spec.max_price = limit.map(dollars);
        let within = within(&option, price)?;
        Ok(within.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn on_demand_no_type_is_asked_for_that_aws_says_costs_more_than_the_limit() {
        use InstanceLifecycle::{OnDemand, Spot};
        for (types, limit, lifecycle, expected) in [
            (
                &["g4dn.xlarge", "g5.xlarge"][..],
                Some("0.60"),
                OnDemand,
                &["g4dn.xlarge"][..],
            ),
            (
                &["g4dn.xlarge", "g5.xlarge"],
                Some("1.006"),
                OnDemand,
                &["g4dn.xlarge", "g5.xlarge"],
            ),
            (
                &["g4dn.xlarge", "g5.xlarge"],
                Some("1.005999"),
                OnDemand,
                &["g4dn.xlarge"],
            ),
            (
                &["g4dn.xlarge", "g5.xlarge"],
                None,
                OnDemand,
                &["g4dn.xlarge", "g5.xlarge"],
            ),
            // Each pool of spot capacity is offered no more than the limit.
            (
                &["g4dn.xlarge", "g5.xlarge"],
                Some("0.10"),
                Spot,
                &["g4dn.xlarge", "g5.xlarge"],
            ),
            // Nobody knows, or nobody knows it of this region and day.
            (&["g5.xlarge", "g6.xlarge"], Some("0.90"), OnDemand, &["g6.xlarge"]),
            (&["g99.huge"], Some("0.10"), OnDemand, &["g99.huge"]),
            (&[], Some("0.10"), OnDemand, &[]),
        ] {
            assert_eq!(
                asked(types, limit, lifecycle).unwrap(),
                expected,
                "{types:?} {limit:?} {lifecycle}"
            );
        }
    }

    #[test]
    fn where_none_is_left_the_prices_and_the_limit_are_named() {
        let types = ["g4dn.xlarge", "g5.xlarge"];
        let error = asked(&types, Some("0.40"), InstanceLifecycle::OnDemand).unwrap_err();
        assert_eq!((error.kind, error.pool), (FleetErrorKind::TooDear, None));
        assert_eq!(
            error.message,
            "`g4dn.xlarge` costs $0.526 an hour on demand, `g5.xlarge` costs $1.006 an hour on demand, and `max_price` is $0.40: \
             EC2 was not asked for it"
        );
    }
}
