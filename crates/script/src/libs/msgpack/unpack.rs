//! MessagePack as Lua values.

use super::UNPACK_DEPTH_MAX;
use crate::failure::raise;
use mlua::{Lua, Result, Value};

pub(super) struct Unpacker<'a> {
    pub(super) lua: &'a Lua,
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl Unpacker<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.text.len());
        let Some(end) = end else { return Err(raise(self.lua, "Missing bytes in input.")) };
        let taken = &self.text[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn bad(&self) -> mlua::Error {
        raise(self.lua, "Bad data format in input.")
    }

    /// An unsigned number of `length` bytes, at most eight.
    fn unsigned(&mut self, length: usize) -> Result<u64> {
        Ok(self.take(length)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, length: usize) -> Result<i64> {
        let shift = 64 - 8 * length;
        Ok((self.unsigned(length)? << shift).cast_signed() >> shift)
    }

    pub(super) fn value(&mut self, depth: usize) -> Result<Value> {
        let first = self.take(1)?[0];
        let number = |n: f64| Ok(Value::Number(n));
        match first {
            0x00..=0x7f => number(f64::from(first)),
            0xe0..=0xff => number(f64::from(first.cast_signed())),
            0x80..=0x8f => self.map(usize::from(first & 0x0f), depth),
            0x90..=0x9f => self.array(usize::from(first & 0x0f), depth),
            0xa0..=0xbf => self.string(usize::from(first & 0x1f)),
            0xc0 => Ok(Value::Nil),
            0xc2 | 0xc3 => Ok(Value::Boolean(first == 0xc3)),
            0xc4..=0xc6 => {
                let length = self.unsigned(1 << (first - 0xc4))?;
                self.string(length as usize)
            }
            0xca => {
                let bits = self.unsigned(4)?;
                number(f64::from(f32::from_bits(bits as u32)))
            }
            0xcb => number(f64::from_bits(self.unsigned(8)?)),
            0xcc..=0xcf => number(self.unsigned(1 << (first - 0xcc))? as f64),
            0xd0..=0xd3 => number(self.signed(1 << (first - 0xd0))? as f64),
            0xd9..=0xdb => {
                let length = self.unsigned(1 << (first - 0xd9))?;
                self.string(length as usize)
            }
            0xdc | 0xdd => {
                let length = self.unsigned(2 << (first - 0xdc))?;
                self.array(length as usize, depth)
            }
            0xde | 0xdf => {
                let length = self.unsigned(2 << (first - 0xde))?;
                self.map(length as usize, depth)
            }
            _ => Err(self.bad()),
        }
    }

    fn string(&mut self, length: usize) -> Result<Value> {
        let lua = self.lua;
        lua.create_string(self.take(length)?).map(Value::String)
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Value> {
        if depth == UNPACK_DEPTH_MAX {
            return Err(self.bad());
        }
        let table = self.lua.create_table()?;
        for at in 1..=length {
            table.raw_set(at, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value> {
        if depth == UNPACK_DEPTH_MAX {
            return Err(self.bad());
        }
        let table = self.lua.create_table()?;
        for _ in 0..length {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            // What Lua does not take for a key is left out.
            if !key.is_nil() && !matches!(key, Value::Number(n) if n.is_nan()) {
                table.raw_set(key, value)?;
            }
        }
        Ok(Value::Table(table))
    }
}
