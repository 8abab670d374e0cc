//! All keys or entries of a cache as a JSON array, given out as they are met.
//!
//! What is held at a time is the keys of one segment and a few entries, however large the cache is.
//! A segment whose records move is walked again from its start; the keys that were given out of it
//! are left out then, so every entry that is there all the time is given exactly once.

use std::{collections::HashSet, collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, stream};
use migrate::Driver;
use store::{BACKGROUND_STEP, Cache, EntryMetadata, Position, SegmentId, Step, Value};

use crate::patience::broken_off;

mod row;

pub(crate) use self::row::{Form, Row};

/// Bytes after which a chunk is given out.
const CHUNK: usize = 64 * 1024;

/// Steps after which others have their turn, whether or not there was anything to give out.
const STRETCH: usize = 64;

/// A walk over a cache.
pub(crate) struct Walk {
    driver: Driver,
    cache: Arc<Cache>,
    row: Row,
    /// Rows that may still be given out.
    left: u64,
    /// Segments that are not walked to their end yet, the next one last.
    ahead: Vec<SegmentId>,
    position: Position,
    /// Keys of the segment that is being walked that were met.
    met: HashSet<Arc<[u8]>>,
    /// Entries that were met and not given out yet.
    waiting: VecDeque<Met>,
    /// What the next chunk begins with.
    chunk: Vec<u8>,
    given: bool,
}

/// An entry, taken out of its segment.
pub(crate) struct Met {
    pub(crate) key: Arc<[u8]>,
    pub(crate) value: Bytes,
    pub(crate) metadata: EntryMetadata,
}

impl Walk {
    /// A walk that gives out at most `limit` rows.
    pub(crate) fn new(driver: Driver, cache: Arc<Cache>, row: Row, limit: Option<u64>) -> Self {
        let mut ahead: Vec<SegmentId> = cache.segment_ids().collect();
        ahead.reverse();
        Self {
            driver,
            cache,
            row,
            left: limit.unwrap_or(u64::MAX),
            ahead,
            position: Position::default(),
            met: HashSet::new(),
            waiting: VecDeque::new(),
            chunk: vec![b'['],
            given: false,
        }
    }

    /// The array, in chunks. It breaks off if the cache is not served any more.
    pub(crate) fn chunks(self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream::unfold(Some(self), |walk| async {
            let mut walk = walk?;
            match walk.next_chunk().await {
                Ok((chunk, true)) => Some((Ok(chunk), None)),
                Ok((chunk, false)) => Some((Ok(chunk), Some(walk))),
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
        Ok((std::mem::take(&mut self.chunk).into(), self.is_over()))
    }

    fn is_over(&self) -> bool {
        self.left == 0 || (self.ahead.is_empty() && self.waiting.is_empty())
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
        let Some(&segment) = self.ahead.last() else { return Ok(()) };
        let name = self.cache.name();
        if self.cache.is_removed() {
            return Err(broken_off(&format!("cache {name} was removed while it was read")));
        }
        self.cache.check_served().map_err(|error| broken_off(&format!("cache {name}: {error}")))?;
        let Self { cache, position, met, waiting, driver, row, .. } = self;
        let with_values = row.has_values();
        let step = cache.walk(segment, position, BACKGROUND_STEP, driver.now(), |entry| {
            let key: Arc<[u8]> = entry.key().into();
            if met.insert(Arc::clone(&key)) {
                let value = if with_values { owned(entry.value()) } else { Bytes::new() };
                waiting.push_back(Met { key, value, metadata: entry.metadata() });
            }
        });
        if step == Step::End {
            self.ahead.pop();
            self.position = Position::default();
            self.met.clear();
        }
        Ok(())
    }
}

/// The bytes of a value, to be taken along. Large ones are shared.
pub(crate) fn owned(value: Value<'_>) -> Bytes {
    match value {
        Value::Inline(bytes) => Bytes::copy_from_slice(bytes),
        Value::Shared(bytes) => Bytes::from_owner(Arc::clone(bytes)),
    }
}
