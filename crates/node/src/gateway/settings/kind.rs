//! Kinds of parameter: what a value may be, and how it is written back.

/// What values a parameter takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Cannot be set while the server runs.
    Immutable,
    /// Only this value, because nothing else would be true.
    Fixed,
    /// An integer within bounds.
    Integer(i64, i64),
    /// Bytes, with the units of Redis (`1k`, `1kb`, `1mb`, …).
    Memory(i64, i64),
    /// `yes` or `no`.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Anything.
    Text,
    /// Numbers from 0 to 100.
    Percentiles,
    /// `class hard soft seconds`, four words for each class.
    BufferLimits,
}

impl Kind {
    /// The value to keep for what a client sent, or why not.
    pub(super) fn check(&self, value: &str, current: &str) -> Result<String, String> {
        match self {
            Kind::Immutable => Err("can't set immutable config".into()),
            Kind::Fixed if value.eq_ignore_ascii_case(current) => Ok(current.to_owned()),
            Kind::Fixed => Err(format!("Polder always runs with '{current}'")),
            Kind::Integer(low, high) => {
                let n: i64 = value.parse().map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
                within(n, *low, *high)
            }
            Kind::Memory(low, high) => {
                let n = memory(value).ok_or_else(|| "argument must be a memory value".to_owned())?;
                within(n, *low, *high)
            }
            Kind::Bool => match value.to_ascii_lowercase().as_str() {
                v @ ("yes" | "no") => Ok(v.to_owned()),
                _ => Err("argument must be 'yes' or 'no'".into()),
            },
            Kind::Choice(words) => words
                .iter()
                .find(|w| w.eq_ignore_ascii_case(value))
                .map(|w| (*w).to_owned())
                .ok_or_else(|| format!("argument(s) must be one of the following: {}", words.join(", "))),
            Kind::Text => Ok(value.to_owned()),
            Kind::Percentiles => percentiles(value),
            Kind::BufferLimits => merge_limits(value, current),
        }
    }
}

/// Most percentiles that INFO shows for each command.
const PERCENTILES_MAX: usize = 16;

fn percentiles(value: &str) -> Result<String, String> {
    let one = |word: &str| word.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p)).map(|p| p.to_string());
    let all: Option<Vec<String>> = value.split_ascii_whitespace().map(one).collect();
    match all {
        Some(all) if all.len() <= PERCENTILES_MAX => Ok(all.join(" ")),
        _ => Err(format!("the percentiles must be at most {PERCENTILES_MAX} numbers from 0 to 100")),
    }
}

fn within(n: i64, low: i64, high: i64) -> Result<String, String> {
    if (low..=high).contains(&n) {
        Ok(n.to_string())
    } else {
        Err(format!("argument must be between {low} and {high} inclusive"))
    }
}

/// Bytes of a number with an optional unit: `k`, `m`, `g` count in thousands, `kb`, `mb`, `gb` in 1024s.
pub(super) fn memory(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: i64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1024,
        "m" => 1000 * 1000,
        "mb" => 1024 * 1024,
        "g" => 1000 * 1000 * 1000,
        "gb" => 1024 * 1024 * 1024,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// The default value: replicas do not exist here, normal clients are closed at `hard` bytes.
pub(super) fn buffer_limits(hard: u64) -> String {
    format!("normal {hard} 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60")
}

/// The hard and soft limits of a class in bytes, 0 for none, and for how many seconds the soft one may be exceeded.
pub(super) fn limits_of(class: &str, value: &str) -> Option<[u64; 3]> {
    let words: Vec<_> = value.split(' ').collect();
    let numbers = words.chunks_exact(4).find(|c| c[0] == class)?;
    let number = |at: usize| numbers[at].parse().ok();
    Some([number(1)?, number(2)?, number(3)?])
}

fn merge_limits(value: &str, current: &str) -> Result<String, String> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let old: Vec<&str> = current.split(' ').collect();
    let mut lines: Vec<String> = old.chunks(4).map(|c| c.join(" ")).collect();
    for given in words.chunks(4) {
        let class = given[0].to_ascii_lowercase();
        let class = if class == "replica" { "slave" } else { class.as_str() };
        let at = CLASSES.iter().position(|c| *c == class);
        let at = at.ok_or_else(|| "Invalid client class specified in buffer limit configuration.".to_owned())?;
        let bad = || "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned();
        let (hard, soft) = (memory(given[1]).ok_or_else(bad)?, memory(given[2]).ok_or_else(bad)?);
        let seconds: i64 = given[3].parse().map_err(|_| bad())?;
        if hard < 0 || soft < 0 || seconds < 0 {
            return Err(bad());
        }
        lines[at] = format!("{class} {hard} {soft} {seconds}");
    }
    Ok(lines.join(" "))
}
