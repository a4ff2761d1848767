//! Tests the adapter against a server that speaks EC2's query API.

mod describe;
mod fleet;
mod price_list;
mod support;
mod terminate;
mod variants;
