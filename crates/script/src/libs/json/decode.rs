//! JSON text as Lua values.

use super::Settings;
use crate::failure::raise;
use crate::libs::number::leading_float;
use mlua::{LightUserData, Lua, Result, Table, Value};

/// The value of a text.
pub(super) fn value(lua: &Lua, text: &[u8], settings: &Settings) -> Result<Value> {
    if let [first, second, ..] = text
        && (*first == 0 || *second == 0)
    {
        return Err(raise(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut reader = Reader { lua, settings, text, at: 0 };
    let token = reader.next();
    let value = reader.value(token, 0)?;
    let end = reader.next();
    match end.kind {
        Kind::End => Ok(value),
        _ => Err(reader.expected("the end", &end)),
    }
}

/// A part of the text.
struct Token {
    kind: Kind,
    /// Where it begins.
    at: usize,
}

enum Kind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    End,
    /// What is wrong.
    Bad(&'static str),
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::ObjectBegin => "T_OBJ_BEGIN",
            Kind::ObjectEnd => "T_OBJ_END",
            Kind::ArrayBegin => "T_ARR_BEGIN",
            Kind::ArrayEnd => "T_ARR_END",
            Kind::Colon => "T_COLON",
            Kind::Comma => "T_COMMA",
            Kind::String(_) => "T_STRING",
            Kind::Number(_) => "T_NUMBER",
            Kind::Boolean(_) => "T_BOOLEAN",
            Kind::Null => "T_NULL",
            Kind::End => "T_END",
            Kind::Bad(what) => what,
        }
    }
}

struct Reader<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn expected(&self, what: &str, found: &Token) -> mlua::Error {
        let name = found.kind.name();
        raise(self.lua, &format!("Expected {what} but found {name} at character {}", found.at + 1))
    }

    fn value(&mut self, token: Token, depth: u32) -> Result<Value> {
        match token.kind {
            Kind::String(text) => self.lua.create_string(text).map(Value::String),
            Kind::Number(n) => Ok(Value::Number(n)),
            Kind::Boolean(b) => Ok(Value::Boolean(b)),
            Kind::Null => Ok(Value::LightUserData(LightUserData(std::ptr::null_mut()))),
            Kind::ObjectBegin => self.object(depth + 1),
            Kind::ArrayBegin => self.array(depth + 1),
            _ => Err(self.expected("value", &token)),
        }
    }

    fn descend(&self, depth: u32) -> Result<Table> {
        if depth > self.settings.decode_depth {
            let text = format!("Found too many nested data structures ({depth}) at character {}", self.at);
            return Err(raise(self.lua, &text));
        }
        self.lua.create_table()
    }

    fn object(&mut self, depth: u32) -> Result<Value> {
        let table = self.descend(depth)?;
        let mut token = self.next();
        if matches!(token.kind, Kind::ObjectEnd) {
            return Ok(Value::Table(table));
        }
        loop {
            let Kind::String(name) = token.kind else { return Err(self.expected("object key string", &token)) };
            let name = self.lua.create_string(name)?;
            let colon = self.next();
            if !matches!(colon.kind, Kind::Colon) {
                return Err(self.expected("colon", &colon));
            }
            let first = self.next();
            table.raw_set(name, self.value(first, depth)?)?;
            token = self.next();
            match token.kind {
                Kind::ObjectEnd => return Ok(Value::Table(table)),
                Kind::Comma => token = self.next(),
                _ => return Err(self.expected("comma or object end", &token)),
            }
        }
    }

    fn array(&mut self, depth: u32) -> Result<Value> {
        let table = self.descend(depth)?;
        let mut token = self.next();
        if matches!(token.kind, Kind::ArrayEnd) {
            return Ok(Value::Table(table));
        }
        for place in 1.. {
            table.raw_set(place, self.value(token, depth)?)?;
            token = self.next();
            match token.kind {
                Kind::ArrayEnd => break,
                Kind::Comma => token = self.next(),
                _ => return Err(self.expected("comma or array end", &token)),
            }
        }
        Ok(Value::Table(table))
    }

    fn next(&mut self) -> Token {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        let at = self.at;
        let rest = &self.text[at.min(self.text.len())..];
        let (kind, length) = match rest {
            [] => (Kind::End, 0),
            [b'{', ..] => (Kind::ObjectBegin, 1),
            [b'}', ..] => (Kind::ObjectEnd, 1),
            [b'[', ..] => (Kind::ArrayBegin, 1),
            [b']', ..] => (Kind::ArrayEnd, 1),
            [b':', ..] => (Kind::Colon, 1),
            [b',', ..] => (Kind::Comma, 1),
            [b'"', ..] => return self.string(),
            _ if rest.starts_with(b"true") => (Kind::Boolean(true), 4),
            _ if rest.starts_with(b"false") => (Kind::Boolean(false), 5),
            _ if rest.starts_with(b"null") => (Kind::Null, 4),
            [b'-' | b'0'..=b'9', ..] => self.number(rest),
            [b'+' | b'i' | b'I' | b'n' | b'N', ..] if self.settings.decode_invalid => self.number(rest),
            _ => (Kind::Bad("invalid token"), 0),
        };
        self.at += length;
        Token { kind, at }
    }

    fn number(&self, rest: &[u8]) -> (Kind, usize) {
        let bad = match rest.strip_prefix(b"-").unwrap_or(rest) {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [b'0'..=b'9', ..] => false,
            _ => true,
        };
        match leading_float(rest) {
            _ if bad && !self.settings.decode_invalid => (Kind::Bad("invalid number"), 0),
            Some((n, length)) => (Kind::Number(n), length),
            None if rest.first().is_some_and(u8::is_ascii_alphabetic) => (Kind::Bad("invalid token"), 0),
            None => (Kind::Bad("invalid number"), 0),
        }
    }

    /// A string, its opening quote at the place reached.
    fn string(&mut self) -> Token {
        let at = self.at;
        let mut out = Vec::new();
        let mut place = at + 1;
        loop {
            let (kind, length) = match &self.text[place..] {
                [] | [0, ..] => (Kind::Bad("unexpected end of string"), 0),
                [b'"', ..] => (Kind::String(std::mem::take(&mut out)), 1),
                [b'\\', b'u', digits @ ..] => match unicode(digits) {
                    Some((c, used)) => {
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        place += 2 + used;
                        continue;
                    }
                    None => (Kind::Bad("invalid unicode escape code"), 0),
                },
                [b'\\', escaped, ..] => {
                    let byte = match escaped {
                        b'"' | b'\\' | b'/' => Some(*escaped),
                        b'b' => Some(0x08),
                        b'f' => Some(0x0c),
                        b'n' => Some(b'\n'),
                        b'r' => Some(b'\r'),
                        b't' => Some(b'\t'),
                        _ => None,
                    };
                    if let Some(byte) = byte {
                        out.push(byte);
                        place += 2;
                        continue;
                    }
                    (Kind::Bad("invalid escape code"), 0)
                }
                [b'\\'] => (Kind::Bad("invalid escape code"), 0),
                [byte, ..] => {
                    out.push(*byte);
                    place += 1;
                    continue;
                }
            };
            // An error is reported where it is, a string where it begins.
            let token_at = if matches!(kind, Kind::Bad(_)) { place } else { at };
            self.at = place + length;
            return Token { kind, at: token_at };
        }
    }
}

/// The character behind `\u`, which may need a second escape, and how many bytes it takes.
fn unicode(digits: &[u8]) -> Option<(char, usize)> {
    let unit = |digits: &[u8]| {
        let text = digits.get(..4).filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
    };
    let first = unit(digits)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 4));
    }
    let second = unit(digits.get(4..)?.strip_prefix(b"\\u")?).filter(|low| (0xdc00..0xe000).contains(low))?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 10))
}
