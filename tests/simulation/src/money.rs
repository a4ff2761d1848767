//! Money: AWS's prices, EC2's own bill, and the promises on what is spent.
//!
//! The bill comes from what the instances did, second by second, and from the market's prices, and not
//! from anything that the functions wrote.

mod bill;
mod caps;
mod costing;
mod ec2_events;
mod market;
mod thresholds;

pub(crate) use self::bill::Accrued;
pub(crate) use self::caps::{MIDDLE, draw, policy_text, start};
pub(crate) use self::ec2_events::ReceivedEvents;
pub(crate) use self::market::{most_of_an_hour, on_demand, volume_rate};

pub const CAPPED: &str = "9: spent and reserved money never exceed a cap";
pub const WORST: &str = "9: the most that an instance can cost is reserved before it is requested";
pub const SETTLED: &str = "9: settled costs match EC2's bill";
pub const RETURNED: &str = "9: nothing is reserved once nothing lives";
pub const RESERVED: &str = "9: a ledger's reservations match its runners'";
pub const ALERTED_ONCE: &str = "9: each threshold of a cap is alerted once";
