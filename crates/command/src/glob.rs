//! The patterns of KEYS, SCAN and others: `*`, `?`, `[abc]`, `[^a-z]` and `\` before a byte to take it literally. They work
//! on bytes, know no paths, and an unfinished class ends with the pattern, as in Redis.

/// Whether all of `text` matches `pattern`.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, |b| b)
}

/// Whether all of `text` matches `pattern` when ASCII letters of both are compared without case.
#[must_use]
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, |b| b.to_ascii_lowercase())
}

/// Only the latest `*` is ever tried again, so the work is at most the product of the two lengths.
fn run(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        let step = match text.get(t) {
            Some(byte) => one(&pattern[p..], fold(*byte), &fold),
            None if p == pattern.len() => return true,
            None => return false,
        };
        if let Some(width) = step {
            p += width;
            t += 1;
        } else if let Some((star, from)) = retry {
            p = star;
            t = from + 1;
            retry = Some((star, t));
        } else {
            return false;
        }
    }
}

/// The length of the pattern's first element if it matches `byte`.
fn one(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (matched, width) = class_match(class, byte, fold);
            matched.then_some(width + 1)
        }
        [b'\\', literal, ..] => (fold(*literal) == byte).then_some(2),
        [literal, ..] => (fold(*literal) == byte).then_some(1),
    }
}

/// Whether `byte` is in the class that follows a `[`, and the length of the class with its `]`.
fn class_match(class: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [] => break,
            [b'\\', literal, ..] => {
                found |= fold(*literal) == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (fold(*low), fold(*high));
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= fold(*literal) == byte;
                at += 1;
            }
        }
    }
    (found != negated, at)
}

#[cfg(test)]
mod tests {
    use super::{matches, matches_ignoring_case};

    #[test]
    fn patterns() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            for text in yes {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should not match {text}");
            }
        };
        check("*", &["", "a", "anything"], &[]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("h*llo", &["hllo", "heeeello"], &["hll"]);
        check("h[ae]llo", &["hello", "hallo"], &["hillo"]);
        check("h[^e]llo", &["hallo"], &["hello"]);
        check("h[c-a]llo", &["hbllo"], &["hdllo"]);
        check("a\\*b", &["a*b"], &["axb"]);
        check("[\\]]", &["]"], &["\\"]);
        check("a*b*c", &["abc", "aXXbYYc", "abbc"], &["ab", "acb"]);
        check("a[bc", &["ab", "ac"], &["a[bc", "a"]);
        check("a\\", &["a\\"], &["a"]);
        check("", &[""], &["a"]);
        check("*a*a*a*a*a*a*a*b", &[], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
        assert!(matches_ignoring_case(b"CLIENT|*", b"client|id"));
        assert!(matches_ignoring_case(b"[A-C]x", b"bX"));
    }
}
