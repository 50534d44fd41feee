//! How many different elements the registers speak of: Otmar Ertl's estimator ("New cardinality estimation algorithms for
//! HyperLogLog sketches", 2017, algorithm 6), which Redis uses.

use super::encoding::{REGISTERS, Sketch};

/// The highest value that a register can get from an element, less one.
const RANK_MAX: usize = 50;

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

pub(super) fn estimate(sketch: &Sketch) -> i64 {
    let mut histogram = [0.0; 64];
    for register in sketch.registers() {
        histogram[usize::from(*register)] += 1.0;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau((m - histogram[RANK_MAX + 1]) / m);
    for count in histogram[1..=RANK_MAX].iter().rev() {
        z = (z + count) * 0.5;
    }
    z += m * sigma(histogram[0] / m);
    (ALPHA * m * m / z).round() as i64
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}
