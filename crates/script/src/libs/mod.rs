//! The libraries that Redis puts beside Lua's own.

mod bit;
mod json;
mod msgpack;
mod number;
mod packing;
mod pattern;
mod random;
mod strings;

use crate::limits::Meter;
use mlua::{Lua, Result, Table};
use std::sync::Arc;

/// Every library by its name. Those of Lua's own that need other functions here are changed.
pub(crate) fn tables(lua: &Lua, meter: &Arc<Meter>) -> Result<Table> {
    let libraries = lua.create_table()?;
    libraries.raw_set("bit", bit::table(lua)?)?;
    libraries.raw_set("cjson", json::table(lua)?)?;
    libraries.raw_set("cmsgpack", msgpack::table(lua)?)?;
    libraries.raw_set("struct", packing::table(lua)?)?;
    libraries.raw_set("os", os(lua, meter)?)?;
    random::install(lua)?;
    Ok(libraries)
}

pub(crate) use strings::install as install_strings;

/// A run begins: what scripts can set is as usual.
pub(crate) fn reset(lua: &Lua, seed: u32) {
    random::seed(lua, seed);
    json::reset(lua);
}

/// The longest string that a library makes, bytes; the interpreter's own memory limits the others.
const OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Values that a function gives at most: what the interpreter's stack holds, less some.
const VALUES_MAX: usize = 7_900;

/// Instructions that pass for one second: what `os.clock` tells is a count, because time stands still in a script.
const INSTRUCTIONS_PER_SECOND: f64 = 100_000_000.0;

fn os(lua: &Lua, meter: &Arc<Meter>) -> Result<Table> {
    let os = lua.create_table()?;
    let meter = meter.clone();
    os.raw_set("clock", lua.create_function(move |_, ()| Ok(meter.used() as f64 / INSTRUCTIONS_PER_SECOND))?)?;
    Ok(os)
}
