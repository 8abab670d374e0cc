//! What a damaged metadata file still holds. The file itself is only read.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use store::Timestamp;

use super::{
    FILE, LogError, describe, disk,
    format::{self, Ending, FileId, Frame, Kind, ReadError, Reader, Step},
};
use crate::{
    metadata::{MetaCommand, Metadata},
    wire,
};

/// Something that was found in a metadata file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A command.
    Command {
        /// Where its record begins.
        at: u64,
        /// Its place among the records of the file.
        number: u64,
        /// When it was written, if the file says.
        instant: Option<Timestamp>,
        /// What it does.
        command: String,
    },
    /// A command that is whole, and that cannot be used.
    Unusable {
        /// Where its record begins.
        at: u64,
        /// Its place among the records of the file.
        number: u64,
        /// What it does, if it can be decoded.
        command: Option<String>,
        /// Why it cannot be used.
        reason: String,
    },
    /// A part that is not as it was written.
    Lost {
        /// Its first byte.
        from: u64,
        /// The first byte that can be read again, or the end of the file.
        to: u64,
        /// Records that were lost with it, if that is known.
        records: Option<u64>,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { at, number, instant, command } => {
                let instant = instant.map_or_else(|| "-".into(), describe::instant);
                write!(to, "byte {at}: record {number}, {instant}: {command}")
            }
            Self::Unusable { at, number, command, reason } => {
                let command = command.as_deref().unwrap_or("unknown");
                write!(to, "byte {at}: record {number}: NOT USABLE: {command}: {reason}")
            }
            Self::Lost { from, to: end, records, reason } => {
                write!(to, "bytes {from} to {end}: LOST: {reason}; ")?;
                match records {
                    Some(1) => write!(to, "one record is missing"),
                    Some(records) => write!(to, "{records} records are missing"),
                    None => write!(to, "the number of missing records is unknown"),
                }
            }
        }
    }
}

/// What was found in a whole file.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Commands that can be used.
    pub commands: u64,
    /// Commands that cannot.
    pub unusable: u64,
    /// Parts that are not as they were written.
    pub lost: u64,
    /// When the last readable record was written.
    pub last: Option<Timestamp>,
    /// What the usable commands lead to, one line for each cache.
    pub caches: Vec<String>,
    ending: Option<Ending>,
    metadata: Metadata,
}

impl Survey {
    /// Returns whether everything in the file can be used. A record that was cut off while it was written
    /// does not count: nobody was told that it was stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unusable == 0 && self.lost == 0
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cache in &self.caches {
            writeln!(to, "{cache}")?;
        }
        let last = self.last.map_or_else(|| "unknown".into(), describe::instant);
        write!(to, "{} commands can be used, the last of {last}", self.commands)?;
        if self.unusable > 0 {
            write!(to, "; {} cannot be used", self.unusable)?;
        }
        if self.lost > 0 {
            write!(to, "; {} parts of the file are damaged", self.lost)?;
        }
        match self.ending {
            Some(Ending::Open) => write!(
                to,
                "; it has no closing mark: a server is using it, or the one that wrote it did not stop cleanly, or the \
                 file was cut short"
            ),
            Some(ending) => write!(to, "; {ending}"),
            None => write!(to, "; its end is lost"),
        }
    }
}

/// Reads a metadata file, or that of a data directory, as far as possible. Tells `each` of what it finds.
///
/// # Errors
///
/// If the file cannot be read at all. Damage is a finding.
pub fn inspect(path: &Path, each: impl FnMut(&Finding)) -> Result<Survey, LogError> {
    let path = file_of(path);
    let file = File::open(&path).map_err(|source| LogError::io(&path, source))?;
    survey(file, each).map_err(|source| LogError::io(&path, source))
}

/// Writes what can be used of a metadata file to a new file, `FILE.salvaged` unless `output` says otherwise.
/// If something is lost, caches with a source wait for their operator after the next start, as after a
/// restart: what clients changed may be among what is lost. Returns the new file's path.
///
/// # Errors
///
/// If the file cannot be read at all, nothing in it can be used, or the new file is there already or cannot
/// be written.
pub fn salvage(
    path: &Path,
    output: Option<&Path>,
    now: Timestamp,
    each: impl FnMut(&Finding),
) -> Result<(Survey, PathBuf), LogError> {
    let path = file_of(path);
    let survey = inspect(&path, each)?;
    if survey.commands == 0 {
        return Err(LogError::Nothing { path });
    }
    let mut metadata = survey.metadata.clone();
    if !survey.is_complete() {
        doubt(&mut metadata);
    }
    let output = output.map_or_else(|| with_suffix(&path, ".salvaged"), Path::to_path_buf);
    let encode = |command: &MetaCommand| {
        let failed = |source| LogError::Command { path: output.clone(), source };
        wire::encode(command).map_err(failed)
    };
    let bodies = metadata.commands().iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    let id = FileId(rand::random());
    let mut bytes = format::file(id, &bodies, now);
    bytes.extend(format::record(id, bodies.len() as u64, Kind::Close, now, &[]));
    disk::write_private(&output, &bytes).map_err(|source| LogError::io(&output, source))?;
    Ok((survey, output))
}

/// Makes every connection one through which clients have changed something: it may be so.
fn doubt(metadata: &mut Metadata) {
    let caches = metadata.caches().filter(|(_, known)| known.connection.is_some());
    let names: Vec<_> = caches.map(|(name, _)| name.clone()).collect();
    for cache in names {
        // Fits: the cache is connected.
        let _ = metadata.apply(&MetaCommand::Mark { cache });
    }
}

fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path.to_path_buf() }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Reads a file to its end, over every damaged part.
pub(super) fn survey(source: impl Read, mut each: impl FnMut(&Finding)) -> std::io::Result<Survey> {
    let mut survey = Survey::default();
    let (mut reader, opened) = Reader::open(source);
    let mut step = opened.and_then(|()| reader.next());
    loop {
        let (from, reason) = match step {
            Ok(Step::End(ending)) => {
                if let Ending::Closed { at } = ending {
                    survey.last = Some(at);
                }
                survey.ending = Some(ending);
                break;
            }
            Ok(Step::Command(frame)) => {
                each(&survey.take(frame));
                step = reader.next();
                continue;
            }
            Err(ReadError::Io(error)) => return Err(error),
            Err(ReadError::Foreign) => (0, "it does not begin like a metadata file".into()),
            Err(ReadError::Damaged { at, reason }) => (at, reason),
        };
        survey.lost += 1;
        let recovered = reader.recover()?;
        let (records, to) = (recovered.flatten(), reader.position());
        each(&Finding::Lost { from, to, records, reason });
        if recovered.is_none() {
            break;
        }
        step = reader.next();
    }
    survey.caches = caches(&survey.metadata);
    Ok(survey)
}

impl Survey {
    /// Takes a command in, if it can be used.
    fn take(&mut self, frame: Frame) -> Finding {
        let Frame { at, number, instant, body } = frame;
        self.last = instant.or(self.last);
        let decoded = wire::decode(&body);
        let command = decoded.as_ref().map(describe::command).ok();
        let applied = match decoded {
            Ok(decoded) => self.metadata.apply(&decoded).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match (applied, command) {
            (Ok(()), Some(command)) => {
                self.commands += 1;
                Finding::Command { at, number, instant, command }
            }
            (applied, command) => {
                self.unusable += 1;
                let reason = applied.err().unwrap_or_default();
                Finding::Unusable { at, number, command, reason }
            }
        }
    }
}

fn caches(metadata: &Metadata) -> Vec<String> {
    let line = |(name, known): (&config::CacheName, &crate::CacheMetadata)| {
        let mut line = format!("cache {name}: {:?}", known.config.mode);
        if let Some(connection) = &known.connection {
            line += &format!(", connected {}", describe::connection(connection));
        }
        if let Some(past) = &known.past {
            line += &format!(", before that {}", describe::connection(past));
        }
        line
    };
    metadata.caches().map(line).collect()
}

#[cfg(test)]
mod tests;
