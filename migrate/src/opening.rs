//! A connection that is about to be made: what clients do until then may stand in its way.

use cluster::{Connection, Gap};
use store::{Beginning, Cache, Timestamp};

/// A connection that is about to be made.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) connection: Connection,
    /// How it begins.
    pub(crate) beginning: Beginning,
}

impl Opening {
    /// Looks again at what clients may have done while everything was looked at: of what they removed,
    /// nothing is remembered before the connection is made.
    ///
    /// # Errors
    ///
    /// If that stands in the way by now.
    pub(crate) fn settle(&mut self, cache: &Cache) -> Result<(), Gap> {
        let changed = cache.changed_since_disconnect();
        match self.beginning {
            Beginning::Unchanged if changed => return Err(Gap::ChangedSince),
            Beginning::Complete if changed => self.connection.forgets = true,
            Beginning::Anew | Beginning::Complete | Beginning::Unchanged => {}
        }
        // What stands here already would be lost with the process too.
        self.connection.marked |= self.connection.forgets || cache.local_len() > 0;
        Ok(())
    }

    /// What clients did just before the connection was there, as it is now: what stands in its way.
    pub(crate) fn overtaken(&self, cache: &Cache) -> Option<Gap> {
        let overtaken = self.beginning == Beginning::Unchanged && cache.changed_before_connect();
        overtaken.then_some(Gap::ChangedSince)
    }

    /// Returns whether a restart would lose something of clients, although the connection does not say so:
    /// they did it just before the connection was there.
    pub(crate) fn must_mark(&self, cache: &Cache) -> bool {
        let removed = self.beginning == Beginning::Complete && cache.changed_before_connect();
        !self.connection.marked && (removed || cache.local_len() > 0)
    }
}

/// The instant of a new connection, which is also its number: later than that of the last one, even if the
/// clock was set back.
pub(crate) fn since(now: Timestamp, past: Option<&Connection>) -> Timestamp {
    let after = |past: &Connection| Timestamp::from_millis(past.since.millis().saturating_add(1));
    past.map_or(now, |past| now.max(after(past)))
}

#[cfg(test)]
mod tests {
    //! Connections are told apart.

    use cluster::SourceIdentity;
    use config::RemoteStoreConfig;
    use store::{Coverage, SourceSpace};

    use super::*;

    #[test]
    fn each_connection_of_a_cache_has_a_number_of_its_own() {
        let at = Timestamp::from_millis;
        let past = |millis| Connection {
            remote: RemoteStoreConfig::new(Vec::new()),
            space: SourceSpace::Unit,
            identity: SourceIdentity::default(),
            since: at(millis),
            complete: Coverage::none(1),
            marked: false,
            cleared: false,
            forgets: false,
            imported: None,
        };
        assert_eq!(since(at(1_000), None), at(1_000));
        assert_eq!(since(at(1_000), Some(&past(900))), at(1_000));
        assert_eq!(since(at(1_000), Some(&past(1_000))), at(1_001));
        assert_eq!(since(at(1_000), Some(&past(5_000))), at(5_001), "the clock was set back");
    }
}
