//! ITERATION_START, NEXT and END: walks over a cache that clients hold on to.

use std::{
    borrow::Cow,
    collections::VecDeque,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use hotrod::{
    SegmentSet, Writer,
    op::{self, BatchEntry, KEYS_ONLY},
    serve::{Context, write_response},
};
use parking_lot::Mutex;
use store::{EntryMetadata, EntryRef, SegmentId, Timestamp, Walk, WalkStep};

use super::{
    codec::Codec,
    errors::{self, Failure},
    scope::{Begun, Scope, Target},
};
use crate::budget::Charge;

/// A walk that nobody asks for this long is dropped.
const IDLE: Duration = Duration::from_secs(300);

/// Walks that one connection may have open.
const MOST_PER_CONNECTION: usize = 64;

/// Bytes after which an answer is sent, however many entries were asked for.
const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes that a walk takes beside the names of its segments and what waits to be converted.
const OWN_BYTES: usize = 1024;

/// Entries of one answer, if the client does not say how many.
const DEFAULT_BATCH: u32 = 1_000;

/// The walks of a server, by name.
#[derive(Default)]
pub(crate) struct Iterations {
    open: DashMap<String, Arc<Mutex<Iteration>>>,
    last: AtomicU64,
}

/// Key and value of an entry as the client wants them.
type Converted<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// An entry, taken out of its segment: it is converted without its lock.
struct Waiting {
    key: Box<[u8]>,
    value: Box<[u8]>,
    metadata: EntryMetadata,
}

/// A walk that a client asks for page by page.
struct Iteration {
    walk: Walk,
    codec: Codec,
    /// Entries that have to be converted, and were not given yet. One that cannot be converted stays the
    /// first of them: the client gets the error as often as it asks, and never the others without it.
    waiting: VecDeque<Waiting>,
    /// Bytes that it takes beside them.
    own_bytes: usize,
    /// What all of it takes, of the connection that has begun the walk.
    charge: Charge,
    /// The segment that they are of, if there are no more in it.
    walked: Option<SegmentId>,
    /// Segments that were finished since the last answer.
    finished: SegmentSet,
    batch: u32,
    with_metadata: bool,
    keys_only: bool,
    asked: Timestamp,
}

impl Iterations {
    /// Takes in a walk that begins on a connection, and names it.
    fn begin(&self, begun: &Begun, iteration: Iteration) -> Result<String, Failure> {
        let mut begun = begun.lock();
        // Those that nobody asked for any more were dropped, or another connection has ended them.
        begun.retain(|id| self.open.contains_key(id));
        if begun.len() >= MOST_PER_CONNECTION {
            let text =
                format!("more than {MOST_PER_CONNECTION} iterations are open on this connection");
            return Err(errors::failed(text));
        }
        let id = (self.last.fetch_add(1, Ordering::Relaxed) + 1).to_string();
        self.open.insert(id.clone(), Arc::new(Mutex::new(iteration)));
        begun.insert(id.clone());
        Ok(id)
    }

    fn find(&self, id: &str) -> Option<Arc<Mutex<Iteration>>> {
        self.open.get(id).map(|iteration| Arc::clone(&iteration))
    }

    /// Drops the walks of a connection that is gone.
    pub(crate) fn end_all(&self, begun: &Begun) {
        for id in begun.lock().drain() {
            self.open.remove(&id);
        }
    }

    /// Drops the walks that nobody asks for any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let idle = u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX);
        // One that is locked is being asked for.
        self.open.retain(|_, iteration| {
            iteration
                .try_lock()
                .is_none_or(|open| open.asked.millis().saturating_add(idle) > now.millis())
        });
    }
}

pub(super) async fn start(
    scope: &Scope,
    target: &Target,
    context: &Context<'_>,
    request: &op::IterationStart<'_>,
    writer: &mut Writer,
) -> Result<(), Failure> {
    let keys_only = match request.converter {
        None => false,
        Some(KEYS_ONLY) => true,
        Some(other) => return Err(errors::no_such_factory(other)),
    };
    let cache = Arc::clone(&target.cache);
    // A local cache has segments too, but no client knows of them.
    let wanted = request.segments.as_ref().filter(|_| target.config.mode.is_clustered());
    let segments: Vec<SegmentId> = cache
        .segment_ids()
        .filter(|id| wanted.is_none_or(|segments| segments.contains(id.0)))
        .collect();
    let whole = scope.node.driver.make_whole(&cache, &segments).await;
    let settled = whole.map_err(|error| errors::cache_error(&error))?;
    let own_bytes = OWN_BYTES + segments.len() * size_of::<SegmentId>();
    let mut walk = Walk::new(cache, segments);
    walk.settled_at(settled);
    let mut iteration = Iteration {
        walk,
        own_bytes,
        codec: Codec::of(context.header, &target.config.encoding)?,
        waiting: VecDeque::new(),
        charge: scope.share.charge(),
        walked: None,
        finished: SegmentSet::default(),
        batch: if request.batch == 0 { DEFAULT_BATCH } else { request.batch },
        with_metadata: request.with_metadata,
        keys_only,
        asked: context.now,
    };
    iteration.count();
    let id = scope.node.iterations.begin(&scope.iterations, iteration)?;
    write_response::<op::IterationStart<'_>>(&op::IterationStarted { id: &id }, context, writer);
    Ok(())
}

pub(super) async fn next(
    scope: &Scope,
    context: &Context<'_>,
    request: &op::IterationNext<'_>,
    writer: &mut Writer,
    charge: &mut Charge,
) -> Result<(), Failure> {
    let Some(iteration) = scope.node.iterations.find(request.id) else {
        let none = op::Batch { valid: false, finished: SegmentSet::default(), entries: Vec::new() };
        write_response::<op::IterationNext<'_>>(&none, context, writer);
        return Ok(());
    };
    let _one = scope.large.lock().await;
    // The last entry of a page may go beyond it. What is too much is given back with the answer.
    let most = BATCH_BYTES.saturating_add(scope.node.limits.wire.message);
    errors::roomy(charge.grow_to(most.min(scope.share.most())).await)?;
    let mut page = Page::default();
    loop {
        let more = {
            let mut iteration = iteration.lock();
            let more = iteration.fill(&mut page, context, scope.node.driver.now());
            iteration.count();
            more?
        };
        charge.set(page.entries.capacity().max(charge.bytes()));
        if !more {
            break;
        }
        tokio::task::yield_now().await;
    }
    let finished = iteration.lock().take_finished(page.count);
    let (id, opcode) =
        (context.header.message_id, <op::IterationNext<'_> as op::Operation>::RESPONSE);
    hotrod::encode_response_header(writer, id, opcode, hotrod::Status::Success, context.topology);
    writer.array(finished.as_bytes());
    writer.vint(page.count);
    if page.count > 0 && context.header.version >= hotrod::ProtocolVersion::V2_4 {
        writer.vint(1);
    }
    writer.raw(page.entries.bytes());
    Ok(())
}

pub(super) fn end(
    scope: &Scope,
    context: &Context<'_>,
    request: &op::IterationEnd<'_>,
    writer: &mut Writer,
) {
    scope.iterations.lock().remove(request.id);
    let ended = scope.node.iterations.open.remove(request.id).is_some();
    write_response::<op::IterationEnd<'_>>(&op::IterationEnded(ended), context, writer);
}

/// The entries of one answer.
#[derive(Default)]
struct Page {
    count: u32,
    entries: Writer,
}

impl Page {
    fn is_full(&self, batch: u32) -> bool {
        self.count >= batch || self.entries.len() >= BATCH_BYTES
    }

    fn bytes_left(&self) -> usize {
        BATCH_BYTES.saturating_sub(self.entries.len())
    }

    fn add(
        &mut self,
        key: &[u8],
        value: &[u8],
        metadata: Option<EntryMetadata>,
        context: &Context<'_>,
    ) {
        let entry = BatchEntry { metadata: metadata.map(Into::into), key, value };
        entry.encode(context.header.version, &mut self.entries);
        self.count += 1;
    }
}

impl Iteration {
    /// Segments to report with so many entries. At the end, a repeated question gets the same answer.
    fn take_finished(&mut self, entries: u32) -> SegmentSet {
        match self.is_over() && entries == 0 {
            true => self.finished.clone(),
            false => std::mem::take(&mut self.finished),
        }
    }

    fn is_over(&self) -> bool {
        self.walk.is_over() && self.waiting.is_empty()
    }

    /// Adds a few entries to the page. False once it is full, or there are no more.
    fn fill(
        &mut self,
        page: &mut Page,
        context: &Context<'_>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        self.asked = now;
        if !self.convert(page, context)? {
            return Ok(false);
        }
        let with_metadata = self.with_metadata;
        let (keys_only, batch, codec) = (self.keys_only, self.batch, self.codec);
        let Self { walk, waiting, .. } = self;
        let mut room = Room { entries: batch.saturating_sub(page.count), bytes: page.bytes_left() };
        let walked = walk.step(now, |entry| {
            let value = if keys_only { &[][..] } else { entry.value().bytes() };
            if codec.is_identity() {
                let metadata = with_metadata.then(|| entry.metadata());
                page.add(entry.key(), value, metadata, context);
            } else {
                waiting.push_back(Waiting::of(entry, value));
            }
            room.take(entry.key().len() + value.len())
        });
        if let WalkStep::Segment(segment) = errors::walked(walk.cache(), walked)? {
            self.walked = Some(segment);
        }
        self.convert(page, context)
    }

    /// Counts what it takes by now.
    fn count(&mut self) {
        let waiting = self.waiting.iter().map(Waiting::len).sum::<usize>();
        self.charge.set(self.own_bytes + waiting);
    }

    /// Adds entries that wait to the page. False once it is full, or there is nothing more at all. One that
    /// cannot be converted ends a page that has others, and is the error of the next one.
    fn convert(&mut self, page: &mut Page, context: &Context<'_>) -> Result<bool, Failure> {
        while let Some(entry) = self.waiting.front() {
            if page.is_full(self.batch) {
                return Ok(false);
            }
            let (key, value) = match self.converted(entry) {
                Ok(converted) => converted,
                Err(_) if page.count > 0 => return Ok(false),
                Err(failure) => return Err(failure),
            };
            page.add(&key, &value, self.with_metadata.then_some(entry.metadata), context);
            self.waiting.pop_front();
        }
        if let Some(segment) = self.walked.take() {
            self.finished.insert(segment.0);
        }
        Ok(!page.is_full(self.batch) && !self.walk.is_over())
    }

    fn converted<'a>(&self, entry: &'a Waiting) -> Result<Converted<'a>, Failure> {
        let value = match self.keys_only {
            true => Cow::Borrowed(&[][..]),
            false => self.codec.value_out(&entry.value)?,
        };
        Ok((self.codec.key_out(&entry.key)?, value))
    }
}

impl Waiting {
    fn of(entry: EntryRef<'_>, value: &[u8]) -> Self {
        Self { key: entry.key().into(), value: value.into(), metadata: entry.metadata() }
    }

    fn len(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// How much more a page takes.
struct Room {
    entries: u32,
    bytes: usize,
}

impl Room {
    /// Takes an entry of so many bytes, and breaks once there is no room.
    fn take(&mut self, bytes: usize) -> ControlFlow<()> {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        match self.entries == 0 || self.bytes == 0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Walks that clients forget.

    use std::collections::HashSet;

    use config::{CacheConfig, CacheMode};
    use store::{Cache, MemoryLimit, VersionKey};

    use super::*;

    fn iteration(now: Timestamp) -> Iteration {
        let config = CacheConfig::new(CacheMode::Distributed);
        let header = hotrod::RequestHeader {
            message_id: 1,
            version: hotrod::ProtocolVersion::V4_1,
            opcode: <op::IterationStart<'_> as op::Operation>::REQUEST,
            cache_name: "c",
            flags: hotrod::Flags(0),
            intelligence: hotrod::Intelligence::Basic,
            topology_id: 0,
            key_type: hotrod::MediaTypeRef::Unspecified,
            value_type: hotrod::MediaTypeRef::Unspecified,
        };
        let (versions, memory) = (VersionKey::new(1), MemoryLimit::unlimited());
        let budget = crate::budget::Budget::new(1_000_000, None, now);
        let cache =
            Cache::new("c".parse().unwrap(), Arc::new(config.clone()), versions, memory, now);
        Iteration {
            walk: Walk::over(Arc::new(cache)),
            own_bytes: OWN_BYTES,
            codec: Codec::of(&header, &config.encoding).unwrap(),
            waiting: VecDeque::new(),
            charge: budget.share(([127, 0, 0, 1], 1).into()).charge(),
            walked: None,
            finished: SegmentSet::default(),
            batch: 1,
            with_metadata: false,
            keys_only: false,
            asked: now,
        }
    }

    #[test]
    fn walks_that_were_dropped_leave_room_for_others() {
        let (iterations, begun) = (Iterations::default(), Begun::default());
        let start = Timestamp::from_millis(1_000);
        for _ in 0..MOST_PER_CONNECTION {
            iterations.begin(&begun, iteration(start)).unwrap();
        }
        let (_, text) = iterations.begin(&begun, iteration(start)).unwrap_err();
        assert!(text.contains("more than 64 iterations are open"), "{text}");

        iterations.sweep(Timestamp::from_millis(1_000 + 300_000));
        let id = iterations.begin(&begun, iteration(start)).unwrap();
        assert_eq!(*begun.lock(), HashSet::from([id]));
    }
}
