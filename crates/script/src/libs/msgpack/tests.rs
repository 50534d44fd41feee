use crate::interpreter::testing::check;

fn packed(value: &str, hex: &str) {
    let body = format!(
        "local s = cmsgpack.pack({value}) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end))"
    );
    check(&body, hex);
}

#[test]
fn values_are_packed() {
    packed(
        "0, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296",
        "007fcc80ccffcd0100cdffffce00010000ceffffffffcf0000000100000000",
    );
    packed(
        "-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649",
        "ffe0d0dfd080d1ff7fd18000d2ffff7fffd280000000d3ffffffff7fffffff",
    );
    packed("0.5, 0.1, 1e300", "ca3f000000cb3fb999999999999acb7e37e43c8800759c");
    packed("nil, true, false", "c0c3c2");
    packed("'a', ('x'):rep(32):sub(1, 0)", "a161a0");
    packed("{}, {1, 2}, {a = 1}, {[2] = 1}", "9092010281a16101810201");
    packed("function() end", "c0");
    check(
        "return #cmsgpack.pack(('x'):rep(31)) .. ' ' .. #cmsgpack.pack(('x'):rep(32)) .. ' ' .. #cmsgpack.pack(('x'):rep(256)) .. ' ' .. #cmsgpack.pack(('x'):rep(65536))",
        "32 34 259 65541",
    );
    check(
        "local t = {} for i = 1, 20 do t = {t} end return (cmsgpack.pack(t):gsub('.', function(c) return string.format('%02x', c:byte()) end))",
        "91919191919191919191919191919191c0",
    );
}

#[test]
fn what_was_packed_is_unpacked() {
    check("local a, b, c = cmsgpack.unpack(cmsgpack.pack(1, {x = {'y'}}, 'z')) return a .. b.x[1] .. c", "1yz");
    check(
        "local t = {} for i = 1, 20000 do t[i] = i end return #cmsgpack.unpack(cmsgpack.pack(t))",
        "Reply(Integer(20000))",
    );
    check("return tostring(cmsgpack.unpack('\\203\\255\\240\\0\\0\\0\\0\\0\\0'))", "-inf");
    check("return tostring(cmsgpack.unpack('\\211\\255\\255\\255\\255\\255\\255\\255\\254'))", "-2");
    check("return cmsgpack.unpack('\\196\\3abc')", "abc");
    check("local next, value = cmsgpack.unpack_one(cmsgpack.pack(7, 8)) return next .. value", "17");
    check("local next, value = cmsgpack.unpack_one(cmsgpack.pack(7, 8), 1) return next .. value", "-18");
    check("local next, a, b = cmsgpack.unpack_limit(cmsgpack.pack(7, 8, 9), 2) return next .. a .. b", "278");
    check("return select('#', cmsgpack.unpack(''))", "Reply(Integer(0))");
}

#[test]
fn what_is_no_messagepack_is_refused() {
    let check = |body: &str, message: &str| {
        check(body, &format!("-ERR user_script:1: {message} script: SHA, on @user_script:1."))
    };
    check("return cmsgpack.unpack('\\204')", "Missing bytes in input.");
    check("return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes in input.");
    check("return cmsgpack.unpack('\\193')", "Bad data format in input.");
    check("return cmsgpack.unpack_one('a', 5)", "Start offset 5 greater than input length 1.");
    check("return cmsgpack.unpack_limit('a', -1)", "Invalid request to unpack with offset of 0 and limit of -1.");
    check("return cmsgpack.pack()", "bad argument #0 to 'pack' (MessagePack pack needs input.)");
}
