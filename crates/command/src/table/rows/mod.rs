//! The rows themselves, a file for each group. Facts are those of Redis 7.2; a command that Polder does not serve yet has
//! a `planned` row, so that asking for it is told apart from a spelling mistake.

pub(super) mod cluster;
pub(super) mod compact;
pub(super) mod connection;
pub(super) mod generic;
pub(super) mod hash;
pub(super) mod list;
pub(super) mod pubsub;
pub(super) mod scripting;
pub(super) mod server;
pub(super) mod set;
pub(super) mod sorted_set;
pub(super) mod stream;
pub(super) mod string;
pub(super) mod transactions;
