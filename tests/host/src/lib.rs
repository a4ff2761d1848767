//! The instance host.
