use crate::interpreter::testing::check;

#[test]
fn values_are_encoded() {
    check("return cjson.encode({})", "{}");
    check("return cjson.encode({1, 2.5, 'x', true, false, cjson.null})", r#"[1,2.5,"x",true,false,null]"#);
    check("return cjson.encode({a = {b = {}}})", r#"{"a":{"b":{}}}"#);
    check("return cjson.encode({[1] = 'a', [3] = 'c'})", r#"["a",null,"c"]"#);
    check("return cjson.encode({[10] = 'a'})", r#"[null,null,null,null,null,null,null,null,null,"a"]"#);
    check("return cjson.encode({[1.5] = 'a'})", r#"{"1.5":"a"}"#);
    check("return cjson.encode('\\0\\8\\9\\10\\12\\13\\31\\127\"\\\\/')", r#""\u0000\b\t\n\f\r\u001f\u007f\"\\\/""#);
    check(
        "return cjson.encode(1e15) .. cjson.encode(123456789012345) .. cjson.encode(0.1)",
        "1e+151.2345678901234e+140.1",
    );
    check("cjson.encode_number_precision(3) return cjson.encode(1 / 3)", "0.333");
    check("return cjson.encode(nil)", "null");
    check("return cjson.encode('\\255')", "\"\u{fffd}\"");
}

#[test]
fn what_json_cannot_hold_is_refused() {
    let check = |body: &str, message: &str| {
        check(body, &format!("-ERR user_script:1: {message} script: SHA, on @user_script:1."))
    };
    check("return cjson.encode({[1] = 1, [1000] = 2})", "Cannot serialise table: excessively sparse array");
    check("return cjson.encode(function() end)", "Cannot serialise function: type not supported");
    check("return cjson.encode({[true] = 1})", "Cannot serialise boolean: table key must be a number or string");
    check("return cjson.encode(1 / 0)", "Cannot serialise number: must not be NaN or Inf");
    check("cjson.encode_max_depth(3) return cjson.encode({{{{}}}})", "Cannot serialise, excessive depth (4)");
    check(
        "local t = {} t[1] = t cjson.encode_max_depth(50) return cjson.encode(t)",
        "Cannot serialise, excessive depth (51)",
    );
    check(
        "local t = ('x'):rep(1e6) local a = {} for i = 1, 100 do a[i] = t end return cjson.encode(a)",
        "Cannot serialise, the text exceeds Polder's limit of 64 MiB",
    );
}

#[test]
fn settings_last_for_one_run() {
    check("cjson.encode_sparse_array(true) return cjson.encode({[1000] = 1})", r#"{"1000":1}"#);
    check("cjson.encode_invalid_numbers('null') return cjson.encode(0 / 0)", "null");
    check("cjson.encode_invalid_numbers(true) return cjson.encode(-1 / 0)", "-inf");
    check("cjson.encode_keep_buffer(false) return cjson.encode(1)", "1");
    check("return tostring(cjson.decode_max_depth(5))", "5");
    check("return tostring(cjson.decode_max_depth())", "1000");
}

#[test]
fn texts_are_decoded() {
    check("return cjson.decode('[1, \"x\", {\"a\": [true]}]')[3].a[1] and 'yes'", "yes");
    check("return tostring(cjson.decode('[null]')[1] == cjson.null)", "true");
    check("return tostring(cjson.decode(' 12.5e1 '))", "125");
    check("return tostring(cjson.decode('0x10')) .. tostring(cjson.decode('-inf'))", "16-inf");
    check("return cjson.decode('\"\\\\u00e4\\\\ud83d\\\\ude00\\\\n\\\\/\"')", "ä😀\n/");
    check("return cjson.encode(cjson.decode('{\"a\":[1,{}]}'))", r#"{"a":[1,{}]}"#);
    check("return #cjson.decode('[' .. ('1,'):rep(20000) .. '1]')", "Reply(Integer(20001))");
}

#[test]
fn texts_that_are_no_json_are_refused() {
    let check = |text: &str, message: &str| {
        check(
            &format!("return cjson.decode('{text}')"),
            &format!("-ERR user_script:1: {message} script: SHA, on @user_script:1."),
        );
    };
    check("[1", "Expected comma or array end but found T_END at character 3");
    check("{1:2}", "Expected object key string but found T_NUMBER at character 2");
    check("{\"a\" 2}", "Expected colon but found T_NUMBER at character 6");
    check("{\"a\":2 3}", "Expected comma or object end but found T_NUMBER at character 8");
    check("", "Expected value but found T_END at character 1");
    check("1 2", "Expected the end but found T_NUMBER at character 3");
    check("tru", "Expected value but found invalid token at character 1");
    check("\"abc", "Expected value but found unexpected end of string at character 5");
    check("\"\\\\x\"", "Expected value but found invalid escape code at character 2");
    check("\"\\\\ud800\"", "Expected value but found invalid unicode escape code at character 2");
    check("[}", "Expected value but found T_OBJ_END at character 2");
    check("1\\0", "JSON parser does not support UTF-16 or UTF-32");
}

#[test]
fn depth_of_a_text_is_bounded() {
    let deep = std::thread::Builder::new().stack_size(16 << 20).spawn(|| {
        check("return cjson.decode(('['):rep(2000))",
            "-ERR user_script:1: Found too many nested data structures (1001) at character 1001 script: SHA, on @user_script:1.");
        check("local t = {} for i = 1, 998 do t = {t} end return #cjson.encode(t)", "Reply(Integer(1998))");
        check("return (pcall(cmsgpack.unpack, ('\\145'):rep(100000)))", "Reply(Null)");
    });
    deep.unwrap().join().unwrap();
}
