use crate::interpreter::testing::check;

fn packed(arguments: &str, hex: &str) {
    let body = format!(
        "local s = struct.pack({arguments}) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end))"
    );
    check(&body, hex);
}

#[test]
fn values_are_packed_by_a_format() {
    packed("'>I2', 258", "0102");
    packed("'<I2>I2', 258, 258", "02010102");
    packed("'>bBhHlL', -1, 255, -2, 65534, -3, 4", "fffffffefffefffffffffffffffd0000000000000004");
    packed("'>i3', -2", "fffffe");
    packed("'>f>d', 1.5, -2", "3fc00000c000000000000000");
    packed("'s', 'ab'", "616200");
    packed("'c2c0', 'abc', 'de'", "61626465");
    packed("'>!4bI4', 1, 2", "0100000000000002");
    packed("'xb', 1", "0001");
}

#[test]
fn values_are_unpacked_by_a_format() {
    check("local a, b, at = struct.unpack('>hB', '\\255\\254\\7') return a .. ' ' .. b .. ' ' .. at", "-2 7 4");
    check("local a, b, at = struct.unpack('>Bc0s', '\\2abc\\0') return a .. ' ' .. b .. ' ' .. at", "ab c 6");
    check("return (struct.unpack('d', struct.pack('d', 0.1))) == 0.1 and 'same'", "same");
    check("return (struct.unpack('>I2', 'xx\\1\\2', 3))", "Reply(Integer(258))");
    check("return struct.size('>!8 b i8 f') .. ''", "20");
}

#[test]
fn formats_and_data_that_do_not_fit_are_refused() {
    let check = |body: &str, message: &str| {
        check(body, &format!("-ERR user_script:1: {message} script: SHA, on @user_script:1."))
    };
    check("return struct.unpack('>I4', 'abc')", "bad argument #2 to 'unpack' (data string too short)");
    check("return struct.unpack('I33', 'abc')", "integral size 33 is larger than limit of 32");
    check("return struct.unpack('c2147483647', 'abc')", "bad argument #2 to 'unpack' (data string too short)");
    check("return struct.unpack('s', 'abc')", "unfinished string in data");
    check("return struct.unpack('c0', 'abc')", "format 'c0' needs a previous size");
    check("return struct.unpack('B', 'abc', 1e300)", "bad argument #2 to 'unpack' (data string too short)");
    check("return struct.pack('q', 1)", "invalid format option 'q'");
    check("return struct.pack('!3b', 1)", "alignment is not a power of 2");
    check("return struct.pack('c9', 'a')", "bad argument #2 to 'pack' (string too short)");
    check("return struct.size('s')", "bad argument #1 to 'size' (variable-size format in 'size')");
    check("return struct.size('i99999999999')", "integral size overflow");
}
