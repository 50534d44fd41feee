//! What a node keeps: the replicated log (fsynced before a write is acknowledged) and the engine that holds applied
//! state, over a `Disk` that the server makes real and the simulator makes cruel.
//!
//! ```text
//!   consensus side ─ WriteSet ─▶ log::LogWriter ─▶ segments on Disk          (durable: fsynced)
//!   state side ─ Batch ─▶ Replica: active table ─▶ frozen ─▶ flush ─▶ Engine (may lag; the log covers the gap)
//!   readers ─ View ──────▶ Replica: active, frozen, cache, Engine
//! ```
//!
//! Invariants: knows nothing of commands or Raft; never decides, only keeps. Not here: who may read, what a key means.

mod batch;
mod disk;
mod disk_real;
mod engine;
pub mod log;
mod memdisk;
mod replica;
mod view;

pub use batch::{Batch, Op};
pub use disk::{Disk, DiskFile};
pub use disk_real::{RealDisk, RealFile};
pub use engine::{Change, Engine, Fault, FjallEngine, FjallOptions, MAX_ENGINE_KEY_BYTES, MemEngine};
pub use memdisk::{DiskStats, MemDisk, MemFile, SECTOR_BYTES};
pub use replica::{
    Applied, Chunk, FlushReport, GarbageReport, Install, MAX_KEY_BYTES, MemoryUse, ReadGuard, Replica, ReplicaSnapshot,
    Store, StoreOptions,
};
pub use view::{EngineError, View};
