//! The only crate with I/O: it turns the world into inputs of the machines in `node` and carries out their effects.
//!
//! ```text
//!   client ─▶ client::Connection ─▶ gateway::Session ─ read under a lease ─▶ reply
//!                    │  ▲ mailbox            │ tasks
//!                    ▼  │                    ▼
//!   peers ◀──▶ peer:: links ◀──▶ worker:: threads: state, consensus, log          flush ─▶ engine
//! ```
//!
//! Connections, links and HTTP are tasks of an async runtime; a worker's three threads never wait for the network, and
//! no task ever waits for a disk.
//!
//! Invariants: time, randomness, sockets and threads enter here and nowhere below; every queue is bounded, and what
//! happens at its bound is written beside it.
//!
//! Not here: what a command means, who leads, what is durable (`node` and below).

mod client;
mod clock;
pub mod config;
mod datadir;
mod disk;
mod error;
mod founding;
mod http;
mod inbox;
mod mailbox;
mod node;
mod peer;
mod server;
mod telemetry;
mod worker;

pub use error::StartError;
pub use server::{Server, run};
