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
        // What stands here already would be lost with the process too. If the connection begins anew, all of it is
        // a client's.
        let own = match self.beginning {
            Beginning::Anew => cache.approximate_len(),
            Beginning::Complete | Beginning::Unchanged => cache.local_len(),
        };
        self.connection.marked |= self.connection.forgets || own > 0;
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

/// When a connection was made, by its number; the beginning of time if that tells nothing, because the clock was set
/// back before it was made, or since.
pub(crate) fn made(
    connection: &Connection,
    past: Option<&Connection>,
    now: Timestamp,
) -> Timestamp {
    let is_counted =
        past.is_some_and(|past| since(Timestamp::default(), Some(past)) == connection.since);
    if is_counted || connection.since > now { Timestamp::default() } else { connection.since }
}

#[cfg(test)]
mod tests {
    //! Connections are told apart.

    use store::SourceSpace;

    use super::*;
    use crate::samples::connection;

    fn past(millis: u64) -> Connection {
        connection(SourceSpace::Unit, Timestamp::from_millis(millis))
    }

    #[test]
    fn each_connection_of_a_cache_has_a_number_of_its_own() {
        let at = Timestamp::from_millis;
        assert_eq!(since(at(1_000), None), at(1_000));
        assert_eq!(since(at(1_000), Some(&past(900))), at(1_000));
        assert_eq!(since(at(1_000), Some(&past(1_000))), at(1_001));
        assert_eq!(since(at(1_000), Some(&past(5_000))), at(5_001), "the clock was set back");
    }

    #[test]
    fn a_number_that_was_only_counted_on_tells_no_time() {
        let made = |connection, before: Option<&Connection>, now| {
            made(&past(connection), before, Timestamp::from_millis(now)).millis()
        };
        assert_eq!(made(1_000, None, 9_000), 1_000);
        assert_eq!(made(1_000, Some(&past(900)), 9_000), 1_000);
        assert_eq!(made(5_001, Some(&past(5_000)), 9_000), 0, "the clock was set back before it");
        assert_eq!(made(5_000, None, 2_000), 0, "or since");
    }
}
