//! The area of a search, and the cells of the grid that cover it.

use super::Position;
use super::distance::{between, between_latitudes, degrees_of};
use super::hash::{Cell, STEPS_MAX};
use std::ops::Range;

/// Half of the earth's circumference in the Mercator projection, meters.
const MERCATOR_MAX_METERS: f64 = 20_037_726.37;

/// A shape, in meters.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A shape around a position.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Area {
    pub(super) center: Position,
    pub(super) shape: Shape,
}

impl Area {
    /// The distance of a position from the center, meters; `None` outside.
    pub(super) fn distance(&self, p: Position) -> Option<f64> {
        let distance = between(self.center, p);
        let inside = match self.shape {
            Shape::Circle { radius } => distance <= radius,
            Shape::Box { width, height } => {
                let beside = Position { longitude: self.center.longitude, latitude: p.latitude };
                between_latitudes(self.center.latitude, p.latitude) <= height / 2.0 && between(p, beside) <= width / 2.0
            }
        };
        inside.then_some(distance)
    }

    /// How far its parts are from the center at most, meters.
    fn reach(&self) -> f64 {
        match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => (width / 2.0).hypot(height / 2.0),
        }
    }

    /// The longitudes and latitudes that it lies between.
    fn bounds(&self) -> (Range<f64>, Range<f64>) {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let Position { longitude, latitude } = self.center;
        let tall = degrees_of(height, 1.0);
        // Meridians are closer to each other towards the poles.
        let toward_pole = if latitude < 0.0 { latitude - tall } else { latitude + tall };
        let wide = degrees_of(width, toward_pole.to_radians().cos());
        (longitude - wide..longitude + wide, latitude - tall..latitude + tall)
    }

    /// The cells to search, the one of the center first.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let (longitudes, latitudes) = self.bounds();
        let mut middle = Cell::of(self.center, steps(self.reach(), self.center.latitude));
        let falls_short = middle.neighbor(0, 1).latitudes().end < latitudes.end
            || middle.neighbor(0, -1).latitudes().start > latitudes.start
            || middle.neighbor(1, 0).longitudes().end < longitudes.end
            || middle.neighbor(-1, 0).longitudes().start > longitudes.start;
        if falls_short && middle.steps > 1 {
            middle = Cell::of(self.center, middle.steps - 1);
        }
        let (across, along) = (middle.longitudes(), middle.latitudes());
        // A side is left out when the middle cell goes beyond the area there.
        let needed = |east: i32, north: i32| {
            middle.steps < 2
                || !(north < 0 && along.start < latitudes.start
                    || north > 0 && along.end > latitudes.end
                    || east < 0 && across.start < longitudes.start
                    || east > 0 && across.end > longitudes.end)
        };
        // In Redis' order, which unsorted results show.
        let around = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let cells = around.into_iter().filter(|(east, north)| needed(*east, *north));
        let mut cells: Vec<Cell> = cells.map(|(east, north)| middle.neighbor(east, north)).collect();
        // Of a grid of two by two, opposite neighbors are the same.
        cells.dedup();
        cells
    }
}

/// How fine a grid may be so that a cell and its neighbors cover `meters` around any position in it.
fn steps(meters: f64, latitude: f64) -> u32 {
    if meters == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = 1i32;
    let mut covered = meters;
    while covered < MERCATOR_MAX_METERS && steps <= STEPS_MAX as i32 + 4 {
        covered *= 2.0;
        steps += 1;
    }
    steps -= 2;
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::{Area, Shape};
    use crate::geo::Position;
    use crate::geo::hash::{Cell, STEPS_MAX};
    use stdx::Rng;

    /// Whatever is inside an area lies in one of its cells.
    #[test]
    fn cells_cover_the_area() {
        let mut rng = Rng::new(11);
        let mut between = |low: f64, high: f64| low + (high - low) * (rng.below(1 << 30) as f64 / f64::from(1 << 30));
        for _ in 0..3000 {
            let center = Position { longitude: between(-170.0, 170.0), latitude: between(-75.0, 75.0) };
            let size = 10f64.powf(between(0.0, 5.9));
            let circle = Shape::Circle { radius: size };
            let shape = if size < 1e5 { Shape::Box { width: size, height: size / 2.0 } } else { circle };
            let area = Area { center, shape };
            let cells = area.cells();
            let (longitudes, latitudes) = area.bounds();
            for _ in 0..20 {
                let p = Position {
                    longitude: between(longitudes.start, longitudes.end).clamp(-180.0, 180.0),
                    latitude: between(latitudes.start, latitudes.end).clamp(-85.0, 85.0),
                };
                if area.distance(p).is_some() {
                    let score = Cell::of(p, STEPS_MAX).bits() as f64;
                    let found = cells.iter().any(|c| (c.scores().0..c.scores().1).contains(&score));
                    assert!(found, "{p:?} is in {area:?} and in none of {cells:?}");
                }
            }
        }
    }
}
