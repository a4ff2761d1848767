//! What an instance costs, by the rules of EC2 billing:
//!
//! - Linux instances are billed by the second while they are `running`, for at least 60 seconds, and not
//!   while they are `pending` or `shutting-down`.
//!   <https://repost.aws/knowledge-center/ec2-instance-hour-billing>,
//!   <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>
//! - Each hour of a spot instance costs the price at the start of that hour.
//!   <https://aws.amazon.com/about-aws/whats-new/2017/11/amazon-ec2-spot-introduces-new-pricing-model-and-the-ability-to-launch-new-spot-instances-via-runinstances-api/>
//! - A spot instance that EC2 interrupts in its first hour is not billed; one that we end, or that ends
//!   itself, is.
//!   <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html>
//! - It never costs more than the price limit of the request, or else the on-demand price.
//!   <https://docs.aws.amazon.com/whitepapers/latest/cost-optimization-leveraging-ec2-spot-instances/how-spot-instances-work.html>
//! - Volumes and public addresses are billed by the second while they exist, for at least 60 seconds. A
//!   volume's month is a calendar month.
//!   <https://aws.amazon.com/ebs/pricing/>, <https://aws.amazon.com/vpc/pricing/>
//!
//! Every amount is rounded up to a micro-dollar, so that no sum is too small.

use std::time::Duration;

use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::prices::{PriceSource, SpotPrice};

/// The shortest billed time.
pub const MIN_BILLED: Duration = Duration::from_mins(1);

const HOUR: Duration = Duration::from_hours(1);

/// The price of an instance while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// The most that an hour of the machine costs.
    pub compute: MicroDollars,
    /// What a month of its volume costs.
    pub disk_month: MicroDollars,
    /// What an hour of its public address costs.
    pub address: MicroDollars,
    /// The worst source of these prices.
    pub source: PriceSource,
}

/// An amount by item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// The machine.
    pub compute: MicroDollars,
    /// The volume.
    pub disk: MicroDollars,
    /// The public address.
    pub address: MicroDollars,
}

impl Amounts {
    #[must_use]
    pub fn total(&self) -> MicroDollars {
        self.compute + self.disk + self.address
    }
}

impl std::ops::Add for Amounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            compute: self.compute + other.compute,
            disk: self.disk + other.disk,
            address: self.address + other.address,
        }
    }
}

impl std::iter::Sum for Amounts {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), std::ops::Add::add)
    }
}

/// Amounts by month, the earliest first.
pub type ByMonth<T> = Vec<(Month, T)>;

impl Tariff {
    /// Returns the most that an instance can cost from one moment to another.
    #[must_use]
    pub fn worst(&self, from: Timestamp, to: Timestamp) -> ByMonth<MicroDollars> {
        let to = to.max(from.after(MIN_BILLED));
        let parts = Month::parts(from, to).into_iter();
        parts
            .map(|(month, span)| (month, self.part(month, span, self.compute.per_hour_over(span)).total()))
            .collect()
    }

    fn part(&self, month: Month, span: Duration, compute: MicroDollars) -> Amounts {
        Amounts {
            compute,
            disk: self.disk_month.per(month.length(), span),
            address: self.address.per_hour_over(span),
        }
    }

    /// Returns the cost of an instance that ran from one moment to another. `free` says that EC2 took it in its
    /// first hour.
    #[must_use]
    pub fn cost(&self, from: Timestamp, to: Timestamp, prices: &Compute<'_>, free: bool) -> ByMonth<Amounts> {
        let to = to.max(from.after(MIN_BILLED));
        let mut by_month = ByMonth::new();
        for (month, span) in Month::parts(from, to) {
            let begins = from.max(month.begins());
            let compute = if free {
                MicroDollars::default()
            } else {
                prices.over(from, begins, begins.after(span))
            };
            by_month.push((month, self.part(month, span, compute)));
        }
        by_month
    }
}

/// The price of an instance's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute<'a> {
    /// The same price for each hour.
    Flat(MicroDollars),
    /// For each hour the price of the pool when that hour began; the first price, if there was none yet. The
    /// earliest price comes first.
    Spot(&'a [SpotPrice]),
}

impl Compute<'_> {
    /// The cost from `at` to `to` of an instance that runs since `since`.
    fn over(&self, since: Timestamp, mut at: Timestamp, to: Timestamp) -> MicroDollars {
        match self {
            Self::Flat(per_hour) => per_hour.per_hour_over(to.since(at)),
            Self::Spot(prices) => {
                let mut spans = Vec::new();
                while at < to {
                    let hours = u32::try_from(at.since(since).as_secs() / HOUR.as_secs()).unwrap_or(u32::MAX);
                    let begins = since.after(HOUR.saturating_mul(hours));
                    let until = begins.after(HOUR).min(to);
                    spans.push((price_at(prices, begins), until.since(at)));
                    at = until;
                }
                MicroDollars::per_hour_over_all(&spans)
            }
        }
    }
}

fn price_at(prices: &[SpotPrice], at: Timestamp) -> MicroDollars {
    let known = prices.iter().rev().find(|price| price.since <= at);
    known
        .or(prices.first())
        .map_or(MicroDollars::default(), |price| price.per_hour)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARIFF: Tariff = Tariff {
        compute: MicroDollars(526_000),
        disk_month: MicroDollars(8_000_000),
        address: MicroDollars(5_000),
        source: PriceSource::Aws,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_793_491_200 + seconds)
    }

    fn total(by_month: &ByMonth<Amounts>) -> Amounts {
        by_month.iter().map(|(_, amounts)| *amounts).sum()
    }

    #[test]
    fn at_least_a_minute_is_billed() {
        let flat = Compute::Flat(TARIFF.compute);
        let hour = total(&TARIFF.cost(at(0), at(3600), &flat, false));
        assert_eq!((hour.compute.0, hour.disk.0, hour.address.0), (526_000, 11_112, 5_000));
        for seconds in [0, 1, 60] {
            let minute = total(&TARIFF.cost(at(0), at(seconds), &flat, false));
            assert_eq!(minute.compute.0, 8_767, "{seconds} s");
        }
        let free = total(&TARIFF.cost(at(0), at(3000), &flat, true));
        assert_eq!(
            (free.compute.0, free.address.0),
            (0, 4_167),
            "its address is billed all the same"
        );
    }

    #[test]
    fn spot_hour_costs_the_price_at_its_start() {
        let price = |seconds, micros| SpotPrice {
            per_hour: MicroDollars(micros),
            since: at(seconds),
        };
        let prices = [price(-100, 100_000), price(10, 200_000), price(4000, 400_000)];
        for (seconds, micros) in [
            (1800, 50_000),
            (3600, 100_000),
            (5400, 100_000 + 100_000),
            (7200, 300_000),
            (9000, 300_000 + 200_000),
        ] {
            let cost = total(&TARIFF.cost(at(0), at(seconds), &Compute::Spot(&prices), false));
            assert_eq!(cost.compute.0, micros, "{seconds} s");
        }
        let before_all_prices = total(&TARIFF.cost(at(-4000), at(-400), &Compute::Spot(&prices), false));
        assert_eq!(before_all_prices.compute.0, 100_000);
    }

    #[test]
    fn cost_is_split_at_the_end_of_a_month() {
        let end = "2026-11".parse::<Month>().unwrap().ends();
        let from = Timestamp::from_seconds(end.seconds() - 900);
        let to = end.after(Duration::from_secs(2700));
        let cost = TARIFF.cost(from, to, &Compute::Flat(TARIFF.compute), false);
        let months: Vec<(String, u64)> = cost
            .iter()
            .map(|(month, one)| (month.to_string(), one.compute.0))
            .collect();
        assert_eq!(
            months,
            [("2026-11".to_owned(), 131_500), ("2026-12".to_owned(), 394_500)]
        );
    }

    proptest! {
        #[test]
        fn no_cost_exceeds_its_worst_case(
            from in 0i64..100_000_000, ran in 0u64..100_000_000, longer in 0u64..100_000_000,
            spot in proptest::collection::vec((0i64..100_000, 0u64..526_000), 1..5),
        ) {
            let from = at(from);
            let to = from.after(Duration::from_millis(ran));
            let mut prices: Vec<SpotPrice> = spot.into_iter().map(|(since, micros)| SpotPrice {
                per_hour: MicroDollars(micros), since: from.after(Duration::from_secs(since.unsigned_abs())),
            }).collect();
            prices.sort_by_key(|price| price.since);
            let worst = TARIFF.worst(from, to.after(Duration::from_millis(longer)));
            for compute in [Compute::Flat(TARIFF.compute), Compute::Spot(&prices)] {
                for (month, amounts) in TARIFF.cost(from, to, &compute, false) {
                    let most = worst.iter().find(|(of, _)| *of == month).map(|(_, most)| *most).unwrap_or_default();
                    prop_assert!(amounts.total() <= most, "{}: {:?} over {}", month, amounts, most);
                }
            }
        }
    }
}
