//! Replies as Lua values, and Lua values as replies, by the rules of Redis 7.2.

use crate::failure::{self, raise_line};
use bytes::Bytes;
use command::{Args, MAX_ARGUMENTS, MAX_REPLY_DEPTH, MAX_REQUEST_BYTES, Reply, double};
use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};

/// Tables in one another that a reply may have: EXEC puts an array around it.
const DEPTH_MAX: usize = MAX_REPLY_DEPTH - 2;
/// The largest reply of a script, bytes of its parts: many elements may be the same string.
const REPLY_BYTES_MAX: usize = 256 << 20;
/// What an element of a reply costs besides its bytes.
const ELEMENT_BYTES: usize = 64;

/// The words of a command that a script calls.
pub(crate) fn words(args: &MultiValue) -> Result<Args> {
    if args.is_empty() {
        return Err(raise_line("ERR Please specify at least one argument for this redis lib call"));
    }
    let mut words = Args::with_capacity(args.len());
    let mut size = 0;
    for arg in args {
        let word = match arg {
            Value::String(text) => {
                size += text.as_bytes().len();
                if size > MAX_REQUEST_BYTES || args.len() > MAX_ARGUMENTS {
                    return Err(raise_line("ERR the words of the command exceed Polder's limit of 128 MiB"));
                }
                Bytes::copy_from_slice(&text.as_bytes())
            }
            Value::Integer(n) => Bytes::from(n.to_string()),
            Value::Number(n) => number_text(*n),
            _ => return Err(raise_line("ERR Lua redis lib command arguments must be strings or integers")),
        };
        words.push(word);
    }
    Ok(words)
}

/// An integer without a fraction as such, any other number with the fewest digits that mean it.
fn number_text(n: f64) -> Bytes {
    double::to_text(n).into()
}

/// A reply as the value that `redis.call` gives.
pub(crate) fn to_lua(lua: &Lua, reply: Reply, resp3: bool) -> Result<Value> {
    let string = |bytes: &[u8]| lua.create_string(bytes).map(Value::String);
    let single = |name: &str, value: Value| {
        let table = lua.create_table()?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    };
    match reply {
        Reply::Integer(n) => Ok(Value::Number(n as f64)),
        Reply::Bulk(bytes) => string(&bytes),
        Reply::Null | Reply::NullArray if resp3 => Ok(Value::Nil),
        Reply::Null | Reply::NullArray => Ok(Value::Boolean(false)),
        Reply::Simple(status) => single("ok", string(status.as_bytes())?),
        Reply::Error(line) => failure::line_table(lua, &line, true).map(Value::Table),
        Reply::Array(items) | Reply::Push(items) => array(lua, items, resp3),
        Reply::Set(items) if resp3 => {
            let set = lua.create_table()?;
            for item in items {
                set.raw_set(key(to_lua(lua, item, resp3)?), true)?;
            }
            single("set", Value::Table(set))
        }
        Reply::Set(items) => array(lua, items, resp3),
        Reply::Map(pairs) if resp3 => {
            let map = lua.create_table_with_capacity(0, pairs.len())?;
            for (name, value) in pairs {
                map.raw_set(key(to_lua(lua, name, resp3)?), to_lua(lua, value, resp3)?)?;
            }
            single("map", Value::Table(map))
        }
        Reply::Map(pairs) => array(lua, pairs.into_iter().flat_map(|(k, v)| [k, v]).collect(), resp3),
        Reply::Double(n) if resp3 => single("double", Value::Number(n)),
        Reply::Double(n) => string(&double::to_text(n)),
        Reply::Boolean(b) if resp3 => Ok(Value::Boolean(b)),
        Reply::Boolean(b) => Ok(Value::Number(f64::from(u8::from(b)))),
        Reply::Verbatim(format, text) if resp3 => {
            let verbatim = lua.create_table()?;
            verbatim.raw_set("format", string(&format)?)?;
            verbatim.raw_set("string", string(&text)?)?;
            single("verbatim_string", Value::Table(verbatim))
        }
        Reply::Verbatim(_, text) => string(&text),
    }
}

/// What may not be a table's key stands as `false`.
fn key(value: Value) -> Value {
    if value.is_nil() { Value::Boolean(false) } else { value }
}

fn array(lua: &Lua, items: Vec<Reply>, resp3: bool) -> Result<Value> {
    let table = lua.create_table_with_capacity(items.len(), 0)?;
    for (at, item) in items.into_iter().enumerate() {
        table.raw_set(at + 1, to_lua(lua, item, resp3)?)?;
    }
    Ok(Value::Table(table))
}

/// The reply that a script's value stands for.
pub(crate) struct ToReply {
    /// The script's own protocol: RESP3 after `redis.setresp(3)`.
    pub(crate) resp3: bool,
    left: usize,
}

impl ToReply {
    pub(crate) fn new(resp3: bool) -> ToReply {
        ToReply { resp3, left: REPLY_BYTES_MAX }
    }

    /// # Errors
    /// When the interpreter fails, which is then out of memory.
    pub(crate) fn reply(&mut self, value: &Value, depth: usize) -> Result<Reply> {
        self.count(ELEMENT_BYTES)?;
        Ok(match value {
            Value::String(text) => Reply::Bulk(self.bytes(text)?),
            Value::Number(n) => Reply::Integer(truncated(*n)),
            Value::Integer(n) => Reply::Integer(*n),
            Value::Boolean(b) if self.resp3 => Reply::Boolean(*b),
            Value::Boolean(true) => Reply::Integer(1),
            Value::Table(_) if depth == DEPTH_MAX => Reply::error("ERR reached lua stack limit"),
            Value::Table(table) => self.table(table, depth)?,
            _ => Reply::Null,
        })
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| Error::runtime(REPLY_TOO_LARGE))?;
        Ok(())
    }

    fn bytes(&mut self, text: &LuaString) -> Result<Bytes> {
        self.count(text.as_bytes().len())?;
        Ok(Bytes::copy_from_slice(&text.as_bytes()))
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<Reply> {
        if let Value::String(line) = table.raw_get("err")? {
            return Ok(Reply::Error(one_line(&line.to_string_lossy()).into()));
        }
        if let Value::String(status) = table.raw_get("ok")? {
            return Ok(Reply::Simple(one_line(&status.to_string_lossy()).into()));
        }
        match table.raw_get("double")? {
            Value::Number(n) => return Ok(Reply::Double(n)),
            Value::Integer(n) => return Ok(Reply::Double(n as f64)),
            _ => {}
        }
        if let Value::Table(map) = table.raw_get("map")? {
            let mut pairs = Vec::new();
            for pair in map.pairs::<Value, Value>() {
                let (name, value) = pair?;
                pairs.push((self.reply(&name, depth + 1)?, self.reply(&value, depth + 1)?));
            }
            return Ok(Reply::Map(pairs));
        }
        if let Value::Table(set) = table.raw_get("set")? {
            let mut items = Vec::new();
            for pair in set.pairs::<Value, Value>() {
                items.push(self.reply(&pair?.0, depth + 1)?);
            }
            return Ok(Reply::Set(items));
        }
        if let Value::String(digits) = table.raw_get("big_number")? {
            return Ok(Reply::Bulk(one_line(&digits.to_string_lossy()).into()));
        }
        if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
            && let (Value::String(text), Value::String(format)) =
                (verbatim.raw_get("string")?, verbatim.raw_get("format")?)
        {
            let mut name = *b"   ";
            name.iter_mut().zip(format.as_bytes().iter()).for_each(|(cell, byte)| *cell = *byte);
            return Ok(Reply::Verbatim(name, self.bytes(&text)?));
        }
        let mut items = Vec::new();
        loop {
            let value: Value = table.raw_get(items.len() + 1)?;
            if value.is_nil() {
                return Ok(Reply::Array(items));
            }
            items.push(self.reply(&value, depth + 1)?);
        }
    }
}

/// The error that replaces a reply beyond its limit.
pub(crate) const REPLY_TOO_LARGE: &str = "ERR the reply would exceed Polder's limit of 256 MiB; read it in parts";

/// A number without its fraction; what no integer can hold is the smallest one, as on the machines Redis runs on.
fn truncated(n: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&n) { n as i64 } else { i64::MIN }
}

/// A status or an error is one line.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// A number; strings are not taken for one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => Some(*n),
        Value::Integer(n) => Some(*n as f64),
        _ => None,
    }
}
