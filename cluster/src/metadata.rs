//! What all members agree on: caches and their configuration, source connections, checkpoints.
//!
//! A decider: commands go in, and come in the same order on every member. Who brings them there
//! (one member's file, or several members' agreement) is [`Agreement`](crate::Agreement)'s business.
//!
//! Start reading at [`Metadata::apply`].

use std::{collections::BTreeMap, sync::Arc};

use config::{CacheConfig, CacheName, RemoteStoreConfig};
use store::{ConnectionId, Coverage, SourceSegment, SourceSpace, Timestamp};

use crate::source::{LostServers, SourceIdentity};

/// A change of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaCommand {
    /// There is a cache of this name from now on.
    CreateCache {
        /// Its name.
        cache: CacheName,
        /// What it is configured to be.
        config: Arc<CacheConfig>,
        /// Whether it goes with the process.
        volatile: bool,
    },
    /// A cache is configured to be something else.
    UpdateCache {
        /// Its name.
        cache: CacheName,
        /// What it is configured to be from now on.
        config: Arc<CacheConfig>,
        /// The configuration that the new one was derived from. If the cache has another one by now, the
        /// command is refused. `None` in a command from a file: it was compared before it was written.
        replaces: Option<Arc<CacheConfig>>,
    },
    /// A cache is gone, with all of its entries.
    RemoveCache {
        /// Its name.
        cache: CacheName,
    },
    /// A cache is connected to a source.
    Connect {
        /// Its name.
        cache: CacheName,
        /// How, and to what.
        connection: Box<Connection>,
    },
    /// All of some source segments is in the cache.
    Complete {
        /// Its name.
        cache: CacheName,
        /// When the connection was made that they came over.
        since: Timestamp,
        /// How the source was divided when they were read.
        space: SourceSpace,
        /// The source segments, and how many entries the source has shown of each.
        segments: Vec<(SourceSegment, u64)>,
    },
    /// Clients change entries of a cache while its source is connected.
    Mark {
        /// Its name.
        cache: CacheName,
    },
    /// A client clears a cache: nothing comes from its source any more.
    Clear {
        /// Its name.
        cache: CacheName,
    },
    /// The source has reported how many entries it has, and not all of them are here yet.
    Count {
        /// Name of the cache.
        cache: CacheName,
        /// When the connection was made over which it was asked.
        since: Timestamp,
        /// Entries that the source has.
        entries: u64,
    },
    /// A sync job of a cache has come to its end.
    Finish {
        /// Its name.
        cache: CacheName,
        /// Entries that the job wrote.
        imported: u64,
    },
    /// The source consists of other processes now, beside ones that go on, or as its operator accepts.
    AcceptSource {
        /// Name of the cache.
        cache: CacheName,
        /// Who its servers are from now on.
        identity: SourceIdentity,
        /// Those that have gone, or may have, unless its operator has accepted that.
        lost: LostServers,
    },
    /// That entries were lost with a process is accepted: the connection begins anew.
    AcceptLoss {
        /// Name of the cache.
        cache: CacheName,
    },
    /// The source places its keys in a way that cannot be followed: it is complete as a whole, or not.
    BecomeUnit {
        /// Name of the cache.
        cache: CacheName,
    },
    /// A cache lets go of its source.
    Disconnect {
        /// Its name.
        cache: CacheName,
    },
    /// A cache has another name from now on, and no other cache has it any more.
    AssignAlias {
        /// Its name.
        cache: CacheName,
        /// Its other name.
        alias: CacheName,
    },
    /// There is a configuration of this name for caches from now on.
    CreateTemplate {
        /// Name of the configuration.
        template: CacheName,
        /// What caches that are made from it are.
        config: Arc<CacheConfig>,
        /// Whether it goes with the process.
        volatile: bool,
    },
    /// A configuration for caches is gone. Caches that were made from it stay.
    RemoveTemplate {
        /// Its name.
        template: CacheName,
    },
}

/// A cache's tie to a source, as far as it outlives a process.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// How the source is reached.
    pub remote: RemoteStoreConfig,
    /// How the source divides its keys.
    pub space: SourceSpace,
    /// Who its servers are.
    pub identity: SourceIdentity,
    /// When it was made: later than any earlier connection of its cache, which is how they are told apart.
    pub since: Timestamp,
    /// Source segments of which everything is here.
    pub complete: Coverage,
    /// Whether clients have changed entries here since.
    pub marked: bool,
    /// Whether a client has cleared the cache since.
    pub cleared: bool,
    /// Whether keys may have been removed here that nobody remembers: during an earlier connection that this
    /// one takes up again, or between the two.
    pub forgets: bool,
    /// Entries that finished sync jobs wrote.
    pub imported: Option<u64>,
    /// How many entries the source had, and how many of them it has shown.
    pub count: SourceCount,
    /// Servers of the source that have gone since it was connected, or may have; since the first of several connections
    /// that continue each other. By the same clock as its identity.
    pub lost: LostServers,
}

/// How many entries a source had, and how many of them it has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCount {
    /// Most entries that it has reported, from the first of several connections that continue each other until all of
    /// them are here; `None` if it did not report any before some were, or an earlier version did not ask.
    pub said: Option<u64>,
    /// Entries that it has shown of the segments that are complete.
    pub shown: u64,
}

impl Connection {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        ConnectionId(self.since.millis())
    }

    /// Takes in how many entries the source has now. The largest number counts: of so many, it must show most. Once
    /// everything is here, a number says nothing about that any more; and one that comes when some of it is here does
    /// not stand for what the source had before.
    pub fn counted(&mut self, entries: u64) {
        if self.complete.is_whole() {
            return;
        }
        match &mut self.count.said {
            Some(said) => *said = entries.max(*said),
            said @ None if self.complete.is_empty() => *said = Some(entries),
            None => {}
        }
    }
}

/// What is known of one cache.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheMetadata {
    /// What it is configured to be.
    pub config: Arc<CacheConfig>,
    /// Whether it goes with the process.
    pub volatile: bool,
    /// Its source, if it is connected to one.
    pub connection: Option<Connection>,
    /// The last source that it has let go of.
    pub past: Option<Connection>,
}

/// A command that cannot be applied. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// There is a cache of this name.
    #[error("cache {0} already exists")]
    CacheExists(CacheName),
    /// There is none.
    #[error("there is no cache {0}")]
    NoSuchCache(CacheName),
    /// The cache is connected to a source.
    #[error("cache {0} is connected to a source already")]
    Connected(CacheName),
    /// The cache is not connected to a source.
    #[error("cache {0} is not connected to a source")]
    NotConnected(CacheName),
    /// It is about an earlier connection of the cache, or about segments that are not any more.
    #[error("the source connection of cache {0} is not the one that it was")]
    Outdated(CacheName),
    /// The configuration is derived from one that the cache does not have any more.
    #[error(
        "the configuration of cache {0} was changed by somebody else at the same time: try again"
    )]
    Reconfigured(CacheName),
    /// It could not be read back as what it is, and would prevent every later start.
    #[error("the configuration of {name} cannot be stored: {reason}")]
    NotStorable {
        /// Name of the cache, or of the configuration for caches.
        name: CacheName,
        /// Why, and what to do.
        reason: String,
    },
    /// A name of a cache or configuration is taken, or is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// A name of a cache or of a configuration for caches is taken, or is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An alias is the name of a cache.
    #[error("ISPN000438: Cache with name '{0}' is defined more than once!")]
    AliasIsCache(CacheName),
    /// An alias is one of another cache.
    #[error("ISPN000702: The alias '{alias}' is already being used by cache '{cache}'")]
    AliasTaken {
        /// The alias.
        alias: CacheName,
        /// The cache that has it.
        cache: CacheName,
    },
    /// An alias would go with the process, and that of another cache come back with the next one.
    #[error(
        "the alias '{alias}' of cache '{cache}' cannot go to a volatile cache; remove it from '{cache}' first"
    )]
    AliasOutlives {
        /// The alias.
        alias: CacheName,
        /// The cache that has it.
        cache: CacheName,
    },
    /// An alias would be two in a configuration.
    #[error("the alias '{0}' has a space in it, which divides aliases in configurations")]
    SpaceInAlias(CacheName),
    /// There is a configuration of this name, or a cache.
    #[error("ISPN000453: Attempt to define configuration for cache {0} which already exists")]
    TemplateExists(CacheName),
    /// There is no configuration of this name.
    #[error("ISPN000375: No such template/configuration '{0}'")]
    NoSuchTemplate(CacheName),
}

/// All of the metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    caches: BTreeMap<CacheName, CacheMetadata>,
    templates: BTreeMap<CacheName, TemplateMetadata>,
}

/// A configuration for caches that was made while the server was running.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateMetadata {
    /// What caches that are made from it are.
    pub config: Arc<CacheConfig>,
    /// Whether it goes with the process.
    pub volatile: bool,
}

impl Metadata {
    /// Takes a change in.
    ///
    /// # Errors
    ///
    /// If it does not fit. Nothing has changed then.
    pub fn apply(&mut self, command: &MetaCommand) -> Result<(), MetaError> {
        match command {
            MetaCommand::CreateCache { cache, config, volatile } => {
                if self.caches.contains_key(cache) || self.owner_of(cache).is_some() {
                    return Err(MetaError::CacheExists(cache.clone()));
                }
                self.check_aliases(cache, config)?;
                let config = Arc::clone(config);
                let (volatile, connection, past) = (*volatile, None, None);
                let created = CacheMetadata { config, volatile, connection, past };
                self.caches.insert(cache.clone(), created);
            }
            MetaCommand::UpdateCache { cache, config, replaces } => {
                let standing = &self.cache_mut(cache)?.config;
                if replaces.as_ref().is_some_and(|replaces| replaces != standing) {
                    return Err(MetaError::Reconfigured(cache.clone()));
                }
                self.check_aliases(cache, config)?;
                self.cache_mut(cache)?.config = Arc::clone(config);
            }
            MetaCommand::AssignAlias { cache, alias } => self.assign_alias(cache, alias)?,
            MetaCommand::CreateTemplate { template, config, volatile } => {
                if self.templates.contains_key(template) || self.caches.contains_key(template) {
                    return Err(NameError::TemplateExists(template.clone()).into());
                }
                let created = TemplateMetadata { config: Arc::clone(config), volatile: *volatile };
                self.templates.insert(template.clone(), created);
            }
            MetaCommand::RemoveTemplate { template } => {
                let removed = self.templates.remove(template);
                removed.ok_or_else(|| NameError::NoSuchTemplate(template.clone()))?;
            }
            MetaCommand::RemoveCache { cache } => {
                self.caches.remove(cache).ok_or_else(|| MetaError::NoSuchCache(cache.clone()))?;
            }
            MetaCommand::Connect { cache, connection } => {
                let known = self.cache_mut(cache)?;
                if known.connection.is_some() {
                    return Err(MetaError::Connected(cache.clone()));
                }
                known.connection = Some(Connection::clone(connection));
            }
            MetaCommand::Complete { cache, since, space, segments } => {
                let connection = self.connection_mut(cache)?;
                if (connection.since, connection.space) != (*since, *space) {
                    return Err(MetaError::Outdated(cache.clone()));
                }
                for (segment, shown) in segments {
                    if !connection.complete.contains(*segment) {
                        connection.complete.insert(*segment);
                        connection.count.shown = connection.count.shown.saturating_add(*shown);
                    }
                }
            }
            MetaCommand::Mark { cache } => self.connection_mut(cache)?.marked = true,
            MetaCommand::Clear { cache } => {
                let connection = self.connection_mut(cache)?;
                connection.complete = Coverage::all(connection.space.count());
                (connection.marked, connection.cleared) = (true, true);
            }
            MetaCommand::Count { cache, since, entries } => {
                let connection = self.connection_mut(cache)?;
                if connection.since != *since {
                    return Err(MetaError::Outdated(cache.clone()));
                }
                connection.counted(*entries);
            }
            MetaCommand::Finish { cache, imported } => {
                let sum = &mut self.connection_mut(cache)?.imported;
                *sum = Some(sum.unwrap_or(0).saturating_add(*imported));
            }
            MetaCommand::AcceptSource { cache, identity, lost } => {
                let connection = self.connection_mut(cache)?;
                (connection.identity, connection.lost) = (identity.clone(), lost.clone());
            }
            MetaCommand::AcceptLoss { cache } => {
                let connection = self.connection_mut(cache)?;
                connection.complete = Coverage::none(connection.space.count());
                connection.count.shown = 0;
                (connection.marked, connection.cleared) = (false, false);
                (connection.forgets, connection.imported) = (false, None);
            }
            MetaCommand::BecomeUnit { cache } => {
                let connection = self.connection_mut(cache)?;
                if connection.space == SourceSpace::Unit {
                    // Said again: what is complete of it stays so.
                    return Ok(());
                }
                connection.space = SourceSpace::Unit;
                connection.count.shown = 0;
                // After a clear nothing comes, however the source divides it.
                connection.complete =
                    if connection.cleared { Coverage::all(1) } else { Coverage::none(1) };
            }
            MetaCommand::Disconnect { cache } => {
                let known = self.cache_mut(cache)?;
                let connection = known.connection.take();
                let connection =
                    connection.ok_or_else(|| MetaError::NotConnected(cache.clone()))?;
                known.past = Some(connection);
            }
        }
        Ok(())
    }

    /// The cache that has this alias.
    #[must_use]
    pub fn owner_of(&self, alias: &CacheName) -> Option<&CacheName> {
        let has = |known: &CacheMetadata| known.config.aliases.contains(alias);
        self.caches.iter().find(|(_, known)| has(known)).map(|(name, _)| name)
    }

    /// Checks that nobody else has the aliases of a cache.
    fn check_aliases(&self, cache: &CacheName, config: &CacheConfig) -> Result<(), MetaError> {
        for alias in &config.aliases {
            if self.caches.contains_key(alias) || alias == cache {
                return Err(NameError::AliasIsCache(alias.clone()).into());
            }
        }
        for (owner, known) in self.caches.iter().filter(|(owner, _)| *owner != cache) {
            if let Some(alias) = known.config.aliases.intersection(&config.aliases).next() {
                let (alias, cache) = (alias.clone(), owner.clone());
                return Err(NameError::AliasTaken { alias, cache }.into());
            }
        }
        Ok(())
    }

    fn assign_alias(&mut self, cache: &CacheName, alias: &CacheName) -> Result<(), MetaError> {
        let volatile = self.cache_mut(cache)?.volatile;
        if self.caches.contains_key(alias) {
            return Err(NameError::AliasIsCache(alias.clone()).into());
        }
        if let Some(owner) = self.owner_of(alias).cloned() {
            let known = self.cache_mut(&owner)?;
            if volatile && !known.volatile {
                return Err(NameError::AliasOutlives { alias: alias.clone(), cache: owner }.into());
            }
            Arc::make_mut(&mut known.config).aliases.remove(alias);
        }
        Arc::make_mut(&mut self.cache_mut(cache)?.config).aliases.insert(alias.clone());
        Ok(())
    }

    fn cache_mut(&mut self, cache: &CacheName) -> Result<&mut CacheMetadata, MetaError> {
        self.caches.get_mut(cache).ok_or_else(|| MetaError::NoSuchCache(cache.clone()))
    }

    fn connection_mut(&mut self, cache: &CacheName) -> Result<&mut Connection, MetaError> {
        let known = self.cache_mut(cache)?;
        known.connection.as_mut().ok_or_else(|| MetaError::NotConnected(cache.clone()))
    }

    /// What is known of a cache.
    #[must_use]
    pub fn cache(&self, name: &str) -> Option<&CacheMetadata> {
        self.caches.get(name)
    }

    /// All caches, by name.
    pub fn caches(&self) -> impl Iterator<Item = (&CacheName, &CacheMetadata)> {
        self.caches.iter()
    }

    /// All configurations for caches that were made while the server was running, by name.
    pub fn templates(&self) -> impl Iterator<Item = (&CacheName, &TemplateMetadata)> {
        self.templates.iter()
    }

    /// Whether a command is about something that goes with the process.
    #[must_use]
    pub fn is_volatile(&self, command: &MetaCommand) -> bool {
        match command {
            MetaCommand::CreateCache { volatile, .. }
            | MetaCommand::CreateTemplate { volatile, .. } => *volatile,
            MetaCommand::RemoveTemplate { template } => {
                self.templates.get(template).is_some_and(|template| template.volatile)
            }
            _ => self.cache(command.cache().as_str()).is_some_and(|cache| cache.volatile),
        }
    }

    /// Commands that lead to the same metadata, from none: those of a shorter file.
    #[must_use]
    pub fn commands(&self) -> Vec<MetaCommand> {
        let mut commands = Vec::new();
        for (name, known) in &self.templates {
            let template = name.clone();
            let (config, volatile) = (Arc::clone(&known.config), known.volatile);
            commands.push(MetaCommand::CreateTemplate { template, config, volatile });
        }
        for (name, known) in &self.caches {
            let cache = name.clone();
            let (config, volatile) = (Arc::clone(&known.config), known.volatile);
            commands.push(MetaCommand::CreateCache { cache, config, volatile });
            if let Some(past) = &known.past {
                let (cache, connection) = (name.clone(), Box::new(past.clone()));
                commands.push(MetaCommand::Connect { cache, connection });
                commands.push(MetaCommand::Disconnect { cache: name.clone() });
            }
            if let Some(connection) = &known.connection {
                let (cache, connection) = (name.clone(), Box::new(connection.clone()));
                commands.push(MetaCommand::Connect { cache, connection });
            }
        }
        commands
    }

    /// Caches that have let go of their source with everything here: a restart loses what they hold.
    pub(crate) fn only_in_memory(&self) -> Vec<CacheName> {
        let is_whole = |past: &Connection| past.complete.is_whole();
        let caches = self.caches.iter().filter(|(_, known)| {
            known.connection.is_none() && known.past.as_ref().is_some_and(is_whole)
        });
        caches.map(|(name, _)| name.clone()).collect()
    }

    /// What is left of it after a restart, of which no entry survives. A connection through which
    /// clients have changed nothing begins anew; one with changes is for its operator to decide about, and
    /// nothing of it is complete any more either.
    pub fn restart(&mut self) {
        self.caches.retain(|_, known| !known.volatile);
        self.templates.retain(|_, known| !known.volatile);
        for known in self.caches.values_mut() {
            // What was here when a server of the source was lost has to be copied anew, without what only it had.
            for connection in known.connection.iter_mut().chain(&mut known.past) {
                let LostServers { gone, unheard } = &mut connection.lost;
                gone.iter_mut().for_each(|lost| lost.after_copy = false);
                unheard.iter_mut().for_each(|unheard| unheard.after_copy = false);
            }
            if let Some(connection) = &mut known.connection {
                connection.complete = Coverage::none(connection.space.count());
                (connection.imported, connection.count.shown) = (None, 0);
            }
            // What a cache that has let go of its source held is gone, and so is what it had removed.
            if let Some(past) = &mut known.past {
                past.complete = Coverage::none(past.space.count());
                (past.imported, past.count.shown) = (None, 0);
                past.marked = true;
            }
        }
    }
}

impl MetaCommand {
    /// The cache that it is about; for a configuration for caches, its name.
    #[must_use]
    pub fn cache(&self) -> &CacheName {
        match self {
            Self::CreateTemplate { template, .. } | Self::RemoveTemplate { template } => template,
            Self::CreateCache { cache, .. }
            | Self::UpdateCache { cache, .. }
            | Self::RemoveCache { cache }
            | Self::Connect { cache, .. }
            | Self::Complete { cache, .. }
            | Self::Mark { cache }
            | Self::Clear { cache }
            | Self::Count { cache, .. }
            | Self::Finish { cache, .. }
            | Self::AcceptSource { cache, .. }
            | Self::AcceptLoss { cache }
            | Self::BecomeUnit { cache }
            | Self::Disconnect { cache }
            | Self::AssignAlias { cache, .. } => cache,
        }
    }
}

#[cfg(test)]
mod tests;
