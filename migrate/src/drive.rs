//! Runs a command to completion: waits for whatever it needs, and retries with the current time.
//!
//! It is here rather than in the server because the REST endpoint needs it too, and because this crate knows what a
//! command can wait for: the source, and the metadata.

use std::{ops::ControlFlow, sync::Arc};

use cluster::{Agreement, MetaCommand, ProposeError};
use store::{
    Answer, Cache, CacheError, Change, Command, ConnectionId, Progress, Reply, SegmentId, Source,
    Timestamp, Walk, WalkStep,
};

use crate::{
    clearing::{ClearStep, Clearing},
    loader::Loaded,
    overdue,
    overlap::overlap,
    silences::Turn,
    source::ClearUnderWay,
    sources::Sources,
};

/// Steps of a walk after which others have their turn.
const STRETCH: u64 = 64;

/// Runs commands to completion.
#[derive(Clone)]
pub struct Driver {
    agreement: Arc<Agreement>,
    sources: Arc<Sources>,
    /// Held while it is recorded that clients change entries: those who wait need not record it again.
    marking: Arc<tokio::sync::Mutex<()>>,
}

/// How many entries a cache has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Entries whose time is not over.
    pub entries: u64,
    /// Whether the source had to be asked, so that it may be a few more or fewer.
    pub approximate: bool,
}

impl Driver {
    /// Runs commands on caches with these sources.
    #[must_use]
    pub fn new(agreement: Arc<Agreement>, sources: Arc<Sources>) -> Self {
        Self { agreement, sources, marking: Arc::default() }
    }

    /// The time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.agreement.clock().now()
    }

    /// What this member has agreed on.
    #[must_use]
    pub fn agreement(&self) -> &Arc<Agreement> {
        &self.agreement
    }

    /// Runs `command` to completion. Each attempt uses the current time.
    ///
    /// # Errors
    ///
    /// If the command cannot be carried out. Nothing has changed then.
    pub async fn drive(
        &self,
        cache: &Arc<Cache>,
        command: Command<'_>,
        reply: &mut impl Reply,
    ) -> Result<(), CacheError> {
        self.drive_in_turn(cache, command, None, reply).await
    }

    /// As [`Driver::drive`], for a request that may have waited for others of its connection: to what the
    /// source did not say to them meanwhile, it does not wait for an answer again.
    ///
    /// # Errors
    ///
    /// If the command cannot be carried out. Nothing has changed then.
    pub async fn drive_in_turn(
        &self,
        cache: &Arc<Cache>,
        command: Command<'_>,
        turn: Option<&Turn>,
        reply: &mut impl Reply,
    ) -> Result<(), CacheError> {
        let mut said = None;
        loop {
            let source = said.as_ref().map_or(command.source, |said: &Said| said.of(&command));
            let attempt = cache.execute(&Command { source, ..command }, self.now(), reply);
            match attempt.map_err(|error| self.explained(cache, said.as_ref(), error))? {
                // With one member, every in-sync copy has it.
                Progress::Done | Progress::Held(_) => return Ok(()),
                Progress::Mark => self.mark(cache).await?,
                Progress::Load => said = self.ask(cache, command.key, turn).await,
            }
        }
    }

    /// For the cache, a source that is not believed or answers with an error is as good as silent; people
    /// are told which it is.
    fn explained(&self, cache: &Cache, said: Option<&Said>, error: CacheError) -> CacheError {
        let doubted = || {
            self.sources.of(cache).is_some_and(|migration| migration.source().changed().is_some())
        };
        match (error, said.map(|said| &said.loaded)) {
            (CacheError::SourceSilent, Some(Loaded::Failed(text))) => {
                CacheError::SourceFailed(text.to_string())
            }
            (CacheError::SourceSilent, _) if doubted() => CacheError::SourceDoubted,
            (error, _) => error,
        }
    }

    /// Asks the source for a key. `None` if the cache is not connected any more.
    async fn ask(&self, cache: &Arc<Cache>, key: &[u8], turn: Option<&Turn>) -> Option<Said> {
        let link = cache.segment(cache.segment_of(key)).link().map(|link| link.connection);
        match self.sources.reached(cache).await {
            Some(migration) => {
                let source = migration.source();
                let heard_nothing =
                    turn.is_some_and(|turn| turn.heard_nothing(cache, Some(key), source.id()));
                let loaded = if heard_nothing { Loaded::Silent } else { source.load(key).await };
                if let (Some(turn), Loaded::Silent, false) = (turn, &loaded, heard_nothing) {
                    turn.note(cache, Some(key), source.id());
                }
                let reads_without = source.reads_without();
                Some(Said { connection: source.id(), loaded, reads_without })
            }
            // Not reached since the start.
            None => link.map(|connection| Said {
                connection,
                loaded: Loaded::Silent,
                reads_without: false,
            }),
        }
    }

    /// Records that clients change entries of this cache while its source is connected.
    async fn mark(&self, cache: &Arc<Cache>) -> Result<(), CacheError> {
        let _one = self.marking.lock().await;
        if is_marked(cache) {
            return Ok(());
        }
        let mark = MetaCommand::Mark { cache: cache.name().clone() };
        let marked = self.agreement.propose_for(cache, mark).await;
        match marked {
            // The cache may still hold its entries for a while: nothing is worth waiting for.
            _ if cache.is_removed() => Err(CacheError::NotExecuted),
            // Refused: it was disconnected meanwhile, and there is nothing to mark.
            Ok(()) | Err(ProposeError::Refused(_)) => Ok(()),
            Err(ProposeError::NotStored(error)) => Err(CacheError::NotStored(error.to_string())),
        }
    }

    /// Removes every entry. What is still at the source does not come any more.
    ///
    /// Runs in a task of its own, which goes on if the caller is dropped: a cleared cache of which half is
    /// still there would be worse than one that was not cleared.
    ///
    /// # Errors
    ///
    /// If the cache is not served, or that cannot be recorded. Nothing has changed then, unless a source was connected
    /// after the clear had begun: what was emptied by then stays empty, and a client that clears again goes on with it.
    pub async fn clear(&self, cache: &Arc<Cache>) -> Result<(), CacheError> {
        let (driver, cache) = (self.clone(), Arc::clone(cache));
        let cleared = tokio::spawn(async move { driver.clear_here(&cache).await }).await;
        cleared.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    async fn clear_here(&self, cache: &Arc<Cache>) -> Result<(), CacheError> {
        let mut clearing = Clearing::new(cache);
        let mut under_way = Vec::new();
        loop {
            match clearing.step() {
                ClearStep::EndImports => {
                    cache.check_served()?;
                    under_way.extend(self.end_imports(cache).await?);
                }
                ClearStep::Emptied(_) | ClearStep::Rid(_) => {}
                ClearStep::End => {
                    under_way.into_iter().for_each(ClearUnderWay::end);
                    return Ok(());
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Records that nothing comes from the source any more, if there is one.
    async fn end_imports(&self, cache: &Arc<Cache>) -> Result<Option<ClearUnderWay>, CacheError> {
        let name = cache.name().clone();
        let cleared = self.agreement.see(|metadata| {
            let connection = metadata.cache(name.as_str())?.connection.as_ref()?;
            Some(connection.cleared)
        });
        let Some(cleared) = cleared else { return Ok(None) };
        match self.agreement.propose_for(cache, MetaCommand::Clear { cache: name.clone() }).await {
            // Once: a client may do it often.
            Ok(()) if !cleared => tracing::warn!(
                cache = %name,
                "a client clears the cache while it is connected: nothing comes from its source any more"
            ),
            Ok(()) | Err(ProposeError::Refused(_)) => {}
            Err(ProposeError::NotStored(error)) => {
                return Err(CacheError::NotStored(error.to_string()));
            }
        }
        Ok(self.sources.of(cache).map(|migration| migration.cleared()))
    }

    /// The number of entries that are here.
    ///
    /// # Errors
    ///
    /// If the cache is not served.
    pub async fn size_here(&self, cache: &Arc<Cache>) -> Result<u64, CacheError> {
        self.count(cache, None).await
    }

    async fn count(
        &self,
        cache: &Arc<Cache>,
        settled: Option<Timestamp>,
    ) -> Result<u64, CacheError> {
        let (mut entries, mut walked) = (0, Vec::new());
        for id in cache.segment_ids() {
            let Some(segment) = cache.used_segment(id) else { continue };
            // Where no entry can end by itself, all that are there are alive.
            match segment.mortal() {
                0 => entries += segment.len(),
                _ => walked.push(id),
            }
        }
        let mut walk = Walk::new(Arc::clone(cache), walked);
        settled.into_iter().for_each(|at| walk.settled_at(at));
        for step in 1_u64.. {
            let walked = walk.step(self.now(), |_| {
                entries += 1;
                ControlFlow::Continue(())
            })?;
            if walked == WalkStep::End {
                break;
            }
            if step % STRETCH == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(entries)
    }

    /// The number of entries. While the source has some that are not here yet, it is asked.
    ///
    /// # Errors
    ///
    /// If the source does not answer.
    pub async fn size(&self, cache: &Arc<Cache>) -> Result<Size, CacheError> {
        self.size_in_turn(cache, None).await
    }

    /// As [`Driver::size`], for a request that may have waited for others of its connection.
    ///
    /// # Errors
    ///
    /// If the source does not answer.
    pub async fn size_in_turn(
        &self,
        cache: &Arc<Cache>,
        turn: Option<&Turn>,
    ) -> Result<Size, CacheError> {
        cache.check_served()?;
        let whole = cache.segment(SegmentId(0)).link().is_none_or(|link| link.is_complete());
        match (whole, self.sources.of(cache)) {
            (true, migration) => {
                let settled = match migration {
                    Some(migration) => {
                        let segments: Vec<SegmentId> = cache.segment_ids().collect();
                        overdue::settle_for_walk(migration.source(), &segments).await?
                    }
                    None => self.now(),
                };
                let entries = self.count(cache, Some(settled)).await?;
                Ok(Size { entries, approximate: false })
            }
            (false, None) => Err(CacheError::SourceSilent),
            (false, Some(migration)) => {
                let source = migration.source();
                if turn.is_some_and(|turn| turn.heard_nothing(cache, None, source.id())) {
                    return Err(CacheError::SourceSilent);
                }
                let theirs = source.size().await;
                if let (Some(turn), Err(CacheError::SourceSilent)) = (turn, &theirs) {
                    turn.note(cache, None, source.id());
                }
                let theirs = theirs?;
                let entries = theirs.saturating_add_signed(cache.balance());
                Ok(Size { entries, approximate: true })
            }
        }
    }

    /// Makes sure that everything is here that belongs into these segments, and that nothing there is overdue:
    /// a walk over them sees what the source has. Returns the time to tell [`Walk::settled_at`] of.
    ///
    /// # Errors
    ///
    /// If the source does not give it.
    pub async fn make_whole(
        &self,
        cache: &Arc<Cache>,
        segments: &[SegmentId],
    ) -> Result<Timestamp, CacheError> {
        cache.check_served()?;
        let missing = missing(cache, segments);
        let migration = match self.sources.of(cache) {
            Some(migration) => migration,
            None if missing.is_empty() => return Ok(self.now()),
            None => return Err(CacheError::SourceSilent),
        };
        if !missing.is_empty() {
            migration.bring(&missing).await?;
        }
        overdue::settle_for_walk(migration.source(), segments).await
    }
}

/// Returns whether every segment of a cache has heard that it is recorded that clients change entries, or none has
/// to.
fn is_marked(cache: &Cache) -> bool {
    cache.segment_ids().all(|id| cache.segment(id).link().is_none_or(|link| link.marked))
}

/// The source segments that these segments overlap with and that are not complete.
fn missing(cache: &Cache, segments: &[SegmentId]) -> Vec<store::SourceSegment> {
    let first = segments.first().copied().unwrap_or(SegmentId(0));
    let Some(link) = cache.segment(first).link().cloned() else { return Vec::new() };
    let ours = cache.segment_count();
    let incomplete = |segment: &store::SourceSegment| !link.complete.contains(*segment);
    let overlaps = |segment: &store::SourceSegment| match link.space {
        store::SourceSpace::Unit => true,
        store::SourceSpace::Segments(theirs) => {
            segments.iter().any(|id| overlap((id.0, ours), (segment.0, theirs)))
        }
    };
    (0..link.space.count()).map(store::SourceSegment).filter(incomplete).filter(overlaps).collect()
}

/// What the source said, and what to make of it if it said nothing.
struct Said {
    connection: ConnectionId,
    loaded: Loaded,
    reads_without: bool,
}

impl Said {
    /// What a command is told of it.
    fn of(&self, command: &Command<'_>) -> Source<'_> {
        let answer = match &self.loaded {
            Loaded::Absent => Answer::Absent,
            Loaded::Entry(entry) => Answer::Entry(entry.imported()),
            // By the operator's choice, plain reads do without a silent source.
            Loaded::Silent | Loaded::Failed(_)
                if self.reads_without && matches!(command.change, Change::Read) =>
            {
                return Source::Skip;
            }
            Loaded::Silent | Loaded::Failed(_) => Answer::Silent,
        };
        Source::Asked(self.connection, answer)
    }
}

#[cfg(test)]
mod tests {
    //! The first writes after a source was connected.

    use cluster::Clock;
    use config::{CacheConfig, CacheMode, CacheName};
    use futures_util::future::join_all;
    use store::{Container, Expiration, MemoryLimit, Outcome, SourceSpace};

    use super::*;
    use crate::samples::connection;

    #[tokio::test]
    async fn all_first_writes_together_record_once_that_clients_change_entries() {
        let (container, clock) = (Container::new(MemoryLimit::unlimited()), Clock::start());
        let agreement = Agreement::start(None, Arc::new(container), Arc::new(clock), 10);
        let agreement = Arc::new(agreement.expect("there is no file to read"));
        let name: CacheName = "orders".parse().unwrap();
        let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
        let create = MetaCommand::CreateCache { cache: name.clone(), config, volatile: false };
        agreement.propose(create).await.unwrap();
        let since = Timestamp::from_millis(1_000);
        let connection = Box::new(connection(SourceSpace::Segments(256), since));
        agreement.propose(MetaCommand::Connect { cache: name.clone(), connection }).await.unwrap();

        let before = *agreement.changes().borrow();
        let cache = agreement.container().cache("orders").unwrap();
        let sources = Arc::new(Sources::new(std::time::Duration::ZERO));
        let driver = Driver::new(Arc::clone(&agreement), sources);
        let keys: Vec<[u8; 4]> = (0_u32..100).map(u32::to_be_bytes).collect();
        let writes = keys.iter().map(|key| async {
            let write = Command::write(key, b"v", Expiration::NEVER);
            driver.drive(&cache, write, &mut |_: Outcome<'_>| ()).await
        });
        assert!(join_all(writes).await.iter().all(Result::is_ok));
        assert_eq!(cache.approximate_len(), 100);
        let marked = |metadata: &cluster::Metadata| {
            metadata.cache("orders").unwrap().connection.as_ref().unwrap().marked
        };
        assert!(agreement.see(marked));
        assert_eq!(*agreement.changes().borrow(), before + 1);
    }
}
