//! While one leader's entries are committed, no leader of an older term may read under its lease.

use super::{Broken, LeaseView};
use stdx::ShardId;

/// An entry of `term` was committed at this moment.
pub fn none_older(shard: ShardId, term: u64, leases: &[LeaseView]) -> Result<(), Broken> {
    match leases.iter().find(|l| l.valid && l.term < term) {
        None => Ok(()),
        Some(l) => Err(format!(
            "the lease of {} for {shard} in term {} is valid although an entry of term {term} was committed",
            l.node, l.term
        )),
    }
}
