//! Disconnecting a cache from its source, and what is in the way.

use std::time::Duration;

use cluster::{MetaCommand, MetaError, ProposeError};
use config::CacheName;
use store::{Cache, CacheError};

use super::{CONNECTED_AGAIN, MigrationError, Migrations};
use crate::{
    loss::{DisconnectRule, Losses, Reason, listed},
    overdue,
    status::Departure,
};

/// Longest time that the source is asked for entries whose time is over here.
const PATIENCE: Duration = Duration::from_secs(10);

/// A cache that has been disconnected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disconnected {
    /// What was lost, or may have been, because the operator has forced it.
    pub left_behind: Vec<String>,
    /// What the operator should know although nothing is known to be lost.
    pub notices: Vec<String>,
}

impl Migrations {
    /// Disconnects a cache from its source. When this returns, nothing is asked of the source any more. A
    /// cache that was disconnected before stays so, and how it was disconnected is said again.
    ///
    /// # Errors
    ///
    /// If the rule does not allow it; or if the cache was never connected.
    pub async fn disconnect(
        &self,
        name: &CacheName,
        rule: DisconnectRule,
    ) -> Result<Disconnected, MigrationError> {
        let cache = self.cache(name)?;
        let _alone = self.changing.alone(name).await;
        if let Some(migration) = self.sources.of(&cache).filter(|_| rule != DisconnectRule::Force) {
            migration.source().settle_servers().await;
        }
        let mut losses = self.losses(&cache);
        if rule == DisconnectRule::Force || losses.blockers.is_empty() {
            let overdue = self.settle_overdue(&cache).await;
            // That may have taken seconds, in which other things came to light.
            losses = self.losses(&cache);
            losses.doubts.extend(overdue.map(Reason::from));
        }
        let blockers = losses.all_blockers();
        let doubts = if rule == DisconnectRule::Strict { losses.all_doubts() } else { Vec::new() };
        if rule != DisconnectRule::Force && !(blockers.is_empty() && doubts.is_empty()) {
            for reason in blockers.iter().chain(&doubts) {
                tracing::warn!(cache = %name, "not disconnected: {reason}");
            }
            let cache = name.clone();
            return Err(MigrationError::WouldLose { cache, blockers, doubts });
        }
        let is_verified = losses.is_none();
        let here = self.facts(&cache, |facts| facts.here());
        if let Some(migration) = self.sources.of(&cache) {
            // A connection that continues this one compares with it.
            migration.source().keep_count().await;
            match migration.source().record_at_end().await {
                // A later connection would not know of them.
                Err(error @ ProposeError::NotStored(_)) if rule != DisconnectRule::Force => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(cache = %name, %error, "not recorded which servers of the source have gone");
                }
                Ok(()) => {}
            }
        }
        match self
            .agreement
            .propose_for(&cache, MetaCommand::Disconnect { cache: name.clone() })
            .await
        {
            Ok(()) => {}
            Err(ProposeError::Refused(MetaError::NotConnected(_))) => {
                let ever = |known: &cluster::CacheMetadata| known.past.is_some();
                let was =
                    self.agreement.see(|metadata| metadata.cache(name.as_str()).is_some_and(ever));
                return if was {
                    self.disconnected_before(&cache, rule)
                } else {
                    Err(MigrationError::NotConnected(name.clone()))
                };
            }
            Err(error) => {
                if let Some(migration) = self.sources.of(&cache) {
                    migration.source().stay().await;
                }
                return Err(error.into());
            }
        }
        if let Some(migration) = self.sources.remove(name) {
            migration.end().await;
            self.ledgers.keep(&migration, self.agreement.container());
        }
        tracing::info!(cache = %name, "disconnected");
        let Disconnected { left_behind, mut notices } = Disconnected::after(rule, losses);
        for left in &left_behind {
            tracing::warn!(cache = %name, "disconnected by force, and left behind: {left}");
        }
        for notice in &notices {
            tracing::warn!(cache = %name, "disconnected, although {notice}");
        }
        if cache.config().remote_store.is_some() && !self.agreement.is_durable() {
            notices.push(CONNECTED_AGAIN.to_owned());
        }
        let past = self.agreement.see(|metadata| metadata.cache(name.as_str())?.past.clone());
        if let Some(past) = past {
            let (left_behind, notices) = (left_behind.clone(), notices.clone());
            let departure = Departure { verified: is_verified, left_behind, notices, here };
            self.departures.note(name, &past, departure, self.agreement.container());
        }
        let migrations = self.clone();
        self.tasks.spawn(async move { migrations.forget_tombstones(&cache).await });
        Ok(Disconnected { left_behind, notices })
    }

    /// Says how a cache was disconnected that is to be disconnected once more. Whoever asks for a strict disconnect wants
    /// to know that everything of the source is here.
    ///
    /// # Errors
    ///
    /// If the rule is strict, and that was not so, or is not known.
    fn disconnected_before(
        &self,
        cache: &Cache,
        rule: DisconnectRule,
    ) -> Result<Disconnected, MigrationError> {
        let (lost, departure) = self.facts(cache, |facts| (facts.lost(), facts.departure.cloned()));
        let is_proven = lost.is_none() && departure.as_ref().is_some_and(|how| how.verified);
        let how = match (lost, &departure) {
            (Some(lost), _) => format!("it was disconnected before, and {lost}"),
            (None, Some(how)) => format!("it was disconnected before, {}", how.text()),
            (None, None) => {
                "it was disconnected before this server was started, and how is not known any more"
                    .to_owned()
            }
        };
        if rule == DisconnectRule::Strict && !is_proven {
            let text = format!("cache {} is not connected, and not proven: {how}", cache.name());
            return Err(MigrationError::NotNow(text));
        }
        Ok(Disconnected { left_behind: Vec::new(), notices: vec![how] })
    }

    /// Asks the source a last time for entries whose time is over here: clients that have not moved yet may keep
    /// them alive there, and without a source they have ended. Says so if it is not known of all of them.
    async fn settle_overdue(&self, cache: &Cache) -> Option<String> {
        let migration = self.sources.of(cache)?;
        let source = migration.source();
        let mut full = None;
        if source.is_believed() {
            let segments: Vec<_> = cache.segment_ids().collect();
            let settling = overdue::settle_all(source, &segments);
            match tokio::time::timeout(PATIENCE, settling).await {
                // Where reads go without a source that is silent, it may have said nothing.
                Ok(Ok(_)) if !source.reads_without() => return None,
                Ok(Err(error @ CacheError::OutOfMemory { .. })) => full = Some(error),
                _ => {}
            }
        }
        let left = overdue::count(source).await;
        (left > 0).then(|| match full {
            Some(error) => format!(
                "the source still has entries whose time is over here, and they do not fit in: {error}. Up to \
                 {left} entries end now"
            ),
            None => format!(
                "the source does not say whether {left} entries live on whose time is over here: they end now"
            ),
        })
    }
}

impl Migrations {
    /// What is lost when this process ends, cache by cache: entries live in memory, and after a migration
    /// nowhere else.
    #[must_use]
    pub fn lost_with_process(&self) -> Vec<String> {
        let known: Vec<(CacheName, Option<bool>)> = self.agreement.see(|metadata| {
            let tied = metadata
                .caches()
                .filter(|(_, known)| known.connection.is_some() || known.past.is_some());
            let marked = |known: &cluster::CacheMetadata| Some(known.connection.as_ref()?.marked);
            tied.map(|(name, known)| (name.clone(), marked(known))).collect()
        });
        known.into_iter().filter_map(|(name, marked)| self.lost_of(&name, marked)).collect()
    }

    /// The same of one cache. `marked` says whether clients have changed it, if it is connected.
    fn lost_of(&self, name: &CacheName, marked: Option<bool>) -> Option<String> {
        let cache = self.agreement.container().cache(name.as_str())?;
        // What was lost before is not lost again.
        cache.check_served().ok()?;
        let entries = cache.approximate_len();
        match marked {
            // The source still has everything.
            Some(false) => None,
            Some(true) => {
                // Those that an earlier connection has brought in are among them: this source may be another one.
                let (ours, removed) = (cache.local_len(), cache.tombstones());
                let entries = if ours == 1 { "entry" } else { "entries" };
                let keys = if removed == 1 { "key" } else { "keys" };
                Some(format!(
                    "cache {name} is connected, and its source does not know what clients have written or removed \
                     here: it is lost with this process ({ours} {entries} that the source may not have, {removed} \
                     removed {keys})"
                ))
            }
            None if entries == 0 => None,
            None => Some(format!(
                "cache {name} was taken over from a source: {} lost with this process",
                if entries == 1 {
                    "its 1 entry is".into()
                } else {
                    format!("its {entries} entries are")
                }
            )),
        }
    }
}

impl Disconnected {
    /// What is left of what spoke against it, without what could have been done about it.
    fn after(rule: DisconnectRule, losses: Losses) -> Self {
        let Losses { blockers, doubts, unproven } = losses;
        let what = |reasons: Vec<Reason>| reasons.into_iter().map(|reason| reason.what);
        let unproven = what(unproven.into_iter().collect());
        match rule {
            DisconnectRule::Force => {
                let kept = blockers.iter().filter_map(|reason| reason.kept.clone());
                let notices = kept.chain(unproven).collect();
                let lost = blockers.into_iter().filter(|reason| reason.kept.is_none()).collect();
                Self { left_behind: what(lost).chain(what(doubts)).collect(), notices }
            }
            DisconnectRule::Careful | DisconnectRule::Strict => {
                Self { left_behind: Vec::new(), notices: what(doubts).chain(unproven).collect() }
            }
        }
    }

    /// What was left behind, for people: some lines, or nothing.
    #[must_use]
    pub fn text(&self, name: &CacheName) -> Option<String> {
        let left = listed(&self.left_behind);
        (!left.is_empty()).then(|| {
            format!("Cache {name} is disconnected from its source. It left behind:\n{left}")
        })
    }
}
