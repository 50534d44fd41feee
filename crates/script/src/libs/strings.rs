//! `string.find`, `match`, `gmatch` and `gsub` over [`pattern`](super::pattern). What calls back into the script is in
//! `sandbox.lua`; here is a single search, and a replacement by a template.

use super::pattern::{Capture, Failure, Match, Matcher};
use crate::convert::number;
use crate::failure::{Raised, raise};
use crate::limits::Meter;
use memchr::memmem;
use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};
use std::sync::Arc;

/// What makes a pattern more than a text to look for.
const SPECIAL: &[u8] = b"^$*+?.([%-";

/// Puts `find` and `match` into `string`, and what `sandbox.lua` makes the others of into `rust`.
pub(crate) fn install(lua: &Lua, meter: &Arc<Meter>, rust: &Table) -> Result<()> {
    let string: Table = lua.globals().raw_get("string")?;
    let m = meter.clone();
    string.raw_set(
        "find",
        lua.create_function(move |lua, args: MultiValue| Search::new(lua, &args, "find")?.find(&m))?,
    )?;
    let m = meter.clone();
    string.raw_set(
        "match",
        lua.create_function(move |lua, args: MultiValue| {
            let search = Search::new(lua, &args, "match")?;
            match search.from().map(|from| search.first(from, &m)).transpose()?.flatten() {
                Some(found) => search.captures(&found, true),
                None => Ok(MultiValue::from_iter([Value::Nil])),
            }
        })?,
    )?;
    let m = meter.clone();
    rust.raw_set("seek", lua.create_function(move |lua, args: MultiValue| Search::new(lua, &args, "gsub")?.seek(&m))?)?;
    let m = meter.clone();
    rust.raw_set(
        "replace",
        lua.create_function(move |lua, args: MultiValue| Search::new(lua, &args, "gsub")?.replace(&m))?,
    )
}

struct Search<'a> {
    lua: &'a Lua,
    text: LuaString,
    pattern: LuaString,
    args: &'a MultiValue,
}

impl<'a> Search<'a> {
    fn new(lua: &'a Lua, args: &'a MultiValue, function: &str) -> Result<Search<'a>> {
        let string = |at: usize| {
            let value = args.get(at).cloned().unwrap_or(Value::Nil);
            let name = if args.len() > at { value.type_name() } else { "no value" };
            lua.coerce_string(value)?.ok_or_else(|| {
                raise(lua, &format!("bad argument #{} to '{function}' (string expected, got {name})", at + 1))
            })
        };
        Ok(Search { lua, text: string(0)?, pattern: string(1)?, args })
    }

    /// Where the third argument says that the search begins; `None`: behind the text.
    fn from(&self) -> Option<usize> {
        let length = self.text.as_bytes().len();
        let given = self.args.get(2).and_then(number).unwrap_or(1.0) as i64;
        let from = match given {
            1.. => usize::try_from(given - 1).unwrap_or(usize::MAX),
            0 => 0,
            _ => length.saturating_sub(usize::try_from(given.unsigned_abs()).unwrap_or(usize::MAX)),
        };
        (from <= length).then_some(from)
    }

    fn refuse(&self, failure: Failure) -> Error {
        match failure {
            Failure::Malformed(what) => raise(self.lua, what),
            Failure::Over => Raised::Over.into(),
        }
    }

    fn first(&self, from: usize, meter: &Meter) -> Result<Option<Match>> {
        let (text, pattern) = (self.text.as_bytes(), self.pattern.as_bytes());
        Matcher::new(&text, &pattern, meter).search(from).map_err(|failure| self.refuse(failure))
    }

    fn value(&self, capture: Capture) -> Result<Value> {
        match capture {
            Capture::Text(start, end) => self.lua.create_string(&self.text.as_bytes()[start..end]).map(Value::String),
            Capture::Open(at) | Capture::Position(at) => Ok(Value::Number((at + 1) as f64)),
        }
    }

    /// The values of a match's captures; with `whole`, the match itself when it has none.
    fn captures(&self, found: &Match, whole: bool) -> Result<MultiValue> {
        if whole && found.captures.is_empty() {
            return Ok(MultiValue::from_iter([self.value(Capture::Text(found.start, found.end))?]));
        }
        found.captures.iter().map(|capture| self.value(*capture)).collect()
    }

    fn find(&self, meter: &Meter) -> Result<MultiValue> {
        let nothing = || Ok(MultiValue::from_iter([Value::Nil]));
        // Behind the text there is nothing; Lua 5.1 takes its end for the place.
        let from = self.from().unwrap_or(self.text.as_bytes().len());
        let plain = self.args.get(3).is_some_and(|v| !matches!(v, Value::Nil | Value::Boolean(false)));
        let found = if plain || !self.pattern.as_bytes().iter().any(|b| SPECIAL.contains(b)) {
            let (text, pattern) = (self.text.as_bytes(), self.pattern.as_bytes());
            let at = memmem::find(&text[from..], &pattern).map(|at| from + at);
            at.map(|start| Match { start, end: start + pattern.len(), captures: Vec::new() })
        } else {
            self.first(from, meter)?
        };
        let Some(found) = found else { return nothing() };
        let mut values = self.captures(&found, false)?;
        values.push_front(Value::Number(found.end as f64));
        values.push_front(Value::Number((found.start + 1) as f64));
        Ok(values)
    }

    /// The match at or behind the place of the third argument: where it begins and ends, then its captures.
    fn seek(&self, meter: &Meter) -> Result<MultiValue> {
        let found = match self.from() {
            Some(from) => self.first(from, meter)?,
            None => None,
        };
        let Some(found) = found else { return Ok(MultiValue::new()) };
        let mut values = self.captures(&found, true)?;
        values.push_front(Value::Number(found.end as f64));
        values.push_front(Value::Number((found.start + 1) as f64));
        Ok(values)
    }

    /// `gsub` by the template in the third argument, at most as often as the fourth says.
    fn replace(&self, meter: &Meter) -> Result<(LuaString, usize)> {
        let template = self.args.get(2).cloned().map(|t| self.lua.coerce_string(t)).transpose()?.flatten();
        let Some(template) = template else {
            return Err(raise(self.lua, "bad argument #3 to 'gsub' (string/function/table expected)"));
        };
        let most = self.args.get(3).and_then(number).map_or(usize::MAX, |n| n as usize);
        let (text, pattern, template) = (self.text.as_bytes(), self.pattern.as_bytes(), template.as_bytes());
        let mut matcher = Matcher::new(&text, &pattern, meter);
        let mut out = Vec::new();
        let (mut at, mut count) = (0, 0);
        while count < most {
            let found = matcher.search(at).map_err(|failure| self.refuse(failure))?;
            let Some(found) = found else { break };
            count += 1;
            out.extend_from_slice(&text[at..found.start]);
            self.fill(&mut out, &template, &found, &text)?;
            if out.len() > super::OUTPUT_BYTES_MAX {
                return Err(raise(self.lua, "resulting string too large"));
            }
            at = found.end;
            if found.end == found.start {
                // After an empty match the search goes on one further.
                out.extend(text.get(at));
                at += 1;
            }
            if at > text.len() || pattern.first() == Some(&b'^') {
                break;
            }
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        Ok((self.lua.create_string(out)?, count))
    }

    fn fill(&self, out: &mut Vec<u8>, template: &[u8], found: &Match, text: &[u8]) -> Result<()> {
        let mut rest = template.iter();
        while let Some(byte) = rest.next() {
            if *byte != b'%' {
                out.push(*byte);
                continue;
            }
            match rest.next() {
                Some(digit @ b'0'..=b'9') => {
                    let at = usize::from(digit - b'0');
                    let capture = match (at, found.captures.get(at.wrapping_sub(1))) {
                        (0, _) => Capture::Text(found.start, found.end),
                        (1, None) if found.captures.is_empty() => Capture::Text(found.start, found.end),
                        (_, Some(capture)) => *capture,
                        (_, None) => return Err(raise(self.lua, "invalid capture index")),
                    };
                    match capture {
                        Capture::Text(start, end) => out.extend_from_slice(&text[start..end]),
                        Capture::Open(at) | Capture::Position(at) => {
                            out.extend_from_slice((at + 1).to_string().as_bytes())
                        }
                    }
                }
                Some(other) => out.push(*other),
                None => out.push(0),
            }
        }
        Ok(())
    }
}
