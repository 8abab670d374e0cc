//! What changed in a segment, as it leaves it.

use std::sync::Arc;

use crate::{entry::EntryMetadata, stamp::Stamp};

/// Most effects that wait for the reader of one segment. Beyond it the reader has missed some.
pub const MAX_WAITING: usize = 65_536;

/// A change as it leaves its segment, in the order of stamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Its place in the order of the segment.
    pub stamp: Stamp,
    /// The key as it is stored; empty for [`Cause::Clear`].
    pub key: Box<[u8]>,
    /// Why it changed.
    pub cause: Cause,
    /// The entry as it is now, if there is one.
    pub entry: Option<EffectEntry>,
}

/// An entry in an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectEntry {
    /// The value as it is stored.
    pub value: Arc<[u8]>,
    /// Version, instants and expiration.
    pub metadata: EntryMetadata,
}

/// Why an entry changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A client wrote it.
    Write,
    /// A client removed it.
    Remove,
    /// It was brought in from the source.
    Import,
    /// Its time was over.
    Expire,
    /// It had to make room.
    Evict,
    /// A client cleared the cache: every entry of the segment is gone.
    Clear,
}

/// What a segment's reader gets at a time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// In the order of stamps.
    pub effects: Vec<Effect>,
    /// Whether more than [`MAX_WAITING`] were waiting, and all before these are lost to the reader.
    pub gap: bool,
}

/// The effects that wait for a segment's reader. With no reader nothing is built.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Option<Effects>,
}

impl Outbox {
    /// Returns whether somebody reads.
    #[inline]
    pub(crate) fn is_read(&self) -> bool {
        self.waiting.is_some()
    }

    pub(crate) fn open(&mut self) {
        self.waiting.get_or_insert_default();
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        let Some(waiting) = &mut self.waiting else { return };
        if waiting.effects.len() >= MAX_WAITING {
            *waiting = Effects { effects: Vec::new(), gap: true };
        }
        waiting.effects.push(effect);
    }

    /// What came since the last time.
    pub(crate) fn take(&mut self) -> Effects {
        self.waiting.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
