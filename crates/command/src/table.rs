//! The command table: one row per command, the only place that knows its arity, flags and keys.
// Skeleton: the rows and the lookup are filled in with the protocol work.

/// placeholder
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity { /// exactly this many words, the name included
 Exact(usize), /// at least
 AtLeast(usize) }

/// placeholder
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(pub u32);

/// placeholder
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group { /// strings
 String }

/// placeholder
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySpec { /// none
 None }

/// One row of the table.
#[derive(Debug)]
pub struct Spec { /// lower-case name
 pub name: &'static str }

/// placeholder
#[must_use]
pub fn lookup(_name: &[u8]) -> Option<&'static Spec> { None }
/// placeholder
#[must_use]
pub fn specs() -> &'static [Spec] { &[] }
