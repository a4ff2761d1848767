//! What instances cost: prices, the cost of ended runners and of orphans.

mod orphans;
mod prices;
mod settle;

pub use orphans::settle_orphan;
pub use prices::{PriceCache, PriceLookup, PriceUnknown};
pub use settle::{INLINE_SETTLE_TRIES, SETTLE_BATCH, load_ledgers, publish_caps_due, publish_cost_due, settle_costs};
