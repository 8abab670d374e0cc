//! What the metadata file needs of a disk, and the data directory that provides it.
//!
//! A trait, so that tests can have disks that are full, that fail, and that lose power at any step.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::LogError;

/// Name of the lock file. It is empty until the directory has had a metadata file.
pub(super) const LOCK_FILE: &str = "lock";

/// What the lock file says once the directory has had a metadata file.
const USED: &[u8] =
    b"This directory has a metadata.log. If that file is missing, the server does not start.\n";

/// Files that are kept aside at most. The oldest go first.
const MOST_KEPT: u64 = 8;

/// Files in one directory.
pub(crate) trait Disk {
    /// A file that is open for writing.
    type File;
    /// A file that is open for reading.
    type Source: Read;

    /// Opens a file for reading, if there is one.
    fn open(&self, name: &str) -> io::Result<Option<Self::Source>>;
    /// Creates an empty file that only its owner may read, in the place of one of this name.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;
    /// Writes bytes at a place of a file.
    fn write(&mut self, file: &mut Self::File, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to a length.
    fn truncate(&mut self, file: &mut Self::File, len: u64) -> io::Result<()>;
    /// Returns once the bytes and the length of a file will survive a loss of power.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;
    /// Gives a file another name, in the place of a file of that name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Returns once the names of files will survive a loss of power.
    fn sync_names(&mut self) -> io::Result<()>;
    /// Keeps a file as it is under another name, in addition to its own. Returns that name. A file that is
    /// the same as the last one that was kept is not kept again.
    fn keep(&mut self, name: &str) -> io::Result<String>;
    /// Returns whether there has ever been a metadata file here: then it must not be missing.
    fn was_used(&self) -> io::Result<bool>;
    /// Remembers that there is a metadata file here.
    fn note_use(&mut self) -> io::Result<()>;
}

/// The data directory. No other process uses it as long as this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    lock: File,
    /// Open because it is locked as well: the lock file can be removed, and another one made in its place.
    _directory: Option<File>,
}

impl Directory {
    /// Creates the directory if need be, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        fs::create_dir_all(path).map_err(|source| LogError::io(path, source))?;
        let directory = File::open(path).map_err(|source| LogError::io(path, source))?;
        let directory = match directory.try_lock() {
            Ok(()) => Some(directory),
            Err(fs::TryLockError::WouldBlock) => {
                return Err(LogError::Locked { path: path.into() });
            }
            // Some file systems lock files alone.
            Err(fs::TryLockError::Error(error)) => {
                tracing::debug!("{} itself cannot be locked: {error}", path.display());
                None
            }
        };
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| LogError::io(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), lock, _directory: directory }),
            Err(fs::TryLockError::WouldBlock) => Err(LogError::Locked { path: path.into() }),
            Err(fs::TryLockError::Error(source)) => Err(LogError::io(&lock_path, source)),
        }
    }

    /// Numbers of the files that were kept of this name, in order.
    fn kept(&self, name: &str) -> io::Result<Vec<u64>> {
        let number = |entry: io::Result<fs::DirEntry>| -> io::Result<Option<u64>> {
            let file = entry?.file_name();
            let number = file.to_str().and_then(|file| file.strip_prefix(name));
            Ok(number.and_then(|rest| rest.strip_prefix(".kept-")?.parse().ok()))
        };
        let numbers = fs::read_dir(&self.path)?.map(number).filter_map(Result::transpose);
        let mut numbers = numbers.collect::<io::Result<Vec<u64>>>()?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn copy(&mut self, from: &str, to: &str) -> io::Result<()> {
        const PARTIAL: &str = "metadata.copy";
        let mut copy = self.create(PARTIAL)?;
        let mut write = || -> io::Result<()> {
            io::copy(&mut File::open(self.path.join(from))?, &mut copy)?;
            copy.sync_all()
        };
        match write() {
            Ok(()) => self.rename(PARTIAL, to),
            Err(error) => {
                // It may take space that is needed elsewhere.
                let _ = self.remove(PARTIAL);
                Err(error)
            }
        }
    }
}

/// Returns whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let same_length = fs::metadata(one)?.len() == fs::metadata(other)?.len();
    Ok(same_length && fs::read(one)? == fs::read(other)?)
}

impl Disk for Directory {
    type File = File;
    type Source = File;

    fn open(&self, name: &str) -> io::Result<Option<File>> {
        match File::open(self.path.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        // Anew, and not the file of that name emptied: that one may have other permissions.
        match self.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => create_private(&self.path.join(name)),
        }
    }

    fn write(&mut self, file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn truncate(&mut self, file: &mut File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn keep(&mut self, name: &str) -> io::Result<String> {
        let kept_name = |number: u64| format!("{name}.kept-{number}");
        let file = self.path.join(name);
        let kept = self.kept(name)?;
        let last = kept.last().copied().unwrap_or(0);
        if !kept.is_empty() && same(&file, &self.path.join(kept_name(last)))? {
            return Ok(kept_name(last));
        }
        let next = last.saturating_add(1);
        if let Err(error) = self.copy(name, &kept_name(next)) {
            // A second name needs no space. It does as well, because nothing is ever written to this file.
            fs::hard_link(&file, self.path.join(kept_name(next))).map_err(|_no_links| error)?;
        }
        self.sync_names()?;
        for old in kept.into_iter().filter(|old| old.saturating_add(MOST_KEPT) <= next) {
            self.remove(&kept_name(old))?;
        }
        Ok(kept_name(next))
    }

    fn was_used(&self) -> io::Result<bool> {
        Ok(self.lock.metadata()?.len() > 0)
    }

    fn note_use(&mut self) -> io::Result<()> {
        if !self.was_used()? {
            self.lock.write_all_at(USED, 0)?;
            self.lock.sync_all()?;
        }
        Ok(())
    }
}

/// Creates a file that only its owner may read: it holds the passwords of sources.
///
/// # Errors
///
/// If it is there already, or cannot be created.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Writes a file that was not there before, and returns once it will survive a loss of power.
///
/// # Errors
///
/// If it is there already, or cannot be written. Then nothing of it is left.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_private(path)?;
    let mut write = || -> io::Result<()> {
        file.write_all(bytes)?;
        file.sync_all()?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    write().inspect_err(|_| {
        // The error that matters is the first one.
        let _ = fs::remove_file(path);
    })
}
