//! What connections that have ended knew of entries of segments that they had not completed: a connection that goes
//! on with the last one counts them as what they are.

use std::{collections::HashMap, sync::Arc};

use cluster::Connection;
use config::CacheName;
use parking_lot::Mutex;
use store::{Container, Timestamp};

use crate::{ledger::Ledger, migration::Migration};

/// What the last connection of each cache has left, with the number of that connection.
#[derive(Clone, Default)]
pub(super) struct Ledgers(Arc<Mutex<HashMap<CacheName, (Timestamp, Left)>>>);

/// What a connection has left for one that goes on with it.
pub(super) struct Left {
    pub(super) ledger: Ledger,
    /// Evicted entries that its verifications have looked for and found to be here again.
    pub(super) looked_for: u64,
}

impl Ledgers {
    /// Keeps what a connection that has ended leaves, and drops that of caches that are gone.
    pub(super) fn keep(&self, ended: &Migration, container: &Container) {
        let looked_for = ended.looked_for();
        let ended = ended.source();
        let left = Left { ledger: ended.ledger().lock().left(), looked_for };
        let mut ledgers = self.0.lock();
        ledgers.retain(|cache, _| container.cache(cache.as_str()).is_some());
        ledgers.insert(ended.cache().name().clone(), (ended.since(), left));
    }

    /// Returns what `past` has left for a connection that goes on with it. It is kept: if that connection cannot be
    /// stored, the next attempt needs it as well.
    pub(super) fn left_by(&self, cache: &CacheName, past: &Connection) -> Option<Left> {
        let ledgers = self.0.lock();
        let (since, left) = ledgers.get(cache)?;
        let looked_for = left.looked_for;
        (*since == past.since).then(|| Left { ledger: left.ledger.left(), looked_for })
    }
}

#[cfg(test)]
mod tests {
    //! What is left for the next connection.

    use store::SourceSpace;

    use super::*;
    use crate::{counts::Counts, ledger::Purpose, samples::connection};

    fn past(since: u64) -> Connection {
        connection(SourceSpace::Unit, Timestamp::from_millis(since))
    }

    #[test]
    fn an_attempt_that_fails_leaves_the_ledger_to_the_next_one() {
        let (cache, since): (CacheName, _) = ("orders".parse().unwrap(), Timestamp::from_millis(7));
        let (ledgers, mut ledger) = (Ledgers::default(), Ledger::default());
        let reading = |written, already_here| Counts {
            read: written + already_here,
            written,
            already_here,
            ..Counts::default()
        };
        ledger.applied(Purpose::Synchronization, 0, reading(5, 0));
        ledgers.0.lock().insert(cache.clone(), (since, Left { ledger, looked_for: 7 }));
        for attempt in 0..2 {
            let Left { ledger: mut left, looked_for } = ledgers.left_by(&cache, &past(7)).unwrap();
            assert_eq!(looked_for, 7);
            left.completed(Purpose::Synchronization, 0, reading(0, 5));
            assert_eq!(left.here().copied, 5, "attempt {attempt}");
        }
        assert!(ledgers.left_by(&cache, &past(8)).is_none(), "of another connection");
    }
}
