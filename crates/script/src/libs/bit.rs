//! `bit`: operations on the low 32 bits of numbers, after Mike Pall's description of Lua BitOp.

use crate::failure::raise;
use mlua::{Lua, MultiValue, Result, Table, Value};

/// The table.
pub(super) fn table(lua: &Lua) -> Result<Table> {
    let bit = lua.create_table()?;
    let one = |name: &'static str, f: fn(u32) -> u32| {
        bit.raw_set(
            name,
            lua.create_function(move |lua, args: MultiValue| Ok(signed(f(argument(lua, &args, 0, name)?))))?,
        )
    };
    one("tobit", |a| a)?;
    one("bnot", |a| !a)?;
    one("bswap", u32::swap_bytes)?;
    let many = |name: &'static str, f: fn(u32, u32) -> u32| {
        bit.raw_set(
            name,
            lua.create_function(move |lua, args: MultiValue| {
                let mut value = argument(lua, &args, 0, name)?;
                for at in 1..args.len() {
                    value = f(value, argument(lua, &args, at, name)?);
                }
                Ok(signed(value))
            })?,
        )
    };
    many("band", |a, b| a & b)?;
    many("bor", |a, b| a | b)?;
    many("bxor", |a, b| a ^ b)?;
    let shift = |name: &'static str, f: fn(u32, u32) -> u32| {
        bit.raw_set(
            name,
            lua.create_function(move |lua, args: MultiValue| {
                Ok(signed(f(argument(lua, &args, 0, name)?, argument(lua, &args, 1, name)? & 31)))
            })?,
        )
    };
    shift("lshift", |a, n| a << n)?;
    shift("rshift", |a, n| a >> n)?;
    shift("arshift", |a, n| (a.cast_signed() >> n).cast_unsigned())?;
    shift("rol", u32::rotate_left)?;
    shift("ror", u32::rotate_right)?;
    bit.raw_set("tohex", lua.create_function(tohex)?)?;
    Ok(bit)
}

fn signed(bits: u32) -> f64 {
    f64::from(bits.cast_signed())
}

/// A number modulo 2^32, rounded to the nearest integer, to even where two are as near.
fn bits(number: f64) -> u32 {
    const RANGE: f64 = 4_294_967_296.0;
    let rounded = number.round_ties_even();
    if rounded.is_finite() { rounded.rem_euclid(RANGE) as u32 } else { 0 }
}

fn argument(lua: &Lua, args: &MultiValue, at: usize, function: &str) -> Result<u32> {
    let value = args.get(at).cloned().unwrap_or(Value::Nil);
    let name = if args.len() > at { value.type_name() } else { "no value" };
    match lua.coerce_number(value)? {
        Some(number) => Ok(bits(number)),
        None => Err(raise(lua, &format!("bad argument #{} to '{function}' (number expected, got {name})", at + 1))),
    }
}

/// `tohex(x [, digits])`: a negative count of digits asks for capital letters.
fn tohex(lua: &Lua, args: MultiValue) -> Result<String> {
    let value = argument(lua, &args, 0, "tohex")?;
    let digits = if args.len() > 1 { argument(lua, &args, 1, "tohex")?.cast_signed() } else { 8 };
    let text = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    Ok(text[8 - digits.unsigned_abs().min(8) as usize..].to_owned())
}
