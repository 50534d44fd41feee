//! Publish and subscribe: who on this node hears what is published, and what waits to be written to them.
//!
//! ```text
//!  PUBLISH here ──┬─▶ Hub::publish ─▶ subscriber's Pushes ─▶ connection ─▶ client
//!                 └─▶ every peer ───▶ its Hub ─▶ …
//! ```
//!
//! A message is sent to every node, which knows its own subscribers; nodes do not know each other's. It is delivered at most once, in the
//! order of its publisher's connection, and is no data: it is never in a log, and nobody acknowledges it.
//!
//! Invariants: a publisher never waits for a subscriber; what waits for one is bounded, and it is closed beyond that; no message of
//! a channel comes before its subscription is confirmed or after its end is.
//!
//! Not here: the commands (`gateway`), how a message is encoded and written (`server`).

mod hub;
mod pushes;
mod subscriber;

pub use hub::{Hub, SUBSCRIPTIONS_MAX, confirmation};
pub use pushes::{PushLimits, Pushes};
pub use subscriber::{Kind, Subscriber};
