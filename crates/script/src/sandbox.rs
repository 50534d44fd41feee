//! The environment of scripts: Lua's own libraries behind tables that refuse changes (`sandbox.lua`), and ours beside them.

use crate::failure::{self, Raised, SANDBOX};
use crate::limits::{Meter, STRIDE};
use crate::{api, library, libs};
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, Result, StdLib, Table, Value, VmState};
use std::sync::Arc;

/// What the interpreter needs of the environment.
pub(crate) struct Sandbox {
    /// `run(chunk, keys, arguments)`.
    pub(crate) run: Function,
    /// `call(callback, keys, arguments)`, for a function of a library.
    pub(crate) call: Function,
    /// `load(chunk)`, for the code of a library.
    pub(crate) load: Function,
    /// The end of `load`, whatever came of it.
    pub(crate) loaded: Function,
    /// The globals of libraries.
    pub(crate) function_env: Table,
    /// Forgets what the run was given.
    pub(crate) clear: Function,
    /// The globals of scripts.
    pub(crate) env: Table,
    /// The functions of `redis`, without the two that call commands.
    pub(crate) redis: Table,
}

/// An interpreter with everything that scripts find, and nothing else.
pub(crate) fn build(meter: &Arc<Meter>) -> Result<(Lua, Sandbox)> {
    let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE | StdLib::MATH, LuaOptions::default())?;
    let redis = api::table(&lua)?;
    let rust = functions(&lua)?;
    rust.raw_set("registry", library::registry(&lua, &redis)?)?;
    let libraries = libs::tables(&lua, meter)?;
    libraries.raw_set("redis", &redis)?;
    rust.raw_set("libraries", libraries)?;
    libs::install_strings(&lua, meter, &rust)?;
    let prelude = lua.load(include_str!("sandbox.lua")).set_name(format!("={SANDBOX}")).set_mode(ChunkMode::Text);
    let parts: Table = prelude.call(rust)?;
    let sandbox = Sandbox {
        run: parts.get("run")?,
        call: parts.get("call")?,
        load: parts.get("load")?,
        loaded: parts.get("loaded")?,
        function_env: parts.get("function_env")?,
        clear: parts.get("clear")?,
        env: parts.get("env")?,
        redis,
    };
    watch(&lua, meter, parts.get("state")?)?;
    Ok((lua, sandbox))
}

/// Looks at the meter all along. Once a run is over, every further look ends it again: catching the error helps for
/// a few instructions only.
fn watch(lua: &Lua, meter: &Arc<Meter>, state: Table) -> Result<()> {
    let meter = meter.clone();
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(STRIDE), move |_, _| {
        if meter.spend(STRIDE) {
            return Ok(VmState::Continue);
        }
        state.raw_set("ended", true)?;
        Err(Raised::Over.into())
    })
}

/// What `sandbox.lua` calls.
fn functions(lua: &Lua) -> Result<Table> {
    let rust = lua.create_table()?;
    rust.raw_set(
        "translate",
        lua.create_function(|lua, (value, placed): (Value, Option<bool>)| {
            failure::translate(lua, value, placed.unwrap_or(false))
        })?,
    )?;
    rust.raw_set("over", lua.create_function(|_, ()| Err::<(), Error>(Raised::Over.into()))?)?;
    rust.raw_set("refuse", lua.create_function(|_, text: String| Err::<(), Error>(Raised::Text(text).into()))?)?;
    rust.raw_set(
        "position",
        lua.create_function(|lua, ()| Ok(failure::position(lua).map_or((None, None), |(s, l)| (Some(s), Some(l)))))?,
    )?;
    Ok(rust)
}
