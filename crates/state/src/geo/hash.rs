//! Geohashes: longitude and latitude as fractions of their ranges, their bits alternating, longitude's first.

use super::Position;
use std::ops::Range;

/// Bits of each coordinate in a score.
pub(super) const STEPS_MAX: u32 = 26;

/// Longitudes, degrees.
pub(super) const LONGITUDES: Range<f64> = -180.0..180.0;

/// Latitudes of the Mercator projection (EPSG:900913), degrees.
pub(super) const LATITUDES: Range<f64> = -85.051_128_78..85.051_128_78;

/// A cell of the grid that divides both ranges into 2^steps parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    pub(super) steps: u32,
    column: u32,
    row: u32,
}

/// Which of `1 << steps` parts of a range holds a coordinate. The range's end is in the last part; Redis gives it a part of
/// its own behind the grid, where searches do not find it.
fn part(coordinate: f64, range: &Range<f64>, steps: u32) -> u32 {
    let fraction = (coordinate - range.start) / (range.end - range.start);
    ((fraction * f64::from(1u32 << steps)) as u32).min((1 << steps) - 1)
}

/// The ends of one of `1 << steps` parts of a range.
fn ends(part: u32, range: &Range<f64>, steps: u32) -> Range<f64> {
    let at = |n: f64| range.start + n / f64::from(1u32 << steps) * (range.end - range.start);
    at(f64::from(part))..at(f64::from(part) + 1.0)
}

/// Spreads the bits of a number, so that each is followed by a zero in front of it.
fn spread(n: u32) -> u64 {
    (0..32).fold(0, |out, bit| out | u64::from(n >> bit & 1) << (2 * bit))
}

/// The reverse of `spread`; every other bit is dropped.
fn gather(n: u64) -> u32 {
    (0..32).fold(0, |out, bit| out | ((n >> (2 * bit) & 1) as u32) << bit)
}

impl Cell {
    /// The cell that holds a position.
    pub(super) fn of(position: Position, steps: u32) -> Cell {
        Cell::within(position, steps, &LATITUDES)
    }

    /// As `of`, in a grid over other latitudes.
    pub(super) fn within(position: Position, steps: u32, latitudes: &Range<f64>) -> Cell {
        let column = part(position.longitude, &LONGITUDES, steps);
        Cell { steps, column, row: part(position.latitude, latitudes, steps) }
    }

    /// The cell that a score of a sorted set means; scores that no position has mean some cell as well.
    pub(super) fn of_score(score: f64) -> Cell {
        let bits = score as u64;
        Cell { steps: STEPS_MAX, column: gather(bits >> 1), row: gather(bits) }
    }

    /// Its bits, `2 * steps` of them.
    pub(super) fn bits(self) -> u64 {
        spread(self.row) | spread(self.column) << 1
    }

    /// The scores of positions in it: from the first on, and below the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let unused = 2 * (STEPS_MAX - self.steps);
        ((self.bits() << unused) as f64, ((self.bits() + 1) << unused) as f64)
    }

    pub(super) fn longitudes(self) -> Range<f64> {
        ends(self.column, &LONGITUDES, self.steps)
    }

    pub(super) fn latitudes(self) -> Range<f64> {
        ends(self.row, &LATITUDES, self.steps)
    }

    /// Its middle.
    pub(super) fn center(self) -> Position {
        let middle =
            |ends: Range<f64>, range: &Range<f64>| ((ends.start + ends.end) / 2.0).clamp(range.start, range.end);
        Position { longitude: middle(self.longitudes(), &LONGITUDES), latitude: middle(self.latitudes(), &LATITUDES) }
    }

    /// The cell so many columns to the east and rows to the north, around the globe.
    pub(super) fn neighbor(self, east: i32, north: i32) -> Cell {
        let mask = (1u32 << self.steps) - 1;
        let column = self.column.wrapping_add_signed(east) & mask;
        Cell { column, row: self.row.wrapping_add_signed(north) & mask, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, STEPS_MAX};
    use crate::geo::Position;

    #[test]
    fn scores_are_those_of_redis() {
        let palermo = Position { longitude: 13.361389, latitude: 38.115556 };
        let cell = Cell::of(palermo, STEPS_MAX);
        assert_eq!(cell.bits(), 3_479_099_956_230_698);
        assert_eq!(Cell::of_score(cell.bits() as f64), cell);
        let back = cell.center();
        assert!((back.longitude - palermo.longitude).abs() < 1e-5 && (back.latitude - palermo.latitude).abs() < 1e-5);
        assert_eq!(cell.neighbor(1, 0).neighbor(-1, 1).neighbor(0, -1), cell);
        let (first, end) = Cell::of(palermo, 5).scores();
        assert!((first..end).contains(&(cell.bits() as f64)));
    }

    #[test]
    fn any_score_is_some_position() {
        for score in [f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1e15, 1e19, f64::INFINITY] {
            let center = Cell::of_score(score).center();
            assert!(center.longitude.abs() <= 180.0 && center.latitude.abs() < 85.06, "{score}");
        }
    }
}
