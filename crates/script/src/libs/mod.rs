//! The libraries that Redis puts beside Lua's own.

mod bit;
mod random;

use crate::limits::Meter;
use mlua::{Lua, Result, Table};
use std::sync::Arc;

/// Every library by its name. Those of Lua's own that need other functions here are changed.
pub(crate) fn tables(lua: &Lua, meter: &Arc<Meter>) -> Result<Table> {
    let libraries = lua.create_table()?;
    libraries.raw_set("bit", bit::table(lua)?)?;
    libraries.raw_set("os", os(lua, meter)?)?;
    random::install(lua)?;
    Ok(libraries)
}

pub(crate) use random::seed;

/// Instructions that pass for one second: what `os.clock` tells is a count, because time stands still in a script.
const INSTRUCTIONS_PER_SECOND: f64 = 100_000_000.0;

fn os(lua: &Lua, meter: &Arc<Meter>) -> Result<Table> {
    let os = lua.create_table()?;
    let meter = meter.clone();
    os.raw_set("clock", lua.create_function(move |_, ()| Ok(meter.used() as f64 / INSTRUCTIONS_PER_SECOND))?)?;
    Ok(os)
}
