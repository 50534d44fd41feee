//! The only crate with IO.

pub mod config;
