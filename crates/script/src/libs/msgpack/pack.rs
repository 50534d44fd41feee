//! Lua values as MessagePack.

use super::PACK_DEPTH_MAX;
use crate::failure::raise;
use crate::libs::OUTPUT_BYTES_MAX;
use mlua::{Lua, Result, Table, Value};

pub(super) struct Packer<'a> {
    pub(super) lua: &'a Lua,
    pub(super) out: Vec<u8>,
}

/// The first bytes of the forms of a length: the short form with the greatest length it holds, then with 8 (where there is one), 16 and 32 bits.
struct Forms {
    short: (u8, usize),
    bits8: Option<u8>,
    bits16: u8,
    bits32: u8,
}

const STRING: Forms = Forms { short: (0xa0, 31), bits8: Some(0xd9), bits16: 0xda, bits32: 0xdb };
const ARRAY: Forms = Forms { short: (0x90, 15), bits8: None, bits16: 0xdc, bits32: 0xdd };
const MAP: Forms = Forms { short: (0x80, 15), bits8: None, bits16: 0xde, bits32: 0xdf };

impl Packer<'_> {
    pub(super) fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        if self.out.len() > OUTPUT_BYTES_MAX {
            return Err(raise(self.lua, "MessagePack pack: the result exceeds Polder's limit of 64 MiB"));
        }
        match value {
            Value::String(text) => {
                self.length(&STRING, text.as_bytes().len());
                self.out.extend_from_slice(&text.as_bytes());
            }
            Value::Boolean(b) => self.out.push(if *b { 0xc3 } else { 0xc2 }),
            Value::Integer(n) => self.integer(*n),
            Value::Number(n) => self.number(*n),
            Value::Table(table) if depth < PACK_DEPTH_MAX => self.table(table, depth + 1)?,
            _ => self.out.push(0xc0),
        }
        Ok(())
    }

    fn length(&mut self, forms: &Forms, length: usize) {
        match (length, forms.bits8) {
            (..=31, _) if length <= forms.short.1 => self.out.push(forms.short.0 | length as u8),
            (..=0xff, Some(first)) => self.out.extend_from_slice(&[first, length as u8]),
            (..=0xffff, _) => {
                self.out.push(forms.bits16);
                self.out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                self.out.push(forms.bits32);
                self.out.extend_from_slice(&(length as u32).to_be_bytes());
            }
        }
    }

    fn integer(&mut self, n: i64) {
        let bytes = n.to_be_bytes();
        let (first, length) = match n {
            -32..=127 => return self.out.push(bytes[7]),
            128..=0xff => (0xcc, 1),
            0x100..=0xffff => (0xcd, 2),
            0x1_0000..=0xffff_ffff => (0xce, 4),
            0x1_0000_0000.. => (0xcf, 8),
            -0x80..-32 => (0xd0, 1),
            -0x8000..-0x80 => (0xd1, 2),
            -0x8000_0000..-0x8000 => (0xd2, 4),
            _ => (0xd3, 8),
        };
        self.out.push(first);
        self.out.extend_from_slice(&bytes[8 - length..]);
    }

    fn number(&mut self, n: f64) {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        if n.fract() == 0.0 && (-LIMIT..LIMIT).contains(&n) {
            self.integer(n as i64);
        } else if f64::from(n as f32) == n {
            self.out.push(0xca);
            self.out.extend_from_slice(&(n as f32).to_be_bytes());
        } else {
            self.out.push(0xcb);
            self.out.extend_from_slice(&n.to_be_bytes());
        }
    }

    /// An array if the keys are 1 to n, an empty table too; otherwise a map.
    fn table(&mut self, table: &Table, depth: usize) -> Result<()> {
        let (mut count, mut greatest, mut indexes) = (0usize, 0i64, true);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(n) if n > 0 => greatest = greatest.max(n),
                _ => indexes = false,
            }
            count += 1;
        }
        if indexes && usize::try_from(greatest) == Ok(count) {
            self.length(&ARRAY, count);
            for at in 1..=count {
                let value: Value = table.raw_get(at)?;
                self.value(&value, depth)?;
            }
            return Ok(());
        }
        self.length(&MAP, count);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.value(&key, depth)?;
            self.value(&value, depth)?;
        }
        Ok(())
    }
}
