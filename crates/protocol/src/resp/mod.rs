//! The Redis protocol, versions 2 and 3 (redis.io, "Redis serialization protocol specification").
//!
//! A request is an array of strings, or a line typed by hand; [`Decoder`] cuts requests out of a receive buffer without
//! copying their words. [`encode`] writes replies. [`ReplyDecoder`] and [`encode_request`] are the client's side, for our
//! own tools and tests.

mod decode;
mod encode;
mod error;
mod inline;
mod reply;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::{Version, encode, encode_request};
pub use error::{ProtocolError, ReplyError};
pub use inline::split_words;
pub use reply::{MAX_REPLY_DEPTH, MAX_REPLY_ELEMENTS, ReplyDecoder};
