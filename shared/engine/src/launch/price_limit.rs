//! Which instance types of a launch option keep its price limit.

use dayfly_records::LaunchOption;
use dayfly_records::prices::{Price, PriceSource};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle};
use dayfly_types::ids::InstanceType;

/// Returns the instance types to ask for. EC2 enforces the limit of spot capacity in each pool. On demand it
/// enforces it only on average over a call's instances, and offers nothing if every type costs more. So a type
/// that costs more according to AWS is left out. `price` returns on-demand prices.
///
/// # Errors
/// No type is left. The error names the prices and the limit.
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
            // A price from the built-in table is old, and maybe of another region.
            Some(Price {
                per_hour,
                source: PriceSource::Aws,
            }) if per_hour > limit => above.push(format!("`{instance_type}` costs {per_hour} an hour on demand")),
            _ => within.push(instance_type.clone()),
        }
    }
    if within.is_empty() && !above.is_empty() {
        return Err(FleetError {
            kind: FleetErrorKind::PriceLimitTooLow,
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
    fn on_demand_types_above_the_limit_are_left_out() {
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
            // EC2 enforces the limit of spot capacity.
            (
                &["g4dn.xlarge", "g5.xlarge"],
                Some("0.10"),
                Spot,
                &["g4dn.xlarge", "g5.xlarge"],
            ),
            // The price is unknown, or not known for this region and day.
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
    fn error_names_the_prices_and_the_limit_if_no_type_is_left() {
        let types = ["g4dn.xlarge", "g5.xlarge"];
        let error = asked(&types, Some("0.40"), InstanceLifecycle::OnDemand).unwrap_err();
        assert_eq!((error.kind, error.pool), (FleetErrorKind::PriceLimitTooLow, None));
        assert_eq!(
            error.message,
            "`g4dn.xlarge` costs $0.526 an hour on demand, `g5.xlarge` costs $1.006 an hour on demand, and `max_price` is $0.40: \
             EC2 was not asked for it"
        );
    }
}
