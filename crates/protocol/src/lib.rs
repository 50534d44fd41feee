//! Bytes to values and back, for every protocol Polder speaks.
//!
//! ```text
//! clients ── resp ──▶ command::Args        command::Reply ── resp ──▶ clients
//! nodes  ◀── peer ──▶ cluster::PeerMessage
//! ```
//!
//! Invariants: no sockets, no clock; nothing here panics on any bytes; every length is checked against a limit before
//! memory is taken for it, and memory grows with the bytes that arrived, not with what they claim.
//!
//! Not here: what a command means (`command`), what is done with a message (`node`), reading and writing (`server`).

pub mod peer;
pub mod resp;
