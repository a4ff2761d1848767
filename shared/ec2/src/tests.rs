//! The adapter against a server that speaks EC2's query language.

mod creating;
mod describing;
mod ending;
mod support;
mod surrounding;
