//! One directory of the operating system, shared by the threads that write and prepare a log.

use std::io;
use std::path::Path;
use std::sync::Arc;
use storage::{Disk, RealDisk, RealFile};

/// A handle of a `RealDisk`; clones are of the same one.
#[derive(Clone, Debug)]
pub struct SharedDisk(Arc<RealDisk>);

impl SharedDisk {
    /// Opens and locks a directory.
    ///
    /// # Errors
    /// As `RealDisk::open`.
    pub fn open(directory: &Path) -> io::Result<SharedDisk> {
        RealDisk::open(directory).map(|disk| SharedDisk(Arc::new(disk)))
    }
}

impl Disk for SharedDisk {
    type File = RealFile;

    fn open(&self, name: &str, create: bool) -> io::Result<RealFile> {
        Disk::open(&*self.0, name, create)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}
