//! All keys or entries of a cache as a JSON array, given out as they are met.
//!
//! Beside the walk itself, a few entries are held at a time, however large the cache is.

use std::{collections::VecDeque, io, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, stream};
use migrate::Driver;
use store::{Cache, EntryMetadata, Timestamp, Value, Walk};

use crate::patience::broken_off;

mod row;

pub(crate) use self::row::{Form, Row};

/// Bytes after which a chunk is given out.
const CHUNK: usize = 64 * 1024;

/// Steps after which others have their turn, whether or not there was anything to give out.
const STRETCH: usize = 64;

/// An array that is being given out.
pub(crate) struct Rows {
    driver: Driver,
    walk: Walk,
    row: Row,
    /// Rows that may still be given out.
    left: u64,
    /// Entries that were met and not given out yet.
    waiting: VecDeque<Met>,
    /// What the next chunk begins with.
    chunk: Vec<u8>,
    given: bool,
}

/// An entry, taken out of its segment.
pub(crate) struct Met {
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Bytes,
    pub(crate) metadata: EntryMetadata,
}

impl Rows {
    /// An array of at most `limit` rows.
    pub(crate) fn new(driver: Driver, cache: Arc<Cache>, row: Row, limit: Option<u64>) -> Self {
        Self {
            driver,
            walk: Walk::over(cache),
            row,
            left: limit.unwrap_or(u64::MAX),
            waiting: VecDeque::new(),
            chunk: vec![b'['],
            given: false,
        }
    }

    /// See [`Walk::settled_at`].
    pub(crate) fn settled_at(mut self, at: Timestamp) -> Self {
        self.walk.settled_at(at);
        self
    }

    /// The array, in chunks. It breaks off if the cache is not served any more.
    pub(crate) fn chunks(self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream::unfold(Some(self), |rows| async {
            let mut rows = rows?;
            match rows.next_chunk().await {
                Ok((chunk, true)) => Some((Ok(chunk), None)),
                Ok((chunk, false)) => Some((Ok(chunk), Some(rows))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The next chunk, and whether it is the last.
    async fn next_chunk(&mut self) -> io::Result<(Bytes, bool)> {
        for step in 1.. {
            self.give_out();
            if self.is_over() {
                self.chunk.push(b']');
                break;
            }
            if self.chunk.len() >= CHUNK {
                break;
            }
            if step % STRETCH == 0 {
                tokio::task::yield_now().await;
            }
            self.meet_some()?;
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        if chunk.len() > 2 * CHUNK {
            // A large row has made it grow by doubling, and it may wait for long until it is sent.
            chunk.shrink_to_fit();
        }
        Ok((chunk.into(), self.is_over()))
    }

    fn is_over(&self) -> bool {
        self.left == 0 || (self.walk.is_over() && self.waiting.is_empty())
    }

    /// Writes waiting entries into the chunk, until it is full.
    fn give_out(&mut self) {
        while self.left > 0
            && self.chunk.len() < CHUNK
            && let Some(entry) = self.waiting.pop_front()
        {
            if self.given {
                self.chunk.push(b',');
            }
            self.row.write(&entry, &mut self.chunk);
            self.given = true;
            self.left -= 1;
        }
    }

    /// Takes the next few entries out of the segment that is being walked.
    fn meet_some(&mut self) -> io::Result<()> {
        let Self { walk, waiting, driver, row, .. } = self;
        let with_values = row.has_values();
        let met = walk.step(driver.now(), |entry| {
            let value = if with_values { owned(entry.value()) } else { Bytes::new() };
            waiting.push_back(Met { key: entry.key().into(), value, metadata: entry.metadata() });
            ControlFlow::Continue(())
        });
        let cache = walk.cache();
        let name = cache.name();
        match met {
            Ok(_) => Ok(()),
            Err(_) if cache.is_removed() => {
                Err(broken_off(&format!("cache {name} was removed while it was read")))
            }
            Err(error) => Err(broken_off(&format!("cache {name}: {error}"))),
        }
    }
}

/// The bytes of a value, to be taken along. Large ones are shared.
pub(crate) fn owned(value: Value<'_>) -> Bytes {
    match value {
        Value::Inline(bytes) => Bytes::copy_from_slice(bytes),
        Value::Shared(bytes) => Bytes::from_owner(Arc::clone(bytes)),
    }
}
