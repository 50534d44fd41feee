//! The libraries of functions that FCALL finds: records of the shard, so that they are there after a failover and on every
//! replica.
//!
//! Bounded: a library that does not fit is refused.

use crate::ctx::Ctx;
use crate::records;
use crate::reply::{Outcome, Stop, fail, fail_with};
use bytes::Bytes;
use script::{FunctionFlags, FunctionInfo, Sha};
use std::ops::ControlFlow;
use stdx::codec::{DecodeError, Put as _, Reader};

/// Libraries of one shard.
const LIBRARIES_MAX: usize = 1_024;
/// Bytes of their code.
const BYTES_MAX: usize = 16 << 20;

/// A library as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Library {
    pub(super) name: String,
    /// The digest of its code, by which the interpreter knows it.
    pub(super) sha: Sha,
    /// In the order in which it registers them.
    pub(super) functions: Vec<FunctionInfo>,
    /// With the first line.
    pub(super) code: Bytes,
}

impl Library {
    /// The function of this name, in any case.
    pub(super) fn function(&self, name: &[u8]) -> Option<&FunctionInfo> {
        self.functions.iter().find(|f| f.name.as_bytes().eq_ignore_ascii_case(name))
    }

    fn encode(&self) -> Bytes {
        let mut out = self.sha.0.to_vec();
        out.put_varint(self.functions.len() as u64);
        for function in &self.functions {
            out.put_bytes(function.name.as_bytes());
            out.put_u8(function.flags.bits());
            match &function.description {
                None => out.put_u8(0),
                Some(text) => {
                    out.put_u8(1);
                    out.put_bytes(text);
                }
            }
        }
        out.extend_from_slice(&self.code);
        out.into()
    }

    fn decode(name: &[u8], value: &Bytes) -> Outcome<Library> {
        let damaged = |_: DecodeError| Stop::Engine(records::damaged("a library's record does not decode"));
        let read = |value: &Bytes| {
            let mut r = Reader::new(value.clone());
            let sha = r.take(20)?;
            let count = r.varint()?;
            let mut functions = Vec::new();
            for _ in 0..count {
                let name = String::from_utf8_lossy(&r.bytes()?).into_owned();
                let flags = FunctionFlags::from_bits(r.u8()?);
                let description = if r.u8()? == 0 { None } else { Some(r.bytes()?) };
                functions.push(FunctionInfo { name, description, flags });
            }
            let code = r.take(r.remaining())?;
            let mut digest = [0; 20];
            digest.copy_from_slice(&sha);
            let name = String::from_utf8_lossy(name).into_owned();
            Ok(Library { name, sha: Sha(digest), functions, code })
        };
        read(value).map_err(damaged)
    }
}

/// The library of this name.
pub(super) fn find(ctx: &Ctx<'_>, name: &[u8]) -> Outcome<Option<Library>> {
    match ctx.get(&records::library_key(name))? {
        Some(value) => Library::decode(name, &value).map(Some),
        None => Ok(None),
    }
}

/// The library that has a function of this name, in any case.
pub(super) fn with_function(ctx: &Ctx<'_>, function: &[u8]) -> Outcome<Option<Library>> {
    match ctx.get(&records::function_key(function))? {
        Some(library) => find(ctx, &library),
        None => Ok(None),
    }
}

/// All libraries, by name.
pub(super) fn all(ctx: &Ctx<'_>) -> Outcome<Vec<Library>> {
    let (start, end) = records::library_range();
    let mut found = Vec::new();
    ctx.scan(&start, &end, &mut |key, value| {
        found.push(Library::decode(&key[start.len()..], value));
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect()
}

/// Keeps `new` libraries in place of those in `old`, which are in the state.
///
/// # Errors
/// Nothing is changed when a name is taken or there is no room.
pub(super) fn replace(ctx: &mut Ctx<'_>, old: &[Library], new: &[Library]) -> Outcome<()> {
    let stay: Vec<Library> = all(ctx)?.into_iter().filter(|l| !old.contains(l)).collect();
    let mut there: Vec<&Library> = stay.iter().collect();
    for library in new {
        if there.iter().any(|l| l.name == library.name) {
            return fail_with(format!("ERR Library '{}' already exists", library.name));
        }
        for function in &library.functions {
            if there.iter().any(|l| l.function(function.name.as_bytes()).is_some()) {
                return fail_with(format!("ERR Function {} already exists", function.name));
            }
        }
        there.push(library);
    }
    if !new.is_empty() && (there.len() > LIBRARIES_MAX || there.iter().map(|l| l.code.len()).sum::<usize>() > BYTES_MAX)
    {
        return fail("ERR there is room for 1024 libraries or 16 MiB of their code; FUNCTION DELETE makes room");
    }
    let txn = ctx.txn()?;
    for library in old {
        txn.delete(records::library_key(library.name.as_bytes()));
        library.functions.iter().for_each(|f| txn.delete(records::function_key(f.name.as_bytes())));
    }
    for library in new {
        txn.put(records::library_key(library.name.as_bytes()), library.encode());
        for function in &library.functions {
            let name = Bytes::copy_from_slice(library.name.as_bytes());
            txn.put(records::function_key(function.name.as_bytes()), name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Library;
    use bytes::Bytes;
    use script::{FunctionFlags, FunctionInfo, Sha};

    #[test]
    fn a_library_reads_as_it_was_written() {
        let function = |name: &str, description: Option<&'static [u8]>, bits| FunctionInfo {
            name: name.to_owned(),
            description: description.map(Bytes::from_static),
            flags: FunctionFlags::from_bits(bits),
        };
        let library = Library {
            name: "lib".to_owned(),
            sha: Sha([7; 20]),
            functions: vec![function("a", None, 0), function("b", Some(b"what"), 5)],
            code: Bytes::from_static(b"#!lua"),
        };
        let written = library.encode();
        // Golden: the record is drawn in docs/internals/keyspace-layout.md.
        assert_eq!(written[20..], *b"\x02\x01a\x00\x00\x01b\x05\x01\x04what#!lua");
        assert_eq!(Library::decode(b"lib", &written).ok(), Some(library));
        for cut in 0..20 {
            assert!(Library::decode(b"lib", &written.slice(..cut)).is_err());
        }
    }
}
