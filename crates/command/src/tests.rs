use crate::{Args, Command, MAX_KEY_BYTES, Reply, introspect};
use bytes::Bytes;

/// The words of `line`, split at blanks.
fn words(line: &str) -> Args {
    line.split_ascii_whitespace().map(|w| Bytes::copy_from_slice(w.as_bytes())).collect()
}

fn parse(line: &str) -> Result<Command, String> {
    Command::parse(words(line)).map_err(|e| match e {
        Reply::Error(line) => line.into_owned(),
        other => panic!("refused with {other:?}"),
    })
}

#[test]
fn refusals_read_as_in_redis() {
    let check = |line, error: &str| assert_eq!(parse(line).unwrap_err(), error, "{line}");
    check("foo a b", "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
    check("foo", "ERR unknown command 'foo', with args beginning with: ");
    check("client|id", "ERR unknown command 'client|id', with args beginning with: ");
    check("GET", "ERR wrong number of arguments for 'get' command");
    check("GET a b", "ERR wrong number of arguments for 'get' command");
    check("CLIENT", "ERR wrong number of arguments for 'client' command");
    check("CLIENT ID x", "ERR wrong number of arguments for 'client|id' command");
    check("client x", "ERR unknown subcommand 'x'. Try CLIENT HELP.");
    check("Object nope key", "ERR unknown subcommand 'nope'. Try OBJECT HELP.");
    check("migrate k v", "ERR Polder does not serve 'MIGRATE' yet");
    check("migrate", "ERR Polder does not serve 'MIGRATE' yet");
    check("client tracking on", "ERR Polder does not serve 'CLIENT TRACKING' yet");
    check("acl whoami", "ERR Polder does not serve 'ACL WHOAMI' yet");
    check("acl nonsense", "ERR Polder does not serve 'ACL' yet");
}

#[test]
fn words_of_the_client_cannot_break_the_line() {
    let refuse = |args: &[&[u8]]| {
        let args = args.iter().map(|a| Bytes::copy_from_slice(a)).collect();
        let Err(Reply::Error(line)) = Command::parse(args) else { panic!("accepted") };
        line.into_owned()
    };
    assert_eq!(refuse(&[b"a\r\nb", b"c\nd"]), "ERR unknown command 'a  b', with args beginning with: 'c d' ");
    assert_eq!(refuse(&[b"a\0b"]), "ERR unknown command 'a', with args beginning with: ");
    assert_eq!(refuse(&[]), "ERR unknown command '', with args beginning with: ");
    let long = [b'x'; 300];
    let line = refuse(&[&long, &long, &long]);
    assert_eq!(line.matches('x').count(), 256, "128 of the name and 128 of the arguments");
    assert!(refuse(&[&[0xff, 0xfe]]).starts_with("ERR unknown command '"));
}

#[test]
fn names_are_found_in_any_case_and_subcommands_have_their_own_row() {
    assert_eq!(parse("gEt k").unwrap().name(), "get");
    assert_eq!(parse("CLIENT SETNAME x").unwrap().name(), "client|setname");
    assert_eq!(parse("command").unwrap().name(), "command");
    assert_eq!(parse("config get *").unwrap().name(), "config|get");
    assert_eq!(parse("FUNCTION FLUSH").unwrap().name(), "function|flush");
}

#[test]
fn keys_are_where_the_table_says() {
    let check = |line, keys: &[&str]| {
        let command = parse(line).unwrap();
        let found: Vec<_> = command.keys().map(|k| String::from_utf8_lossy(k).into_owned()).collect();
        assert_eq!(found, keys, "{line}");
    };
    check("get a", &["a"]);
    check("set a b EX 10", &["a"]);
    check("del a b c", &["a", "b", "c"]);
    check("mset a 1 b 2", &["a", "b"]);
    check("mset a 1 b", &["a", "b"]);
    check("rename a b", &["a", "b"]);
    check("copy a b DB 3", &["a", "b"]);
    check("object encoding a", &["a"]);
    check("ping", &[]);
    check("scan 0", &[]);
    check("lcs a b LEN", &["a", "b"]);
}

#[test]
fn keys_of_movable_commands_follow_the_words() {
    // None of these is served, so they are asked of the row rather than of a command.
    let check = |line, keys: Option<&[usize]>| {
        let words = words(line);
        let spec = crate::lookup(&words[0]).unwrap();
        let found: Option<Vec<_>> = spec.key_uses(&words).ok().map(|u| u.iter().map(|k| k.position).collect());
        assert_eq!(found.as_deref(), keys, "{line}");
        assert_eq!(spec.positions(&words).collect::<Vec<_>>(), keys.unwrap_or_default(), "{line}");
    };
    check("eval s 2 a b c", Some(&[3, 4]));
    check("eval s 0 a b", None);
    check("eval s 9 a", None);
    check("eval s 18446744073709551615 a", None);
    check("eval s -1 a", None);
    check("eval s 01 a", None);
    check("zunionstore d 2 a b", Some(&[1, 3, 4]));
    check("xread COUNT 1 STREAMS a b 0 0", Some(&[4, 5]));
    check("xread STREAMS a", None);
    check("georadius k 1 2 3 m STORE d", Some(&[1, 7]));
    check("georadius k 1 2 3 m", Some(&[1]));
    check("migrate h p k 0 10", Some(&[3]));
    check("spublish c m", Some(&[]));
}

#[test]
fn long_keys_are_refused_and_long_values_are_not() {
    let long = Bytes::from(vec![b'k'; MAX_KEY_BYTES + 1]);
    let word = |s: &'static str| Bytes::from_static(s.as_bytes());
    let parse = |args: Vec<Bytes>| Command::parse(args.into_iter().collect());
    assert_eq!(parse(vec![word("GET"), long.clone()]), Err(Reply::error("ERR key exceeds the limit of 65000 bytes")));
    assert!(parse(vec![word("SET"), word("k"), long.clone()]).is_ok());
    assert!(parse(vec![word("MSET"), word("k"), long.clone(), long, word("v")]).is_err());
}

fn ask(line: &str) -> Reply {
    introspect::reply(&parse(line).unwrap()).unwrap()
}

fn bulk(s: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(s.as_bytes()))
}

fn simple(list: &[&'static str]) -> Vec<Reply> {
    list.iter().map(|s| Reply::Simple((*s).into())).collect()
}

#[test]
fn command_info_has_the_shape_of_redis() {
    let key_spec = Reply::Map(vec![
        (bulk("flags"), Reply::Set(simple(&["RO", "access"]))),
        (
            bulk("begin_search"),
            Reply::Map(vec![
                (bulk("type"), bulk("index")),
                (bulk("spec"), Reply::Map(vec![(bulk("index"), Reply::Integer(1))])),
            ]),
        ),
        (
            bulk("find_keys"),
            Reply::Map(vec![
                (bulk("type"), bulk("range")),
                (
                    bulk("spec"),
                    Reply::Map(vec![
                        (bulk("lastkey"), Reply::Integer(0)),
                        (bulk("keystep"), Reply::Integer(1)),
                        (bulk("limit"), Reply::Integer(0)),
                    ]),
                ),
            ]),
        ),
    ]);
    let get = Reply::Array(vec![
        bulk("get"),
        Reply::Integer(2),
        Reply::Set(simple(&["readonly", "fast"])),
        Reply::Integer(1),
        Reply::Integer(1),
        Reply::Integer(1),
        Reply::Set(simple(&["@read", "@string", "@fast"])),
        Reply::Set(vec![]),
        Reply::Set(vec![key_spec]),
        Reply::Array(vec![]),
    ]);
    assert_eq!(ask("command info GET nope migrate"), Reply::Array(vec![get, Reply::Null, Reply::Null]));
}

#[test]
fn the_whole_table_can_be_asked_for() {
    let Reply::Array(all) = ask("command") else { panic!() };
    assert_eq!(ask("command count"), Reply::Integer(all.len() as i64));
    let Reply::Map(docs) = ask("command docs") else { panic!() };
    assert_eq!(docs.len(), all.len());
    let Reply::Array(names) = ask("command list") else { panic!() };
    assert!(names.len() > all.len() && names.contains(&bulk("client|id")) && !names.contains(&bulk("migrate")));
    assert_eq!(ask("command list filterby pattern h?et"), Reply::Array(vec![bulk("hget"), bulk("hset")]));
    assert_eq!(ask("command list filterby module x"), Reply::Array(vec![]));
    assert_eq!(ask("command list filterby"), Reply::error("ERR syntax error"));
    let Reply::Array(hashes) = ask("command list filterby aclcat HASH") else { panic!() };
    assert_eq!(hashes.len(), 16);
    let Reply::Map(get) = ask("command docs get nope") else { panic!() };
    assert_eq!(get.len(), 1);
}

#[test]
fn getkeys_answers_or_says_why_not() {
    let check = |line, reply| assert_eq!(ask(line), reply, "{line}");
    check("command getkeys mset a 1 b 2", Reply::Array(vec![bulk("a"), bulk("b")]));
    check("command getkeys nope a", Reply::error("ERR Invalid command specified"));
    check("command getkeys ping", Reply::error("ERR The command has no key arguments"));
    check("command getkeys get", Reply::error("ERR Invalid number of arguments specified for command"));
    let flagged = |flags: &[&'static str]| Reply::Array(vec![Reply::Array(vec![bulk("k"), Reply::Set(simple(flags))])]);
    check("command getkeysandflags set k v", flagged(&["OW", "update"]));
    check("command getkeysandflags set k v GET", flagged(&["RW", "access", "update"]));
}

#[test]
fn help_lists_what_is_served() {
    let Reply::Array(lines) = ask("object help") else { panic!() };
    assert_eq!(lines[0], simple(&["OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"])[0]);
    assert!(lines.contains(&Reply::Simple("ENCODING key".into())));
    assert_eq!(lines[lines.len() - 2..], simple(&["HELP", "    Print this help."]));
    assert!(introspect::reply(&parse("get a").unwrap()).is_none());
}
