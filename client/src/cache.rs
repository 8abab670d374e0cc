//! One cache of a cluster.

mod read;
mod write;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hotrod::{
    Arrays, Flags, Limits, ProtocolVersion, Reader, SegmentSet, ServerAddress, Topology, Writer,
    op::{Operation, Ping, Request},
};
use media::MediaType;

use crate::{
    call::{Answered, Ask, Encode},
    cluster::{CacheState, Cluster, Route},
    deadline::Deadline,
    error::{AnswerError, ClientError},
    iterate::{Iterate, Iteration},
};

/// A cache on the servers. Clones share the connections of their client.
///
/// Keys and values are bytes, in the formats that the client was configured with. Dropping the
/// future of an operation leaves the connection usable; a change may still have been made.
#[derive(Clone, Debug)]
pub struct RemoteCache {
    cluster: Arc<Cluster>,
    state: Arc<CacheState>,
    about: Arc<About>,
    /// Formats in which callers pass and receive keys and values.
    formats: Arc<MediaTypes>,
    options: Options,
}

/// What the server reported about a cache when it was opened.
#[derive(Debug)]
struct About {
    media_types: MediaTypes,
    server_version: Option<ProtocolVersion>,
    protocol_version: ProtocolVersion,
}

/// Formats of the entries of a cache; `None` if unspecified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaTypes {
    /// Format of keys.
    pub key: Option<MediaType>,
    /// Format of values.
    pub value: Option<MediaType>,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    flags: u32,
    timeout: Duration,
}

impl MediaTypes {
    /// Neither format is specified.
    pub(crate) const NONE: Self = Self { key: None, value: None };
}

impl RemoteCache {
    pub(crate) async fn open(cluster: Arc<Cluster>, name: &str) -> Result<Self, ClientError> {
        let state = cluster.cache(name);
        let options = Options { flags: 0, timeout: cluster.common.config.timeout };
        let deadline = Deadline::after(options.timeout);
        let config = &cluster.common.config;
        let formats =
            Arc::new(MediaTypes { key: config.key_type.clone(), value: config.value_type.clone() });
        let (route, cache) = (Route::Any, Some(&*state));
        let ask = Ask {
            route,
            cache,
            formats: &formats,
            flags: 0,
            reads: true,
            wants_topology: false,
            deadline,
        };
        let answered = cluster.call::<Ping>(ask, &|_, _| {}).await?;
        let pong = answered.read::<Ping>()?;
        let resolved = |media_type: hotrod::MediaTypeRef<'_>| {
            media_type.resolve().map_err(|error| ClientError::Protocol {
                server: answered.server.address.clone(),
                operation: Ping::NAME,
                source: AnswerError::from(error),
            })
        };
        let media_types =
            MediaTypes { key: resolved(pong.key_type)?, value: resolved(pong.value_type)? };
        let about =
            About { media_types, server_version: pong.newest, protocol_version: answered.version };
        Ok(Self { cluster, state, about: Arc::new(about), formats, options })
    }

    /// Returns the name of the cache.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Returns the formats in which the cache stores entries; known from protocol version 2.9 on.
    #[must_use]
    pub fn media_types(&self) -> &MediaTypes {
        &self.about.media_types
    }

    /// Returns the formats in which callers pass and receive keys and values; `None` means as
    /// stored.
    #[must_use]
    pub fn formats(&self) -> &MediaTypes {
        &self.formats
    }

    /// Returns the newest protocol version of the server, if it is known: servers since 10 report
    /// it.
    #[must_use]
    pub fn server_version(&self) -> Option<ProtocolVersion> {
        self.about.server_version
    }

    /// Returns the protocol version in which the cache was opened.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        self.about.protocol_version
    }

    /// Returns the servers and the segments that they own, as far as known. Caches that are not
    /// distributed have no topology.
    #[must_use]
    pub fn topology(&self) -> Option<Topology> {
        self.state.view().map(|view| view.topology.clone())
    }

    /// Returns the servers of the topology or, without one, the configured servers.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerAddress> {
        match self.state.view() {
            Some(view) => view.topology.servers.clone(),
            None => {
                let configured = self.cluster.configured();
                configured.iter().map(|server| server.address.clone()).collect()
            }
        }
    }

    /// Asks a configured server for the topology, and forgets what other servers reported. If no
    /// configured server answers, the known topology remains.
    ///
    /// # Errors
    ///
    /// As for [`RemoteCache::ping`].
    pub async fn learn_anew(&self) -> Result<(), ClientError> {
        let anew = CacheState::new(self.name());
        let ask = Ask { cache: Some(&anew), ..self.ask(Route::Any, true) };
        let answered = self.cluster.call::<Ping>(ask, &|_, _| {}).await?;
        self.state.forget_view();
        if let Some(view) = anew.view() {
            self.cluster.learn(&self.state, view.topology.clone(), &answered.server.address);
        }
        Ok(())
    }

    /// Returns the segments by primary owner; empty without a topology.
    #[must_use]
    pub fn segments_by_owner(&self) -> BTreeMap<ServerAddress, SegmentSet> {
        let mut segments = BTreeMap::<ServerAddress, SegmentSet>::new();
        let Some(view) = self.state.view() else { return segments };
        let Topology { servers, owners, .. } = &view.topology;
        for (segment, owners) in (0..).zip(owners) {
            // Count a segment without an owner to the first server.
            let primary = owners.first().copied().unwrap_or(0);
            if let Some(server) = servers.get(primary as usize) {
                segments.entry(server.clone()).or_default().insert(segment);
            }
        }
        segments
    }

    /// Returns the same cache, with changes that return the previous entry.
    #[must_use]
    pub fn returning_previous(&self) -> Self {
        self.with_flag(Flags::FORCE_RETURN_PREVIOUS)
    }

    /// Returns the same cache, with operations during which the server neither reads nor writes its
    /// cache stores.
    #[must_use]
    pub fn skipping_loader(&self) -> Self {
        self.with_flag(Flags::SKIP_CACHE_LOAD)
    }

    /// Returns the same cache, with keys and values in these formats, whatever the client was
    /// configured with.
    #[must_use]
    pub fn in_formats(&self, formats: MediaTypes) -> Self {
        Self { formats: Arc::new(formats), ..self.clone() }
    }

    /// Returns whether callers pass keys in the form that the cache stores. Only then can the
    /// client compute the owner of a key from its hash and send the request there.
    #[must_use]
    pub fn keys_are_stored_keys(&self) -> bool {
        let (given, stored) = (&self.formats.key, &self.about.media_types.key);
        given.is_none() || given == stored
    }

    /// Returns the same cache, with this timeout for each operation.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let options = Options { timeout, ..self.options };
        Self { options, ..self.clone() }
    }

    /// Asks a server whether the cache exists.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoSuchCache`] if it does not.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.read::<Ping>(Route::Any, &|_, _| {}).await.map(drop)
    }

    /// Iterates over entries, on a connection of its own.
    ///
    /// ```no_run
    /// # use client::{ClientError, Item, Iterate, RemoteCache};
    /// # async fn run(cache: RemoteCache) -> Result<(), ClientError> {
    /// let mut entries = cache.iterate(Iterate { with_metadata: true, ..Iterate::default() }).await?;
    /// let mut count = 0;
    /// while let Some(item) = entries.next().await? {
    ///     match item {
    ///         Item::Entry { .. } => count += 1,
    ///         Item::Finished(segments) => println!("{count} so far, done with {segments:?}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the client cannot connect to the server, or the server does not start the iteration.
    pub async fn iterate(&self, iterate: Iterate) -> Result<Iteration, ClientError> {
        let cluster = Arc::clone(&self.cluster);
        let formats = Arc::clone(&self.formats);
        let name = self.state.name.clone();
        Iteration::start(cluster, name, formats, iterate, self.options.timeout).await
    }

    fn with_flag(&self, flag: u32) -> Self {
        let options = Options { flags: self.options.flags | flag, ..self.options };
        Self { options, ..self.clone() }
    }

    /// Routes to the owner of a key, or to any server if callers do not pass keys as stored.
    fn owner<'a>(&self, key: &'a [u8]) -> Route<'a> {
        match self.keys_are_stored_keys() {
            true => Route::Key(key),
            false => Route::Any,
        }
    }

    /// Returns the arrays of a request, from their encoded form.
    fn written<'a, R: Operation>(
        &self,
        arrays: &'a Writer,
        count: u32,
        fields: &'static [&'static str],
    ) -> Result<Arrays<'a>, ClientError> {
        let arrays = Reader::new(arrays.bytes(), Limits::NONE).arrays(count, fields);
        arrays.map_err(|error| {
            let server = self.servers().into_iter().next();
            server.map_or(ClientError::NoServer, |server| {
                let (operation, source) = (R::NAME, AnswerError::from(error));
                ClientError::Protocol { server, operation, source }
            })
        })
    }

    async fn read<'r, R: Request<'r> + Operation>(
        &self,
        route: Route<'_>,
        encode: Encode<'_>,
    ) -> Result<Answered, ClientError> {
        self.cluster.call::<R>(self.ask(route, true), encode).await
    }

    async fn write<'r, R: Request<'r> + Operation>(
        &self,
        route: Route<'_>,
        encode: Encode<'_>,
    ) -> Result<Answered, ClientError> {
        self.cluster.call::<R>(self.ask(route, false), encode).await
    }

    fn ask<'a>(&'a self, route: Route<'a>, reads: bool) -> Ask<'a> {
        let Options { flags, timeout } = self.options;
        let (cache, deadline) = (Some(&*self.state), Deadline::after(timeout));
        let formats = &self.formats;
        Ask { route, cache, formats, flags, reads, wants_topology: false, deadline }
    }
}
