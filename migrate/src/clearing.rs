//! A client's CLEAR: one segment after the other is emptied while other clients go on.
//!
//! A decider. Start reading at [`Clearing::step`].

use std::{ops::Range, sync::Arc};

use store::{Cache, SegmentId};

/// A CLEAR under way.
pub(crate) struct Clearing {
    cache: Arc<Cache>,
    /// Segments that are still to be emptied.
    left: Range<u32>,
    /// Segments that were emptied before a source was connected, and may have entries of it by now.
    again: Range<u32>,
    /// Whether it has begun.
    begun: bool,
}

/// What a CLEAR needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClearStep {
    /// If a source is connected, it is to be recorded that nothing comes from it any more.
    EndImports,
    /// Another step: this segment is empty.
    Emptied(SegmentId),
    /// Another step: this segment was empty before a source was connected, and is rid of its entries.
    Rid(SegmentId),
    /// Nothing: it is done.
    End,
}

impl Clearing {
    /// A CLEAR that has not begun.
    pub(crate) fn new(cache: &Arc<Cache>) -> Self {
        let left = 0..cache.segment_count();
        Self { cache: Arc::clone(cache), left, again: 0..0, begun: false }
    }

    /// Takes one step.
    pub(crate) fn step(&mut self) -> ClearStep {
        if !std::mem::replace(&mut self.begun, true) {
            return ClearStep::EndImports;
        }
        let again = self.again.next().map(SegmentId);
        let step = match again {
            // What clients have written there since comes after the CLEAR, and stays.
            Some(segment) if self.cache.remove_imported(segment) => return ClearStep::Rid(segment),
            None if self.left.is_empty() => return ClearStep::End,
            None if self.cache.clear_segment(SegmentId(self.left.start)) => {
                ClearStep::Emptied(SegmentId(self.left.start))
            }
            // A source was connected meanwhile, or is just being let go of.
            Some(_) | None => {
                self.again = 0..self.left.start;
                return ClearStep::EndImports;
            }
        };
        self.left.start += 1;
        step
    }
}

#[cfg(test)]
mod tests {
    //! A CLEAR alone, and one that a source is connected in the middle of.

    use config::{CacheConfig, CacheMode};
    use store::{
        Command, ConnectionId, EntryMetadata, Expiration, ImportRule, Imported, Link, MemoryLimit,
        Outcome, Progress, SourceSpace, Timestamp, Value, VersionKey,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn cache() -> Arc<Cache> {
        let config = CacheConfig { segments: 2, ..CacheConfig::new(CacheMode::Distributed) };
        let (versions, memory) = (VersionKey::new(7), MemoryLimit::unlimited());
        let name = "orders".parse().unwrap();
        Arc::new(Cache::new(name, Arc::new(config), versions, memory, NOW))
    }

    /// A key in a segment.
    fn key(cache: &Cache, segment: u32) -> Vec<u8> {
        let mut keys = (0_u32..).map(|number| number.to_be_bytes().to_vec());
        keys.find(|key| cache.segment_of(key) == SegmentId(segment)).unwrap()
    }

    fn put(cache: &Cache, key: &[u8]) {
        let command = Command::write(key, b"ours", Expiration::NEVER);
        let progress = cache.execute(&command, NOW, &mut |_: Outcome<'_>| ());
        assert_eq!(progress, Ok(Progress::Done));
    }

    fn connect(cache: &Cache, number: u64) -> ConnectionId {
        let id = ConnectionId(number);
        let mut link = Link::new(id, SourceSpace::Unit, NOW);
        link.marked = true;
        cache.connect(&link);
        id
    }

    #[test]
    fn a_clear_ends_imports_first_and_empties_each_segment_once() {
        let cache = cache();
        let mut clearing = Clearing::new(&cache);
        assert_eq!(clearing.step(), ClearStep::EndImports);
        assert_eq!(clearing.step(), ClearStep::Emptied(SegmentId(0)));
        put(&cache, &key(&cache, 0));
        assert_eq!(clearing.step(), ClearStep::Emptied(SegmentId(1)));
        assert_eq!(clearing.step(), ClearStep::End);
        assert_eq!(cache.approximate_len(), 1, "what was written after it");
    }

    #[test]
    fn a_clear_that_a_connection_overtakes_keeps_what_was_written_since() {
        let cache = cache();
        let mut clearing = Clearing::new(&cache);
        clearing.step();
        assert_eq!(clearing.step(), ClearStep::Emptied(SegmentId(0)));
        let (written, theirs) = (key(&cache, 0), [7_u8; 5]);
        put(&cache, &written);
        let id = connect(&cache, 1);
        let mut keys = (0_u8..).map(|last| [[7; 4].as_slice(), &[last]].concat());
        let loaded = keys.find(|key| cache.segment_of(key) == SegmentId(0)).unwrap();
        let imported =
            Imported { value: Value::Inline(&theirs), metadata: EntryMetadata::default() };
        let entries = [(loaded.as_slice(), imported)];
        cache.import(&entries, ImportRule::Copy, id, NOW, |_, _| ());
        put(&cache, &key(&cache, 1));
        assert_eq!(cache.approximate_len(), 3);

        assert_eq!(clearing.step(), ClearStep::EndImports);
        cache.end_imports();
        assert_eq!(clearing.step(), ClearStep::Rid(SegmentId(0)));
        assert_eq!(clearing.step(), ClearStep::Emptied(SegmentId(1)));
        assert_eq!(clearing.step(), ClearStep::End);
        assert_eq!(cache.approximate_len(), 1);
        assert!(cache.inspect(&written, NOW, |it| matches!(it, store::Standing::Local(_))));
    }

    #[test]
    fn a_source_that_is_connected_again_is_told_of_the_clear_too() {
        let cache = cache();
        let mut clearing = Clearing::new(&cache);
        clearing.step();
        connect(&cache, 1);
        assert_eq!(clearing.step(), ClearStep::EndImports);
        cache.disconnect();
        connect(&cache, 2);
        assert_eq!(clearing.step(), ClearStep::EndImports);
        cache.end_imports();
        assert_eq!(clearing.step(), ClearStep::Emptied(SegmentId(0)));
        cache.disconnect();
        connect(&cache, 3);
        assert_eq!(clearing.step(), ClearStep::EndImports);
        cache.disconnect();
        connect(&cache, 4);
        assert_eq!(clearing.step(), ClearStep::EndImports, "also before it looks there again");
    }
}
