//! ZRANGESTORE.

use super::body::Body;
use super::range::{Form, Query};
use super::writer;
use crate::ctx::Ctx;
use crate::reply::Outcome;
use command::{Command, Reply};

pub(super) fn zrangestore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let query = Query::parse(&cmd.args[3..], Form::Store)?;
    let mut entries = match Body::read(ctx, &cmd.args[2])? {
        Some(set) => query.entries(ctx, &set)?,
        None => Vec::new(),
    };
    if query.reverse {
        entries.reverse();
    }
    Ok(Reply::Integer(writer::store(ctx, &cmd.args[1], entries)?))
}
