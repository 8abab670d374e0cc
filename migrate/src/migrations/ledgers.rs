//! What connections that have ended knew of entries of segments that they had not completed: a connection that goes
//! on with the last one counts them as what they are.

use std::{collections::HashMap, sync::Arc};

use cluster::Connection;
use config::CacheName;
use parking_lot::Mutex;
use store::{Container, Timestamp};

use crate::{ledger::Ledger, source::SourceConnection};

/// The ledger of the last connection of each cache, with the number of that connection.
#[derive(Clone, Default)]
pub(super) struct Ledgers(Arc<Mutex<HashMap<CacheName, (Timestamp, Ledger)>>>);

impl Ledgers {
    /// Keeps the ledger of a connection that has ended, and drops those of caches that are gone.
    pub(super) fn keep(&self, ended: &SourceConnection, container: &Container) {
        let left = ended.ledger().lock().left();
        let mut ledgers = self.0.lock();
        ledgers.retain(|cache, _| container.cache(cache.as_str()).is_some());
        ledgers.insert(ended.cache().name().clone(), (ended.since(), left));
    }

    /// Gives a connection that goes on with `past` what that has left.
    pub(super) fn go_on(&self, source: &SourceConnection, past: Option<&Connection>) {
        let left = self.0.lock().remove(source.cache().name());
        if let Some((since, left)) = left
            && past.is_some_and(|past| past.since == since)
        {
            *source.ledger().lock() = left;
        }
    }
}
