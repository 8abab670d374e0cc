//! Entries that had to make room, and whether the cache counts them as they are.

use media::hash;
use store::{BroughtIn, Cause, Coverage, Effect, SegmentId, SourceSpace};

use super::{
    super::{model::KEYS, source::key},
    World,
};

/// What has left the cache to make room.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    /// Keys under which something stands.
    here: [bool; KEYS],
    /// Keys under which something stands that was brought in.
    imported: [bool; KEYS],
    /// All entries that had to make room.
    all: u64,
    /// Keys of those of them that were brought in and have not come back.
    of_source: [bool; KEYS],
    /// Keys under which something stands that an earlier connection brought in.
    adopted: [bool; KEYS],
    /// Entries of clients that had to make room since the connection began anew.
    own: [u64; KEYS],
    /// Entries that were brought in and that clients have changed or removed, or that have ended, once everything of
    /// their source segment was here.
    changed: u64,
    /// How the source divides its keys, and which segments are complete, or were when it was disconnected.
    source: Option<(SourceSpace, Coverage)>,
}

impl Evictions {
    /// Entries of the source that had to make room, and have not come back.
    pub(super) fn imported(&self) -> u64 {
        self.of_source.iter().map(|is_evicted| u64::from(*is_evicted)).sum()
    }

    /// A connection begins anew: what is here is nobody's.
    pub(super) fn begin_anew(&mut self) {
        for (adopted, imported) in self.adopted.iter_mut().zip(&mut self.imported) {
            *adopted |= std::mem::take(imported);
        }
        self.own = [0; KEYS];
        self.of_source = Default::default();
        self.changed = 0;
    }

    /// What was brought in under a key is not here as it came any more.
    fn change(&mut self, number: usize) {
        let is_complete = self.source.as_ref().is_some_and(|(space, complete)| {
            complete.contains(space.segment_of(hash::hash(&key(number))))
        });
        self.changed += u64::from(is_complete);
    }
}

impl World {
    /// Takes in what has happened to entries since the last time.
    pub(super) fn take_effects(&mut self) {
        if self.target.limits.entries.is_none() {
            return;
        }
        let cache = std::sync::Arc::clone(&self.target.cache);
        self.look_at_source();
        for segment in cache.segment_ids() {
            let effects = cache.segment(segment).take_effects().effects;
            for Effect { key: name, cause, .. } in effects {
                let Some(number) = (0..KEYS).find(|number| key(*number)[..] == name[..]) else {
                    // All of the segment was removed.
                    let in_it = |number: &usize| cache.segment_of(&key(*number)) == segment;
                    for number in (0..KEYS).filter(in_it) {
                        let evictions = &mut self.target.evictions;
                        if evictions.here[number] && evictions.imported[number] {
                            evictions.change(number);
                        }
                        evictions.here[number] = false;
                        evictions.own[number] = 0;
                    }
                    continue;
                };
                let evictions = &mut self.target.evictions;
                let comes = matches!(cause, Cause::Import | Cause::Write | Cause::Remove);
                if comes && !evictions.here[number] {
                    let was_evicted = std::mem::take(&mut evictions.of_source[number]);
                    if was_evicted && cause != Cause::Import {
                        evictions.change(number);
                    }
                }
                let goes = matches!(cause, Cause::Write | Cause::Remove | Cause::Expire);
                if goes && evictions.here[number] && evictions.imported[number] {
                    evictions.change(number);
                }
                if cause == Cause::Evict {
                    evictions.all += 1;
                    evictions.of_source[number] |= evictions.imported[number];
                    let is_own = !evictions.imported[number] && !evictions.adopted[number];
                    evictions.own[number] += u64::from(is_own);
                    self.tally.evicted += 1;
                    self.model.evict(number);
                    self.steps.push(format!("          key {number} is evicted"));
                }
                evictions.here[number] = matches!(cause, Cause::Import | Cause::Write);
                evictions.imported[number] = cause == Cause::Import;
                evictions.adopted[number] = false;
            }
        }
    }

    /// A client has removed a key, or what was evicted of it.
    pub(super) fn remove_evicted(&mut self, number: usize) {
        self.take_effects();
        let evictions = &mut self.target.evictions;
        if std::mem::take(&mut evictions.of_source[number]) {
            evictions.change(number);
        }
    }

    /// Takes in what is complete.
    fn look_at_source(&mut self) {
        let segment = self.target.cache.segment(SegmentId(0));
        let evictions = &mut self.target.evictions;
        match (segment.link(), &mut evictions.source) {
            (Some(link), last) => {
                let becomes_unit = last.as_ref().is_some_and(|(space, _)| *space != link.space)
                    && link.space == SourceSpace::Unit;
                if becomes_unit {
                    evictions.changed = 0;
                }
                *last = Some((link.space, link.complete.clone()));
            }
            // What was complete only in part counts by the reading that completes it.
            (None, Some((space, complete))) if !complete.is_whole() => {
                *complete = Coverage::none(space.count());
            }
            (None, _) => {}
        }
    }

    /// The cache counts what had to make room, no more and no less.
    pub(super) fn check_evictions(&mut self) -> Result<(), String> {
        self.take_effects();
        let (cache, evictions) = (&self.target.cache, &self.target.evictions);
        let counted = (cache.evicted(), cache.evicted_imported(), cache.evicted_own());
        let happened = (evictions.all, evictions.imported(), evictions.own.iter().sum());
        if counted != happened {
            return Err(format!(
                "{counted:?} entries, entries of the source and of clients count as evicted, and {happened:?} were"
            ));
        }
        let here = evictions.here.iter().zip(evictions.imported);
        let here = here.filter(|(is_here, is_imported)| **is_here && *is_imported).count() as u64;
        let BroughtIn { here: as_they_came, changed, .. } = cache.brought_in();
        let (counted, happened) = ((as_they_came, changed), (here, evictions.changed));
        if self.target.limits.entries.is_some() && counted != happened {
            return Err(format!(
                "{counted:?} entries count as here as they came and as changed, and {happened:?} are"
            ));
        }
        Ok(())
    }
}
