//! `math.random`: POSIX' `lrand48`, with a seed that is an input of the run.

use crate::failure::raise;
use mlua::{Lua, MultiValue, Result, Table, Value};

/// The state of the generator, 48 bits.
struct State(u64);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;

impl State {
    fn seeded(seed: u32) -> State {
        State(u64::from(seed) << 16 | 0x330E)
    }

    /// The next 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        (self.0 >> 17) as u32
    }
}

/// Starts the sequence of a seed.
pub(super) fn seed(lua: &Lua, seed: u32) {
    lua.set_app_data(State::seeded(seed));
}

/// Puts `random` and `randomseed` into `math`.
pub(super) fn install(lua: &Lua) -> Result<()> {
    seed(lua, 0);
    let math: Table = lua.globals().raw_get("math")?;
    math.raw_set("random", lua.create_function(random)?)?;
    math.raw_set(
        "randomseed",
        lua.create_function(|lua, args: MultiValue| {
            let seed = argument(lua, &args, 0, "randomseed")?;
            lua.set_app_data(State::seeded(seed as i64 as u32));
            Ok(())
        })?,
    )
}

fn argument(lua: &Lua, args: &MultiValue, at: usize, function: &str) -> Result<f64> {
    let value = args.get(at).cloned().unwrap_or(Value::Nil);
    let name = if args.len() > at { value.type_name() } else { "no value" };
    lua.coerce_number(value)?
        .ok_or_else(|| raise(lua, &format!("bad argument #{} to '{function}' (number expected, got {name})", at + 1)))
}

fn random(lua: &Lua, args: MultiValue) -> Result<f64> {
    let unit = lua.app_data_mut::<State>().map_or(0, |mut state| state.next());
    let unit = f64::from(unit % i32::MAX as u32) / f64::from(i32::MAX);
    let integer = |at| argument(lua, &args, at, "random").map(f64::trunc);
    let (low, high) = match args.len() {
        0 => return Ok(unit),
        1 => (1.0, integer(0)?),
        2 => (integer(0)?, integer(1)?),
        _ => return Err(raise(lua, "wrong number of arguments")),
    };
    if low > high {
        return Err(raise(lua, &format!("bad argument #{} to 'random' (interval is empty)", args.len())));
    }
    Ok((unit * (high - low + 1.0)).floor() + low)
}
