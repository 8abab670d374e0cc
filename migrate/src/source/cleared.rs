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

impl SourceConnection {
    /// A client clears the cache from now on.
    pub(crate) fn clear_begins(&self) {
        let began = self.agreement.clock().now();
        *self.clear.lock() = Some(ClearedAt { began, ended: None, had: None });
    }

    /// A client has cleared the cache. The source is asked how many entries it has.
    pub(crate) fn clear_ended(self: &Arc<Self>) {
        let ended = self.agreement.clock().now();
        let known = match &mut *self.clear.lock() {
            Some(clear) => {
                clear.ended = Some(ended);
                *clear
            }
            None => return,
        };
        let asking = Arc::clone(self);
        self.spawn(async move {
            let had = asking.size_within(PATIENCE).await.ok();
            // Another client may have cleared it again meanwhile.
            let mut clear = asking.clear.lock();
            if *clear == Some(known) {
                *clear = Some(ClearedAt { had, ..known });
            }
        });
    }

    /// When a client has last cleared the cache. At any time, if that was over an earlier connection which this one
    /// continues, or before a restart.
    pub(crate) fn cleared_at(&self) -> ClearedAt {
        let unknown = ClearedAt { began: Timestamp::default(), ended: None, had: None };
        self.clear.lock().unwrap_or(unknown)
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
}
