//! BITOP.

use crate::ctx::Ctx;
use crate::parse::{REPLY_LIMIT_BYTES, is};
use crate::reply::{Outcome, SYNTAX, fail};
use crate::strings::edited;
use bytes::Bytes;
use command::{Command, Reply};

/// The bytes that one BITOP reads at most.
const READ_LIMIT_BYTES: usize = REPLY_LIMIT_BYTES;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(word: &[u8]) -> Outcome<Operation> {
        [("and", Operation::And), ("or", Operation::Or), ("xor", Operation::Xor), ("not", Operation::Not)]
            .into_iter()
            .find(|(name, _)| is(word, name))
            .map_or_else(|| fail(SYNTAX), |(_, operation)| Ok(operation))
    }

    /// The result for operands of which each is as if followed by zeros.
    fn of(self, operands: &[Bytes]) -> Vec<u8> {
        let len = operands.iter().map(Bytes::len).max().unwrap_or(0);
        let mut out = vec![0; len];
        let Some((first, others)) = operands.split_first() else { return out };
        out[..first.len()].copy_from_slice(first);
        for other in others {
            let (shared, beyond) = out.split_at_mut(other.len());
            for (a, b) in shared.iter_mut().zip(other) {
                match self {
                    Operation::And => *a &= b,
                    Operation::Or => *a |= b,
                    Operation::Xor | Operation::Not => *a ^= b,
                }
            }
            if self == Operation::And {
                beyond.fill(0);
            }
        }
        if self == Operation::Not {
            out.iter_mut().for_each(|byte| *byte = !*byte);
        }
        out
    }
}

pub(super) fn bitop(ctx: &mut Ctx<'_>, cmd: &Command) -> Outcome {
    let operation = Operation::parse(&cmd.args[1])?;
    if operation == Operation::Not && cmd.args.len() != 4 {
        return fail("ERR BITOP NOT must be called with a single source key.");
    }
    let mut operands = Vec::with_capacity(cmd.args.len() - 3);
    let mut bytes = 0;
    for key in &cmd.args[3..] {
        let operand = ctx.read_string(key)?.unwrap_or_default();
        bytes += operand.len();
        if bytes > READ_LIMIT_BYTES {
            return fail("ERR the operands of BITOP exceed Polder's limit of 256 MiB");
        }
        operands.push(operand);
    }
    let result = operation.of(&operands);
    let name = ctx.name(&cmd.args[2])?;
    let old = ctx.open(&name)?;
    match &old {
        _ if !result.is_empty() => ctx.replace(&name, old.as_ref(), edited(None), &[&result])?,
        Some(old) => ctx.remove(&name, old)?,
        None => {}
    }
    Ok(Reply::Integer(result.len() as i64))
}
