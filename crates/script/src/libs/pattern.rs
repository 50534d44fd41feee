//! Lua patterns (Lua 5.1 reference manual, 5.4.1), with every step counted: a pattern may ask for exponentially many.

use crate::limits::Meter;

/// Captures of one pattern.
const CAPTURES_MAX: usize = 32;
/// Repetitions and captures that may be open in one another: each takes its share of the machine's stack.
const DEPTH_MAX: usize = 200;
/// Steps between two looks at the meter.
const STRIDE: u32 = 1_000;

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The pattern is wrong, with Lua's words.
    Malformed(&'static str),
    /// The run is over.
    Over,
}

type Found<T> = Result<T, Failure>;

fn malformed<T>(what: &'static str) -> Found<T> {
    Err(Failure::Malformed(what))
}

/// What a capture holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Capture {
    /// Opened at a place and not closed.
    Open(usize),
    /// From one place to another.
    Text(usize, usize),
    /// A place.
    Position(usize),
}

/// One match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Match {
    /// Where it begins.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What it captured.
    pub(super) captures: Vec<Capture>,
}

/// Looks for matches of one pattern in one text.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    anchored: bool,
    meter: &'a Meter,
    steps: u32,
    captures: Vec<Capture>,
}

impl<'a> Matcher<'a> {
    /// A pattern that begins with `^` matches at the place where a search begins, and nowhere else.
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], meter: &'a Meter) -> Matcher<'a> {
        let anchored = pattern.first() == Some(&b'^');
        let pattern = if anchored { &pattern[1..] } else { pattern };
        Matcher { text, pattern, anchored, meter, steps: 0, captures: Vec::new() }
    }

    /// The first match that begins at `from` or later.
    pub(super) fn search(&mut self, from: usize) -> Found<Option<Match>> {
        for start in from..=self.text.len() {
            self.captures.clear();
            if let Some(end) = self.matches(start, 0, 0)? {
                let captures = std::mem::take(&mut self.captures);
                if captures.iter().any(|c| matches!(c, Capture::Open(_))) {
                    return malformed("unfinished capture");
                }
                return Ok(Some(Match { start, end, captures }));
            }
            if self.anchored {
                break;
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Found<()> {
        self.steps += 1;
        if self.steps < STRIDE {
            return Ok(());
        }
        self.steps = 0;
        if self.meter.spend(STRIDE) { Ok(()) } else { Err(Failure::Over) }
    }

    /// Where the pattern from `p` on ends when it matches the text from `s` on.
    fn matches(&mut self, mut s: usize, mut p: usize, depth: usize) -> Found<Option<usize>> {
        if depth > DEPTH_MAX {
            return malformed("pattern too complex");
        }
        loop {
            self.step()?;
            match &self.pattern[p..] {
                [] => return Ok(Some(s)),
                [b'(', b')', ..] => return self.open(Capture::Position(s), s, p + 2, depth),
                [b'(', ..] => return self.open(Capture::Open(s), s, p + 1, depth),
                [b')', ..] => return self.close(s, p + 1, depth),
                [b'$'] => return Ok((s == self.text.len()).then_some(s)),
                [b'%', b'b', rest @ ..] => {
                    let [open, close, ..] = rest else { return malformed("unbalanced pattern") };
                    match self.balance(s, *open, *close)? {
                        Some(end) => (s, p) = (end, p + 4),
                        None => return Ok(None),
                    }
                }
                [b'%', b'f', rest @ ..] => {
                    if rest.first() != Some(&b'[') {
                        return malformed("missing '[' after '%f' in pattern");
                    }
                    let end = self.class_end(p + 2)?;
                    let before = if s == 0 { 0 } else { self.text[s - 1] };
                    let here = self.text.get(s).copied().unwrap_or(0);
                    if in_set(&self.pattern[p + 2..end], before) || !in_set(&self.pattern[p + 2..end], here) {
                        return Ok(None);
                    }
                    p = end;
                }
                [b'%', digit @ b'0'..=b'9', ..] => match self.repeated(s, *digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.single(s, p, end)
                                && let Some(found) = self.attempt(s + 1, end + 1, depth)?
                            {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.longest(s, s, p, end, depth),
                        Some(b'+') if self.single(s, p, end) => return self.longest(s + 1, s + 1, p, end, depth),
                        Some(b'+') => return Ok(None),
                        Some(b'-') => return self.shortest(s, p, end, depth),
                        _ if self.single(s, p, end) => (s, p) = (s + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// As `matches`; captures are as before when it does not.
    fn attempt(&mut self, s: usize, p: usize, depth: usize) -> Found<Option<usize>> {
        self.matches(s, p, depth + 1)
    }

    fn open(&mut self, capture: Capture, s: usize, p: usize, depth: usize) -> Found<Option<usize>> {
        if self.captures.len() == CAPTURES_MAX {
            return malformed("too many captures");
        }
        self.captures.push(capture);
        let found = self.attempt(s, p, depth)?;
        if found.is_none() {
            self.captures.pop();
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize, depth: usize) -> Found<Option<usize>> {
        let open = self.captures.iter().rposition(|c| matches!(c, Capture::Open(_)));
        let Some((at, Capture::Open(start))) = open.map(|at| (at, self.captures[at])) else {
            return malformed("invalid pattern capture");
        };
        self.captures[at] = Capture::Text(start, s);
        let found = self.attempt(s, p, depth)?;
        if found.is_none() {
            self.captures[at] = Capture::Open(start);
        }
        Ok(found)
    }

    /// As many repetitions as possible, then fewer.
    fn longest(&mut self, least: usize, s: usize, p: usize, end: usize, depth: usize) -> Found<Option<usize>> {
        let mut last = s;
        while self.single(last, p, end) {
            self.step()?;
            last += 1;
        }
        loop {
            if let Some(found) = self.attempt(last, end + 1, depth)? {
                return Ok(Some(found));
            }
            if last == least {
                return Ok(None);
            }
            last -= 1;
        }
    }

    /// As few repetitions as possible, then more.
    fn shortest(&mut self, mut s: usize, p: usize, end: usize, depth: usize) -> Found<Option<usize>> {
        loop {
            if let Some(found) = self.attempt(s, end + 1, depth)? {
                return Ok(Some(found));
            }
            if !self.single(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn balance(&mut self, s: usize, open: u8, close: u8) -> Found<Option<usize>> {
        if self.text.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1usize;
        for at in s + 1..self.text.len() {
            self.step()?;
            if self.text[at] == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if self.text[at] == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// The text of an earlier capture once more.
    fn repeated(&mut self, s: usize, digit: u8) -> Found<Option<usize>> {
        let capture = usize::from(digit).checked_sub(usize::from(b'1')).and_then(|at| self.captures.get(at));
        let (start, stop) = match capture {
            Some(Capture::Text(start, stop)) => (*start, *stop),
            // A position has no length.
            Some(Capture::Position(at)) => (*at, *at),
            _ => return malformed("invalid capture index"),
        };
        for _ in 0..(stop - start) / STRIDE as usize {
            self.steps = STRIDE;
            self.step()?;
        }
        Ok(self.text[s..].starts_with(&self.text[start..stop]).then_some(s + stop - start))
    }

    /// Where the single-character class that begins at `p` ends.
    fn class_end(&self, p: usize) -> Found<usize> {
        match &self.pattern[p..] {
            [b'%'] => malformed("malformed pattern (ends with '%')"),
            [b'%', ..] => Ok(p + 2),
            [b'[', rest @ ..] => {
                let mut at = usize::from(rest.first() == Some(&b'^'));
                // A bracket that comes first is one of the set.
                let first = at;
                loop {
                    match rest.get(at) {
                        None => return malformed("malformed pattern (missing ']')"),
                        Some(b']') if at > first => return Ok(p + 1 + at + 1),
                        Some(b'%') if at + 1 >= rest.len() => return malformed("malformed pattern (missing ']')"),
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    fn single(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(c) = self.text.get(s) else { return false };
        match &self.pattern[p..end] {
            [b'.'] => true,
            [b'%', class] => in_class(*c, *class),
            set @ [b'[', ..] => in_set(set, *c),
            [literal, ..] => literal == c,
            [] => false,
        }
    }
}

/// Whether a character is of a class: a letter says which, a capital letter all others, anything else itself.
fn in_class(c: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => c.is_ascii_alphabetic(),
        b'c' => c.is_ascii_control(),
        b'd' => c.is_ascii_digit(),
        b'l' => c.is_ascii_lowercase(),
        b'p' => c.is_ascii_punctuation(),
        b's' => c.is_ascii_whitespace() || c == 0x0b,
        b'u' => c.is_ascii_uppercase(),
        b'w' => c.is_ascii_alphanumeric(),
        b'x' => c.is_ascii_hexdigit(),
        b'z' => c == 0,
        _ => return class == c,
    };
    is != class.is_ascii_uppercase()
}

/// Whether a character is of a set, given with its brackets.
fn in_set(set: &[u8], c: u8) -> bool {
    let inner = set.get(1..set.len().saturating_sub(1)).unwrap_or_default();
    let (negated, mut rest) = match inner {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, inner),
    };
    loop {
        let (hit, after) = match rest {
            [] => return negated,
            [b'%', class, after @ ..] => (in_class(c, *class), after),
            [low, b'-', high, after @ ..] => ((*low..=*high).contains(&c), after),
            [literal, after @ ..] => (*literal == c, after),
        };
        if hit {
            return !negated;
        }
        rest = after;
    }
}
