//! Seeds that once failed, kept for ever: seeds.txt names each with what it was.

/// One line of seeds.txt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Regression {
    /// The seed. A change of what plans draw makes it another history; it is kept all the same.
    pub seed: u64,
    /// When it failed and what it was.
    pub what: &'static str,
}

/// All of them.
#[must_use]
pub fn regressions() -> Vec<Regression> {
    include_str!("../seeds.txt").lines().filter_map(parse).collect()
}

fn parse(line: &'static str) -> Option<Regression> {
    let (seed, what) = line.split_once(' ')?;
    Some(Regression { seed: parse_seed(seed)?, what: what.trim() })
}

/// A seed as people write it: decimal, or hexadecimal after 0x.
#[must_use]
pub fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run_seed;

    /// As many as a debug build replays in reasonable time; `polder sim --regressions` replays all.
    const REPLAYED: usize = 1;

    #[test]
    fn every_line_is_a_seed_or_a_comment() {
        let text = include_str!("../seeds.txt");
        let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        assert_eq!(lines, regressions().len());
        assert_eq!((parse_seed("0x10"), parse_seed("10"), parse_seed("x")), (Some(16), Some(10), None));
    }

    #[test]
    fn the_latest_does_not_fail_again() {
        for Regression { seed, what } in regressions().into_iter().rev().take(REPLAYED) {
            assert_eq!(run_seed(seed).failure, None, "seed {seed} ({what})");
        }
    }
}
