//! Frames between nodes.
//!
//! ```text
//! byte  0   1   2   3   4   5   6   7   8   9  10  11  12  13  14  15  16 …
//!     ├───────┼───┼───┼───┼───────────┼───────────────┼───────────────┼─────────
//!     │ magic │ver│knd│flg│ reserved  │ length u32 LE │ CRC-32C u32 LE│ body
//!     │ 9E 50 │   │   │   │ 00 00 00  │ of the body   │               │
//!
//! ver  version of the protocol between nodes in which the body is encoded; 0 in a Hello, whose layout never changes
//! knd  0 Hello, otherwise the tag of the message
//! flg  bit 0: the body is compressed; all other bits zero
//! CRC  over bytes 0 to 11 and the body as sent
//!
//! compressed body:  ├ size u32 LE of the plain body ┼ LZ4 block ┤
//!
//! Hello body:  ├ "POLDER\r\n" ┼ lowest ver u8 ┼ highest ver u8 ┼ node u64 LE ┼ boot u64 LE ┼ cluster: varint length, UTF-8 ┤
//! ```
//!
//! Both ends send a [`Hello`] first and speak the highest version both know ([`Hello::agree`]). Numbers in bodies are
//! LEB128 unless said otherwise; bytes carry their length; lists carry their count; an absent value is a zero byte.
//! Tags are never reused. The encoding of every message is pinned by golden bytes in the tests.
//!
//! A frame is decoded only when all of it is here and its checksum holds. A length above its limit is refused before a
//! byte of the body is waited for; a frame before the Hello may be no larger than a Hello.

mod frame;
mod hello;
mod message;
mod raft;
mod reply;
#[cfg(test)]
mod tests;
mod wire;
mod work;

pub use frame::{FrameError, MAX_BODY_BYTES, bytes_wanted};
pub use hello::{Hello, MAX_CLUSTER_ID_BYTES, PROTOCOL_VERSION, Standing};
pub use message::{decode, encode_into};
