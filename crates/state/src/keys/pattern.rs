//! The patterns of SORT, which make a key of an element: `weight_*`, or `object_*->field` for a field of a hash, or `#`
//! for the element itself.

use crate::ctx::Ctx;
use crate::hashes;
use crate::records::Type;
use crate::reply::Outcome;
use bytes::Bytes;

/// A pattern.
pub(super) enum Pattern<'a> {
    Element,
    /// The key before and after the element, and the field.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
    /// No element is named, so nothing is found.
    Nothing,
}

impl<'a> Pattern<'a> {
    pub(super) fn new(word: &'a [u8]) -> Pattern<'a> {
        if word == b"#" {
            return Pattern::Element;
        }
        let Some(star) = word.iter().position(|b| *b == b'*') else { return Pattern::Nothing };
        let (before, rest) = (&word[..star], &word[star + 1..]);
        let arrow = rest.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < rest.len());
        let (after, field) = match arrow {
            Some(at) => (&rest[..at], Some(&rest[at + 2..])),
            None => (rest, None),
        };
        Pattern::Key { before, after, field }
    }

    /// What the pattern finds for an element; nothing when the key is absent or of another type.
    pub(super) fn value(&self, ctx: &mut Ctx<'_>, element: &Bytes) -> Outcome<Option<Bytes>> {
        let (before, after, field) = match self {
            Pattern::Element => return Ok(Some(element.clone())),
            Pattern::Nothing => return Ok(None),
            Pattern::Key { before, after, field } => (before, after, field),
        };
        let key = [before, &element[..], after].concat();
        // No key is longer, so there is none.
        if key.len() > command::MAX_KEY_BYTES {
            return Ok(None);
        }
        let name = ctx.name(&key)?;
        let Some(record) = ctx.read(&name)? else { return Ok(None) };
        match (record.head.kind, field) {
            (Type::String, None) => Ok(Some(record.body)),
            (Type::Hash, Some(field)) => hashes::field(ctx, &name, record, field),
            _ => Ok(None),
        }
    }
}
