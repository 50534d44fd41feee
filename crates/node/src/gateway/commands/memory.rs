//! MEMORY, as far as it is about the node and not about a key.

use super::text;
use crate::gateway::context::Context;
use command::{Command, Reply};

/// Carries out a subcommand.
pub(super) fn memory(command: &Command, cx: Context<'_>) -> Reply {
    match command.spec.name {
        "memory|purge" => Reply::OK,
        "memory|malloc-stats" => Reply::Bulk("Stats not supported for the current allocator".into()),
        "memory|doctor" => Reply::Verbatim(*b"txt", doctor(cx).into()),
        _ => stats(cx),
    }
}

/// What the process takes. Keys are on disk, with the hot ones in a cache: what each takes in memory is not known, and is left
/// out rather than invented.
fn stats(cx: Context<'_>) -> Reply {
    let usage = cx.gateway.usage();
    let bytes = |n: u64| Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    Reply::Map(vec![
        (text("peak.allocated"), bytes(usage.resident_peak)),
        (text("total.allocated"), bytes(usage.resident)),
        (text("allocator.resident"), bytes(usage.resident)),
        (text("peak.percentage"), Reply::Double(usage.resident as f64 * 100.0 / usage.resident_peak.max(1) as f64)),
        (text("clients.normal"), bytes(cx.gateway.clients.buffered_bytes() as u64)),
    ])
}

fn doctor(cx: Context<'_>) -> String {
    /// Percent of the machine's memory that the process may take without remark.
    const RESIDENT_PERCENT_MAX: u64 = 75;
    let (usage, total) = (cx.gateway.usage(), cx.gateway.facts.memory_total);
    if total > 0 && usage.resident / total.div_ceil(100).max(1) >= RESIDENT_PERCENT_MAX {
        return format!(
            "This node takes {} of the machine's {} bytes. Give it a smaller cache (limits.memory.cache) or a larger machine.\n",
            usage.resident, total
        );
    }
    "Nothing about this node's memory needs attention.\n".to_owned()
}
