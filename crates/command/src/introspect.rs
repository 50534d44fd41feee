//! Replies that follow from the table alone: `COMMAND` with its subcommands, and `HELP` of every container, in the shapes
//! of Redis 7.2. Only served commands are shown: a client that reads the table learns what it may send.

use crate::parse::{error, resolve};
use crate::{Begin, Category, Command, Find, Flag, KeyFlag, KeyRange, KeySpec, Reply, Spec, glob, lookup, specs};
use bytes::Bytes;
use std::borrow::Cow;

/// The reply to a command about the table; `None` when `command` is about something else.
#[must_use]
pub fn reply(command: &Command) -> Option<Reply> {
    let args = &command.args;
    Some(match command.spec.name {
        "command" => Reply::Array(top_level().map(info).collect()),
        "command|count" => Reply::Integer(top_level().count() as i64),
        "command|info" => command_info(&args[2..]),
        "command|docs" => command_docs(&args[2..]),
        "command|list" => command_list(&args[2..]),
        "command|getkeys" => command_get_keys(&args[2..], false),
        "command|getkeysandflags" => command_get_keys(&args[2..], true),
        name if name.ends_with("|help") => help(command.spec),
        _ => return None,
    })
}

fn top_level() -> impl Iterator<Item = &'static Spec> {
    specs().iter().filter(|s| s.served && s.container.is_none())
}

fn served(name: &[u8]) -> Option<&'static Spec> {
    lookup(name).filter(|s| s.served)
}

fn served_subcommands(spec: &Spec) -> impl Iterator<Item = &'static Spec> {
    spec.subcommands().iter().filter(|s| s.served)
}

fn command_info(names: &[Bytes]) -> Reply {
    if names.is_empty() {
        return Reply::Array(top_level().map(info).collect());
    }
    Reply::Array(names.iter().map(|n| served(n).map_or(Reply::Null, info)).collect())
}

fn command_docs(names: &[Bytes]) -> Reply {
    let entry = |s: &'static Spec| (text(s.name), docs(s));
    if names.is_empty() {
        return Reply::Map(top_level().map(entry).collect());
    }
    Reply::Map(names.iter().filter_map(|n| served(n)).map(entry).collect())
}

fn command_list(options: &[Bytes]) -> Reply {
    let all = specs().iter().filter(|s| s.served);
    let names = |list: &mut dyn Iterator<Item = &'static Spec>| Reply::Array(list.map(|s| text(s.name)).collect());
    let [filter, kind, value] = options else {
        return if options.is_empty() { names(&mut all.into_iter()) } else { syntax_error() };
    };
    if !filter.eq_ignore_ascii_case(b"filterby") {
        return syntax_error();
    }
    if kind.eq_ignore_ascii_case(b"module") {
        return Reply::Array(Vec::new());
    }
    if kind.eq_ignore_ascii_case(b"aclcat") {
        let wanted = Category::ALL.into_iter().find(|c| value.eq_ignore_ascii_case(c.name().as_bytes()));
        return names(&mut all.filter(|s| wanted.is_some_and(|c| s.categories.has(c))));
    }
    if kind.eq_ignore_ascii_case(b"pattern") {
        return names(&mut all.filter(|s| glob::matches_ignoring_case(value, s.name.as_bytes())));
    }
    syntax_error()
}

fn syntax_error() -> Reply {
    Reply::error("ERR syntax error")
}

fn command_get_keys(words: &[Bytes], with_flags: bool) -> Reply {
    let Some(spec) = resolve(words).ok().filter(|s| s.served) else {
        return Reply::error("ERR Invalid command specified");
    };
    if !spec.has_keys() {
        return Reply::error("ERR The command has no key arguments");
    }
    if !spec.arity.allows(words.len()) {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    match spec.key_uses(words) {
        Err(_) if spec.flags.has(Flag::NoMandatoryKeys) => Reply::Array(Vec::new()),
        Err(_) => Reply::error("ERR Invalid arguments specified for command"),
        Ok(uses) => Reply::Array(
            uses.iter()
                .map(|u| {
                    let key = Reply::Bulk(words[u.position].clone());
                    if with_flags { Reply::Array(vec![key, key_flags(exact_flags(spec, u.flags, words))]) } else { key }
                })
                .collect(),
        ),
    }
}

/// What SET does to its key depends on whether it must return the value before.
fn exact_flags(spec: &Spec, flags: &'static [KeyFlag], words: &[Bytes]) -> &'static [KeyFlag] {
    if spec.name != "set" {
        return flags;
    }
    let returns = words.iter().skip(3).any(|w| w.eq_ignore_ascii_case(b"get"));
    if returns { &[KeyFlag::Rw, KeyFlag::Access, KeyFlag::Update] } else { &[KeyFlag::Ow, KeyFlag::Update] }
}

/// The ten fields of `COMMAND INFO`.
fn info(spec: &'static Spec) -> Reply {
    let KeyRange { first, last, step } = spec.key_range;
    let flags = spec.flags.iter().filter_map(Flag::name).map(|n| Reply::Simple(n.into()));
    let categories = spec.categories.iter().map(|c| Reply::Simple(Cow::Owned(format!("@{}", c.name()))));
    Reply::Array(vec![
        text(spec.name),
        Reply::Integer(spec.arity.number()),
        Reply::Set(flags.collect()),
        Reply::Integer(first.into()),
        Reply::Integer(last.into()),
        Reply::Integer(step.into()),
        Reply::Set(categories.collect()),
        Reply::Set(spec.tips.iter().map(|t| text(t)).collect()),
        Reply::Set(spec.keys.iter().map(key_spec).collect()),
        Reply::Array(served_subcommands(spec).map(info).collect()),
    ])
}

fn key_spec(spec: &KeySpec) -> Reply {
    let begin = match spec.begin {
        Begin::Index(i) => rule("index", vec![(text("index"), Reply::Integer(i.into()))]),
        Begin::Keyword { word, start } => {
            rule("keyword", vec![(text("keyword"), text(word)), (text("startfrom"), Reply::Integer(start.into()))])
        }
        Begin::Unknown => rule("unknown", Vec::new()),
    };
    let find = match spec.find {
        Find::Range { last, step, limit } => rule(
            "range",
            vec![
                (text("lastkey"), Reply::Integer(last.into())),
                (text("keystep"), Reply::Integer(step.into())),
                (text("limit"), Reply::Integer(limit.into())),
            ],
        ),
        Find::Counted => rule(
            "keynum",
            vec![
                (text("keynumidx"), Reply::Integer(0)),
                (text("firstkey"), Reply::Integer(1)),
                (text("keystep"), Reply::Integer(1)),
            ],
        ),
        Find::Unknown => rule("unknown", Vec::new()),
    };
    Reply::Map(vec![(text("flags"), key_flags(spec.flags)), (text("begin_search"), begin), (text("find_keys"), find)])
}

fn rule(kind: &'static str, spec: Vec<(Reply, Reply)>) -> Reply {
    Reply::Map(vec![(text("type"), text(kind)), (text("spec"), Reply::Map(spec))])
}

fn key_flags(flags: &[KeyFlag]) -> Reply {
    Reply::Set(flags.iter().map(|f| Reply::Simple(f.name().into())).collect())
}

/// One entry of `COMMAND DOCS`. `syntax` is our own field: one line where Redis has a tree of arguments.
fn docs(spec: &'static Spec) -> Reply {
    let mut map = vec![
        (text("summary"), text(spec.summary)),
        (text("since"), text(spec.since)),
        (text("group"), text(spec.group.name())),
        (text("complexity"), text(spec.complexity)),
    ];
    let mut doc_flags = Vec::new();
    if spec.deprecated.is_some() {
        doc_flags.push(Reply::Simple("deprecated".into()));
    }
    if spec.system {
        doc_flags.push(Reply::Simple("syscmd".into()));
    }
    if !doc_flags.is_empty() {
        map.push((text("doc_flags"), Reply::Set(doc_flags)));
    }
    if let Some((since, instead)) = spec.deprecated {
        map.push((text("deprecated_since"), text(since)));
        map.push((text("replaced_by"), text(instead)));
    }
    if !spec.syntax.is_empty() {
        map.push((text("syntax"), text(spec.syntax)));
    }
    let children: Vec<_> = served_subcommands(spec).map(|s| (text(s.name), docs(s))).collect();
    if !children.is_empty() {
        map.push((text("subcommands"), Reply::Map(children)));
    }
    Reply::Map(map)
}

/// The lines that `HELP` of a container prints: each subcommand with its words, and what it is for.
fn help(spec: &Spec) -> Reply {
    let Some(container) = spec.container.map(|id| &specs()[id.index()]) else {
        return error(format_args!("ERR '{}' has no subcommands", spec.name));
    };
    let mut lines =
        vec![format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container.display_name())];
    for sub in served_subcommands(container).filter(|s| **s != *spec) {
        let name = sub.display_name();
        let own = name.split_once(' ').map_or("", |(_, own)| own);
        lines.push(format!("{own} {}", sub.syntax).trim_end().to_owned());
        lines.push(format!("    {}", sub.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Print this help.".to_owned());
    Reply::Array(lines.into_iter().map(|l| Reply::Simple(l.into())).collect())
}

fn text(s: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(s.as_bytes()))
}
