//! XGROUP.

use super::{Editor, number, wrong_subcommand};
use crate::ctx::Ctx;
use crate::parse::{int_arg, is};
use crate::reply::{Outcome, fail, fail_with, shown};
use crate::streams::id::{Id, Missing};
use crate::streams::stream::Stream;
use bytes::Bytes;
use command::{Command, Reply};

/// MKSTREAM and ENTRIESREAD.
#[derive(Default)]
struct Options {
    make_stream: bool,
    read: Option<u64>,
}

impl Options {
    fn parse(cmd: &Command) -> Outcome<Options> {
        let creates = cmd.spec.name == "xgroup|create";
        let mut options = Options::default();
        let mut rest: &[Bytes] = &cmd.args[5..];
        while !rest.is_empty() {
            rest = match rest {
                [word, more @ ..] if creates && is(word, "mkstream") => {
                    options.make_stream = true;
                    more
                }
                [word, n, more @ ..] if is(word, "entriesread") => {
                    options.read = match int_arg(n)? {
                        -1 => None,
                        n => match u64::try_from(n) {
                            Ok(n) => Some(n),
                            Err(_) => return fail("ERR value for ENTRIESREAD must be positive or -1"),
                        },
                    };
                    more
                }
                _ => return wrong_subcommand(cmd),
            };
        }
        Ok(options)
    }
}

fn stream(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome<Stream> {
    match Stream::open(ctx, &cmd.args[2])? {
        Some(stream) => Ok(stream),
        None => fail(
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
             MKSTREAM option to create an empty stream automatically.",
        ),
    }
}

/// The group that a subcommand needs.
fn editor<'s>(stream: &'s Stream, ctx: &Ctx<'_>, cmd: &Command) -> Outcome<Editor<'s>> {
    match Editor::open(stream, ctx, &cmd.args[3])? {
        Some(editor) => Ok(editor),
        None => {
            let (group, key) = (shown(&cmd.args[3]), shown(&cmd.args[2]));
            fail_with(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
        }
    }
}

pub(super) fn create(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    /// Words with every option once.
    const WORDS_MAX: usize = 8;
    let options = Options::parse(cmd)?;
    let found = Stream::open(ctx, &cmd.args[2])?;
    if found.is_none() && !options.make_stream {
        return stream(ctx, cmd).map(|_| Reply::Null);
    }
    if cmd.args.len() > WORDS_MAX {
        return wrong_subcommand(cmd);
    }
    let last = match (&cmd.args[4][..], &found) {
        (b"$", Some(stream)) => stream.meta.last,
        (b"$", None) => Id::MIN,
        (word, _) => Id::arg(word)?,
    };
    let name = &cmd.args[3];
    let (stream, is_new) = match found {
        Some(stream) if stream.group(ctx, name)?.is_some() => {
            return fail("BUSYGROUP Consumer Group name already exists");
        }
        Some(stream) => (stream, false),
        None => (Stream::create(ctx, &cmd.args[2])?, true),
    };
    Editor::create(&stream, ctx, name, last, options.read)?.commit(ctx)?;
    if is_new {
        stream.commit(ctx)?;
    }
    Ok(Reply::OK)
}

pub(super) fn setid(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let options = Options::parse(cmd)?;
    let stream = stream(ctx, cmd)?;
    let mut group = editor(&stream, ctx, cmd)?;
    if !matches!(cmd.args.len(), 5 | 7) {
        return wrong_subcommand(cmd);
    }
    group.group.last = match &cmd.args[4][..] {
        b"$" => stream.meta.last,
        word => Id::open_arg(word, Missing::First)?,
    };
    group.group.read = options.read;
    group.commit(ctx)?;
    Ok(Reply::OK)
}

pub(super) fn destroy(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let stream = stream(ctx, cmd)?;
    let Some(group) = Editor::open(&stream, ctx, &cmd.args[3])? else { return Ok(Reply::Integer(0)) };
    group.destroy(ctx)?;
    ctx.signal(&cmd.args[2])?;
    Ok(Reply::Integer(1))
}

pub(super) fn create_consumer(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let stream = stream(ctx, cmd)?;
    let mut group = editor(&stream, ctx, cmd)?;
    let created = group.create_consumer(ctx, &cmd.args[4])?;
    group.commit(ctx)?;
    Ok(Reply::Integer(i64::from(created)))
}

pub(super) fn delete_consumer(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let stream = stream(ctx, cmd)?;
    let mut group = editor(&stream, ctx, cmd)?;
    let pending = group.remove_consumer(ctx, &cmd.args[4])?;
    group.commit(ctx)?;
    Ok(number(pending))
}
