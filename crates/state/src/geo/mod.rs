//! Positions on earth, kept in sorted sets: a member's score is the geohash of its position, 52 bits, so that members near
//! each other mostly have scores near each other, and a search is a few ranges of scores.

mod add;
mod area;
mod distance;
mod hash;
mod point;
mod query;
mod search;

use crate::dispatch::{Row, reads, writes};

pub(crate) const ROWS: &[Row] = &[
    writes("geoadd", add::geoadd),
    reads("geopos", point::geopos),
    reads("geodist", point::geodist),
    reads("geohash", point::geohash),
    reads("geosearch", search::geosearch),
    writes("geosearchstore", search::geosearchstore),
    writes("georadius", search::georadius),
    reads("georadius_ro", search::georadius_ro),
    writes("georadiusbymember", search::georadiusbymember),
    reads("georadiusbymember_ro", search::georadiusbymember_ro),
];

/// A position, degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Position {
    longitude: f64,
    latitude: f64,
}
