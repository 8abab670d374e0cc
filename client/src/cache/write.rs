//! Operations that change something.

use hotrod::{
    RequestExpiration, Writer,
    op::{
        Clear, NewEntry, Put, PutAll, PutIfAbsent, Remove, RemoveIfUnmodified, Replace,
        ReplaceIfUnmodified, Request as _,
    },
};

use super::RemoteCache;
use crate::{cluster::Route, entry::Changed, error::ClientError, expiration::in_version};

impl RemoteCache {
    /// Writes an entry unconditionally. The result is always [`Changed::Done`].
    ///
    /// # Errors
    ///
    /// If the entry was not written, or if that is unknown ([`ClientError::is_in_doubt`]). That
    /// holds for all changes.
    pub async fn put(
        &self,
        key: &[u8],
        value: &[u8],
        expiration: RequestExpiration,
    ) -> Result<Changed, ClientError> {
        let encode = |version, writer: &mut Writer| {
            let expiration = in_version(expiration, version);
            Put(NewEntry { key, expiration, value }).encode(version, writer);
        };
        let answered = self.write::<Put<'_>>(self.owner(key), &encode).await?;
        Ok(Changed::of(answered.read::<Put<'_>>()?, &answered))
    }

    /// Writes an entry if there is none under its key.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn put_if_absent(
        &self,
        key: &[u8],
        value: &[u8],
        expiration: RequestExpiration,
    ) -> Result<Changed, ClientError> {
        let encode = |version, writer: &mut Writer| {
            let expiration = in_version(expiration, version);
            PutIfAbsent(NewEntry { key, expiration, value }).encode(version, writer);
        };
        let answered = self.write::<PutIfAbsent<'_>>(self.owner(key), &encode).await?;
        Ok(Changed::of(answered.read::<PutIfAbsent<'_>>()?, &answered))
    }

    /// Writes an entry if there is one under its key.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn replace(
        &self,
        key: &[u8],
        value: &[u8],
        expiration: RequestExpiration,
    ) -> Result<Changed, ClientError> {
        let encode = |version, writer: &mut Writer| {
            let expiration = in_version(expiration, version);
            Replace(NewEntry { key, expiration, value }).encode(version, writer);
        };
        let answered = self.write::<Replace<'_>>(self.owner(key), &encode).await?;
        Ok(Changed::of(answered.read::<Replace<'_>>()?, &answered))
    }

    /// Writes an entry if the one under its key has this version.
    ///
    /// ```no_run
    /// # use client::{ClientError, RemoteCache, RequestExpiration};
    /// # async fn run(stock: RemoteCache) -> Result<(), ClientError> {
    /// let apples = stock.get_with_version(b"apples").await?;
    /// if let Some(apples) = apples {
    ///     let changed = stock
    ///         .replace_if_unmodified(b"apples", apples.version, b"7", RequestExpiration::default())
    ///         .await?;
    ///     println!("{}", if changed.is_done() { "seven left" } else { "somebody was faster" });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn replace_if_unmodified(
        &self,
        key: &[u8],
        known: u64,
        value: &[u8],
        expiration: RequestExpiration,
    ) -> Result<Changed, ClientError> {
        let encode = |version, writer: &mut Writer| {
            let expiration = in_version(expiration, version);
            let replace = ReplaceIfUnmodified { key, expiration, version: known, value };
            replace.encode(version, writer);
        };
        let answered = self.write::<ReplaceIfUnmodified<'_>>(self.owner(key), &encode).await?;
        Ok(Changed::of(answered.read::<ReplaceIfUnmodified<'_>>()?, &answered))
    }

    /// Removes the entry under `key`.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn remove(&self, key: &[u8]) -> Result<Changed, ClientError> {
        let encode = |version, writer: &mut Writer| Remove { key }.encode(version, writer);
        let answered = self.write::<Remove<'_>>(self.owner(key), &encode).await?;
        Ok(Changed::of(answered.read::<Remove<'_>>()?, &answered))
    }

    /// Removes the entry under `key` if it has this version.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn remove_if_unmodified(
        &self,
        key: &[u8],
        known: u64,
    ) -> Result<Changed, ClientError> {
        let encode = |version, writer: &mut Writer| {
            RemoveIfUnmodified { key, version: known }.encode(version, writer);
        };
        let answered = self.write::<RemoveIfUnmodified<'_>>(self.owner(key), &encode).await?;
        Ok(Changed::of(answered.read::<RemoveIfUnmodified<'_>>()?, &answered))
    }

    /// Writes many entries unconditionally. If it fails, some of them may have been written.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn put_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
        expiration: RequestExpiration,
    ) -> Result<(), ClientError> {
        let mut arrays = Writer::default();
        let mut count = 0;
        for (key, value) in entries {
            arrays.array(key.as_ref());
            arrays.array(value.as_ref());
            count += 1;
        }
        let entries = self.written::<PutAll<'_>>(&arrays, count, &["key", "value"])?;
        let encode = |version, writer: &mut Writer| {
            let (expiration, entries) = (in_version(expiration, version), entries.clone());
            PutAll { expiration, entries }.encode(version, writer);
        };
        self.write::<PutAll<'_>>(Route::Any, &encode).await.map(drop)
    }

    /// Removes every entry.
    ///
    /// # Errors
    ///
    /// As [`RemoteCache::put`].
    pub async fn clear(&self) -> Result<(), ClientError> {
        self.write::<Clear>(Route::Any, &|_, _| {}).await.map(drop)
    }
}
