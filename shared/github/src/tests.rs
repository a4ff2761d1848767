//! Tests the adapter against a server that answers as GitHub does.

mod admission;
mod calls;
mod checks;
mod comments;
mod concurrency;
mod etags;
mod patrol;
mod rate_limits;
mod retries;
mod sign_in;
mod support;
