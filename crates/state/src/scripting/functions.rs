//! FCALL and FUNCTION: functions that are kept by name, in libraries.

use super::library::{self, Library};
use super::{BODY_BYTES_MAX, Call, Scripts, Target, run, with_scripts};
use crate::ctx::Ctx;
use crate::dispatch::{Row, led, reads};
use crate::parse::{integer, is};
use crate::rdb;
use crate::reply::{Outcome, fail, fail_with, shown};
use bytes::Bytes;
use command::{Command, Reply, glob};
use script::{LOAD_INSTRUCTIONS, Sha, library_header};

pub(super) const ROWS: [Row; 9] = [
    led("fcall", |ctx, cmd| fcall(ctx, cmd, true)),
    led("fcall_ro", |ctx, cmd| fcall(ctx, cmd, false)),
    led("function|load", load),
    led("function|delete", delete),
    led("function|flush", flush),
    led("function|restore", restore),
    reads("function|dump", dump),
    reads("function|list", list),
    reads("function|stats", stats),
];

impl Scripts {
    /// The library of this text. What it registers is kept by the interpreter, whatever becomes of the library.
    fn load(&mut self, code: &Bytes, left: &mut u64) -> Outcome<Library> {
        if code.len() > BODY_BYTES_MAX {
            return fail("ERR the library exceeds Polder's limit of 1 MiB");
        }
        let (name, start) = library_header(code).or_else(fail_with)?;
        let sha = Sha::of(code);
        let functions = match self.interpreter()?.load_library(sha, &code[start..], left) {
            Ok(functions) => functions,
            Err((line, drops)) => {
                if drops {
                    self.rest();
                }
                return fail_with(line);
            }
        };
        Ok(Library { name, sha, functions, code: Bytes::copy_from_slice(code) })
    }
}

fn fcall(ctx: &mut Ctx<'_>, cmd: &Command, writes: bool) -> Outcome {
    let Some(library) = library::with_function(ctx, &cmd.args[1])? else { return fail("ERR Function not found") };
    let Some(count) = integer(&cmd.args[2]) else { return fail("ERR Bad number of keys provided") };
    let call = Call::new(count, &cmd.args[3..], writes)?;
    // The record of a function and that of its library are written together.
    let Some(function) = library.function(&cmd.args[1]) else { return fail("ERR Function not found") };
    with_scripts(ctx, |ctx, scripts| {
        if !scripts.interpreter()?.has_library(library.sha) {
            scripts.load(&library.code, &mut LOAD_INSTRUCTIONS.clone())?;
        }
        let target = Target { sha: library.sha, function: Some(&function.name), flags: function.flags.of_run() };
        run(ctx, scripts, target, &call)
    })
}

fn load(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some((code, options)) = cmd.args[2..].split_last() else { return fail("ERR Missing library metadata") };
    if let Some(unknown) = options.iter().find(|option| !is(option, "replace")) {
        return fail_with(format!("ERR Unknown option given: {}", shown(unknown)));
    }
    let replaces = !options.is_empty();
    let new = with_scripts(ctx, |_, scripts| scripts.load(code, &mut LOAD_INSTRUCTIONS.clone()))?;
    let old = library::find(ctx, new.name.as_bytes())?.filter(|_| replaces);
    let name = Reply::bulk(new.name.as_bytes());
    library::replace(ctx, old.as_slice(), &[new])?;
    Ok(name)
}

fn delete(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let Some(old) = library::find(ctx, &cmd.args[2])? else { return fail("ERR Library not found") };
    library::replace(ctx, &[old], &[])?;
    Ok(Reply::OK)
}

fn flush(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    match &cmd.args[2..] {
        [] => {}
        [mode] if is(mode, "sync") || is(mode, "async") => {}
        [_] => return fail("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        _ => return wrong_arguments("flush"),
    }
    let old = library::all(ctx)?;
    library::replace(ctx, &old, &[])?;
    if let Some(scripts) = &mut ctx.scripts {
        scripts.rest();
    }
    Ok(Reply::OK)
}

fn wrong_arguments(subcommand: &str) -> Outcome {
    fail_with(format!("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try FUNCTION HELP."))
}

fn restore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let policy = match &cmd.args[3..] {
        [] => "append",
        [word] => match ["flush", "append", "replace"].into_iter().find(|p| is(word, p)) {
            Some(policy) => policy,
            None => {
                return fail("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
            }
        },
        _ => return wrong_arguments("restore"),
    };
    let codes = rdb::decode_functions(&cmd.args[2]).or_else(|malformed| fail_with(format!("ERR {malformed}")))?;
    let new = with_scripts(ctx, |_, scripts| {
        let mut left = LOAD_INSTRUCTIONS;
        codes.iter().map(|code| scripts.load(code, &mut left)).collect::<Outcome<Vec<Library>>>()
    })?;
    let mut old = library::all(ctx)?;
    if policy != "flush" {
        old.retain(|l| new.iter().any(|n| n.name == l.name));
    }
    if policy == "append"
        && let Some(taken) = old.first()
    {
        return fail_with(format!("ERR Library {} already exists", taken.name));
    }
    library::replace(ctx, &old, &new)?;
    Ok(Reply::OK)
}

fn dump(ctx: &mut Ctx<'_>, _: &Command) -> Outcome {
    let codes: Vec<Bytes> = library::all(ctx)?.into_iter().map(|l| l.code).collect();
    Ok(Reply::Bulk(rdb::encode_functions(&codes).into()))
}

fn text(text: &str) -> Reply {
    Reply::bulk(text.as_bytes())
}

fn list(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    let mut rest = &cmd.args[2..];
    while let Some((word, more)) = rest.split_first() {
        rest = more;
        if is(word, "withcode") && !with_code {
            with_code = true;
        } else if is(word, "libraryname") && pattern.is_none() {
            let Some((name, more)) = rest.split_first() else {
                return fail("ERR library name argument was not given");
            };
            (pattern, rest) = (Some(name), more);
        } else {
            return fail_with(format!("ERR Unknown argument {}", shown(word)));
        }
    }
    let mut libraries = library::all(ctx)?;
    libraries.retain(|l| pattern.is_none_or(|p| glob::matches_ignoring_case(p, l.name.as_bytes())));
    Ok(Reply::Array(libraries.iter().map(|l| described(l, with_code)).collect()))
}

fn described(library: &Library, with_code: bool) -> Reply {
    let functions = library.functions.iter().map(|function| {
        let flags = function.flags.names().map(|name| Reply::Simple(name.into())).collect();
        Reply::Map(vec![
            (text("name"), text(&function.name)),
            (text("description"), function.description.clone().map_or(Reply::Null, Reply::Bulk)),
            (text("flags"), Reply::Set(flags)),
        ])
    });
    let mut fields = vec![
        (text("library_name"), text(&library.name)),
        (text("engine"), text("LUA")),
        (text("functions"), Reply::Array(functions.collect())),
    ];
    if with_code {
        fields.push((text("library_code"), Reply::Bulk(library.code.clone())));
    }
    Reply::Map(fields)
}

/// No function runs while this is evaluated: each is over before anything else is, at its limits at the latest.
fn stats(ctx: &mut Ctx<'_>, _: &Command) -> Outcome {
    let libraries = library::all(ctx)?;
    let count = |n: usize| Reply::Integer(n as i64);
    let functions = libraries.iter().map(|l| l.functions.len()).sum();
    let lua = Reply::Map(vec![
        (text("libraries_count"), count(libraries.len())),
        (text("functions_count"), count(functions)),
    ]);
    Ok(Reply::Map(vec![(text("running_script"), Reply::Null), (text("engines"), Reply::Map(vec![(text("LUA"), lua)]))]))
}
