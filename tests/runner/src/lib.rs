//! The runner stand-in.
