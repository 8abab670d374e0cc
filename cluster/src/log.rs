//! The file in which one member keeps the metadata: commands, one behind the other.
//!
//! A record is its length (4 bytes), the checksum of its bytes (4) and the bytes. What a crash has cut
//! off at the end is left out; anything else that does not fit is an error, because to go on without a
//! part of the metadata could bring removed entries back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    metadata::{MetaCommand, MetaError, Metadata},
    wire::{self, WireError},
};

const FILE: &str = "metadata.log";
const NEW_FILE: &str = "metadata.new";
const LOCK_FILE: &str = "lock";

/// First bytes of the file: what it is, and the version of its form.
const MAGIC: &[u8; 8] = b"GDWTMD\x00\x01";

/// Bytes in front of a record: its length and its checksum.
const HEAD: usize = 8;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("{path} is used by another process")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// It is not a file of ours, or one of a newer version.
    #[error("{path} is not a metadata file of this version")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A record is damaged that is not the last one.
    #[error("{path} is damaged at byte {at}; put back a copy of it, or remove it to begin anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
    },
    /// A record cannot be read.
    #[error("{path}, byte {at}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
        /// What is wrong with it.
        source: WireError,
    },
    /// A record does not fit to those before it.
    #[error("{path}, byte {at}: {source}")]
    Order {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
        /// What does not fit.
        source: MetaError,
    },
}

/// The file, open at its end. The directory is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Bytes in it; what stands behind them was not written whole.
    len: u64,
    _lock: File,
}

impl Log {
    /// Opens the file in `directory`, and reads the metadata of it as it is after a restart. The file
    /// is written anew with what is left of it.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Metadata), LogError> {
        fs::create_dir_all(directory).map_err(|source| io_error(directory, source))?;
        let lock = lock(directory)?;
        let path = directory.join(FILE);
        let mut metadata = read(&path)?;
        metadata.restart();
        let (file, len) = rewrite(directory, &path, &metadata)?;
        Ok((Self { path, file, len, _lock: lock }, metadata))
    }

    /// Appends a command, and returns once it is on the disk.
    pub(crate) fn append(&mut self, command: &MetaCommand) -> Result<(), LogError> {
        let record = record(command).map_err(|source| LogError::Record {
            path: self.path.clone(),
            at: self.len,
            source,
        })?;
        let mut write = || -> io::Result<()> {
            // A record that was cut off by a full disk is written over.
            self.file.set_len(self.len)?;
            self.file.seek(SeekFrom::Start(self.len))?;
            self.file.write_all(&record)?;
            self.file.sync_data()
        };
        write().map_err(|source| io_error(&self.path, source))?;
        self.len += record.len() as u64;
        Ok(())
    }
}

fn lock(directory: &Path) -> Result<File, LogError> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| io_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::Locked { path: directory.into() }),
        Err(fs::TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

fn record(command: &MetaCommand) -> Result<Vec<u8>, WireError> {
    let bytes = wire::encode(command)?;
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(bytes.len() + 8);
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    record.extend_from_slice(&bytes);
    Ok(record)
}

fn read(path: &Path) -> Result<Metadata, LogError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_end(&mut bytes).map_err(|source| io_error(path, source))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Metadata::default()),
        Err(source) => return Err(io_error(path, source)),
    }
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Err(LogError::Foreign { path: path.into() });
    };
    let mut metadata = Metadata::default();
    while !rest.is_empty() {
        let at = (bytes.len() - rest.len()) as u64;
        let Some((body, after)) = split_record(rest).map_err(|()| damaged(path, at))? else {
            // The last record was cut off by a crash before anybody was told that it was written.
            tracing::warn!(path = %path.display(), at, "the last metadata record is incomplete");
            break;
        };
        let command = wire::decode(body).map_err(|source| LogError::Record {
            path: path.into(),
            at,
            source,
        })?;
        metadata.apply(&command).map_err(|source| LogError::Order {
            path: path.into(),
            at,
            source,
        })?;
        rest = after;
    }
    Ok(metadata)
}

fn damaged(path: &Path, at: u64) -> LogError {
    LogError::Damaged { path: path.into(), at }
}

/// A record, and what is behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The bytes of the first record and what is behind it; `None` if a crash has cut it off.
///
/// # Errors
///
/// If it is damaged, and not by a crash in the middle of writing it.
fn split_record(bytes: &[u8]) -> Result<Option<Split<'_>>, ()> {
    // A crash can leave a file that is longer than what was written of it.
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let &[a, b, c, d, e, f, g, h] = head;
    let (len, checksum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let len = len as usize;
    if len == 0 || len > wire::MOST_BYTES {
        return Err(());
    }
    let Some((body, rest)) = rest.split_at_checked(len) else { return Ok(None) };
    match crc32fast::hash(body) == checksum {
        true => Ok(Some((body, rest))),
        // Lengths are written first: a crash can leave a last record of the right length.
        false if rest.iter().all(|byte| *byte == 0) => Ok(None),
        false => Err(()),
    }
}

/// Writes a new file beside the old one, and puts it in its place.
fn rewrite(directory: &Path, path: &Path, metadata: &Metadata) -> Result<(File, u64), LogError> {
    let new = directory.join(NEW_FILE);
    let mut bytes = MAGIC.to_vec();
    for command in metadata.commands() {
        let record = record(&command);
        bytes.extend(record.map_err(|source| LogError::Record {
            path: new.clone(),
            at: 0,
            source,
        })?);
    }
    let write = || -> io::Result<(File, u64)> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&new)?;
        private(&file)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(directory)?.sync_all()?;
        Ok((file, bytes.len() as u64))
    };
    write().map_err(|source| io_error(&new, source))
}

/// The file holds the passwords of sources: nobody else reads it.
fn private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

fn io_error(path: &Path, source: io::Error) -> LogError {
    LogError::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests;
