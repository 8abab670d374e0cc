//! What the source is known to have had: an entry that it gives instead of that was certainly written since.

use media::hash;
use store::Standing;

use super::SourceConnection;

/// What the source had under a key at some time since the connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Had {
    /// An entry of this version.
    Version(u64),
    /// Nothing.
    Nothing,
}

impl Had {
    /// Returns whether an entry of this version was written since.
    pub(super) fn is_before(self, version: u64) -> bool {
        match self {
            // Where versions are not reported, they are all 0.
            Self::Version(had) => had != 0 && version != 0 && had != version,
            Self::Nothing => true,
        }
    }
}

impl SourceConnection {
    /// What the source is known to have had under a key, over this connection.
    pub(super) fn had(&self, key: &[u8]) -> Option<Had> {
        if self.cache.continues_earlier() {
            // Or over an earlier one.
            return None;
        }
        let now = self.agreement.clock().now();
        let had = self.cache.inspect(key, now, |standing| match standing {
            Standing::Imported(entry) | Standing::Overdue(entry) => {
                Some(Had::Version(entry.metadata().version.0))
            }
            Standing::Unknown => Some(Had::Nothing),
            Standing::Local(_) | Standing::Tombstone => None,
        });
        had.filter(|had| *had != Had::Nothing || self.is_all_known_of(key))
    }

    /// Returns whether everything that the source had of the segment of this key is here, or is known to have been.
    fn is_all_known_of(&self, key: &[u8]) -> bool {
        let Some(link) = self.link() else { return false };
        let is_complete = link.complete.contains(link.space.segment_of(hash::hash(key)));
        let has_gone = || {
            let forgets = self.agreement.see(|metadata| {
                let known = metadata.cache(self.cache.name().as_str());
                known
                    .and_then(|known| known.connection.as_ref())
                    .is_none_or(|it| it.forgets || it.cleared)
            });
            forgets
                || self.cache.evicted_imported() > 0
                || self.cache.may_have_removed(key)
                || self.cache.may_have_been_written(key)
        };
        is_complete && !has_gone()
    }
}

#[cfg(test)]
mod tests {
    //! What a version says.

    use super::*;

    #[test]
    fn an_entry_is_new_if_there_was_another_one_or_none() {
        assert!(Had::Nothing.is_before(7) && Had::Nothing.is_before(0));
        assert!(Had::Version(6).is_before(7));
        assert!(!Had::Version(7).is_before(7));
        assert!(!Had::Version(0).is_before(7) && !Had::Version(7).is_before(0), "not reported");
    }
}
