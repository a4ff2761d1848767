//! The adapter against a server that speaks EC2's query language.

mod creating;
mod describing;
mod ending;
mod price_list;
mod support;
mod surrounding;
