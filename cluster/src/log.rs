//! The file in which one member keeps the metadata: commands, one behind the other.
//!
//! What cannot be read prevents the start, because to go on without a part of the metadata could bring
//! removed entries back. A start writes nothing: the file is written anew before the first command is
//! appended, and from time to time, always as a new file that then takes the place of the old one. An
//! old file that does not end with a closing mark is kept aside.
//!
//! Start reading at [`Log::open`], then [`Log::append`], then [`format`].

mod describe;
mod disk;
mod format;
mod salvage;

use std::{
    io,
    path::{Path, PathBuf},
};

use config::CacheName;
use store::Timestamp;

pub use self::salvage::{Finding, Survey, inspect, salvage};
use self::{
    describe::instant,
    disk::{Directory, Disk, LOCK_FILE},
    format::{Ending, FileId, Kind, ReadError, Reader, Step},
};
use crate::{
    metadata::{MetaCommand, Metadata},
    wire::{self, WireError},
};

/// Name of the file.
const FILE: &str = "metadata.log";

/// Name under which a new file is written.
const NEW_FILE: &str = "metadata.new";

/// See [`Log::least_growth`].
const LEAST_GROWTH: u64 = 8 * 1024;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk fails, or is full.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A command could not be stored, and what was written of it could not be removed.
    #[error(
        "{path}: {source}; what was written of the command could not be removed either, so it may take \
         effect if the server is started again before the disk works"
    )]
    InDoubt {
        /// The file.
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
    /// The server is stopping: the file is complete.
    #[error("{path} is closed: the server is stopping")]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// It is not a file of ours, or one of a newer version.
    #[error(
        "{path} does not begin (byte 0) like a metadata file that this version knows: it is damaged, or a newer \
         version wrote it. It was left as it is; `godwit metadata inspect {path}` shows what can be read"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was there, and is not any more.
    #[error(
        "{path} is missing, although this directory has had one. Put it back; or, to begin without any caches \
         and source connections, remove {lock} too"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The file that says that there was one.
        lock: PathBuf,
    },
    /// A part of it is not as it was written.
    #[error(
        "{path} is damaged at byte {at}: {reason}. It was left as it is; `godwit metadata inspect {path}` \
         shows what can be read, `godwit metadata salvage {path}` writes that to a new file; or put back a copy"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte of that part.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A command cannot be written.
    #[error("{path}: {source}")]
    Command {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: WireError,
    },
    /// There is nothing in it that could be salvaged.
    #[error("{path} holds no record that can be read: nothing was written")]
    Nothing {
        /// The file.
        path: PathBuf,
    },
}

impl LogError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    fn read(path: &Path, error: ReadError) -> Self {
        let path = path.into();
        match error {
            ReadError::Io(source) => Self::Io { path, source },
            ReadError::Foreign => Self::Foreign { path },
            ReadError::Damaged { at, reason } => Self::Damaged { path, at, reason },
        }
    }

    /// Returns whether only people can help: starting again does not.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Foreign { .. } | Self::Missing { .. } | Self::Damaged { .. } => true,
            Self::Io { .. }
            | Self::InDoubt { .. }
            | Self::Locked { .. }
            | Self::Closed { .. }
            | Self::Command { .. }
            | Self::Nothing { .. } => false,
        }
    }
}

/// The file of a data directory, which is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Log<D: Disk = Directory> {
    disk: D,
    /// Path of the file, for messages.
    path: PathBuf,
    state: State<D::File>,
    /// Bytes that are appended at least before the file is written anew. Beyond that it may double.
    least_growth: u64,
    /// Caches that had let go of their source, and whose entries went with the process before this one.
    lost: Vec<CacheName>,
}

#[derive(Debug)]
enum State<F> {
    /// Nothing is appended to the file that is there, if any: first it is written anew.
    Standing(Standing),
    /// This process has written the file, and appends to it.
    Open(OpenFile<F>),
    /// The closing mark is written, or could not be.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// There is no file yet.
    None,
    /// It ends with a closing mark: nothing is missing.
    Whole,
    /// It does not, and is kept aside before a new one takes its place.
    Keep,
    /// This process has written it and does not know what of it is on the disk.
    Unknown,
}

#[derive(Debug)]
struct OpenFile<F> {
    file: F,
    id: FileId,
    /// Number of the next record.
    number: u64,
    /// Bytes that are known to be on the disk.
    len: u64,
    /// Length from which on it is written anew.
    most: u64,
}

impl Log {
    /// Opens the file in `directory`, and reads the metadata of it as it is after a restart.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used, or the file cannot be read to its end. Nothing has changed then.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Metadata), LogError> {
        Self::open_on(Directory::open(directory)?, directory)
    }
}

impl<D: Disk> Log<D> {
    fn open_on(mut disk: D, directory: &Path) -> Result<(Self, Metadata), LogError> {
        let path = directory.join(FILE);
        let failed = |source| LogError::io(&path, source);
        let Some(source) = disk.open(FILE).map_err(failed)? else {
            if disk.was_used().map_err(failed)? {
                return Err(LogError::Missing { path, lock: directory.join(LOCK_FILE) });
            }
            let state = State::Standing(Standing::None);
            let log = Self { disk, path, state, least_growth: LEAST_GROWTH, lost: Vec::new() };
            return Ok((log, Metadata::default()));
        };
        let loaded = load(source).map_err(|error| LogError::read(&path, error))?;
        let mut metadata = loaded.metadata;
        let lost = metadata.only_in_memory();
        metadata.restart();
        let standing = match loaded.ending {
            Ending::Closed { .. } => Standing::Whole,
            Ending::Open | Ending::Torn { .. } | Ending::Old => Standing::Keep,
        };
        if standing == Standing::Keep {
            let kept = match disk.keep(FILE) {
                Ok(name) => format!("it is kept as {name}"),
                // Tried again before it is replaced. A full disk is no reason not to start.
                Err(error) => format!("it cannot be kept aside yet: {error}"),
            };
            let (records, last) = (loaded.records, loaded.last.map(instant));
            let last = last.as_deref().unwrap_or("unknown");
            let ending = loaded.ending;
            tracing::warn!(
                records,
                last,
                "{}: {ending}; {records} records were read, the last one of {last}; {kept}",
                path.display()
            );
        }
        let state = State::Standing(standing);
        Ok((Self { disk, path, state, least_growth: LEAST_GROWTH, lost }, metadata))
    }

    /// Caches that had let go of their source, and whose entries went with the process before this one.
    pub(crate) fn lost(&self) -> &[CacheName] {
        &self.lost
    }

    /// Appends a command, and returns once it is on the disk. `metadata` is what it is applied to.
    ///
    /// # Errors
    ///
    /// If it is not on the disk. Then it does not come back after a restart either, except if the error
    /// says that this is in doubt.
    pub(crate) fn append(
        &mut self,
        command: &MetaCommand,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let body = self.encode(command)?;
        match &self.state {
            State::Closed => return Err(LogError::Closed { path: self.path.clone() }),
            State::Standing(_) => self.rewrite(metadata, now)?,
            State::Open(open) if open.len > open.most => self.compact(metadata, now)?,
            State::Open(_) => {}
        }
        self.write(Kind::Command, &body, now)
    }

    /// Ends the file with a closing mark. Nothing can be appended then. `metadata` is what it holds.
    ///
    /// # Errors
    ///
    /// If the mark is not on the disk. Nothing else is missing then.
    pub(crate) fn close(&mut self, metadata: &Metadata, now: Timestamp) -> Result<(), LogError> {
        let marked = match &self.state {
            State::Closed | State::Standing(Standing::None | Standing::Whole) => Ok(()),
            State::Standing(Standing::Keep | Standing::Unknown) => {
                self.rewrite(metadata, now).and_then(|()| self.write(Kind::Close, &[], now))
            }
            State::Open(_) => self.write(Kind::Close, &[], now),
        };
        self.state = State::Closed;
        marked
    }

    fn encode(&self, command: &MetaCommand) -> Result<Vec<u8>, LogError> {
        wire::encode(command)
            .map_err(|source| LogError::Command { path: self.path.clone(), source })
    }

    /// Appends a record to the open file.
    fn write(&mut self, kind: Kind, body: &[u8], now: Timestamp) -> Result<(), LogError> {
        let State::Open(open) = &mut self.state else {
            return Err(LogError::Closed { path: self.path.clone() });
        };
        let record = format::record(open.id, open.number, kind, now, body);
        let written = self.disk.write(&mut open.file, open.len, &record);
        let in_write = written.is_err();
        let Err(source) = written.and_then(|()| self.disk.sync(&mut open.file)) else {
            open.number += 1;
            open.len += record.len() as u64;
            return Ok(());
        };
        // Nobody is told that this record is stored, so it must not be there after a restart.
        let removed = self.disk.truncate(&mut open.file, open.len);
        let removed = removed.and_then(|()| self.disk.sync(&mut open.file));
        if removed.is_err() || !in_write {
            // A disk that has failed to sync may have dropped what it was given before, too.
            self.state = State::Standing(Standing::Unknown);
        }
        let path = self.path.clone();
        Err(match removed {
            Ok(()) => LogError::Io { path, source },
            Err(_) => LogError::InDoubt { path, source },
        })
    }

    /// Writes the file anew because it has grown. If that fails, it grows on, and the next attempt is made
    /// when it has grown as much again.
    fn compact(&mut self, metadata: &Metadata, now: Timestamp) -> Result<(), LogError> {
        let Err(error) = self.rewrite(metadata, now) else { return Ok(()) };
        let State::Open(open) = &mut self.state else { return Err(error) };
        open.most = open.len + self.least_growth;
        tracing::warn!("the metadata file cannot be shortened: {error}");
        Ok(())
    }

    /// Writes a new file beside the old one, and puts it in its place.
    fn rewrite(&mut self, metadata: &Metadata, now: Timestamp) -> Result<(), LogError> {
        let failed = |path: &Path, source| LogError::io(path, source);
        if matches!(self.state, State::Standing(Standing::Keep)) {
            self.disk.keep(FILE).map_err(|source| failed(&self.path, source))?;
        }
        let (id, number, bytes) = self.contents(metadata, now)?;
        let new = self.path.with_file_name(NEW_FILE);
        let mut file = self.disk.create(NEW_FILE).map_err(|source| failed(&new, source))?;
        let written = self.disk.write(&mut file, 0, &bytes);
        if let Err(source) = written.and_then(|()| self.disk.sync(&mut file)) {
            // It may take space that is needed elsewhere.
            let _ = self.disk.remove(NEW_FILE);
            return Err(failed(&new, source));
        }
        // From here on the old file may be replaced, now or after a loss of power.
        if !matches!(self.state, State::Standing(Standing::None | Standing::Keep | Standing::Whole))
        {
            self.state = State::Standing(Standing::Unknown);
        }
        self.disk.rename(NEW_FILE, FILE).map_err(|source| failed(&self.path, source))?;
        self.state = State::Standing(Standing::Unknown);
        self.disk.sync_names().map_err(|source| failed(&self.path, source))?;
        let len = bytes.len() as u64;
        let most = 2 * len + self.least_growth;
        self.state = State::Open(OpenFile { file, id, number, len, most });
        if let Err(error) = self.disk.note_use() {
            // Tried again at the next rewrite.
            tracing::warn!("the lock file cannot be written: {error}");
        }
        Ok(())
    }

    /// A file that leads to `metadata`, without what goes with the process.
    fn contents(
        &self,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<(FileId, u64, Vec<u8>), LogError> {
        let commands = metadata.commands();
        let durable = commands.iter().filter(|command| !metadata.is_volatile(command));
        let bodies = durable.map(|command| self.encode(command)).collect::<Result<Vec<_>, _>>()?;
        let (id, number) = (FileId(rand::random()), bodies.len() as u64);
        Ok((id, number, format::file(id, &bodies, now)))
    }
}

/// What a file holds.
#[derive(Debug)]
struct Loaded {
    metadata: Metadata,
    /// Commands in it.
    records: u64,
    /// When the last of them was written, if it says.
    last: Option<Timestamp>,
    ending: Ending,
}

/// Reads a whole file.
fn load(source: impl io::Read) -> Result<Loaded, ReadError> {
    let (mut reader, opened) = Reader::open(source);
    opened?;
    let (mut metadata, mut records, mut last) = (Metadata::default(), 0, None);
    let ending = loop {
        let frame = match reader.next()? {
            Step::Command(frame) => frame,
            Step::End(ending) => break ending,
        };
        let at = frame.at;
        let wrong = |reason: String| ReadError::Damaged { at, reason };
        let command = wire::decode(&frame.body).map_err(|error| wrong(error.to_string()))?;
        metadata.apply(&command).map_err(|error| wrong(error.to_string()))?;
        records += 1;
        last = frame.instant;
    };
    Ok(Loaded { metadata, records, last, ending })
}

/// Reads any bytes as a file, and as the commands of one.
pub(crate) fn fuzz(data: &[u8]) {
    let read = |bytes: &[u8]| {
        let _ = load(bytes);
        // Reading from memory does not fail.
        let _ = salvage::survey(bytes, |finding| drop(finding.to_string()));
    };
    read(data);
    let Some((step, bytes)) = data.split_first() else { return };
    let bodies: Vec<Vec<u8>> =
        bytes.chunks(usize::from(*step).max(1)).map(<[u8]>::to_vec).collect();
    read(&format::file(FileId(0), &bodies, Timestamp::from_millis(0)));
}

#[cfg(test)]
mod tests;
