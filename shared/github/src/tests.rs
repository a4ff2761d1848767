//! The adapter against a server that answers as GitHub does.

mod admission;
mod calls;
mod checking;
mod commenting;
mod concurrency;
mod keeping_quiet;
mod patrolling;
mod reusing;
mod signing_in;
mod support;
mod trying_again;
