//! What is known of the last CLEAR of a client: which entries of the source it has removed here, and which the source
//! got later.

use std::sync::Arc;

use store::Timestamp;

use super::{PATIENCE, SourceConnection};

/// What is known of a client's CLEAR while the source is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClearedAt {
    /// When it began, at the earliest.
    pub(crate) began: Timestamp,
    /// When it was over; `None` if that is not known.
    pub(crate) ended: Option<Timestamp>,
    /// Entries that the source had after that: an upper bound for the entries that the CLEAR has removed here and
    /// that the source still has.
    pub(crate) had: Option<u64>,
}

impl ClearedAt {
    /// Whether the CLEAR has removed an entry that the source created at this instant, which may be wrong by
    /// `uncertainty` milliseconds; `None` if that cannot be told.
    pub(crate) fn has_removed(
        &self,
        created: Option<Timestamp>,
        uncertainty: Option<u64>,
    ) -> Option<bool> {
        let (created, uncertainty) = (created?.millis(), uncertainty?);
        if created.saturating_add(uncertainty) < self.began.millis() {
            return Some(true);
        }
        let is_later = |ended: Timestamp| created.saturating_sub(uncertainty) > ended.millis();
        self.ended.is_some_and(is_later).then_some(false)
    }
}

/// The CLEARs of clients that this process has carried out, of which several may be under way at the same time.
#[derive(Debug, Default)]
pub(crate) struct Clears {
    under_way: usize,
    /// Whether any has come to its end while others were under way.
    has_ended: bool,
    /// The last one that began. It is over when none is under way any more.
    last: Option<ClearedAt>,
}

impl Clears {
    fn begin(&mut self, now: Timestamp) {
        self.under_way += 1;
        self.last = Some(ClearedAt { began: now, ended: None, had: None });
    }

    /// One has come to its end. Returns the last one if none is under way any more.
    fn end(&mut self, now: Timestamp) -> Option<ClearedAt> {
        self.has_ended = true;
        self.stop(now)
    }

    /// One has failed, after it had removed some entries.
    fn give_up(&mut self, now: Timestamp) {
        self.stop(now);
    }

    fn stop(&mut self, now: Timestamp) -> Option<ClearedAt> {
        self.under_way = self.under_way.saturating_sub(1);
        if self.under_way > 0 || !std::mem::take(&mut self.has_ended) {
            return None;
        }
        let last = self.last.as_mut()?;
        last.ended = Some(now);
        Some(*last)
    }
}

/// A CLEAR of a client that is under way. If it is dropped before its end, it has failed.
#[must_use = "when it has ended is not known otherwise"]
pub(crate) struct ClearUnderWay(Option<Arc<SourceConnection>>);

impl ClearUnderWay {
    /// The cache is cleared. The source is asked how many entries it has.
    pub(crate) fn end(mut self) {
        if let Some(source) = self.0.take() {
            source.clear_ended();
        }
    }
}

impl Drop for ClearUnderWay {
    fn drop(&mut self) {
        if let Some(source) = &self.0 {
            source.clears.lock().give_up(source.agreement.clock().now());
        }
    }
}

impl SourceConnection {
    /// A client clears the cache from now on.
    pub(crate) fn clear_begins(self: &Arc<Self>) -> ClearUnderWay {
        self.clears.lock().begin(self.agreement.clock().now());
        ClearUnderWay(Some(Arc::clone(self)))
    }

    fn clear_ended(self: &Arc<Self>) {
        let ended = self.clears.lock().end(self.agreement.clock().now());
        let Some(known) = ended else { return };
        let asking = Arc::clone(self);
        self.spawn(async move {
            let had = asking.size_within(PATIENCE).await.ok();
            // Another client may have cleared it again meanwhile.
            let mut clears = asking.clears.lock();
            if clears.last == Some(known) {
                clears.last = Some(ClearedAt { had, ..known });
            }
        });
    }

    /// When a client has last cleared the cache. At any time, if that was over an earlier connection which this one
    /// continues, or before a restart.
    pub(crate) fn cleared_at(&self) -> ClearedAt {
        let unknown = ClearedAt { began: Timestamp::default(), ended: None, had: None };
        self.clears.lock().last.unwrap_or(unknown)
    }
}

#[cfg(test)]
mod tests {
    //! Which entries a CLEAR has removed.

    use super::*;

    #[test]
    fn an_entry_is_cleared_if_it_was_surely_there_before_and_new_if_it_surely_was_not() {
        let at = |millis| Some(Timestamp::from_millis(millis));
        let clear = ClearedAt { began: at(10_000).unwrap(), ended: at(11_000), had: None };
        for (created, uncertainty, expected) in [
            (9_000, Some(999), Some(true)),
            (9_000, Some(1_000), None),
            (10_500, Some(0), None),
            (12_000, Some(1_000), None),
            (12_000, Some(999), Some(false)),
            (12_000, None, None),
            (1, None, None),
        ] {
            assert_eq!(clear.has_removed(at(created), uncertainty), expected, "{created}");
        }
        assert_eq!(clear.has_removed(None, Some(0)), None);
        let unknown = ClearedAt { ended: None, ..clear };
        assert_eq!(unknown.has_removed(at(90_000), Some(0)), None, "when it ended is not known");
    }

    #[test]
    fn clears_at_the_same_time_are_over_when_the_last_of_them_is() {
        let at = Timestamp::from_millis;
        let mut clears = Clears::default();
        clears.begin(at(1));
        clears.begin(at(2));
        assert_eq!(clears.end(at(3)), None, "the other one goes on");
        assert_eq!(clears.last.unwrap().ended, None);
        let over = ClearedAt { began: at(2), ended: Some(at(4)), had: None };
        assert_eq!(clears.end(at(4)), Some(over));
        clears.begin(at(5));
        clears.begin(at(6));
        clears.give_up(at(6));
        assert_eq!(clears.end(at(7)).unwrap().ended, Some(at(7)), "the other one has failed");
        clears.begin(at(8));
        clears.begin(at(9));
        assert_eq!(clears.end(at(10)), None, "the longer one goes on");
        clears.give_up(at(11));
        let over = ClearedAt { began: at(9), ended: Some(at(11)), had: None };
        assert_eq!(clears.last, Some(over), "the longer one has failed");
        clears.begin(at(12));
        clears.give_up(at(13));
        assert_eq!(clears.last.unwrap().ended, None, "none has come to its end");
    }
}
