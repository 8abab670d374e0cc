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
    unit::{Asked, BATCH, Comparison, PAGE},
};
use crate::{
    read,
    source::{Doubt, PATIENCE},
    throttle::{Amount, Throttle, Turn},
};

/// Keys that are looked at again, of one walk. Any others are in doubt.
const MOST: usize = 4_096;

/// Times that they are looked at again: clients may put and remove a key again and again.
const LOOKS: usize = 2;

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
        let throttle = &self.shared.throttle;
        let iterate = Iterate {
            server,
            segments: segments.clone(),
            batch: throttle.batch(BATCH, None),
            with_metadata: false,
            keys_only: true,
        };
        let remote = connection.remote().with_timeout(PATIENCE);
        let mut iteration = hearing.wait(remote.iterate(iterate)).await.map_err(silent)?;
        connection.check_iteration(&mut iteration).await?;
        let mut again = Again::new(&wanted, segments.unwrap_or_default(), throttle);
        again.until_it_may_go_on().await;
        while let Some(item) = hearing.next(&mut iteration).await.map_err(silent)? {
            again.take(item);
            again.until_it_may_go_on().await;
        }
        let shown = again.end()?;
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
    /// How much may be read in this turn, and was.
    turn: Option<(Amount, Turn<'a>)>,
    read: Amount,
}

impl<'a> Again<'a> {
    fn new(wanted: &'a HashSet<&'a [u8]>, left: SegmentSet, throttle: &'a Throttle) -> Self {
        let (shown, read) = (HashSet::new(), Amount::default());
        Self { wanted, throttle, left, shown, turn: None, read }
    }

    async fn until_it_may_go_on(&mut self) {
        if self.turn.is_none() {
            let page = self.throttle.page(PAGE);
            self.turn = Some((page, self.throttle.any_turn(page).await));
        }
    }

    fn take(&mut self, item: Item) {
        let mut is_end_of_batch = false;
        match item {
            Item::Entry { key, value, .. } => {
                self.read += Amount { entries: 1, bytes: (key.len() + value.len()) as u64 };
                if self.wanted.contains(&key[..]) {
                    self.shown.insert(key);
                }
            }
            Item::Finished(finished) => {
                let left = self.left.iter().filter(|segment| !finished.contains(*segment));
                self.left = left.collect();
                is_end_of_batch = self.read.entries > 0;
            }
        }
        if let Some((_, turn)) =
            self.turn.take_if(|(page, _)| is_end_of_batch || self.read.fills(*page))
        {
            turn.took(std::mem::take(&mut self.read));
        }
    }

    /// The keys among those that are wanted that it has shown.
    fn end(self) -> Result<HashSet<Bytes>, Doubt> {
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
            again.until_it_may_go_on().await;
            again.take(item);
        }
        let shown = again.end().map_or(0, |shown| shown.len());
        // What was taken delays what comes next.
        throttle.any_turn(Amount::default()).await;
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
            again.take(Item::Finished(finished));
            assert_eq!(again.end().is_ok(), is_whole);
        }
    }
}
