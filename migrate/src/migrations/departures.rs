//! How caches were disconnected, for as long as this process lives.

use std::{collections::HashMap, sync::Arc};

use cluster::Connection;
use config::CacheName;
use parking_lot::Mutex;
use store::{Container, Timestamp};

use crate::status::Departure;

/// How the last connection of each cache was ended, with the number of that connection.
#[derive(Clone, Default)]
pub(super) struct Departures(Arc<Mutex<HashMap<CacheName, (Timestamp, Departure)>>>);

impl Departures {
    /// Notes how this connection was ended, and drops what is known of caches that are gone.
    pub(super) fn note(
        &self,
        cache: &CacheName,
        past: &Connection,
        departure: Departure,
        container: &Container,
    ) {
        let mut departures = self.0.lock();
        departures.retain(|cache, _| container.cache(cache.as_str()).is_some());
        departures.insert(cache.clone(), (past.since, departure));
    }

    /// Returns how this connection was ended.
    pub(super) fn of(&self, cache: &CacheName, past: &Connection) -> Option<Departure> {
        let departures = self.0.lock();
        let (since, departure) = departures.get(cache)?;
        (*since == past.since).then(|| departure.clone())
    }
}
