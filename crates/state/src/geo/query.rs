//! The words of GEOSEARCH and of the older GEORADIUS commands.

use super::Position;
use super::add::position_args;
use super::area::{Area, Shape};
use super::distance::unit_meters;
use super::hash::Cell;
use crate::ctx::Ctx;
use crate::parse::{float, int_arg, is};
use crate::reply::{Outcome, SYNTAX, fail, fail_with, shown};
use crate::zsets::Body;
use bytes::Bytes;

/// What a command leaves to its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// GEOSEARCH: center and shape.
    Search,
    /// GEOSEARCHSTORE: the same, and that distances are stored.
    SearchStore,
    /// GEORADIUS and GEORADIUSBYMEMBER: where the result is stored.
    Radius,
    /// Their read-only forms: neither.
    RadiusReadOnly,
}

impl Form {
    fn searches(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Nearest,
    Farthest,
}

/// A parsed command.
#[derive(Default)]
pub(super) struct Query {
    center: Option<Position>,
    shape: Option<Shape>,
    /// Meters of the unit in which distances are said.
    pub(super) unit_meters: f64,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_position: bool,
    pub(super) order: Option<Order>,
    /// 0: all.
    pub(super) count: usize,
    /// The first that are found are good enough.
    pub(super) any: bool,
    pub(super) store: Option<Bytes>,
    pub(super) store_distance: bool,
}

/// A length that is not negative, or the error of a word that is none.
fn length(word: &[u8], what: &'static str) -> Outcome<f64> {
    float(word).map_or_else(|| fail(what), Ok)
}

/// The position of a member that must exist.
fn member_position(ctx: &Ctx<'_>, set: &Body, member: &[u8]) -> Outcome<Position> {
    match set.score(ctx, member)? {
        Some(score) => Ok(Cell::of_score(score).center()),
        None => fail("ERR could not decode requested zset member"),
    }
}

impl Query {
    /// GEOSEARCH: everything is in the options, but where the result is stored.
    pub(super) fn stored_at(store: Option<Bytes>) -> Query {
        Query { store, ..Query::default() }
    }

    /// GEORADIUS: the area in front of the options.
    pub(super) fn around_position(words: &[Bytes]) -> Outcome<Query> {
        let mut query = Query { center: Some(position_args(&words[0], &words[1])?), ..Query::default() };
        query.radius(&words[2], &words[3])?;
        Ok(query)
    }

    /// GEORADIUSBYMEMBER: the area in front of the options. Of an absent set nothing is checked but the options.
    pub(super) fn around_member(ctx: &Ctx<'_>, set: Option<&Body>, words: &[Bytes]) -> Outcome<Query> {
        let Some(set) = set else { return Ok(Query::default()) };
        let mut query = Query { center: Some(member_position(ctx, set, &words[0])?), ..Query::default() };
        query.radius(&words[1], &words[2])?;
        Ok(query)
    }

    fn radius(&mut self, radius: &[u8], unit: &[u8]) -> Outcome<()> {
        let radius = length(radius, "ERR need numeric radius")?;
        if radius < 0.0 {
            return fail("ERR radius cannot be negative");
        }
        self.unit_meters = unit_meters(unit)?;
        self.shape = Some(Shape::Circle { radius: radius * self.unit_meters });
        Ok(())
    }

    fn rectangle(&mut self, width: &[u8], height: &[u8], unit: &[u8]) -> Outcome<()> {
        let width = length(width, "ERR need numeric width")?;
        let height = length(height, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return fail("ERR height or width cannot be negative");
        }
        self.unit_meters = unit_meters(unit)?;
        self.shape = Some(Shape::Box { width: width * self.unit_meters, height: height * self.unit_meters });
        Ok(())
    }

    /// Reads the options. `name` is the command as the client wrote it, for errors.
    pub(super) fn options(
        &mut self,
        ctx: &Ctx<'_>,
        set: Option<&Body>,
        words: &[Bytes],
        form: Form,
        name: &[u8],
    ) -> Outcome<()> {
        let (mut by_member, mut by_position) = (false, false);
        let mut rest = words;
        while let Some((word, more)) = rest.split_first() {
            rest = match more {
                [count, more @ ..] if is(word, "count") => {
                    let count = int_arg(count)?;
                    if count <= 0 {
                        return fail("ERR COUNT must be > 0");
                    }
                    self.count = usize::try_from(count).unwrap_or(usize::MAX);
                    more
                }
                [key, more @ ..] if form == Form::Radius && (is(word, "store") || is(word, "storedist")) => {
                    self.store = Some(key.clone());
                    self.store_distance = is(word, "storedist");
                    more
                }
                [member, more @ ..] if form.searches() && is(word, "frommember") && !by_position => {
                    by_member = true;
                    if let Some(set) = set {
                        self.center = Some(member_position(ctx, set, member)?);
                    }
                    more
                }
                [x, y, more @ ..] if form.searches() && is(word, "fromlonlat") && !by_member => {
                    by_position = true;
                    self.center = Some(position_args(x, y)?);
                    more
                }
                [radius, unit, more @ ..]
                    if form.searches() && is(word, "byradius") && !matches!(self.shape, Some(Shape::Box { .. })) =>
                {
                    self.radius(radius, unit)?;
                    more
                }
                [width, height, unit, more @ ..]
                    if form.searches() && is(word, "bybox") && !matches!(self.shape, Some(Shape::Circle { .. })) =>
                {
                    self.rectangle(width, height, unit)?;
                    more
                }
                more if self.flag(word, form) => more,
                _ => return fail(SYNTAX),
            };
        }
        if (self.store.is_some() || form == Form::SearchStore)
            && (self.with_distance || self.with_hash || self.with_position)
        {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return fail_with(format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"));
        }
        let one_of = |what| fail_with(format!("ERR exactly one of {what} can be specified for {}", shown(name)));
        if form.searches() && !by_member && !by_position {
            return one_of("FROMMEMBER or FROMLONLAT");
        }
        if form.searches() && self.shape.is_none() {
            return one_of("BYRADIUS and BYBOX");
        }
        if self.any && self.count == 0 {
            return fail("ERR the ANY argument requires COUNT argument");
        }
        if self.count > 0 && self.order.is_none() && !self.any {
            self.order = Some(Order::Nearest);
        }
        Ok(())
    }

    /// Takes an option of one word; false when it is none.
    fn flag(&mut self, word: &[u8], form: Form) -> bool {
        match () {
            () if is(word, "withdist") => self.with_distance = true,
            () if is(word, "withhash") => self.with_hash = true,
            () if is(word, "withcoord") => self.with_position = true,
            () if is(word, "any") => self.any = true,
            () if is(word, "asc") => self.order = Some(Order::Nearest),
            () if is(word, "desc") => self.order = Some(Order::Farthest),
            () if is(word, "storedist") && form == Form::SearchStore => self.store_distance = true,
            () => return false,
        }
        true
    }

    /// Where to search; `None` when the set is absent and its member could not be found.
    pub(super) fn area(&self) -> Option<Area> {
        Some(Area { center: self.center?, shape: self.shape? })
    }
}
