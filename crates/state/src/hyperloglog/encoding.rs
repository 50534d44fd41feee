//! The bytes of a HyperLogLog, as Redis writes them:
//!
//! ```text
//! "HYLL" | form u8: 0 dense, 1 sparse | 3 bytes of zero | count u64, little-endian; its highest bit: not valid | registers
//! dense:  6 bits for each register, the lowest bits of a byte first
//! sparse: 00nnnnnn           n+1 registers are 0
//!         01nnnnnn nnnnnnnn  n+1 registers are 0
//!         1vvvvvnn           n+1 registers are v+1
//! ```

use crate::reply::{Outcome, fail};
use bytes::Bytes;

/// How many registers there are: 14 bits of a hash choose one.
pub(super) const REGISTERS: usize = 1 << 14;

/// Bits of a register.
const REGISTER_BITS: usize = 6;

const MAGIC: &[u8] = b"HYLL";
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * REGISTER_BITS / 8;

/// Redis' `hll-sparse-max-bytes`: what is longer becomes dense.
const SPARSE_BYTES_MAX: usize = 3000;

/// The largest value and the longest run of one sparse value; the longest runs of zeros.
const SPARSE_VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;
const ZERO_RUN_MAX: usize = 64;
const LONG_ZERO_RUN_MAX: usize = 1 << 14;

const _: () = assert!(LONG_ZERO_RUN_MAX >= REGISTERS);

/// How registers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Dense,
    Sparse,
}

/// All registers of a HyperLogLog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sketch {
    /// A dense one stays dense; a sparse one becomes dense when it is written and has grown too large.
    pub(super) form: Form,
    registers: Vec<u8>,
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch { form: Form::Sparse, registers: vec![0; REGISTERS] }
    }
}

/// The form that a value says it has; an error when it is no HyperLogLog.
fn form(value: &[u8]) -> Outcome<Form> {
    let encoding = value.get(4).filter(|_| value.len() >= HEADER_BYTES && value.starts_with(MAGIC));
    match encoding {
        Some(0) if value.len() == DENSE_BYTES => Ok(Form::Dense),
        Some(1) => Ok(Form::Sparse),
        _ => fail("WRONGTYPE Key is not a valid HyperLogLog string value."),
    }
}

/// The count that is kept in a value, when it is valid.
pub(super) fn cached_count(value: &[u8]) -> Outcome<Option<i64>> {
    form(value)?;
    let count = value[8..HEADER_BYTES].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    Ok(i64::try_from(count).ok())
}

impl Sketch {
    /// The registers in a value.
    pub(super) fn decode(value: &Bytes) -> Outcome<Sketch> {
        let form = form(value)?;
        let body = &value[HEADER_BYTES..];
        let registers = match form {
            Form::Dense => (0..REGISTERS).map(|i| dense_register(body, i)).collect(),
            Form::Sparse => match sparse_registers(body) {
                Some(registers) => registers,
                None => return fail("INVALIDOBJ Corrupted HLL object detected"),
            },
        };
        Ok(Sketch { form, registers })
    }

    /// The value; its count is not valid, unless nothing was ever added.
    pub(super) fn encode(&self) -> Vec<u8> {
        let sparse = match self.form {
            Form::Sparse => self.sparse(),
            Form::Dense => None,
        };
        let mut out = Vec::with_capacity(sparse.as_ref().map_or(DENSE_BYTES, |s| HEADER_BYTES + s.len()));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[u8::from(sparse.is_some()), 0, 0, 0]);
        let empty = self.registers.iter().all(|r| *r == 0);
        out.extend_from_slice(&if empty { [0; 8] } else { (1u64 << 63).to_le_bytes() });
        match sparse {
            Some(sparse) => out.extend_from_slice(&sparse),
            None => out.extend_from_slice(&self.dense()),
        }
        out
    }

    /// Raises a register to `value` and says whether it was lower.
    pub(super) fn raise(&mut self, register: usize, value: u8) -> bool {
        let raised = self.registers[register] < value;
        if raised {
            self.registers[register] = value;
        }
        raised
    }

    /// Makes this the union with another; dense when one of them is.
    pub(super) fn merge(&mut self, other: &Sketch) {
        if other.form == Form::Dense {
            self.form = Form::Dense;
        }
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *mine = (*mine).max(*theirs);
        }
    }

    pub(super) fn registers(&self) -> &[u8] {
        &self.registers
    }

    fn dense(&self) -> Vec<u8> {
        let mut out = vec![0u8; DENSE_BYTES - HEADER_BYTES];
        for (i, value) in self.registers.iter().enumerate() {
            let (at, shift) = (i * REGISTER_BITS / 8, i * REGISTER_BITS % 8);
            let bits = u16::from(*value) << shift;
            out[at] |= bits as u8;
            if let Some(next) = out.get_mut(at + 1) {
                *next |= (bits >> 8) as u8;
            }
        }
        out
    }

    /// The sparse form of the registers; `None` when it cannot hold one of them or would be too long.
    fn sparse(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for run in self.registers.chunk_by(|a, b| a == b) {
            let value = run[0];
            if value > SPARSE_VALUE_MAX {
                return None;
            }
            let run_max = if value == 0 { LONG_ZERO_RUN_MAX } else { VALUE_RUN_MAX };
            for piece in run.chunks(run_max) {
                let more = piece.len() - 1;
                match value {
                    0 if piece.len() <= ZERO_RUN_MAX => out.push(more as u8),
                    0 => out.extend([0x40 | (more >> 8) as u8, more as u8]),
                    _ => out.push(0x80 | (value - 1) << 2 | more as u8),
                }
            }
        }
        (HEADER_BYTES + out.len() <= SPARSE_BYTES_MAX).then_some(out)
    }
}

fn dense_register(body: &[u8], i: usize) -> u8 {
    let (at, shift) = (i * REGISTER_BITS / 8, i * REGISTER_BITS % 8);
    let low = u16::from(body[at]);
    let high = body.get(at + 1).map_or(0, |b| u16::from(*b));
    ((low | high << 8) >> shift) as u8 & ((1 << REGISTER_BITS) - 1)
}

/// One run of a sparse body: its value, its length, and the bytes it takes.
fn sparse_run(body: &[u8]) -> Option<(u8, usize, usize)> {
    let first = *body.first()?;
    Some(match first >> 6 {
        0 => (0, usize::from(first) + 1, 1),
        1 => (0, (usize::from(first & 0x3f) << 8 | usize::from(*body.get(1)?)) + 1, 2),
        _ => ((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1, 1),
    })
}

/// All registers of a sparse body; `None` unless it has exactly as many as there are.
fn sparse_registers(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut registers = Vec::with_capacity(REGISTERS);
    while !body.is_empty() {
        let (value, run, bytes) = sparse_run(body)?;
        if registers.len() + run > REGISTERS {
            return None;
        }
        registers.resize(registers.len() + run, value);
        body = &body[bytes..];
    }
    (registers.len() == REGISTERS).then_some(registers)
}

/// A sparse value in words, as PFDEBUG DECODE shows it: `z:` and `Z:` runs of zeros, `v:value,length` others. `None` when
/// the value is dense.
pub(super) fn words(value: &[u8]) -> Outcome<Option<String>> {
    if form(value)? == Form::Dense {
        return Ok(None);
    }
    let mut body = &value[HEADER_BYTES..];
    let mut words = Vec::new();
    while let Some((value, run, bytes)) = sparse_run(body) {
        words.push(match (value, bytes) {
            (0, 1) => format!("z:{run}"),
            (0, _) => format!("Z:{run}"),
            _ => format!("v:{value},{run}"),
        });
        body = &body[bytes..];
    }
    Ok(Some(words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::{DENSE_BYTES, Form, REGISTERS, Sketch, words};
    use crate::hyperloglog::{count, hash};
    use stdx::Rng;

    #[test]
    fn registers_survive_both_forms() {
        let mut rng = Rng::new(3);
        for raised in [0, 1, 5, 100, 1000, 20_000] {
            let mut sketch = Sketch::default();
            for _ in 0..raised {
                sketch.raise(rng.below(REGISTERS as u64) as usize, rng.range(1, 52) as u8);
            }
            for form in [Form::Sparse, Form::Dense] {
                sketch.form = form;
                let value = sketch.encode();
                let back = Sketch::decode(&value.clone().into()).unwrap();
                assert_eq!(back.registers, sketch.registers, "{raised} {form:?}");
                assert!(back.form == Form::Sparse || value.len() == DENSE_BYTES);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.encode(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        sketch.raise(70, 2);
        sketch.raise(71, 2);
        let value = sketch.encode();
        assert_eq!(value, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x40\x45\x85\x7f\xb7");
        assert_eq!(words(&value).unwrap().as_deref(), Some("Z:70 v:2,2 Z:16312"));
        sketch.form = Form::Dense;
        let value = sketch.encode();
        // Registers 70 and 71 are bits 420 to 431 of the body.
        assert_eq!(value[16 + 52..16 + 54], [0x20, 0x08]);
    }

    #[test]
    fn broken_values_are_refused() {
        let good = Sketch::default().encode();
        for cut in 0..good.len() {
            assert!(Sketch::decode(&good[..cut].to_vec().into()).is_err());
        }
        for body in [&b"\x7f\xff\x00"[..], b"\x7f\xfe", b"\x3f", b"\x7f", b"\xff"] {
            assert!(Sketch::decode(&[&good[..16], body].concat().into()).is_err());
        }
    }

    #[test]
    fn estimates_are_close() {
        let mut sketch = Sketch::default();
        for n in 1..=200_000u32 {
            let (register, rank) = hash::place(n.to_string().as_bytes());
            sketch.raise(register, rank);
            if [1, 10, 100, 1000, 10_000, 100_000, 200_000].contains(&n) {
                let error = (count::estimate(&sketch) - i64::from(n)).abs() as f64 / f64::from(n);
                assert!(error < 0.03, "{n}: {error}");
            }
        }
    }
}
