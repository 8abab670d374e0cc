//! A model of a segment, which keeps the same promises in the plainest way.

mod schedule;

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SOURCE_SEGMENTS: u32 = 3;

#[derive(Clone, Debug, PartialEq)]
struct ModelEntry {
    value: Vec<u8>,
    created: u64,
    used: u64,
    expiration: Expiration,
    imported: bool,
    at_source: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum ModelRecord {
    Entry(ModelEntry),
    Tombstone { at_source: bool, removal: bool },
}

impl ModelRecord {
    fn is_at_source(&self) -> bool {
        match self {
            Self::Entry(entry) => entry.at_source,
            Self::Tombstone { at_source, .. } => *at_source,
        }
    }

    fn is_seen_at_source(&mut self) {
        match self {
            Self::Entry(entry) => entry.at_source = true,
            Self::Tombstone { at_source, .. } => *at_source = true,
        }
    }
}

#[derive(Default)]
struct Model {
    records: BTreeMap<Vec<u8>, ModelRecord>,
    complete: Option<Vec<bool>>,
    /// The cache was cleared since the source was connected.
    cleared: bool,
    /// Keys have ended, or were cleared, in complete segments that are not remembered.
    released: bool,
    /// Those of them that were clients' own and have ended.
    ended: BTreeSet<Vec<u8>>,
    /// Whether the segment has met one of them.
    met: bool,
    /// While the source is silent: lifespans that ended before this have ended there too.
    silent: Option<u64>,
    now: u64,
}

impl Model {
    fn may_hold(&self, key: &[u8]) -> bool {
        may_hold(self.complete.as_ref(), key)
    }

    /// Whether the source is asked for a key that is not here.
    fn asks(&self, key: &[u8]) -> bool {
        let is_whole = || self.complete.as_ref().is_none_or(|complete| !complete.contains(&false));
        self.is_overdue(key)
            || (!self.records.contains_key(key)
                && (self.may_hold(key) || (!self.met && !is_whole())))
    }

    fn expire(&mut self) {
        let now = self.now;
        let complete = self.complete.clone();
        let (released, ended) = (&mut self.released, &mut self.ended);
        self.records.retain(|key, record| {
            let ModelRecord::Entry(entry) = record else { return true };
            let ends =
                |start: u64, by: Option<Lifetime>| by.is_some_and(|by| start + by.millis() <= now);
            if !ends(entry.created, entry.expiration.lifespan)
                && !ends(entry.used, entry.expiration.max_idle)
            {
                return true;
            }
            if !entry.imported {
                let at_source = entry.at_source;
                let is_kept = complete.is_some() && (at_source || may_hold(complete.as_ref(), key));
                *record = ModelRecord::Tombstone { at_source, removal: false };
                if complete.is_some() && !is_kept {
                    *released = true;
                    ended.insert(key.clone());
                }
                return is_kept;
            }
            complete.is_some()
        });
    }

    fn is_over(&self, entry: &ModelEntry) -> bool {
        let ends =
            |start: u64, by: Option<Lifetime>| by.is_some_and(|by| start + by.millis() <= self.now);
        ends(entry.created, entry.expiration.lifespan)
            || ends(entry.used, entry.expiration.max_idle)
    }

    /// Whether only the source can say that an entry has ended.
    fn is_overdue(&self, key: &[u8]) -> bool {
        match self.records.get(key) {
            Some(ModelRecord::Entry(entry)) => self.complete.is_some() && self.is_over(entry),
            _ => false,
        }
    }

    fn entry(&self, key: &[u8]) -> Option<&ModelEntry> {
        match self.records.get(key) {
            Some(ModelRecord::Entry(entry)) if !self.is_over(entry) => Some(entry),
            _ => None,
        }
    }

    fn goes_without_source(&self, key: &[u8], command: &Command<'_>) -> bool {
        if self.may_hold(key) {
            return false;
        }
        if !self.is_overdue(key) {
            return self.silent.is_some() || !matches!(command.source, Source::NotAsked);
        }
        let Some(over) = self.silent else { return false };
        let Some(ModelRecord::Entry(entry)) = self.records.get(key) else { return false };
        let lifespan = entry.expiration.lifespan;
        matches!(command.change, Change::Read)
            || lifespan.is_some_and(|lifespan| entry.created + lifespan.millis() < over)
    }

    fn command(&mut self, command: &Command<'_>, holds: bool) -> Seen {
        self.expire();
        let key = command.key.to_vec();
        let overdue = self.is_overdue(&key);
        if self.asks(&key) {
            let blind = matches!(command.change, Change::Write { .. })
                && command.condition == Condition::Always;
            match command.source {
                Source::NotAsked | Source::Asked(_, Answer::Silent)
                    if self.goes_without_source(&key, command) => {}
                Source::NotAsked if !blind => return Seen::Load,
                Source::Asked(_, Answer::Silent) if !command.may_go_without_source() => {
                    return Seen::Failed(CacheError::SourceSilent);
                }
                Source::Asked(_, Answer::Entry(imported)) => {
                    self.take(&key, imported.value.bytes(), None);
                }
                Source::Asked(_, Answer::Absent) if overdue => drop(self.records.remove(&key)),
                _ => {}
            }
        }
        let Some(standing) = self.entry(&key).cloned() else {
            return match (command.change, command.condition) {
                (
                    Change::Write { value, expiration },
                    Condition::Always | Condition::Absent | Condition::NotEtag(_),
                ) => {
                    self.write(&key, value, expiration);
                    Seen::Changed(None)
                }
                (Change::Remove, Condition::Always)
                    if (!self.records.contains_key(&key) || self.is_overdue(&key))
                        && self.complete.is_some() =>
                {
                    self.records
                        .insert(key, ModelRecord::Tombstone { at_source: false, removal: true });
                    if matches!(command.source, Source::Asked(_, Answer::Silent)) {
                        Seen::Changed(None)
                    } else {
                        Seen::Missing
                    }
                }
                (Change::Remove, Condition::Always)
                    if self.complete.is_some()
                        && matches!(command.source, Source::Asked(_, Answer::Silent)) =>
                {
                    Seen::Changed(None)
                }
                _ => Seen::Missing,
            };
        };
        if !holds {
            if command.condition.asks_for_entry() {
                self.touch(&key);
            }
            return Seen::Refused(standing.value);
        }
        match command.change {
            Change::Read => {
                self.touch(&key);
                Seen::Found(standing.value)
            }
            Change::Write { value, expiration } => {
                self.write(&key, value, expiration);
                Seen::Changed(Some(standing.value))
            }
            Change::Remove => {
                if self.complete.is_some() {
                    let at_source = standing.at_source;
                    self.records.insert(key, ModelRecord::Tombstone { at_source, removal: true });
                } else {
                    self.records.remove(&key);
                }
                Seen::Changed(Some(standing.value))
            }
        }
    }

    fn touch(&mut self, key: &[u8]) {
        if let Some(ModelRecord::Entry(entry)) = self.records.get_mut(key) {
            entry.used = self.now;
        }
    }

    fn write(&mut self, key: &[u8], value: Value<'_>, expiration: Expiration) {
        let entry = ModelEntry {
            value: value.bytes().to_vec(),
            created: self.now,
            used: self.now,
            expiration,
            imported: false,
            at_source: self.records.get(key).is_some_and(ModelRecord::is_at_source),
        };
        self.records.insert(key.to_vec(), ModelRecord::Entry(entry));
    }

    fn take(&mut self, key: &[u8], value: &[u8], lifespan: Option<u16>) {
        let entry = ModelEntry {
            value: value.to_vec(),
            created: self.now,
            used: self.now,
            expiration: Expiration {
                lifespan: lifespan.map(|millis| Lifetime::from_millis(millis.into())),
                max_idle: None,
            },
            imported: true,
            at_source: true,
        };
        self.records.insert(key.to_vec(), ModelRecord::Entry(entry));
    }

    fn import(&mut self, key: &[u8], value: &[u8], lifespan: Option<u16>, repair: bool) -> Import {
        self.expire();
        if self.complete.is_none() {
            return Import::Outdated;
        }
        if self.is_overdue(key) {
            // It had a lifespan. In whole seconds, as sources report them, all lifespans are the same.
            let is_same = lifespan.is_some()
                && matches!(&self.records[key], ModelRecord::Entry(entry) if entry.value == value);
            if lifespan != Some(0) && (repair || is_same) {
                self.take(key, value, lifespan);
            }
            return Import::AlreadyHere;
        }
        let settled = !repair && !self.may_hold(key);
        if let Some(record) = self.records.get_mut(key).filter(|_| !settled) {
            record.is_seen_at_source();
        }
        match self.records.get(key) {
            None if settled || (repair && (self.cleared || self.ended.contains(key))) => {
                return Import::Tombstone;
            }
            Some(ModelRecord::Tombstone { .. }) => return Import::Tombstone,
            Some(ModelRecord::Entry(entry)) if !entry.imported => return Import::KeptForClient,
            Some(ModelRecord::Entry(_)) if !repair => return Import::AlreadyHere,
            _ => {}
        }
        self.take(key, value, lifespan);
        Import::Written
    }
}

/// Whether the source may hold a key that is not here, if these of its segments are complete.
fn may_hold(complete: Option<&Vec<bool>>, key: &[u8]) -> bool {
    let segment = hash::segment(hash::hash(key), SOURCE_SEGMENTS) as usize;
    complete.is_some_and(|complete| !complete[segment])
}
