//! `cjson`: Lua values as JSON text and back, with the choices of lua-cjson that Redis ships.

mod decode;
mod encode;

use crate::convert::number;
use crate::failure::raise;
use mlua::{LightUserData, Lua, LuaString, MultiValue, Result, Table, Value};
use std::sync::{Arc, Mutex, PoisonError};

/// What `encode_sparse_array` and its kind change: for one run, as everything a script changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    sparse_convert: bool,
    sparse_ratio: u32,
    sparse_safe: u32,
    encode_depth: u32,
    decode_depth: u32,
    encode_invalid: Invalid,
    decode_invalid: bool,
    precision: u32,
    keep_buffer: bool,
}

/// What becomes of NaN and infinities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// Tables in one another, by default and at most: each takes its share of the machine's stack.
const DEPTH_MAX: u32 = 1_000;

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: DEPTH_MAX,
            decode_depth: DEPTH_MAX,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            precision: 14,
            keep_buffer: true,
        }
    }
}

/// The settings of the run under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Settings>>);

impl Shared {
    fn get(&self) -> Settings {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A run begins: the settings are the usual ones.
pub(crate) fn reset(lua: &Lua) {
    if let Some(shared) = lua.app_data_ref::<Shared>() {
        shared.change(|settings| *settings = Settings::default());
    }
}

/// The table.
pub(super) fn table(lua: &Lua) -> Result<Table> {
    let json = lua.create_table()?;
    let shared = Shared::default();
    lua.set_app_data(shared.clone());
    json.raw_set("_NAME", "cjson")?;
    json.raw_set("_VERSION", "2.1.0")?;
    json.raw_set("null", LightUserData(std::ptr::null_mut()))?;
    let settings = shared.clone();
    json.raw_set(
        "encode",
        lua.create_function(move |lua, args: MultiValue| {
            one(lua, &args)?;
            let text = encode::text(lua, args.front().unwrap_or(&Value::Nil), &settings.get())?;
            lua.create_string(text)
        })?,
    )?;
    let settings = shared.clone();
    json.raw_set(
        "decode",
        lua.create_function(move |lua, args: MultiValue| {
            one(lua, &args)?;
            let text = text_argument(lua, &args, "decode")?;
            decode::value(lua, &text.as_bytes(), &settings.get())
        })?,
    )?;
    setters(lua, &json, &shared)?;
    Ok(json)
}

fn one(lua: &Lua, args: &MultiValue) -> Result<()> {
    if args.len() == 1 { Ok(()) } else { Err(raise(lua, "bad argument #1 to 'encode' (expected 1 argument)")) }
}

/// The first argument as a string; numbers count as such.
pub(super) fn text_argument(lua: &Lua, args: &MultiValue, function: &str) -> Result<LuaString> {
    let value = args.front().cloned().unwrap_or(Value::Nil);
    let name = if args.is_empty() { "no value" } else { value.type_name() };
    lua.coerce_string(value)?
        .ok_or_else(|| raise(lua, &format!("bad argument #1 to '{function}' (string expected, got {name})")))
}

/// An integer argument between two bounds, if it is given.
fn bounded(lua: &Lua, args: &MultiValue, at: usize, low: u32, high: u32) -> Result<Option<u32>> {
    match args.get(at) {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => match number(value).filter(|n| (f64::from(low)..=f64::from(high)).contains(n)) {
            Some(n) => Ok(Some(n as u32)),
            None => {
                Err(raise(lua, &format!("bad argument #{} to '?' (expected integer between {low} and {high})", at + 1)))
            }
        },
    }
}

fn flag(args: &MultiValue, at: usize) -> Option<bool> {
    args.get(at).filter(|v| !v.is_nil()).map(|v| *v != Value::Boolean(false))
}

fn setters(lua: &Lua, json: &Table, shared: &Shared) -> Result<()> {
    let s = shared.clone();
    let sparse = lua.create_function(move |lua, args: MultiValue| {
        let (ratio, safe) = (bounded(lua, &args, 1, 0, u32::MAX)?, bounded(lua, &args, 2, 0, u32::MAX)?);
        s.change(|to| {
            to.sparse_convert = flag(&args, 0).unwrap_or(to.sparse_convert);
            to.sparse_ratio = ratio.unwrap_or(to.sparse_ratio);
            to.sparse_safe = safe.unwrap_or(to.sparse_safe);
        });
        let now = s.get();
        Ok((now.sparse_convert, now.sparse_ratio, now.sparse_safe))
    })?;
    json.raw_set("encode_sparse_array", sparse)?;
    let counted = |name: &str, low, high, field: fn(&mut Settings) -> &mut u32| {
        let s = shared.clone();
        let set = lua.create_function(move |lua, args: MultiValue| {
            let n = bounded(lua, &args, 0, low, high)?;
            s.change(|to| *field(to) = n.unwrap_or(*field(to)));
            Ok(*field(&mut s.get()))
        })?;
        json.raw_set(name, set)
    };
    counted("encode_max_depth", 1, DEPTH_MAX, |s| &mut s.encode_depth)?;
    counted("decode_max_depth", 1, DEPTH_MAX, |s| &mut s.decode_depth)?;
    counted("encode_number_precision", 1, 17, |s| &mut s.precision)?;
    let switched = |name: &str, field: fn(&mut Settings) -> &mut bool| {
        let s = shared.clone();
        let set = lua.create_function(move |_, args: MultiValue| {
            s.change(|to| *field(to) = flag(&args, 0).unwrap_or(*field(to)));
            Ok(*field(&mut s.get()))
        })?;
        json.raw_set(name, set)
    };
    switched("encode_keep_buffer", |s| &mut s.keep_buffer)?;
    switched("decode_invalid_numbers", |s| &mut s.decode_invalid)?;
    let s = shared.clone();
    let invalid = lua.create_function(move |_, args: MultiValue| {
        let asked = match args.front() {
            None | Some(Value::Nil) => None,
            Some(Value::String(word)) if *word == "null" => Some(Invalid::Null),
            Some(Value::Boolean(false)) => Some(Invalid::Refused),
            Some(Value::String(word)) if *word == "off" => Some(Invalid::Refused),
            Some(_) => Some(Invalid::Written),
        };
        s.change(|to| to.encode_invalid = asked.unwrap_or(to.encode_invalid));
        Ok(match s.get().encode_invalid {
            Invalid::Refused => (Some(false), None),
            Invalid::Written => (Some(true), None),
            Invalid::Null => (None, Some("null")),
        })
    })?;
    json.raw_set("encode_invalid_numbers", invalid)
}

#[cfg(test)]
mod tests;
