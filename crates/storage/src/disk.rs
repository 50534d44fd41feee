//! The disk as the log sees it: named files in one directory. The server implements it on the operating system, the
//! simulator in memory with faults.

use std::io;

/// A directory of files.
pub trait Disk: Send + Sync {
    /// An open file.
    type File: DiskFile;

    /// Opens a file for reading and writing, creating it when `create`.
    ///
    /// # Errors
    /// As the operating system.
    fn open(&self, name: &str, create: bool) -> io::Result<Self::File>;

    /// Names of all files, in no particular order.
    ///
    /// # Errors
    /// As the operating system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Renames a file, replacing the target.
    ///
    /// # Errors
    /// As the operating system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// As the operating system.
    fn sync_directory(&self) -> io::Result<()>;

    /// Bytes that can still be written, as the file system reports it.
    ///
    /// # Errors
    /// As the operating system.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// One open file.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty, and asking can fail")]
pub trait DiskFile: Send + Sync {
    /// Reads exactly `buf.len()` bytes at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` beyond the end; otherwise as the operating system.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `buf` at `offset`, extending the file when needed. Not durable before `sync`.
    ///
    /// # Errors
    /// As the operating system; `StorageFull` when there is no room.
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()>;

    /// Makes written data and the file's length durable (fdatasync).
    ///
    /// # Errors
    /// As the operating system. After an error nothing about unsynced data may be assumed.
    fn sync(&self) -> io::Result<()>;

    /// Reserves and zeroes space so that the file is `len` bytes long.
    ///
    /// # Errors
    /// `StorageFull` when there is no room.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    ///
    /// # Errors
    /// As the operating system.
    fn len(&self) -> io::Result<u64>;
}
