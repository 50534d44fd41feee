use super::{Halt, Host, Interpreter, Ran, Script};
use crate::{Ended, Limits, Sha};
use bytes::Bytes;
use command::{Args, Reply};

/// Answers with what it is asked: `reply` what it was given, `error` an error line, anything else OK.
struct Echo;

impl Host for Echo {
    fn call(&mut self, words: Args, _: bool) -> Result<Reply, Halt> {
        Ok(match words[0].as_ref() {
            b"echo" => Reply::Bulk(words[1].clone()),
            b"null" => Reply::Null,
            b"error" => Reply::Error(String::from_utf8_lossy(&words[1]).into_owned().into()),
            b"pairs" => {
                Reply::Map(vec![(Reply::bulk(b"a"), Reply::Integer(1)), (Reply::bulk(b"b"), Reply::Double(0.5))])
            }
            b"set" => Reply::Set(vec![Reply::bulk(b"x")]),
            b"halt" => return Err(Halt),
            _ => Reply::OK,
        })
    }
}

const SMALL: Limits = Limits { instructions: 5_000_000, memory_bytes: 4 << 20, time: None };

fn run(body: &str, arguments: &[&str]) -> Ran {
    let mut interpreter = Interpreter::new(SMALL).unwrap();
    run_in(&mut interpreter, body, arguments)
}

fn run_in(interpreter: &mut Interpreter, body: &str, arguments: &[&str]) -> Ran {
    let sha = Sha::of(body.as_bytes());
    let arguments: Vec<Bytes> = arguments.iter().map(|a| Bytes::copy_from_slice(a.as_bytes())).collect();
    match interpreter.compile(sha, body.as_bytes()) {
        Ok(()) => interpreter.run(Script { sha, keys: &[], arguments: &arguments }, &mut Echo),
        Err(line) => Ran::Reply(Reply::Error(line.into())),
    }
}

fn shown(ran: Ran) -> String {
    match ran {
        Ran::Reply(Reply::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
        Ran::Reply(Reply::Error(line)) => format!("-{line}"),
        other => format!("{other:?}"),
    }
}

fn check(body: &str, expected: &str) {
    let sha = Sha::of(body.as_bytes()).to_string();
    assert_eq!(shown(run(body, &["a", "b"])).replace(&sha, "SHA"), expected, "{body}");
}

#[test]
fn values_become_replies() {
    check("return 3.99", "Reply(Integer(3))");
    check("return -1.9", "Reply(Integer(-1))");
    check("return 1e300", "Reply(Integer(-9223372036854775808))");
    check("return {1, 2, nil, 4}", "Reply(Array([Integer(1), Integer(2)]))");
    check("return {1, {'x'}, true, false}", "Reply(Array([Integer(1), Array([Bulk(b\"x\")]), Integer(1), Null]))");
    check("return {ok='x\\ny'}", "Reply(Simple(\"x y\"))");
    check("return {err='x'}", "-x");
    check("return {double=3.5}", "Reply(Double(3.5))");
    check(
        "redis.setresp(3) return {true, {map={a=1}}, {set={b=true}}}",
        "Reply(Array([Boolean(true), Map([(Bulk(b\"a\"), Integer(1))]), Set([Bulk(b\"b\")])]))",
    );
    check("return function() end", "Reply(Null)");
    check("return", "Reply(Null)");
    check("return ARGV[2] .. #KEYS", "b0");
    let nested = shown(run("local t = {} t[1] = t return t", &[]));
    assert!(nested.contains("reached lua stack limit"), "{nested}");
}

#[test]
fn replies_become_values() {
    check("return redis.call('echo', 1.5)", "1.5");
    check("return redis.call('echo', 10000000000000000)", "10000000000000000");
    check("return redis.call('echo', 0.1)", "0.1");
    check("return tostring(redis.call('null'))", "false");
    check("redis.setresp(3) return tostring(redis.call('null'))", "nil");
    check("return redis.call('ok').ok", "OK");
    check("return redis.call('pairs')", "Reply(Array([Bulk(b\"a\"), Integer(1), Bulk(b\"b\"), Bulk(b\"0.5\")]))");
    check("redis.setresp(3) return tostring(redis.call('pairs').map.b.double)", "0.5");
    check("redis.setresp(3) return tostring(redis.call('set').set.x)", "true");
}

#[test]
fn errors_have_the_shape_of_redis() {
    check("error('x')", "-ERR user_script:1: x script: SHA, on @user_script:1.");
    check("error()", "-ERR nil script: SHA, on @user_script:1.");
    check("error({err='ABC d'})", "-ABC d script: SHA, on @user_script:1.");
    check("error({err=1})", "-1 script: SHA, on @user_script:1.");
    check("local function f() error('in f') end\nf()", "-ERR user_script:1: in f script: SHA, on @user_script:1.");
    check(
        "local x = nil; return x.y",
        "-ERR user_script:1: attempt to index local 'x' (a nil value) script: SHA, on @user_script:1.",
    );
    check("\nreturn redis.call('error', 'ERR no')", "-ERR no script: SHA, on @user_script:2.");
    check("return redis.pcall('error', 'ERR no')", "-ERR no");
    check("return redis.pcall()", "-ERR Please specify at least one argument for this redis lib call");
    check(
        "return redis.call()",
        "-ERR Please specify at least one argument for this redis lib call script: SHA, on @user_script:1.",
    );
    check(
        "return redis.call('echo', {})",
        "-ERR Lua redis lib command arguments must be strings or integers script: SHA, on @user_script:1.",
    );
    check(
        "local e = redis.pcall('error', 'ERR no') return e.err .. tostring(e.ignore_error_stats_update)",
        "ERR notrue",
    );
    check("local ok, e = pcall(redis.call, 'error', 'ERR no') return type(e) .. e", "stringERR no");
    check(
        "local ok, e = xpcall(function() error('q') end, function(e) return e .. '!' end) return e",
        "user_script:1: q!",
    );
    check("local ok, e = pcall(error, {err='q'}) return e", "q");
    check("local ok, e = pcall(error, {other='q'}) return e.other", "q");
    check("return redis.error_reply('Err')", "-ERR Err");
    check("return redis.error_reply('-My Err')", "-My Err");
    check("return redis.error_reply()", "-ERR wrong number or type of arguments");
    check(
        "local x = coroutine.wrap(function() redis.call('error', 'ERR no') end)() return x",
        "-ERR no script: SHA, on @user_script:1.",
    );
    check("x x", "-ERR Error compiling script (new function): user_script:1: '=' expected near 'x'");
    check(
        "string.rep()",
        "-ERR user_script:1: bad argument #1 to 'rep' (string expected, got nil) script: SHA, on @user_script:1.",
    );
    check(
        "return math.random(0)",
        "-ERR user_script:1: bad argument #1 to 'random' (interval is empty) script: SHA, on @user_script:1.",
    );
}

#[test]
fn what_scripts_share_refuses_changes() {
    let readonly = "-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.";
    for body in [
        "a = 10",
        "redis.call = 1",
        "KEYS = 1",
        "getmetatable(_G).__index = {}",
        "getmetatable('').__index = {}",
        "getmetatable(redis).__index = nil",
        "string.rep = nil",
        "_G.x = 1",
        "table.insert = 1",
        "bit.x = 1",
    ] {
        check(body, readonly);
    }
    let unplaced = "-ERR Attempt to modify a readonly table script: SHA, on @user_script:1.";
    for body in [
        "setmetatable(_G, {})",
        "rawset(_G, 'a', 1)",
        "table.insert(redis, 1)",
        "table.remove(_G)",
        "table.sort(string)",
        "rawset(getmetatable(_G), '__index', {})",
        "setmetatable(getmetatable(''), nil)",
    ] {
        check(body, unplaced);
    }
    check(
        "return a",
        "-ERR user_script:1: Script attempted to access nonexistent global variable 'a' script: SHA, on @user_script:1.",
    );
    for name in
        ["print", "dofile", "loadfile", "require", "module", "io", "debug", "package", "setfenv", "getfenv", "newproxy"]
    {
        check(
            &format!("return {name}"),
            &format!(
                "-ERR user_script:1: Script attempted to access nonexistent global variable '{name}' script: SHA, on @user_script:1."
            ),
        );
    }
    check(
        "return loadstring('return foo')()",
        "-ERR [string \"return foo\"]:1: Script attempted to access nonexistent global variable 'foo' script: SHA, on return foo:1.",
    );
    check(
        "return loadstring('a = 1')()",
        "-ERR [string \"a = 1\"]:1: Attempt to modify a readonly table script: SHA, on a = 1:1.",
    );
    check("return loadstring('return redis.call(...)')('echo', 'x')", "x");
    check("return tostring(loadstring(string.dump(function() end)))", "nil");
    check("local i = 0 return load(function() i = i + 1 return ({'return ', '7'})[i] end)()", "Reply(Integer(7))");
    check("local n = 0 for k, v in pairs(redis) do n = n + 1 end return n", "Reply(Integer(23))");
    check("return next(bit) ~= nil and 1", "Reply(Integer(1))");
    check("return type(os.clock()) .. type(os.time)", "numbernil");
    check("return ('x'):rep(3)", "xxx");
    check("KEYS[1] = 'z' return KEYS[1]", "z");
}

#[test]
fn one_run_leaves_nothing_for_the_next() {
    let mut interpreter = Interpreter::new(SMALL).unwrap();
    let first = shown(run_in(&mut interpreter, "math.randomseed(9) return tostring(math.random())", &[]));
    let a = shown(run_in(&mut interpreter, "return tostring(math.random())", &["x"]));
    let b = shown(run_in(&mut interpreter, "return tostring(math.random())", &["x"]));
    assert_eq!((a.as_str(), a != first), ("0.17082803611217", true), "the sequence of lrand48 from seed 0");
    assert_eq!(a, b);
    assert_eq!(
        shown(run_in(&mut interpreter, "pcall(rawset, KEYS, 1, 'left')  return tostring(KEYS[1])", &[])),
        "left"
    );
    assert_eq!(shown(run_in(&mut interpreter, "return tostring(KEYS[1])", &[])), "nil");
}

#[test]
fn a_script_is_ended_at_its_limits() {
    let time = Ran::Ended(Ended::Time);
    let memory = Ran::Ended(Ended::Memory);
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "coroutine.wrap(function() while true do end end)()",
        "local function f() return f() end f()",
        "while true do redis.call('x') end",
        "while true do pcall(redis.call, 'x') end",
        "while true do redis.pcall('x') end",
        "return ('x'):rep(100):gsub('.', function() while true do end end)",
        "local t = {} for i = 1, 1e4 do t[i] = i end table.sort(t, function() while true do end end)",
        "loadstring('while true do end')()",
    ] {
        assert_eq!(run(body, &[]), time, "{body}");
    }
    for body in [
        "return string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t = {t} end",
        "local t = {('x'):rep(1e6)} while true do t[#t + 1] = redis.call('echo', t[1] .. #t) end",
    ] {
        assert_eq!(run(body, &[]), memory, "{body}");
    }
    assert_eq!(run("redis.call('halt')", &[]), Ran::Halted);
    assert_eq!(run("pcall(redis.call, 'halt') return 1", &[]), Ran::Halted);
    check("string.rep('', 2147483647) return 1", "Reply(Integer(1))");
    check("local ok = pcall(string.rep, 'x', 1e9) return ok", "Reply(Null)");
}

#[test]
fn depth_is_bounded() {
    check(
        "local function f() return f() + 1 end return f()",
        "-ERR user_script:1: stack overflow script: SHA, on @user_script:1.",
    );
    for body in [
        "local function f() return (string.gsub('x', '.', f)) end return f()",
        "local function f() return coroutine.wrap(f)() end return f()",
        "local function f() local ok, e = pcall(f) return e end return f()",
        "local function f() table.sort({1, 2}, f) end return f()",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]",
        "return unpack({}, 1, 1e8)",
        "return unpack({}, -2147483648, 2147483647)",
        "table.insert({}, -2147483648, 1)",
        "local s = ('('):rep(300) return loadstring('return ' .. s .. '1' .. (')'):rep(300))",
    ] {
        let ran = run(body, &[]);
        assert!(matches!(ran, Ran::Reply(_)), "{body}: {ran:?}");
    }
}
