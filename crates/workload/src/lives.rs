//! Names of keys. A key that has been used enough is left as it is, and another takes its place: histories of single keys
//! stay short enough to be judged, and values short enough to be read.

use crate::{ClientId, Namespace, Options};
use bytes::Bytes;
use std::collections::BTreeMap;
use stdx::Rng;

/// When a key's life ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Commands on it.
    pub(crate) uses: u32,
    /// Commands of unknown outcome among them.
    pub(crate) unknown: u32,
}

/// The keys of a workload.
#[derive(Debug)]
pub(crate) struct Lives {
    beginning: String,
    tagged: bool,
    span: Span,
    namespaces: Vec<Namespace>,
    current: Vec<Life>,
    by_name: BTreeMap<Bytes, usize>,
    past: Vec<(Namespace, Bytes)>,
}

#[derive(Debug)]
struct Life {
    name: Bytes,
    generation: u32,
    uses: u32,
    unknown: u32,
}

impl Lives {
    /// Keys `{prefix}{kind}:{number}.{generation}`.
    pub(crate) fn new(options: &Options, kind: &str, span: Span) -> Lives {
        Lives::with(options, kind, options.key_count(), span, false)
    }

    /// Keys of which each has few clients, so that few operations on one overlap: as many for each neighbourhood of
    /// clients as the options say.
    pub(crate) fn neighbourly(options: &Options, kind: &str, span: Span) -> Lives {
        Lives::with(options, kind, options.key_count() * neighbourhoods(options), span, false)
    }

    /// A key of the client's neighbourhood.
    pub(crate) fn near(&self, client: ClientId, options: &Options, rng: &mut Rng) -> usize {
        let keys = options.key_count();
        let first = client.0 % neighbourhoods(options) * keys;
        (first + rng.below(keys)) as usize
    }

    /// `count` groups of keys, whose names begin with a hash tag.
    pub(crate) fn tagged(options: &Options, kind: &str, count: u64, span: Span) -> Lives {
        Lives::with(options, kind, count, span, true)
    }

    fn with(options: &Options, kind: &str, count: u64, span: Span, tagged: bool) -> Lives {
        let mut lives = Lives {
            beginning: beginning(options, kind),
            tagged,
            span,
            namespaces: options.namespaces.clone(),
            current: Vec::new(),
            by_name: BTreeMap::new(),
            past: Vec::new(),
        };
        for _ in 0..count {
            lives.add();
        }
        lives
    }

    /// One more key; its number.
    pub(crate) fn add(&mut self) -> usize {
        let n = self.current.len();
        let name = self.spell(n, 0);
        self.by_name.insert(name.clone(), n);
        self.current.push(Life { name, generation: 0, uses: 0, unknown: 0 });
        n
    }

    fn spell(&self, n: usize, generation: u32) -> Bytes {
        let (beginning, tagged) = (&self.beginning, self.tagged);
        let name = format!("{n}.{generation}");
        Bytes::from(if tagged { format!("{beginning}{{{beginning}{name}}}") } else { format!("{beginning}{name}") })
    }

    pub(crate) fn count(&self) -> usize {
        self.current.len()
    }

    pub(crate) fn name(&self, n: usize) -> &Bytes {
        &self.current[n].name
    }

    pub(crate) fn namespace(&self, n: usize) -> Namespace {
        let all = &self.namespaces;
        if all.is_empty() { Namespace::Plain } else { all[n % all.len()] }
    }

    /// Counts a use of a key. Whether that ended its life.
    pub(crate) fn used(&mut self, name: &[u8], known: bool) -> bool {
        let Some(n) = self.by_name.get(name).copied() else { return false };
        let life = &mut self.current[n];
        life.uses += 1;
        life.unknown += u32::from(!known);
        let over = life.uses >= self.span.uses || life.unknown >= self.span.unknown;
        if over {
            self.renew(n);
        }
        over
    }

    /// Ends the life of a key.
    pub(crate) fn renew(&mut self, n: usize) {
        let generation = self.current[n].generation + 1;
        let name = self.spell(n, generation);
        let old = std::mem::replace(&mut self.current[n], Life { name: name.clone(), generation, uses: 0, unknown: 0 });
        self.by_name.remove(&old.name);
        self.by_name.insert(name, n);
        self.past.push((self.namespace(n), old.name));
    }

    /// All names that were in use.
    pub(crate) fn all(&self) -> Vec<(Namespace, Bytes)> {
        let now = (0..self.count()).map(|n| (self.namespace(n), self.name(n).clone()));
        self.past.iter().cloned().chain(now).collect()
    }
}

/// Clients that share keys where a search judges them: what it considers grows with the operations that overlap.
const NEIGHBOURS: u64 = 4;

fn neighbourhoods(options: &Options) -> u64 {
    u64::from(options.clients).div_ceil(NEIGHBOURS).max(1)
}

/// How the names of a workload's keys begin.
pub(crate) fn beginning(options: &Options, kind: &str) -> String {
    format!("{}{kind}:", options.prefix)
}
