//! `cmsgpack`: Lua values as MessagePack and back (github.com/msgpack/msgpack, spec.md), with the choices of lua-cmsgpack.

mod pack;
mod unpack;

use super::json::text_argument;
use crate::convert::number;
use crate::failure::raise;
use mlua::{Lua, MultiValue, Result, Table, Value};

/// Tables in one another that are packed; what lies deeper is packed as nil, as in lua-cmsgpack.
const PACK_DEPTH_MAX: usize = 16;
/// Arrays and maps in one another that are unpacked: each takes its share of the machine's stack.
const UNPACK_DEPTH_MAX: usize = 1_000;

/// The table.
pub(super) fn table(lua: &Lua) -> Result<Table> {
    let msgpack = lua.create_table()?;
    msgpack.raw_set("_NAME", "cmsgpack")?;
    msgpack.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    msgpack.raw_set("pack", lua.create_function(pack)?)?;
    msgpack.raw_set("unpack", lua.create_function(|lua, args: MultiValue| unpack(lua, &args, None, 0))?)?;
    msgpack.raw_set(
        "unpack_one",
        lua.create_function(|lua, args: MultiValue| unpack(lua, &args, Some(1), offset(lua, &args, 1)?))?,
    )?;
    msgpack.raw_set(
        "unpack_limit",
        lua.create_function(|lua, args: MultiValue| {
            let limit = offset(lua, &args, 1)?;
            unpack(lua, &args, Some(limit), offset(lua, &args, 2)?)
        })?,
    )?;
    Ok(msgpack)
}

fn pack(lua: &Lua, args: MultiValue) -> Result<mlua::LuaString> {
    if args.is_empty() {
        return Err(raise(lua, "bad argument #0 to 'pack' (MessagePack pack needs input.)"));
    }
    let mut packer = pack::Packer { lua, out: Vec::new() };
    for value in &args {
        packer.value(value, 0)?;
    }
    lua.create_string(packer.out)
}

fn offset(lua: &Lua, args: &MultiValue, at: usize) -> Result<i64> {
    match args.get(at) {
        None | Some(Value::Nil) => Ok(0),
        Some(value) => number(value).map(|n| n as i64).ok_or_else(|| {
            raise(lua, &format!("bad argument #{} to '?' (number expected, got {})", at + 1, value.type_name()))
        }),
    }
}

/// The values in a text from `start` on. With `limit`, at most so many (0: all), and before them where the next one begins, or -1 at the end.
fn unpack(lua: &Lua, args: &MultiValue, limit: Option<i64>, start: i64) -> Result<MultiValue> {
    let text = text_argument(lua, args, "unpack")?;
    let text = text.as_bytes();
    let (Ok(most), Ok(from)) = (usize::try_from(limit.unwrap_or(0)), usize::try_from(start)) else {
        let text = format!("Invalid request to unpack with offset of {start} and limit of {}.", limit.unwrap_or(0));
        return Err(raise(lua, &text));
    };
    if from > text.len() {
        return Err(raise(lua, &format!("Start offset {from} greater than input length {}.", text.len())));
    }
    let mut reader = unpack::Unpacker { lua, text: &text, at: from };
    let mut values = MultiValue::new();
    while reader.at < text.len() && (most == 0 || values.len() < most) {
        if values.len() == super::VALUES_MAX {
            return Err(raise(lua, "too many results to unpack"));
        }
        let value = reader.value(0)?;
        values.push_back(value);
    }
    if limit.is_some() {
        let next = if reader.at == text.len() { -1 } else { reader.at as i64 };
        values.push_front(Value::Integer(next));
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
