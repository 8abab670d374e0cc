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
};

/// Keys that are looked at again, of one walk. Any others are in doubt.
const MOST: usize = 4_096;

/// Times that they are looked at again: clients may put and remove a key again and again.
const LOOKS: usize = 2;

/// Entries of a walk that the throttle counts together.
const PAGE: u64 = 1_000;

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
        let hearing = connection.hearing(server.clone(), None);
        let silent = |error: ClientError| Doubt::Silent(hearing.failed(&error));
        let iterate =
            Iterate { server, segments: segments.clone(), keys_only: true, ..Iterate::default() };
        let remote = connection.remote().with_timeout(PATIENCE);
        let mut iteration = hearing.wait(remote.iterate(iterate)).await.map_err(silent)?;
        connection.check_iteration(&mut iteration).await?;
        let (mut left, mut shown) = (segments.unwrap_or_default(), HashSet::new());
        let (mut read, mut bytes) = (0, 0);
        while let Some(item) = hearing.next(&mut iteration).await.map_err(silent)? {
            match item {
                Item::Entry { key, value, .. } => {
                    (read, bytes) = (read + 1, bytes + key.len() + value.len());
                    if wanted.contains(&key[..]) {
                        shown.insert(key);
                    }
                }
                Item::Finished(finished) => {
                    left = left.iter().filter(|segment| !finished.contains(*segment)).collect();
                }
            }
            if read >= PAGE {
                self.shared.throttle.take(read, bytes as u64).await;
                (read, bytes) = (0, 0);
            }
        }
        if left.iter().next().is_some() {
            let early = "the source ended an iteration without all of its segments";
            return Err(Doubt::Silent(early.into()));
        }
        connection.confirm_iteration(&mut iteration).await?;
        let _ = iteration.end().await;
        Ok(shown)
    }
}

/// Parts keys that were shown again from those that were not.
fn part(unfound: Vec<Unfound>, shown: &HashSet<Bytes>) -> (Vec<Unfound>, Vec<Unfound>) {
    unfound.into_iter().partition(|(key, _)| shown.contains(key))
}
