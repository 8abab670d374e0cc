//! Operations that change nothing.

use bytes::Bytes;
use hotrod::{
    ServerAddress, Writer,
    op::{
        ContainsKey, Count, Get, GetAll, GetWithMetadata, GetWithVersion, Request as _, Size,
        Statistics, Stats,
    },
};

use super::RemoteCache;
use crate::{
    call::Ask,
    cluster::Route,
    entry::{Entry, Versioned},
    error::ClientError,
    identity::Identity,
};

impl RemoteCache {
    /// Returns the value under `key`.
    ///
    /// # Errors
    ///
    /// If no server answers, or the server reports a failure. That holds for all operations.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ClientError> {
        let encode = |version, writer: &mut Writer| Get { key }.encode(version, writer);
        let answered = self.read::<Get<'_>>(self.owner(key), &encode).await?;
        let got = answered.read::<Get<'_>>()?;
        Ok(got.0.map(|value| answered.bytes(value.get())))
    }

    /// Returns the value under `key` and its version.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn get_with_version(&self, key: &[u8]) -> Result<Option<Versioned>, ClientError> {
        let encode = |version, writer: &mut Writer| GetWithVersion { key }.encode(version, writer);
        let answered = self.read::<GetWithVersion<'_>>(self.owner(key), &encode).await?;
        let got = answered.read::<GetWithVersion<'_>>()?;
        Ok(got.0.map(|(version, value)| Versioned { version, value: answered.bytes(value.get()) }))
    }

    /// Returns the entry under `key`: value, version and expiration.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn get_with_metadata(&self, key: &[u8]) -> Result<Option<Entry>, ClientError> {
        self.get_with_metadata_from(key).await.map(|(_, entry)| entry)
    }

    /// As [`RemoteCache::get_with_metadata`], and also returns the server that answered: the
    /// entry's instants are on the clocks of its cluster, and this server decided whether the entry
    /// had expired.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn get_with_metadata_from(
        &self,
        key: &[u8],
    ) -> Result<(ServerAddress, Option<Entry>), ClientError> {
        let encode = |version, writer: &mut Writer| GetWithMetadata { key }.encode(version, writer);
        let answered = self.read::<GetWithMetadata<'_>>(self.owner(key), &encode).await?;
        let got = answered.read::<GetWithMetadata<'_>>()?;
        let entry =
            got.0.map(|(metadata, value)| Entry { metadata, value: answered.bytes(value.get()) });
        Ok((answered.server.address.clone(), entry))
    }

    /// Returns whether there is an entry under `key`.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn contains_key(&self, key: &[u8]) -> Result<bool, ClientError> {
        let encode = |version, writer: &mut Writer| ContainsKey { key }.encode(version, writer);
        let answered = self.read::<ContainsKey<'_>>(self.owner(key), &encode).await?;
        Ok(answered.read::<ContainsKey<'_>>()?.0)
    }

    /// Returns the keys that have an entry, with their values, in any order. Values from one
    /// response share its memory.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn get_all<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<(Bytes, Bytes)>, ClientError> {
        let mut arrays = Writer::default();
        let mut count = 0;
        for key in keys {
            arrays.array(key.as_ref());
            count += 1;
        }
        let get = GetAll { keys: self.written::<GetAll<'_>>(&arrays, count, &["key"])? };
        let encode = |version, writer: &mut Writer| get.encode(version, writer);
        let answered = self.read::<GetAll<'_>>(Route::Any, &encode).await?;
        let got = answered.read::<GetAll<'_>>()?;
        let pairs = got.0.pairs();
        Ok(pairs.map(|(key, value)| (answered.bytes(key), answered.bytes(value))).collect())
    }

    /// Returns the number of entries in the whole cluster.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn size(&self) -> Result<u64, ClientError> {
        let answered = self.read::<Size>(Route::Any, &|_, _| {}).await?;
        let Count(count) = answered.read::<Size>()?;
        Ok(count)
    }

    /// Returns the statistics of this server, and which process it is.
    ///
    /// # Errors
    ///
    /// If this server does not answer; no other server is asked.
    pub async fn stats_of(
        &self,
        server: &ServerAddress,
    ) -> Result<(Identity, Statistics), ClientError> {
        let asked = self.cluster.server(server);
        let ask = Ask { wants_topology: true, ..self.ask(Route::Server(&asked), true) };
        let answered = self.cluster.call::<Stats>(ask, &|_, _| {}).await?;
        let statistics = answered.read::<Stats>()?;
        Ok((Identity::of(server.clone(), &statistics, answered.topology), statistics))
    }

    /// Returns a server's statistics: names with decimal numbers, -1 for an unknown one.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::get`].
    pub async fn stats(&self) -> Result<Statistics, ClientError> {
        let answered = self.read::<Stats>(Route::Any, &|_, _| {}).await?;
        answered.read::<Stats>()
    }
}
