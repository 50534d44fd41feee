//! The first line of a script that begins with `#!`: which engine it is for, and flags that say what it may do.

/// What a script says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// It says nothing: it may do whatever the command that runs it allows.
    pub undeclared: bool,
    /// It never writes.
    pub no_writes: bool,
    /// It must not run in a namespace of many shards.
    pub no_cluster: bool,
}

/// The flags in a script's first line, and where the code begins. The end of the line belongs to the code, so that its lines
/// keep their numbers.
///
/// # Errors
/// The error line to answer, when the first line begins with `#!` but is not understood.
pub fn header(body: &[u8]) -> Result<(Flags, usize), String> {
    if !body.starts_with(b"#!") {
        return Ok((Flags { undeclared: true, ..Flags::default() }, 0));
    }
    let Some(end) = body.iter().position(|b| *b == b'\n') else { return Err("ERR Invalid script shebang".to_owned()) };
    let line = String::from_utf8_lossy(&body[..end]).into_owned();
    let mut words = line.split_whitespace();
    let engine = words.next().unwrap_or_default();
    if engine != "#!lua" {
        return Err(format!("ERR Unexpected engine in script shebang: {engine}"));
    }
    let mut flags = Flags::default();
    for word in words {
        let Some(list) = word.strip_prefix("flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {word}"));
        };
        for flag in list.split(',').filter(|f| !f.is_empty()) {
            match flag {
                "no-writes" => flags.no_writes = true,
                "no-cluster" => flags.no_cluster = true,
                "allow-oom" | "allow-stale" | "allow-cross-slot-keys" => {}
                _ => return Err(format!("ERR Unexpected flag in script shebang: {flag}")),
            }
        }
    }
    Ok((flags, end))
}

#[cfg(test)]
mod tests {
    use super::{Flags, header};

    #[test]
    fn the_first_line_says_what_a_script_may_do() {
        let silent = Flags { undeclared: true, ..Flags::default() };
        let check = |body: &str, expected: Result<(Flags, usize), &str>| {
            assert_eq!(header(body.as_bytes()), expected.map_err(str::to_owned), "{body}");
        };
        check("return 1", Ok((silent, 0)));
        check("#!lua\nreturn 1", Ok((Flags::default(), 5)));
        let strict = Flags { no_writes: true, no_cluster: true, ..Flags::default() };
        check("#!lua flags=no-writes,no-cluster\n", Ok((strict, 32)));
        check("#!lua flags=\n", Ok((Flags::default(), 12)));
        check("#!lua", Err("ERR Invalid script shebang"));
        check("#!foo\n", Err("ERR Unexpected engine in script shebang: #!foo"));
        check("#!lua name=x\n", Err("ERR Unknown lua shebang option: name=x"));
        check("#!lua flags=no-writes,x\n", Err("ERR Unexpected flag in script shebang: x"));
    }
}
