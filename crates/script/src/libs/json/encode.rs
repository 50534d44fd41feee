//! Lua values as JSON text.

use super::{Invalid, Settings};
use crate::failure::raise;
use crate::libs::OUTPUT_BYTES_MAX;
use crate::libs::number::general;
use mlua::{Lua, Result, Table, Value};

/// The text of a value.
pub(super) fn text(lua: &Lua, value: &Value, settings: &Settings) -> Result<Vec<u8>> {
    let mut writer = Writer { lua, settings, out: Vec::new() };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: u32) -> Result<()> {
        if self.out.len() > OUTPUT_BYTES_MAX {
            return Err(raise(self.lua, "Cannot serialise, the text exceeds Polder's limit of 64 MiB"));
        }
        match value {
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Integer(n) => self.number(*n as f64)?,
            Value::Number(n) => self.number(*n)?,
            Value::Boolean(b) => self.out.extend_from_slice(if *b { b"true" } else { b"false" }),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => return Err(self.refuse(other, "type not supported")),
        }
        Ok(())
    }

    fn refuse(&self, value: &Value, why: &str) -> mlua::Error {
        raise(self.lua, &format!("Cannot serialise {}: {why}", value.type_name()))
    }

    fn number(&mut self, n: f64) -> Result<()> {
        if !n.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => return Err(raise(self.lua, "Cannot serialise number: must not be NaN or Inf")),
                Invalid::Null => self.out.extend_from_slice(b"null"),
                Invalid::Written if n.is_nan() => self.out.extend_from_slice(b"nan"),
                Invalid::Written => self.out.extend_from_slice(if n > 0.0 { b"inf" } else { b"-inf" }),
            }
            return Ok(());
        }
        general(&mut self.out, n, self.settings.precision);
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for byte in text {
            let short = match byte {
                b'"' | b'\\' | b'/' => *byte,
                0x08 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                0x0c => b'f',
                b'\r' => b'r',
                0..0x20 | 0x7f => {
                    self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    continue;
                }
                _ => {
                    self.out.push(*byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.push(b'"');
    }

    fn table(&mut self, table: &Table, depth: u32) -> Result<()> {
        if depth > self.settings.encode_depth {
            return Err(raise(self.lua, &format!("Cannot serialise, excessive depth ({depth})")));
        }
        match self.array_length(table)? {
            Some(length) if length > 0 => self.array(table, length, depth),
            _ => self.object(table, depth),
        }
    }

    /// The greatest index of a table that has only indexes as keys, and not too few of them.
    fn array_length(&self, table: &Table) -> Result<Option<usize>> {
        let (mut greatest, mut count) = (0u64, 0u64);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(n) if n > 0 => greatest = greatest.max(n.unsigned_abs()),
                _ => return Ok(None),
            }
            count += 1;
        }
        let ratio = u64::from(self.settings.sparse_ratio);
        if ratio > 0 && greatest > count.saturating_mul(ratio) && greatest > u64::from(self.settings.sparse_safe) {
            if !self.settings.sparse_convert {
                return Err(raise(self.lua, "Cannot serialise table: excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(usize::try_from(greatest).ok())
    }

    fn array(&mut self, table: &Table, length: usize, depth: u32) -> Result<()> {
        self.out.push(b'[');
        for at in 1..=length {
            if at > 1 {
                self.out.push(b',');
            }
            let value: Value = table.raw_get(at)?;
            self.value(&value, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: u32) -> Result<()> {
        self.out.push(b'{');
        let mut first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !first {
                self.out.push(b',');
            }
            first = false;
            match &key {
                Value::String(name) => self.string(&name.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    self.out.push(b'"');
                    self.value(&key, depth)?;
                    self.out.push(b'"');
                }
                other => return Err(self.refuse(other, "table key must be a number or string")),
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
