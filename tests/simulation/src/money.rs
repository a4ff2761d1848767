//! Money: what AWS sells for how much, EC2's own bill, and the promises on what is spent.
//!
//! The bill is EC2's: what its instances did, second by second, and what the market asked for it. Nothing of
//! it is read from what the functions wrote.

mod bill;
mod drawn;
mod heard;
mod market;
mod settled;
mod told;

pub(crate) use self::bill::Accrued;
pub(crate) use self::drawn::{MIDDLE, draw, said, start};
pub(crate) use self::heard::Heard;
pub(crate) use self::market::{most_of_an_hour, on_demand, volume_rate};

/// Told where money is counted.
pub const CAPPED: &str = "9: what is spent and what is reserved never pass a cap";
/// See [`CAPPED`].
pub const WORST: &str = "9: what an instance can cost at most is set aside before it is asked for";
/// See [`CAPPED`].
pub const SETTLED: &str = "9: what is settled is what EC2 bills";
/// See [`CAPPED`].
pub const RETURNED: &str = "9: nothing is reserved where nothing lives";
/// See [`CAPPED`].
pub const RESERVED: &str = "9: what a ledger reserves is what runners hold";
/// See [`CAPPED`].
pub const TOLD_ONCE: &str = "9: each threshold of a cap is told, and once";
