use super::testing::{self, SMALL, check, run, run_in, shown};
use super::{Interpreter, Ran, Script};
use crate::{Ended, Sha};
use bytes::Bytes;

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
        "return ('a'):rep(1e5):find(('.-'):rep(50) .. 'b')",
        "return ('a'):rep(1e5):gsub(('a*'):rep(9) .. 'b', 'x')",
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
        assert!(matches!(ran, Ran::Reply(_) | Ran::Ended(Ended::Memory)), "{body}: {ran:?}");
    }
}

#[test]
fn patterns_are_those_of_lua() {
    check("return ('hello world'):match('^(%w+)')", "hello");
    check("return ('key = value'):gsub('(%w+) = (%w+)', '%2 = %1')", "value = key");
    check("return ('abc'):gsub('', '-')", "-a-b-c-");
    check("return ('abc'):gsub('%w', '%0%0', 2)", "aabbc");
    check("return ('hello'):gsub('l', {l = 'L'})", "heLLo");
    check("return ('hello'):gsub('(h)(e)', function(a, b) return b .. a end)", "ehllo");
    check("return ('hello'):gsub('', function() return '.' end)", ".h.e.l.l.o.");
    check("return (select(2, ('a,b,c'):gsub(',', ';')))", "Reply(Integer(2))");
    check(
        "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w)=(%w)') do t[#t + 1] = v .. k end return table.concat(t)",
        "1a2b",
    );
    check("local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end return n", "Reply(Integer(4))");
    check("local t = {} for w in ('x^y'):gmatch('^y') do t[#t + 1] = w end return t[1]", "^y");
    check("return table.concat({('a.b'):find('.', 2, true)}, ' ')", "2 2");
    check("return table.concat({('abcabc'):find('(b)(c)', 3)}, ' ')", "5 6 b c");
    check("return ('abc'):find('d') == nil and 1", "Reply(Integer(1))");
    check("return ('f(a(b)c)d'):match('%b()')", "(a(b)c)");
    check("return ('THE (quick) fox'):find('%f[%a]%a+%f[%A]', 5)", "Reply(Integer(6))");
    check("return ('aXb'):match('%l%u%l') .. ('[x]'):match('[]]') .. ('a-z'):match('[a%-]+')", "aXb]a-");
    check("return ('abab'):match('(ab)%1')", "ab");
    check("return ('x'):match('()')", "Reply(Integer(1))");
    check("return ('  trim '):match('^%s*(.-)%s*$') .. '|'", "trim|");
    check("return ('a\\0b'):match('%z') and 'zero'", "zero");
    let check = |body: &str, message: &str| {
        check(body, &format!("-ERR user_script:1: {message} script: SHA, on @user_script:1."))
    };
    check("return ('x'):match('[a')", "malformed pattern (missing ']')");
    check("return ('x'):match('%')", "malformed pattern (ends with '%')");
    check("return ('x'):match('(x')", "unfinished capture");
    check("return ('x'):match('x)')", "invalid pattern capture");
    check("local s = ('x'):gsub('x', '%2')", "invalid capture index");
    check("local s = ('x'):gsub('x', function() return {} end)", "invalid replacement value (a table)");
    check("return ('x'):rep(300):match(('x?'):rep(300) .. 'y')", "pattern too complex");
    check("return string.find()", "bad argument #1 to 'find' (string expected, got no value)");
}

/// Loads a library and gives what it registers, or the error.
fn loaded(interpreter: &mut Interpreter, code: &str) -> Result<Vec<String>, String> {
    let found = interpreter.load_library(Sha::of(code.as_bytes()), code.as_bytes(), &mut 1_000_000);
    found.map(|functions| functions.into_iter().map(|f| f.name).collect()).map_err(|(line, _)| line)
}

#[test]
fn a_library_registers_functions_and_nothing_else() {
    let check = |code: &str, expected: Result<&[&str], &str>| {
        let mut interpreter = Interpreter::new(SMALL).unwrap();
        let expected = expected.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(loaded(&mut interpreter, code), expected.map_err(|e: &str| format!("ERR {e}")), "{code}");
        // Whatever it did, scripts find what they always find.
        assert_eq!(shown(run_in(&mut interpreter, "return type(redis.call)", &[])), "function");
    };
    check(
        "redis.register_function('b', print) ",
        Err(
            "Error registering functions: ERR user_function:1: Script attempted to access nonexistent global variable 'print'",
        ),
    );
    check(
        "redis.register_function('b', function() end) redis.register_function{function_name='a', callback=function() end}",
        Ok(&["b", "a"]),
    );
    check("return 1", Err("No functions registered"));
    let registering = |line: &str| format!("Error registering functions: ERR {line}");
    for (arguments, line) in [
        ("()", "wrong number of arguments to redis.register_function"),
        ("('a', function() end, 1)", "wrong number of arguments to redis.register_function"),
        (
            "('a')",
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        ("(nil, function() end)", "first argument to redis.register_function must be a string"),
        ("('a', 1)", "second argument to redis.register_function must be a function"),
        ("{callback=function() end}", "redis.register_function must get a function name argument"),
        ("{function_name='a'}", "redis.register_function must get a callback argument"),
        ("{function_name={}}", "function_name argument given to redis.register_function must be a string"),
        ("{callback=1}", "callback argument given to redis.register_function must be a function"),
        ("{description={}}", "description argument given to redis.register_function must be a string"),
        ("{flags=1}", "flags argument to redis.register_function must be a table representing function flags"),
        ("{flags={'x'}}", "unknown flag given"),
        ("{flags={1}}", "unknown flag given"),
        ("{other=1}", "unknown argument given to redis.register_function"),
    ] {
        check(&format!("redis.register_function{arguments}"), Err(&registering(line)));
    }
    let twice = "redis.register_function('a', function() end) redis.register_function('A', function() end)";
    check(twice, Err(&registering("Function already exists in the library")));
    check("while 1 do end", Err("Error registering functions: FUNCTION LOAD timeout"));
}

#[test]
fn functions_run_with_keys_and_arguments() {
    let mut interpreter = Interpreter::new(SMALL).unwrap();
    let code = "local n = 1\nlocal r = redis\nredis.register_function('f', function(keys, args) n = n + 1 return keys[1] .. args[1] .. n end)\n\
                redis.register_function('call', function() return redis.call('echo', 'x') end)\n\
                redis.register_function('fail', function() error('x') end)\n\
                redis.register_function('late', function() r.register_function('g', function() end) end)\n\
                redis.register_function('keys', function() return KEYS end)";
    assert_eq!(loaded(&mut interpreter, code).map(|names| names.len()), Ok(5));
    let sha = Sha::of(code.as_bytes());
    assert!(interpreter.has_library(sha) && !interpreter.has(sha));
    let mut check = |function: &str, expected: &str| {
        let (keys, arguments) = ([Bytes::from_static(b"k")], [Bytes::from_static(b"a")]);
        let script = Script { sha, function: Some(function), keys: &keys, arguments: &arguments, seed: 0 };
        assert_eq!(shown(interpreter.run(script, &mut testing::Echo)), expected);
    };
    check("f", "ka2");
    check("f", "ka3");
    check("call", "x");
    check("fail", "-ERR user_function:5: x script: fail, on @user_function:5.");
    check(
        "late",
        "-ERR redis.register_function can only be called on FUNCTION LOAD command script: late, on @user_function:6.",
    );
    check(
        "keys",
        "-ERR user_function:7: Script attempted to access nonexistent global variable 'KEYS' script: keys, on @user_function:7.",
    );
}
