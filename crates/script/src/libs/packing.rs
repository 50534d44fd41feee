//! `struct`: values as bytes by a format and back, after Roberto Ierusalimschy's description of his library.

use super::json::text_argument;
use crate::convert::number;
use crate::failure::raise;
use mlua::{Lua, LuaString, MultiValue, Result, Table, Value};

/// The table.
pub(super) fn table(lua: &Lua) -> Result<Table> {
    let packing = lua.create_table()?;
    packing.raw_set("pack", lua.create_function(pack)?)?;
    packing.raw_set("unpack", lua.create_function(unpack)?)?;
    packing.raw_set("size", lua.create_function(size)?)?;
    Ok(packing)
}

/// The largest integer, bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// What `!` alone asks for: the strictest alignment of the machines Redis runs on.
const ALIGNMENT: usize = 8;

/// One step of a format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Item {
    Padding,
    Integer {
        bytes: usize,
        signed: bool,
    },
    /// So many bytes; 0: as many as the value before says.
    Bytes(usize),
    /// Up to a zero.
    Text,
    Float,
    Double,
}

impl Item {
    /// Its size if that is fixed.
    fn bytes(self) -> Option<usize> {
        match self {
            Item::Padding => Some(1),
            Item::Integer { bytes, .. } => Some(bytes),
            Item::Bytes(0) | Item::Text => None,
            Item::Bytes(n) => Some(n),
            Item::Float => Some(4),
            Item::Double => Some(8),
        }
    }

    /// What it is aligned to, if it is.
    fn unit(self) -> usize {
        match self {
            Item::Padding | Item::Bytes(_) | Item::Text => 1,
            other => other.bytes().unwrap_or(1),
        }
    }
}

/// A format as it is read, with the byte order and alignment in force.
struct Format<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    little: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, text: &'a [u8]) -> Format<'a> {
        Format { lua, text, little: cfg!(target_endian = "little"), align: 1 }
    }

    /// Digits, or `otherwise` where there are none.
    fn number(&mut self, otherwise: usize) -> Result<usize> {
        let length = self.text.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.text.split_at(length);
        self.text = rest;
        let mut n = 0usize;
        for digit in digits {
            n = n
                .checked_mul(10)
                .and_then(|n| n.checked_add(usize::from(digit - b'0')))
                .filter(|n| *n <= i32::MAX as usize)
                .ok_or_else(|| raise(self.lua, "integral size overflow"))?;
        }
        Ok(if digits.is_empty() { otherwise } else { n })
    }

    fn integer(&mut self, signed: bool) -> Result<Item> {
        let bytes = self.number(4)?;
        if bytes > INTEGER_BYTES_MAX {
            let text = format!("integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}");
            return Err(raise(self.lua, &text));
        }
        Ok(Item::Integer { bytes, signed })
    }

    fn next(&mut self) -> Result<Option<Item>> {
        while let Some((option, rest)) = self.text.split_first() {
            self.text = rest;
            let integer = |bytes, signed| Item::Integer { bytes, signed };
            return Ok(Some(match option {
                b'x' => Item::Padding,
                b'b' => integer(1, true),
                b'B' => integer(1, false),
                b'h' => integer(2, true),
                b'H' => integer(2, false),
                b'l' => integer(8, true),
                b'L' | b'T' => integer(8, false),
                b'i' => self.integer(true)?,
                b'I' => self.integer(false)?,
                b'c' => Item::Bytes(self.number(1)?),
                b's' => Item::Text,
                b'f' => Item::Float,
                b'd' => Item::Double,
                b' ' => continue,
                b'>' => {
                    self.little = false;
                    continue;
                }
                b'<' => {
                    self.little = true;
                    continue;
                }
                b'!' => {
                    let align = self.number(ALIGNMENT)?;
                    if !align.is_power_of_two() {
                        return Err(raise(self.lua, "alignment is not a power of 2"));
                    }
                    self.align = align;
                    continue;
                }
                other => {
                    return Err(raise(self.lua, &format!("invalid format option '{}'", *other as char)));
                }
            }));
        }
        Ok(None)
    }

    /// Bytes between `at` and where the item may begin.
    fn padding(&self, item: Item, at: usize) -> usize {
        let unit = item.unit().min(self.align);
        if unit > 1 && unit.is_power_of_two() { at.wrapping_neg() & (unit - 1) } else { 0 }
    }
}

fn size(lua: &Lua, args: MultiValue) -> Result<usize> {
    let text = text_argument(lua, &args, "size")?;
    let text = text.as_bytes();
    let mut format = Format::new(lua, &text);
    let mut total = 0usize;
    while let Some(item) = format.next()? {
        let bytes = match item {
            Item::Text => return Err(raise(lua, "bad argument #1 to 'size' (variable-size format in 'size')")),
            Item::Bytes(0) => return Err(raise(lua, "bad argument #1 to 'size' (variable-length format in 'size')")),
            other => other.bytes().unwrap_or(0),
        };
        total = total.saturating_add(format.padding(item, total)).saturating_add(bytes);
        if total > i32::MAX as usize {
            return Err(raise(lua, "bad argument #1 to 'size' (format result too large)"));
        }
    }
    Ok(total)
}

fn pack(lua: &Lua, args: MultiValue) -> Result<LuaString> {
    let text = text_argument(lua, &args, "pack")?;
    let text = text.as_bytes();
    let mut format = Format::new(lua, &text);
    let mut out = Vec::new();
    let mut at = 1;
    while let Some(item) = format.next()? {
        if out.len() > super::OUTPUT_BYTES_MAX {
            return Err(raise(lua, "struct.pack: the result exceeds Polder's limit of 64 MiB"));
        }
        out.resize(out.len() + format.padding(item, out.len()), 0);
        match item {
            Item::Padding => {
                out.push(0);
                continue;
            }
            Item::Integer { bytes, .. } => put(&mut out, integer(argument(lua, &args, at)?), bytes, format.little),
            Item::Float => {
                let bytes = (argument(lua, &args, at)? as f32).to_le_bytes();
                put_bytes(&mut out, &bytes, format.little);
            }
            Item::Double => put_bytes(&mut out, &argument(lua, &args, at)?.to_le_bytes(), format.little),
            Item::Bytes(_) | Item::Text => {
                let value = args.get(at).cloned().unwrap_or(Value::Nil);
                let Some(value) = lua.coerce_string(value)? else {
                    return Err(raise(lua, &format!("bad argument #{} to 'pack' (string expected)", at + 1)));
                };
                let bytes = value.as_bytes();
                let wanted = if let Item::Bytes(n @ 1..) = item { n } else { bytes.len() };
                if bytes.len() < wanted {
                    return Err(raise(lua, &format!("bad argument #{} to 'pack' (string too short)", at + 1)));
                }
                out.extend_from_slice(&bytes[..wanted]);
                if item == Item::Text {
                    out.push(0);
                }
            }
        }
        at += 1;
    }
    lua.create_string(out)
}

fn argument(lua: &Lua, args: &MultiValue, at: usize) -> Result<f64> {
    let value = args.get(at).cloned().unwrap_or(Value::Nil);
    let name = if args.len() > at { value.type_name() } else { "no value" };
    lua.coerce_number(value)?
        .ok_or_else(|| raise(lua, &format!("bad argument #{} to 'pack' (number expected, got {name})", at + 1)))
}

/// The 64 bits of a number that is taken for an integer, signed or not.
fn integer(n: f64) -> u64 {
    if n < 0.0 { (n as i64).cast_unsigned() } else { n as u64 }
}

fn put(out: &mut Vec<u8>, n: u64, bytes: usize, little: bool) {
    let mut wide = [0; INTEGER_BYTES_MAX];
    wide[..8].copy_from_slice(&n.to_le_bytes());
    put_bytes(out, &wide[..bytes], little);
}

/// Appends bytes that are given with the lowest first.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], little: bool) {
    if little { out.extend_from_slice(bytes) } else { out.extend(bytes.iter().rev()) }
}

fn unpack(lua: &Lua, args: MultiValue) -> Result<MultiValue> {
    let text = text_argument(lua, &args, "unpack")?;
    let text = text.as_bytes();
    let Some(data) = args.get(1).cloned().map(|value| lua.coerce_string(value)).transpose()?.flatten() else {
        return Err(raise(lua, "bad argument #2 to 'unpack' (string expected)"));
    };
    let data = data.as_bytes();
    let start = args.get(2).and_then(number).unwrap_or(1.0);
    if start < 1.0 {
        return Err(raise(lua, "bad argument #3 to 'unpack' (offset must be 1 or greater)"));
    }
    let mut at = start as usize - 1;
    let mut format = Format::new(lua, &text);
    let mut values = MultiValue::new();
    let short = || raise(lua, "bad argument #2 to 'unpack' (data string too short)");
    while let Some(item) = format.next()? {
        if values.len() >= super::VALUES_MAX {
            return Err(raise(lua, "too many results to unpack"));
        }
        at = at.checked_add(format.padding(item, at)).ok_or_else(short)?;
        let rest = data.get(at..).ok_or_else(short)?;
        let taken = match item {
            Item::Text => rest.iter().position(|b| *b == 0).ok_or_else(|| raise(lua, "unfinished string in data"))?,
            Item::Bytes(0) => match values.pop_back().as_ref().and_then(number) {
                Some(n) if n >= 0.0 => n as usize,
                _ => return Err(raise(lua, "format 'c0' needs a previous size")),
            },
            other => other.bytes().unwrap_or(0),
        };
        let bytes = rest.get(..taken).ok_or_else(short)?;
        at += taken + usize::from(item == Item::Text);
        let low_first = || bytes.iter().rev().copied().collect::<Vec<u8>>();
        let ordered = if format.little { bytes.to_vec() } else { low_first() };
        values.push_back(match item {
            Item::Padding => continue,
            Item::Integer { signed, .. } => Value::Number(read(&ordered, signed)),
            Item::Float => Value::Number(f64::from(f32::from_le_bytes(ordered.try_into().unwrap_or_default()))),
            Item::Double => Value::Number(f64::from_le_bytes(ordered.try_into().unwrap_or_default())),
            Item::Bytes(_) | Item::Text => Value::String(lua.create_string(bytes)?),
        });
    }
    values.push_back(Value::Number((at + 1) as f64));
    Ok(values)
}

/// An integer with its lowest byte first; of more than eight bytes the lowest count.
fn read(bytes: &[u8], signed: bool) -> f64 {
    let mut low = [0; 8];
    let length = bytes.len().min(8);
    low[..length].copy_from_slice(&bytes[..length]);
    let n = u64::from_le_bytes(low);
    match (signed, length) {
        (false, _) | (_, 0) => n as f64,
        (true, _) => {
            let shift = 64 - 8 * length;
            ((n << shift).cast_signed() >> shift) as f64
        }
    }
}

#[cfg(test)]
mod tests;
