//! Whether a key is as it must be.

use client::{Entry, Metadata};

use super::{
    account::{Expected, Noted, Written},
    data::value,
    life::Life,
    tally::{Difference, Tally},
};

/// Milliseconds that an instant may differ by.
const TOLERANCE: u64 = 1_000;

/// When a question left, and when its answer was there: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// Counts what was found under a key.
pub(super) fn compare(
    key: usize,
    expected: &Expected,
    entry: Option<&Entry>,
    asked: Asked,
    tally: &mut Tally,
) {
    tally.checked += 1;
    let wrong = match (expected, entry) {
        (Expected::Unknown, _) => {
            tally.unknown += 1;
            None
        }
        (Expected::Removed, None) => {
            tally.removed += 1;
            None
        }
        (Expected::Removed, Some(_)) => {
            tally.came_back += 1;
            Some("was removed, and is there".to_owned())
        }
        (Expected::Over, None) => {
            tally.expired += 1;
            None
        }
        (Expected::Over, Some(_)) => Some("is there although its time is over".to_owned()),
        (Expected::Untouched(noted), None) => {
            let ends = noted.created.and_then(|created| Life::of(key).ends(created));
            missing(ends, asked, tally)
        }
        (Expected::Written(written), None) => {
            missing(written.life.ends(written.between.0), asked, tally)
        }
        (Expected::Untouched(noted), Some(entry)) => {
            tally.from_source += 1;
            untouched(key, noted, entry, asked)
        }
        (Expected::Written(expected), Some(entry)) => {
            tally.from_clients += 1;
            written(key, expected, entry, asked)
        }
    };
    tally.differences.extend(wrong.map(|what| Difference { key, what }));
}

/// An entry is not there: its time must be over.
fn missing(ends: Option<u64>, asked: Asked, tally: &mut Tally) -> Option<String> {
    match ends {
        Some(end) if end <= asked.end + TOLERANCE => {
            tally.expired += 1;
            None
        }
        Some(end) => Some(format!("is missing {} ms before its end", end - asked.end)),
        None => Some("is missing".to_owned()),
    }
}

fn untouched(key: usize, noted: &Noted, entry: &Entry, asked: Asked) -> Option<String> {
    let Noted { version, created, .. } = *noted;
    let now = created_at(entry);
    let moved = created.zip(now).is_some_and(|(then, now)| then.abs_diff(now) > TOLERANCE);
    if entry.metadata.version != version {
        return Some(format!("has version {} instead of {version}", entry.metadata.version));
    }
    if moved || created.is_some() != now.is_some() {
        return Some(format!("was created at {now:?} instead of {created:?}"));
    }
    content(key, 0, Life::of(key), entry, asked)
}

fn written(key: usize, written: &Written, entry: &Entry, asked: Asked) -> Option<String> {
    let (earliest, latest) = written.between;
    let expected = earliest.saturating_sub(TOLERANCE)..=latest + TOLERANCE;
    match created_at(entry) {
        Some(created) if !expected.contains(&created) => {
            Some(format!("was created at {created} instead of {earliest} to {latest}"))
        }
        _ => content(key, written.seed, written.life, entry, asked),
    }
}

fn created_at(entry: &Entry) -> Option<u64> {
    entry.metadata.lifespan.map(|lifespan| lifespan.since)
}

fn content(key: usize, seed: u64, life: Life, entry: &Entry, asked: Asked) -> Option<String> {
    let seconds = |lifetime: Option<client::Lifetime>| lifetime.map(|lifetime| lifetime.seconds);
    let lives = (seconds(entry.metadata.lifespan), seconds(entry.metadata.max_idle));
    if lives != life.seconds() {
        return Some(format!("lives {lives:?} seconds instead of {:?}", life.seconds()));
    }
    let ends = created_at(entry).and_then(|created| life.ends(created));
    if let Some(end) = ends.filter(|end| end + TOLERANCE < asked.begin) {
        return Some(format!("is there {} ms after its end", asked.begin - end));
    }
    let expected = value(key, seed);
    (entry.value != expected).then(|| {
        let (found, expected) = (entry.value.len(), expected.len());
        format!("has another value, of {found} bytes instead of {expected}")
    })
}

/// Returns whether an entry of the source was last used when it must have been.
pub(super) fn last_use(noted: &Noted, metadata: &Metadata) -> Option<String> {
    let now = metadata.max_idle.map(|max_idle| max_idle.since);
    let right = match (noted.last_used, now) {
        (None, None) => true,
        (Some(then), Some(now)) if noted.read => now + TOLERANCE >= then,
        (Some(then), Some(now)) => now.abs_diff(then) <= TOLERANCE,
        (None, Some(_)) | (Some(_), None) => false,
    };
    (!right).then(|| format!("was last used at {now:?} instead of {:?}", noted.last_used))
}

#[cfg(test)]
mod tests {
    //! What is a difference, and what is none.

    use client::{Bytes, Lifetime};

    use super::*;

    /// Keys of each life: see [`Life::of`].
    const IMMORTAL: usize = 0;
    const LIFESPAN: usize = 8;
    const MAX_IDLE: usize = 12;
    const SHORT: usize = 19;

    const NOTED: Noted =
        Noted { version: 7, created: Some(10_000), last_used: Some(10_000), read: false };

    fn entry(key: usize, created: u64) -> Entry {
        let (lifespan, max_idle) = Life::of(key).seconds();
        let since = |since| move |seconds| Lifetime { since, seconds };
        let lifespan = lifespan.map(since(created));
        let max_idle = max_idle.map(since(created));
        let metadata = Metadata { lifespan, max_idle, version: 7 };
        Entry { metadata, value: Bytes::from(value(key, 0)) }
    }

    fn difference(key: usize, expected: Expected, entry: Option<&Entry>, at: u64) -> bool {
        let mut tally = Tally::default();
        compare(key, &expected, entry, Asked { begin: at, end: at }, &mut tally);
        assert_eq!(tally.checked, 1);
        !tally.differences.is_empty()
    }

    #[test]
    fn an_entry_of_the_source_must_be_as_it_was() {
        let untouched = || Expected::Untouched(NOTED);
        let as_it_was = entry(LIFESPAN, 10_000);
        assert!(!difference(LIFESPAN, untouched(), Some(&as_it_was), 20_000));
        assert!(difference(LIFESPAN, untouched(), None, 20_000), "missing");
        assert!(difference(LIFESPAN, untouched(), Some(&entry(LIFESPAN, 11_001)), 20_000), "moved");
        let other = Entry { value: Bytes::from_static(b"other"), metadata: as_it_was.metadata };
        assert!(difference(LIFESPAN, untouched(), Some(&other), 20_000), "another value");
        let mut other = as_it_was.clone();
        other.metadata.version = 8;
        assert!(difference(LIFESPAN, untouched(), Some(&other), 20_000), "another version");
        let mut other = as_it_was;
        other.metadata.lifespan = None;
        assert!(difference(LIFESPAN, untouched(), Some(&other), 20_000), "immortal");
        assert!(difference(IMMORTAL, Expected::Removed, Some(&entry(IMMORTAL, 0)), 20_000), "back");
    }

    #[test]
    fn an_entry_ends_when_it_must_and_not_before() {
        let untouched = || Expected::Untouched(NOTED);
        let found = entry(SHORT, 10_000);
        assert!(difference(SHORT, untouched(), None, 10_500), "it lives until 12,000");
        assert!(!difference(SHORT, untouched(), None, 12_000));
        assert!(!difference(SHORT, untouched(), Some(&found), 12_500), "a second may be cut off");
        assert!(difference(SHORT, untouched(), Some(&found), 13_001));
        let between = (10_000, 10_100);
        let written = || Expected::Written(Written { seed: 0, life: Life::Short, between });
        assert!(difference(SHORT, written(), None, 10_500));
        assert!(!difference(SHORT, written(), Some(&found), 10_500));
        assert!(difference(SHORT, written(), Some(&entry(SHORT, 12_000)), 12_500), "moved");
    }

    #[test]
    fn a_last_use_moves_only_by_reading() {
        let metadata = |since| entry(MAX_IDLE, since).metadata;
        let noted = Noted { created: None, ..NOTED };
        assert_eq!(last_use(&noted, &metadata(11_000)), None);
        assert!(last_use(&noted, &metadata(11_001)).is_some());
        let read = Noted { read: true, ..noted };
        assert_eq!(last_use(&read, &metadata(99_000)), None);
        assert!(last_use(&read, &metadata(8_000)).is_some(), "it never goes back");
    }
}
