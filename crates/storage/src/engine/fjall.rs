//! The engine on disk: fjall 3, a log-structured merge tree, used through sorted ingestion only.
//!
//! What was checked in the sources of fjall 3.1.13 and lsm-tree 3.1.10, and what follows from it:
//!
//! - **Ingestion is atomic and durable on return.** `Writer::finish` syncs each table file and then the folder;
//!   `persist_version` writes the next manifest to its own file, syncs it and the folder, and then replaces `current` by
//!   a synced rename. All tables of one ingestion enter with that one rename. A crash before it leaves orphan files that the next
//!   open deletes. When the sync after the rename fails, the call reports an error although the next open will see
//!   the data: hence "unknown" in `Engine::ingest`.
//! - **Nothing goes through journal and memtable**, so the journal stays empty and opening replays nothing.
//! - **Sequence numbers** of ingested tables are kept in the manifest and restored at open, so a later ingestion always
//!   shadows an earlier one.
//! - **Errors.** Blocks and manifest carry xxh3 checksums that are verified at every read from disk. Decoders behind them use
//!   `expect`, and locks are poisoned by a panic inside, so every call here is contained by `catch_unwind` and a panic
//!   becomes `Damaged`.
//! - **A failed write leaves its partial table behind until the next open.** On a full disk retries would eat the rest,
//!   so free space is checked before each ingestion and each compaction.
//! - **Compaction** runs on a thread of ours (see `compactor`), with the strategy that fjall would use, because fjall's
//!   workers end at their first error. The two calls this needs (`AbstractTree::compact` and the tracker's watermark) are
//!   public but hidden in fjall's documentation. A merge must never be interrupted by the tree's stop signal (it would install
//!   what it had so far), so closing waits for the merge in progress.

use super::compactor::{Compactor, Round};
use super::value::copied;
use super::{Change, Engine, MAX_ENGINE_KEY_BYTES};
use crate::{EngineError, View};
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{AbstractTree, CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};
use parking_lot::Mutex;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Name of the only keyspace.
const KEYSPACE: &str = "state";
/// Uncompressed bytes of a data block: the unit of reading, checking and caching.
const BLOCK_BYTES: u32 = 4 * 1024;
/// Bits per key of the Bloom filters: about 1 % false positives, 1.25 MB per million keys.
const FILTER_BITS_PER_KEY: f32 = 10.0;
/// Memtables stay empty; the limit only bounds fjall's own bookkeeping.
const MEMTABLE_BYTES: u64 = 1024 * 1024;
/// The smallest journal limit fjall accepts. The journal stays empty.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// Open files kept by fjall.
const MAX_OPEN_FILES: usize = 256;
/// Tables in the first level that start a merge.
const L0_MERGE_TABLES: u8 = 4;
/// Tables in the first level at which an ingestion waits for compaction: each one costs every read a filter probe.
const L0_STALL_TABLES: usize = 16;
/// Longest that one ingestion waits for compaction to catch up.
const STALL_WAITS: u32 = 100;
const STALL_WAIT: Duration = Duration::from_millis(100);
/// Growth from level to level.
const LEVEL_RATIO: f32 = 8.0;

/// Settings of `FjallEngine`.
#[derive(Clone, Debug)]
pub struct FjallOptions {
    /// Bytes of decompressed blocks kept in memory.
    pub block_cache_bytes: u64,
    /// Bytes of one table file; also the unit in which compaction works.
    pub table_bytes: u64,
    /// Free bytes on the file system below which ingestion answers `Full`.
    pub reserve_bytes: u64,
    /// Free bytes below which compaction pauses; above `reserve_bytes`, because a merge writes before it deletes.
    pub compaction_reserve_bytes: u64,
    /// Both reserves shrink to this part (1/n) of the file system where that is less, so that small disks are usable.
    pub reserve_part: u64,
}

impl Default for FjallOptions {
    fn default() -> FjallOptions {
        FjallOptions {
            block_cache_bytes: 16 * 1024 * 1024,
            table_bytes: 16 * 1024 * 1024,
            reserve_bytes: 64 * 1024 * 1024,
            compaction_reserve_bytes: 256 * 1024 * 1024,
            reserve_part: 8,
        }
    }
}

/// See the module.
pub struct FjallEngine {
    // Before the database: stopping waits for a merge that uses it.
    compactor: Compactor,
    tree: Tree,
    ingesting: Mutex<()>,
    reserve_bytes: u64,
}

#[derive(Clone)]
struct Tree {
    database: Database,
    keyspace: Keyspace,
    strategy: Arc<Leveled>,
    path: PathBuf,
    reserve_part: u64,
    damage: Damage,
}

/// The first damage that was found, for all who share it.
#[derive(Clone, Default)]
struct Damage(Arc<OnceLock<String>>);

impl Damage {
    /// Runs `f`, turning errors of fjall and panics inside it into ours, and remembers damage.
    fn contained<T>(&self, f: impl FnOnce() -> Result<T, fjall::Error>) -> Result<T, EngineError> {
        let result = contained(f);
        if let Err(EngineError::Damaged(why)) = &result {
            // Only the first counts.
            let _ = self.0.set(why.clone());
        }
        result
    }
}

impl FjallEngine {
    /// Opens or creates the engine in the directory `path`.
    ///
    /// # Errors
    /// `Io` when the directory cannot be used or another process holds it, `Damaged` when its contents are broken.
    pub fn open(path: &Path, options: &FjallOptions) -> Result<FjallEngine, EngineError> {
        let tree = contained(|| Tree::open(path, options))?;
        let reserve = options.compaction_reserve_bytes;
        let for_thread = tree.clone();
        let compactor = Compactor::start(move || for_thread.compact_once(reserve))?;
        compactor.signal();
        Ok(FjallEngine { compactor, tree, ingesting: Mutex::new(()), reserve_bytes: options.reserve_bytes })
    }

    /// Tables in the first level, each of which a read may have to ask.
    #[must_use]
    pub fn first_level_tables(&self) -> usize {
        self.tree.damage.contained(|| Ok(self.tree.keyspace.l0_table_count())).unwrap_or(0)
    }

    /// Bytes of all tables.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.tree.damage.contained(|| Ok(self.tree.keyspace.disk_space())).unwrap_or(0)
    }

    /// Waits while too many tables lie in the first level, so that reads stay cheap and the pile stays bounded.
    fn wait_for_compaction(&self) -> Result<(), EngineError> {
        for _ in 0..STALL_WAITS {
            if self.first_level_tables() < L0_STALL_TABLES {
                return Ok(());
            }
            self.compactor.signal();
            if let Some(error) = self.compactor.wait_for_round(STALL_WAIT) {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Tree {
    fn open(path: &Path, options: &FjallOptions) -> Result<Tree, fjall::Error> {
        let strategy = Arc::new(
            Leveled::default()
                .with_l0_threshold(L0_MERGE_TABLES)
                .with_table_target_size(options.table_bytes)
                .with_level_ratio_policy(vec![LEVEL_RATIO]),
        );
        let database = Database::builder(path)
            .cache_size(options.block_cache_bytes)
            .worker_threads_unchecked(0)
            .max_journaling_size(JOURNAL_BYTES)
            .max_cached_files(Some(MAX_OPEN_FILES))
            .manual_journal_persist(true)
            .open()?;
        let keyspace = database.keyspace(KEYSPACE, || {
            let bloom = BloomConstructionPolicy::BitsPerKey(FILTER_BITS_PER_KEY);
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(bloom)))
                .compaction_strategy(Arc::clone(&strategy) as _)
                .manual_journal_persist(true)
        })?;
        let reserve_part = options.reserve_part.max(1);
        Ok(Tree { database, keyspace, strategy, path: path.to_path_buf(), reserve_part, damage: Damage::default() })
    }

    /// Whether the file system still offers `reserve` bytes.
    fn check_free(&self, reserve: u64) -> Result<(), EngineError> {
        let stat = rustix::fs::statvfs(&self.path).map_err(|e| EngineError::Io(format!("statvfs: {e}")))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let reserve = reserve.min(total / self.reserve_part);
        if free < reserve {
            return Err(EngineError::Full(format!("{free} bytes free, {reserve} are kept in reserve")));
        }
        Ok(())
    }

    fn compact_once(&self, reserve: u64) -> Result<Round, EngineError> {
        self.check_free(reserve)?;
        self.damage.contained(|| {
            let before = self.keyspace.tree.current_version().id();
            let watermark = self.database.supervisor.snapshot_tracker.get_seqno_safe_to_gc();
            self.keyspace.tree.compact(Arc::clone(&self.strategy) as _, watermark)?;
            let moved = self.keyspace.tree.current_version().id() != before;
            Ok(if moved { Round::Progress } else { Round::Idle })
        })
    }

    fn ingest(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<Result<(), EngineError>, fjall::Error> {
        let mut ingestion = self.keyspace.start_ingestion()?;
        let mut last: Option<Bytes> = None;
        for (key, value) in changes {
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Ok(Err(EngineError::Damaged("ingestion is not sorted".into())));
            }
            if key.len() > MAX_ENGINE_KEY_BYTES {
                return Ok(Err(EngineError::Damaged("a key is too long".into())));
            }
            match value {
                Some(value) => ingestion.write(key.as_ref(), value.as_ref())?,
                None => ingestion.write_tombstone(key.as_ref())?,
            }
            last = Some(key);
        }
        ingestion.finish()?;
        Ok(Ok(()))
    }
}

impl View for FjallEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.tree.damage.contained(|| Ok(self.tree.keyspace.get(key)?.map(|value| copied(&value))))
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        if start >= end {
            return Ok(());
        }
        visit_all(&self.tree.damage, || Ok(self.tree.keyspace.range(start..end)), visit)
    }

    fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        if start >= end {
            return Ok(());
        }
        visit_all(&self.tree.damage, || Ok(self.tree.keyspace.range(start..end).rev()), visit)
    }
}

impl Engine for FjallEngine {
    fn ingest(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), EngineError> {
        let _one_at_a_time = self.ingesting.lock();
        self.tree.check_free(self.reserve_bytes)?;
        if let Some(error @ EngineError::Damaged(_)) = self.compactor.error() {
            return Err(error);
        }
        self.wait_for_compaction()?;
        let result = self.tree.damage.contained(|| self.tree.ingest(changes))?;
        self.compactor.signal();
        result
    }

    fn snapshot(&self) -> Result<Box<dyn View + Send + Sync>, EngineError> {
        let snapshot = self.tree.damage.contained(|| Ok(self.tree.database.snapshot()))?;
        let (keyspace, damage) = (self.tree.keyspace.clone(), self.tree.damage.clone());
        Ok(Box::new(FjallSnapshot { snapshot, keyspace, damage }))
    }

    fn approximate_bytes(&self, start: &[u8], end: &[u8]) -> u64 {
        let sum = self.tree.damage.contained(|| {
            let version = self.tree.keyspace.tree.current_version();
            Ok(version
                .iter_tables()
                .map(|table| {
                    let range = &table.metadata.key_range;
                    let (min, max) = (range.min().as_ref(), range.max().as_ref());
                    match () {
                        () if max < start || min >= end => 0,
                        () if min >= start && max < end => table.metadata.file_size,
                        () => table.metadata.file_size / 2,
                    }
                })
                .sum::<u64>())
        });
        sum.unwrap_or(0)
    }

    fn damage(&self) -> Option<String> {
        self.tree.damage.0.get().cloned()
    }

    fn compact(&self) {
        self.compactor.signal();
    }

    fn close(&self) -> Result<(), EngineError> {
        self.compactor.stop();
        self.compactor.error().map_or(Ok(()), Err)
    }
}

/// The engine as of one sequence number.
struct FjallSnapshot {
    snapshot: Snapshot,
    keyspace: Keyspace,
    damage: Damage,
}

impl View for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.damage.contained(|| Ok(self.snapshot.get(&self.keyspace, key)?.map(|value| copied(&value))))
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        if start >= end {
            return Ok(());
        }
        visit_all(&self.damage, || Ok(self.snapshot.range(&self.keyspace, start..end)), visit)
    }

    fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        if start >= end {
            return Ok(());
        }
        visit_all(&self.damage, || Ok(self.snapshot.range(&self.keyspace, start..end).rev()), visit)
    }
}

/// Opens an iterator and visits its pairs. Only fjall's part is contained: a panic of the visitor is not the engine's.
fn visit_all<I: Iterator<Item = Guard>>(
    damage: &Damage,
    open: impl FnOnce() -> Result<I, fjall::Error>,
    visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
) -> Result<(), EngineError> {
    let mut pairs = damage.contained(open)?;
    while let Some((key, value)) = damage.contained(|| pairs.next().map(Guard::into_inner).transpose())? {
        if visit(&key, &copied(&value)).is_break() {
            break;
        }
    }
    Ok(())
}

/// Runs `f`, turning errors of fjall and panics inside it into ours.
fn contained<T>(f: impl FnOnce() -> Result<T, fjall::Error>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(translate),
        Err(_) => Err(EngineError::Damaged("the engine failed an internal check; see the log for where".into())),
    }
}

fn translate(error: fjall::Error) -> EngineError {
    use fjall::{Error, LsmError};
    match error {
        Error::Io(e) | Error::Storage(LsmError::Io(e)) => translate_io(&e),
        Error::Locked => EngineError::Io("another process uses this data directory".into()),
        Error::Poisoned => EngineError::Io("an earlier write failed; the engine must be reopened".into()),
        Error::KeyspaceDeleted => EngineError::Io("the engine is closed".into()),
        // What remains says that bytes were not what was written: checksums, tags, headers, versions, missing files.
        other => EngineError::Damaged(other.to_string()),
    }
}

fn translate_io(error: &std::io::Error) -> EngineError {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => EngineError::Full(error.to_string()),
        // A table that the manifest names and that is gone is damage, too.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::NotFound => {
            EngineError::Damaged(error.to_string())
        }
        _ => EngineError::Io(error.to_string()),
    }
}
