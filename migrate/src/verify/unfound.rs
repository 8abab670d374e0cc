//! Looks a second time at keys that a walk has shown and that the source did not find by key.
//!
//! Clients of the source remove entries all the time, also between its walk and the question. A source that does not
//! find by key what it has looks the same, and may have entries that nobody can ask it for. A second walk tells them
//! apart: it shows only what is still there.

use std::collections::HashSet;

use client::{Bytes, ClientError, Item, Iterate, SegmentSet};
use media::hash;
use store::{EntryMetadata, SourceSpace};

use super::{
    judge::Verdict,
    unit::{Asked, Comparison},
};
use crate::{
    read,
    source::{Doubt, PATIENCE},
    throttle::Throttle,
};

/// Keys that are looked at again, of one walk. Any others are in doubt.
const MOST: usize = 4_096;

/// Times that they are looked at again: clients may put and remove a key again and again.
const LOOKS: usize = 2;

/// Entries of a walk that the throttle counts together.
const PAGE: u64 = 1_000;

/// Bytes that it counts together, about.
const PAGE_BYTES: u64 = 256 * 1024;

/// A key that the source has shown, with this metadata, and has not found by key. As far as its clock is known, it has
/// not ended by itself.
pub(super) type Unfound = (Bytes, EntryMetadata);

impl Comparison {
    /// Keeps more keys for the second look, or counts them as not found if they are too many.
    pub(super) fn keep_unfound(&self, kept: &mut Vec<Unfound>, more: Vec<Unfound>) {
        for unfound in more {
            match kept.len() < MOST {
                true => kept.push(unfound),
                false => self.count_unfound(&unfound),
            }
        }
    }

    /// Looks again for keys that a walk has shown. Those that another walk does not show were removed at the source.
    pub(super) async fn look_again(&self, mut unfound: Vec<Unfound>) -> Result<(), Doubt> {
        for _ in 0..LOOKS {
            if unfound.is_empty() {
                return Ok(());
            }
            let shown = self.shown_again(&unfound).await?;
            let (again, gone) = part(unfound, &shown);
            for (key, _) in &gone {
                self.note(|report| report.count(&key[..], Verdict::Expired));
            }
            let ask = |(key, shown)| Asked { key, shown: Some(shown), bytes: 0 };
            unfound = self.ask_again(again.into_iter().map(ask).collect()).await?;
        }
        unfound.iter().for_each(|unfound| self.count_unfound(unfound));
        Ok(())
    }

    fn count_unfound(&self, (key, _): &Unfound) {
        self.note(|report| {
            report.count(&key[..], Verdict::Expired);
            report.not_found += 1;
        });
    }

    /// The keys among these that another walk over their segments shows.
    async fn shown_again(&self, unfound: &[Unfound]) -> Result<HashSet<Bytes>, Doubt> {
        let connection = &self.connection;
        let wanted: HashSet<&[u8]> = unfound.iter().map(|(key, _)| &key[..]).collect();
        let segments = match (&self.unit.segments, self.space) {
            (Some(_), SourceSpace::Segments(_)) => {
                let of = |key: &&[u8]| self.space.segment_of(hash::hash(key)).0;
                Some(wanted.iter().map(of).collect::<SegmentSet>())
            }
            (None, _) | (_, SourceSpace::Unit) => None,
        };
        let server = segments.as_ref().and_then(|_| read::server(connection, &self.unit));
        let hearing = connection.hearing(&self.walker, server.clone(), None);
        let silent = |error: ClientError| Doubt::Silent(hearing.failed(&error));
        let iterate =
            Iterate { server, segments: segments.clone(), keys_only: true, ..Iterate::default() };
        let remote = connection.remote().with_timeout(PATIENCE);
        let mut iteration = hearing.wait(remote.iterate(iterate)).await.map_err(silent)?;
        connection.check_iteration(&mut iteration).await?;
        let mut again = Again::new(&wanted, segments.unwrap_or_default(), &self.shared.throttle);
        while let Some(item) = hearing.next(&mut iteration).await.map_err(silent)? {
            again.take(item).await;
        }
        let shown = again.end().await?;
        connection.confirm_iteration(&mut iteration).await?;
        let _ = iteration.end().await;
        Ok(shown)
    }
}

/// A second walk over some segments, as fast as it may be.
struct Again<'a> {
    wanted: &'a HashSet<&'a [u8]>,
    throttle: &'a Throttle,
    /// Segments that are not finished.
    left: SegmentSet,
    shown: HashSet<Bytes>,
    /// Entries and bytes that the throttle has not heard of.
    read: u64,
    bytes: u64,
}

impl<'a> Again<'a> {
    fn new(wanted: &'a HashSet<&'a [u8]>, left: SegmentSet, throttle: &'a Throttle) -> Self {
        Self { wanted, throttle, left, shown: HashSet::new(), read: 0, bytes: 0 }
    }

    async fn take(&mut self, item: Item) {
        match item {
            Item::Entry { key, value, .. } => {
                self.read += 1;
                self.bytes += (key.len() + value.len()) as u64;
                if self.wanted.contains(&key[..]) {
                    self.shown.insert(key);
                }
            }
            Item::Finished(finished) => {
                let left = self.left.iter().filter(|segment| !finished.contains(*segment));
                self.left = left.collect();
            }
        }
        // Keys may be long.
        if self.read >= PAGE || self.bytes >= PAGE_BYTES {
            self.throttle().await;
        }
    }

    async fn throttle(&mut self) {
        let (read, bytes) = (std::mem::take(&mut self.read), std::mem::take(&mut self.bytes));
        self.throttle.take(read, bytes).await;
    }

    /// The keys among those that are wanted that it has shown.
    async fn end(mut self) -> Result<HashSet<Bytes>, Doubt> {
        self.throttle().await;
        if self.left.iter().next().is_some() {
            let early = "the source ended an iteration without all of its segments";
            return Err(Doubt::Silent(early.into()));
        }
        Ok(self.shown)
    }
}

/// Parts keys that were shown again from those that were not.
fn part(unfound: Vec<Unfound>, shown: &HashSet<Bytes>) -> (Vec<Unfound>, Vec<Unfound>) {
    unfound.into_iter().partition(|(key, _)| shown.contains(key))
}

#[cfg(test)]
mod tests {
    //! What a second walk shows, and how long it takes.

    use tokio::time::Instant;

    use super::*;
    use crate::throttle::Rates;

    fn entry(key: Vec<u8>) -> Item {
        Item::Entry { key: key.into(), value: Bytes::new(), metadata: None }
    }

    /// Keys that are shown of those that are wanted, and the seconds that it takes at these rates.
    async fn shown(rates: Rates, items: impl IntoIterator<Item = Item>) -> (usize, u64) {
        let (begun, throttle) = (Instant::now(), Throttle::new(rates));
        let wanted = HashSet::from([&b"wanted"[..], b"gone"]);
        let mut again = Again::new(&wanted, SegmentSet::default(), &throttle);
        for item in items {
            again.take(item).await;
        }
        let shown = again.end().await;
        let shown = shown.map_or(0, |shown| shown.len());
        // What was taken delays what comes next.
        throttle.take(1, 0).await;
        (shown, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_walk_keeps_to_the_rates_however_short_it_is_and_however_long_its_keys_are() {
        let few = || (0..19).map(|_| entry(b"other".to_vec())).chain([entry(b"wanted".to_vec())]);
        let entries = Rates { entries_per_second: Some(10), ..Rates::default() };
        assert_eq!(shown(entries, few()).await, (1, 2));
        let bytes = Rates { bytes_per_second: Some(100_000), ..Rates::default() };
        let long = (0..20).map(|_| entry(vec![7; 60_000]));
        let (none, seconds) = shown(bytes, long).await;
        assert_eq!((none, seconds), (0, 12));
    }

    #[tokio::test]
    async fn a_walk_that_leaves_out_a_segment_has_not_ended() {
        let (wanted, throttle) = (HashSet::new(), Throttle::new(Rates::default()));
        let both: SegmentSet = [1, 2].into_iter().collect();
        let one: SegmentSet = [1].into_iter().collect();
        for (finished, is_whole) in [(both.clone(), true), (one, false)] {
            let mut again = Again::new(&wanted, both.clone(), &throttle);
            again.take(Item::Finished(finished)).await;
            assert_eq!(again.end().await.is_ok(), is_whole);
        }
    }
}
