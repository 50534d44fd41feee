//! Words and replies as scripts write them.

use command::Reply;

/// Splits a line into words. A word in double quotes may hold spaces and the escapes `\n`, `\r`, `\t`, `\"`, `\\`, `\xHH`;
/// `*N` after a quoted word repeats it N times.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') { unquote(quoted) } else { plain(rest) };
        out.push(word);
        rest = after.trim_start();
    }
    out
}

fn plain(text: &str) -> (Vec<u8>, &str) {
    let end = text.find(' ').unwrap_or(text.len());
    (text[..end].into(), &text[end..])
}

fn unquote(text: &str) -> (Vec<u8>, &str) {
    let mut word = Vec::new();
    let mut bytes = text.bytes().enumerate();
    let mut end = text.len();
    while let Some((at, b)) = bytes.next() {
        match b {
            b'"' => {
                end = at + 1;
                break;
            }
            b'\\' => match bytes.next().unwrap().1 {
                b'n' => word.push(b'\n'),
                b'r' => word.push(b'\r'),
                b't' => word.push(b'\t'),
                b'x' => {
                    let hex = [bytes.next().unwrap().1, bytes.next().unwrap().1];
                    word.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                }
                other => word.push(other),
            },
            other => word.push(other),
        }
    }
    let after = &text[end..];
    match after.strip_prefix('*') {
        Some(count) => {
            let (count, after) = plain(count);
            (word.repeat(std::str::from_utf8(&count).unwrap().parse().unwrap()), after)
        }
        None => (word, after),
    }
}

/// A reply on one line.
pub fn show(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Simple(s) => s.to_string(),
        Reply::Error(e) => format!("!{e}"),
        Reply::Integer(n) => n.to_string(),
        Reply::Bulk(b) if b.len() > 200 => format!("<{} bytes>", b.len()),
        Reply::Bulk(b) => format!("\"{}\"", b.escape_ascii()),
        Reply::Null | Reply::NullArray => "nil".to_owned(),
        Reply::Array(items) => format!("[{}]", list(items)),
        Reply::Map(pairs) => {
            format!(
                "{{{}}}",
                pairs.iter().map(|(k, v)| format!("{} {}", show(k), show(v))).collect::<Vec<_>>().join(" ")
            )
        }
        Reply::Set(items) => format!("~[{}]", list(items)),
        Reply::Push(items) => format!(">[{}]", list(items)),
        Reply::Double(d) => format!("{d}"),
        Reply::Boolean(b) => format!("{b}"),
        Reply::Verbatim(_, text) => format!("=\"{}\"", text.escape_ascii()),
    }
}
