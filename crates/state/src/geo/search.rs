//! GEOSEARCH, GEOSEARCHSTORE and the GEORADIUS commands.

use super::area::Area;
use super::hash::Cell;
use super::query::{Form, Order, Query};
use super::{Position, add, distance};
use crate::ctx::Ctx;
use crate::parse::ReplyMeter;
use crate::reply::{Outcome, REPLY_TOO_LARGE, fail};
use crate::zsets::{Body, Entry, Span, store};
use bytes::Bytes;
use command::{Command, Reply};
use std::ops::ControlFlow;

/// A member that was found.
struct Hit {
    entry: Entry,
    position: Position,
    /// Meters from the center.
    distance: f64,
}

/// The members inside an area; with `enough` above 0 the search ends once there are so many.
fn hits(ctx: &Ctx<'_>, set: &Body, area: &Area, enough: usize) -> Outcome<Vec<Hit>> {
    let mut meter = ReplyMeter::default();
    let mut fits = true;
    let mut found: Vec<Hit> = Vec::new();
    let is_enough = |found: &[Hit]| enough > 0 && found.len() >= enough;
    for cell in area.cells() {
        if is_enough(&found) || !fits {
            break;
        }
        let (first, end) = cell.scores();
        set.each(ctx, &Span::of_scores(first, end), false, |entry| {
            let position = Cell::of_score(entry.score).center();
            if let Some(distance) = area.distance(position) {
                fits = meter.fits(entry.member.len());
                found.push(Hit { entry, position, distance });
            }
            if is_enough(&found) || !fits { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    if fits { Ok(found) } else { fail(REPLY_TOO_LARGE) }
}

impl Query {
    /// The members asked for, in order.
    fn run(&self, ctx: &Ctx<'_>, set: Option<&Body>) -> Outcome<Vec<Hit>> {
        let (Some(set), Some(area)) = (set, self.area()) else { return Ok(Vec::new()) };
        let mut found = hits(ctx, set, &area, if self.any { self.count } else { 0 })?;
        match self.order {
            Some(Order::Nearest) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Some(Order::Farthest) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        Ok(found)
    }

    fn show(&self, hit: Hit, resp3: bool) -> Reply {
        let member = Reply::Bulk(hit.entry.member);
        if !(self.with_distance || self.with_hash || self.with_position) {
            return member;
        }
        let mut out = vec![member];
        if self.with_distance {
            out.push(distance::show(hit.distance / self.unit_meters));
        }
        if self.with_hash {
            out.push(Reply::Integer(hit.entry.score as i64));
        }
        if self.with_position {
            let Position { longitude, latitude } = hit.position;
            out.push(Reply::Array(vec![add::show(longitude, resp3), add::show(latitude, resp3)]));
        }
        Reply::Array(out)
    }

    /// Answers, or stores where the command says.
    fn finish(&self, ctx: &mut Ctx<'_>, set: Option<&Body>) -> Outcome {
        let found = self.run(ctx, set)?;
        let Some(target) = &self.store else {
            let resp3 = ctx.env.resp3;
            return Ok(Reply::Array(found.into_iter().map(|hit| self.show(hit, resp3)).collect()));
        };
        let score = |hit: &Hit| if self.store_distance { hit.distance / self.unit_meters } else { hit.entry.score };
        let mut entries: Vec<Entry> = found.into_iter().map(|hit| Entry::new(score(&hit), hit.entry.member)).collect();
        entries.sort_by_cached_key(Entry::place);
        Ok(Reply::Integer(store(ctx, target, entries)?))
    }
}

fn search(ctx: &mut Ctx<'_>, cmd: &Command, at: usize, form: Form, target: Option<&Bytes>) -> Outcome {
    let set = Body::read(ctx, &cmd.args[at])?;
    let mut query = Query::stored_at(target.cloned());
    query.options(ctx, set.as_ref(), &cmd.args[at + 1..], form, &cmd.args[0])?;
    query.finish(ctx, set.as_ref())
}

pub(super) fn geosearch(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    search(ctx, cmd, 1, Form::Search, None)
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    search(ctx, cmd, 2, Form::SearchStore, Some(&cmd.args[1]))
}

fn radius(ctx: &mut Ctx<'_>, cmd: &Command, form: Form, by_member: bool) -> Outcome {
    let set = Body::read(ctx, &cmd.args[1])?;
    let (mut query, options) = match by_member {
        true => (Query::around_member(ctx, set.as_ref(), &cmd.args[2..])?, 5),
        false => (Query::around_position(&cmd.args[2..])?, 6),
    };
    query.options(ctx, set.as_ref(), &cmd.args[options..], form, &cmd.args[0])?;
    query.finish(ctx, set.as_ref())
}

pub(super) fn georadius(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    radius(ctx, cmd, Form::Radius, false)
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    radius(ctx, cmd, Form::RadiusReadOnly, false)
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    radius(ctx, cmd, Form::Radius, true)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    radius(ctx, cmd, Form::RadiusReadOnly, true)
}
