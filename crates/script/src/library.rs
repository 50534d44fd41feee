//! Libraries of functions: what their first line says, and what they register while they are loaded.

use crate::failure::raise_line;
use crate::shebang::Flags;
use bytes::Bytes;
use mlua::{Function, Lua, MultiValue, Result, Table, Value};

/// What a function may do, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FunctionFlags(u8);

const NO_WRITES: u8 = 0x01;
const NO_CLUSTER: u8 = 0x08;
/// The bits by name, in the order in which FUNCTION LIST shows them. Persisted: none may change.
const NAMES: [(&str, u8); 5] = [
    ("no-writes", NO_WRITES),
    ("allow-oom", 0x02),
    ("allow-stale", 0x04),
    ("no-cluster", NO_CLUSTER),
    ("allow-cross-slot-keys", 0x10),
];

impl FunctionFlags {
    /// As `bits` gave them; unknown bits are dropped.
    #[must_use]
    pub fn from_bits(bits: u8) -> FunctionFlags {
        FunctionFlags(bits & NAMES.iter().fold(0, |all, (_, bit)| all | bit))
    }

    /// One byte, which is persisted.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(_, bit)| self.0 & bit != 0).map(|(name, _)| name)
    }

    /// What they mean for a run.
    #[must_use]
    pub fn of_run(self) -> Flags {
        Flags { undeclared: false, no_writes: self.0 & NO_WRITES != 0, no_cluster: self.0 & NO_CLUSTER != 0 }
    }
}

/// A function of a library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionInfo {
    /// Letters, digits and underscores.
    pub name: String,
    /// What its author says of it.
    pub description: Option<Bytes>,
    /// What it may do.
    pub flags: FunctionFlags,
}

/// The name in a library's first line, and where the code begins. The end of the line belongs to the code, so that its lines keep
/// their numbers.
///
/// # Errors
/// The error line to answer.
pub fn library_header(body: &[u8]) -> std::result::Result<(String, usize), String> {
    if !body.starts_with(b"#!") {
        return Err("ERR Missing library metadata".to_owned());
    }
    let invalid = || "ERR Invalid library metadata".to_owned();
    let end = body.iter().position(|b| *b == b'\n').ok_or_else(invalid)?;
    let line = String::from_utf8_lossy(&body[..end]).into_owned();
    let words = split(&line).ok_or_else(invalid)?;
    let (engine, rest) = words.split_first().ok_or_else(invalid)?;
    let engine = &engine["#!".len()..];
    if !engine.eq_ignore_ascii_case("lua") {
        return Err(format!("ERR Engine '{}' not found", printable(engine)));
    }
    let mut name = None;
    for word in rest {
        let Some(value) = word.get(..5).filter(|key| key.eq_ignore_ascii_case("name=")).map(|key| &word[key.len()..])
        else {
            return Err(format!("ERR Invalid metadata value given: {}", printable(word)));
        };
        if name.replace(value).is_some() {
            return Err("ERR Invalid metadata value, name argument was given multiple times".to_owned());
        }
    }
    let name = name.ok_or("ERR Library name was not given")?;
    if is_name(name) { Ok((name.to_owned(), end)) } else { Err(BAD_NAME.to_owned()) }
}

const BAD_NAME: &str =
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// Longest name of a library or a function, bytes: it is a key of the state.
const NAME_BYTES_MAX: usize = 1_024;

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn printable(word: &str) -> String {
    word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Words between blanks; quotes keep blanks in a word. `None` when one is not closed.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(q) if q == c => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// What a library that is being loaded has registered.
pub(crate) struct Loading {
    pub(crate) functions: Vec<FunctionInfo>,
    /// The callbacks by name.
    pub(crate) callbacks: Table,
}

/// `redis` as the code of a library finds it while it is loaded.
pub(crate) fn registry(lua: &Lua, redis: &Table) -> Result<Table> {
    let registry = lua.create_table()?;
    for shared in ["log", "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM"]
    {
        registry.raw_set(shared, redis.raw_get::<Value>(shared)?)?;
    }
    registry.raw_set("register_function", lua.create_function(register)?)?;
    Ok(registry)
}

fn register(lua: &Lua, args: MultiValue) -> Result<()> {
    let refuse = |line: &str| Err(raise_line(format!("ERR {line}")));
    let Some(mut loading) = lua.app_data_mut::<Loading>() else {
        return refuse("redis.register_function can only be called on FUNCTION LOAD command");
    };
    let given = match args.iter().collect::<Vec<_>>()[..] {
        [Value::Table(table)] => named(lua, table)?,
        [_] => {
            return refuse(
                "calling redis.register_function with a single argument is only applicable to Lua table (representing named \
                 arguments).",
            );
        }
        [name, callback] => positional(lua, name, callback)?,
        _ => return refuse("wrong number of arguments to redis.register_function"),
    };
    let (info, callback) = given;
    if !is_name(&info.name) {
        return Err(raise_line(BAD_NAME));
    }
    if loading.functions.iter().any(|f| f.name.eq_ignore_ascii_case(&info.name)) {
        return refuse("Function already exists in the library");
    }
    loading.callbacks.raw_set(info.name.as_str(), callback)?;
    loading.functions.push(info);
    Ok(())
}

fn text(lua: &Lua, value: &Value) -> Option<String> {
    let text = lua.coerce_string(value.clone()).ok().flatten()?;
    Some(text.to_string_lossy())
}

fn positional(lua: &Lua, name: &Value, callback: &Value) -> Result<(FunctionInfo, Function)> {
    let Some(name) = text(lua, name) else {
        return Err(raise_line("ERR first argument to redis.register_function must be a string"));
    };
    let Value::Function(callback) = callback else {
        return Err(raise_line("ERR second argument to redis.register_function must be a function"));
    };
    Ok((FunctionInfo { name, description: None, flags: FunctionFlags::default() }, callback.clone()))
}

fn named(lua: &Lua, table: &Table) -> Result<(FunctionInfo, Function)> {
    let refuse = |line: &str| Err(raise_line(format!("ERR {line}")));
    let (mut name, mut callback) = (None, None);
    let (mut description, mut flags) = (None, FunctionFlags::default());
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text(lua, &key) else {
            return refuse("named argument key given to redis.register_function is not a string");
        };
        match (key.as_str(), value) {
            ("function_name", value) => match text(lua, &value) {
                Some(text) => name = Some(text),
                None => return refuse("function_name argument given to redis.register_function must be a string"),
            },
            ("description", value) => match lua.coerce_string(value)? {
                Some(text) => description = Some(Bytes::copy_from_slice(&text.as_bytes())),
                None => return refuse("description argument given to redis.register_function must be a string"),
            },
            ("callback", Value::Function(function)) => callback = Some(function),
            ("callback", _) => return refuse("callback argument given to redis.register_function must be a function"),
            ("flags", Value::Table(list)) => match read_flags(&list)? {
                Some(read) => flags = read,
                None => return refuse("unknown flag given"),
            },
            ("flags", _) => {
                return refuse("flags argument to redis.register_function must be a table representing function flags");
            }
            _ => return refuse("unknown argument given to redis.register_function"),
        }
    }
    let Some(name) = name else { return refuse("redis.register_function must get a function name argument") };
    let Some(callback) = callback else { return refuse("redis.register_function must get a callback argument") };
    Ok((FunctionInfo { name, description, flags }, callback))
}

/// `None` when one is not known.
fn read_flags(list: &Table) -> Result<Option<FunctionFlags>> {
    let mut bits = 0;
    for at in 1.. {
        let name = match list.raw_get::<Value>(at)? {
            Value::Nil => break,
            Value::String(name) => name.to_string_lossy(),
            _ => return Ok(None),
        };
        let Some((_, bit)) = NAMES.iter().find(|(known, _)| *known == name) else { return Ok(None) };
        bits |= bit;
    }
    Ok(Some(FunctionFlags(bits)))
}

#[cfg(test)]
mod tests {
    use super::{FunctionFlags, library_header};

    #[test]
    fn the_first_line_names_the_library() {
        let check = |body: &str, expected: Result<(&str, usize), &str>| {
            let expected = expected.map(|(name, at)| (name.to_owned(), at)).map_err(|e| format!("ERR {e}"));
            assert_eq!(library_header(body.as_bytes()), expected, "{body}");
        };
        check("#!lua name=a_1\n", Ok(("a_1", 14)));
        check("#!LUA  NAME=\"a\" \ncode", Ok(("a", 16)));
        check("return 1", Err("Missing library metadata"));
        check("#!lua name=x", Err("Invalid library metadata"));
        check("#!lua name='x\n", Err("Invalid library metadata"));
        check("#!js name=x\n", Err("Engine 'js' not found"));
        check("#! name=x\n", Err("Engine '' not found"));
        check("#!lua\n", Err("Library name was not given"));
        check("#!lua name=x y\n", Err("Invalid metadata value given: y"));
        check("#!lua name=x name=y\n", Err("Invalid metadata value, name argument was given multiple times"));
        let names = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";
        check("#!lua name=a-b\n", Err(names));
        check("#!lua name=\n", Err(names));
    }

    #[test]
    fn flags_are_bits_with_names() {
        let all: Vec<_> = FunctionFlags::from_bits(0xff).names().collect();
        assert_eq!(all, ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"]);
        assert_eq!(FunctionFlags::from_bits(0xff).bits(), 0x1f);
        assert!(FunctionFlags::from_bits(1).of_run().no_writes && !FunctionFlags::from_bits(8).of_run().no_writes);
    }
}
