//! Distances on a sphere, and their units.

use super::Position;
use crate::parse::is;
use crate::reply::{Outcome, fail};
use command::Reply;

/// Redis' radius of the earth, meters.
const EARTH_RADIUS_METERS: f64 = 6_372_797.560_856;

/// The meters of a unit.
pub(super) fn unit_meters(word: &[u8]) -> Outcome<f64> {
    match () {
        () if is(word, "m") => Ok(1.0),
        () if is(word, "km") => Ok(1000.0),
        () if is(word, "ft") => Ok(0.3048),
        () if is(word, "mi") => Ok(1609.34),
        () => fail("ERR unsupported unit provided. please use M, KM, FT, MI"),
    }
}

/// The angle at the center of the earth, degrees, over which `meters` lie on a circle of the earth's radius times `scale`.
pub(super) fn degrees_of(meters: f64, scale: f64) -> f64 {
    (meters / EARTH_RADIUS_METERS / scale).to_degrees()
}

/// Meters between two latitudes on one meridian.
pub(super) fn between_latitudes(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_METERS * (radians(b) - radians(a)).abs()
}

/// Meters between two positions, along a great circle (haversine formula).
pub(super) fn between(a: Position, b: Position) -> f64 {
    let v = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if v == 0.0 {
        return between_latitudes(a.latitude, b.latitude);
    }
    let (lat_a, lat_b) = (radians(a.latitude), radians(b.latitude));
    let u = ((lat_b - lat_a) / 2.0).sin();
    let h = u * u + lat_a.cos() * lat_b.cos() * v * v;
    2.0 * EARTH_RADIUS_METERS * h.sqrt().asin()
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

/// A distance as a reply: text with four decimals in both protocols.
pub(super) fn show(distance: f64) -> Reply {
    Reply::Bulk(format!("{distance:.4}").into())
}
