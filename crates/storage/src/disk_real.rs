//! The disk of the operating system.

use crate::disk::{Disk, DiskFile};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The file whose lock says that a process has the directory open.
const LOCK_NAME: &str = "LOCK";
/// Zeros written at once when a file is allocated.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// A directory, locked for this process as long as the value lives.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    /// An open handle of the directory, for syncing it.
    handle: File,
    /// Holds the lock; the system drops it with the process, however that ends.
    _lock: File,
}

impl RealDisk {
    /// Opens a directory, creating it and its parents when absent.
    ///
    /// # Errors
    /// `ResourceBusy` when another process (or another value in this one) has it open; otherwise as the operating system.
    pub fn open(directory: &Path) -> io::Result<RealDisk> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(LOCK_NAME);
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{} is in use by another process", directory.display()),
            ),
            TryLockError::Error(e) => e,
        })?;
        let handle = File::open(directory)?;
        // The directory's own entry must survive a power cut like what is in it.
        if let Some(parent) = directory.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(RealDisk { directory: directory.to_path_buf(), handle, _lock: lock })
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn open(&self, name: &str, create: bool) -> io::Result<RealFile> {
        let path = self.directory.join(name);
        OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path).map(RealFile)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
                && name != LOCK_NAME
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file of the operating system.
#[derive(Debug)]
pub struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let old = self.0.metadata()?.len();
        if len <= old {
            return Ok(());
        }
        reserve(&self.0, len)?;
        // Reserved extents are still marked as unwritten; writing zeros once spares every later fdatasync the metadata update.
        let zeros = vec![0; ZERO_CHUNK_BYTES];
        let mut at = old;
        while at < len {
            let n = (len - at).min(ZERO_CHUNK_BYTES as u64);
            self.0.write_all_at(&zeros[..n as usize], at)?;
            at += n;
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Asks the file system for the space at once, so that a full disk is known before anything is written. File systems
/// that cannot are asked again by the writes.
#[cfg(target_os = "linux")]
fn reserve(file: &File, len: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) | Ok(()) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RealDisk;
    use crate::disk::{Disk, DiskFile};
    use std::io;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("polder-disk-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn files_are_written_listed_renamed_and_removed() {
        let path = scratch("files");
        let disk = RealDisk::open(&path).unwrap();
        let file = disk.open("a", true).unwrap();
        file.allocate(3 << 20).unwrap();
        file.write_at(1 << 20, b"hello").unwrap();
        file.sync().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync_directory().unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        let again = disk.open("b", false).unwrap();
        assert_eq!(again.len().unwrap(), 3 << 20);
        let mut bytes = [1; 7];
        again.read_at((1 << 20) - 1, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0hello\0");
        assert_eq!(again.read_at((3 << 20) - 1, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(disk.free_bytes().unwrap() > 0);
        disk.remove("b").unwrap();
        assert_eq!(disk.open("b", false).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_directory_is_opened_once() {
        let path = scratch("lock");
        let first = RealDisk::open(&path).unwrap();
        assert_eq!(RealDisk::open(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        RealDisk::open(&path).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }
}
