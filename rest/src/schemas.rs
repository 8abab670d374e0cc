//! Protobuf schemas: entries of a cache that every server has, each a text under the name of its file.
//!
//! Nothing here looks into a schema: what is sent is kept, and comes back as it was.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use media::{Conversion, MediaType};
use migrate::Driver;
use store::{
    Cache, CacheError, Change, Command, Condition, Expiration, Outcome, Value, Version, Walk,
};

use crate::walk::owned;

/// The cache of schemas.
const CACHE: &str = "___protobuf_metadata";

/// What the name of every schema ends with.
const ENDING: &str = ".proto";

/// What the key of an error adds to the name of its schema. Only a migrated cache has errors.
const ERRORS: &str = ".errors";

/// Steps of a walk after which others have their turn.
const STRETCH: usize = 64;

/// The schemas of a server.
pub struct Schemas<'a> {
    driver: &'a Driver,
    cache: Arc<Cache>,
    max_key: usize,
}

/// When a schema is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// If there is none of this name.
    Create,
    /// If there is one of this name.
    Update,
    /// In any case.
    CreateOrUpdate,
}

/// What became of a schema that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// There was no schema of this name.
    Created,
    /// It replaced another text.
    Updated,
    /// Nothing was changed: the same text was stored already, or [`Saving`] did not allow it.
    Unchanged,
}

/// Schemas could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The server has no cache for them.
    #[error("there is no cache {CACHE}")]
    NoCache,
    /// The name does not have the ending that names of schemas have.
    #[error("ISPN028009: The key must be a String ending with \"{ENDING}\" : {0}")]
    Name(String),
    /// Nobody could read the schema as an entry, because its name is too long for a key.
    #[error(
        "the name of the schema takes {len} bytes as a key, and limits.max-key is {most} bytes"
    )]
    LongName {
        /// Bytes that it takes.
        len: usize,
        /// Most bytes of a key.
        most: usize,
    },
    /// The cache could not do it.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The entry is not text.
    #[error("the entry {name} of {CACHE} is not text: {why}")]
    NoText {
        /// Name of the schema.
        name: String,
        /// Why.
        why: String,
    },
}

/// A schema as it is stored.
struct Stored {
    text: String,
    version: Version,
}

impl<'a> Schemas<'a> {
    /// Those of the server that `driver` belongs to. Names take at most `max_key` bytes, as the keys of other
    /// entries do.
    ///
    /// # Errors
    ///
    /// If it has no cache for them.
    pub fn of(driver: &'a Driver, max_key: usize) -> Result<Self, SchemaError> {
        let cache = driver.agreement().container().cache(CACHE).ok_or(SchemaError::NoCache)?;
        Ok(Self { driver, cache, max_key })
    }

    /// All names in order, each with what was wrong with the schema at the server it came from.
    ///
    /// # Errors
    ///
    /// If the cache cannot be read.
    pub async fn list(&self) -> Result<Vec<(String, Option<String>)>, SchemaError> {
        let segments: Vec<_> = self.cache.segment_ids().collect();
        let settled = self.driver.make_whole(&self.cache, &segments).await?;
        let mut walk = Walk::over(Arc::clone(&self.cache));
        walk.settled_at(settled);
        let (mut names, mut erroneous) = (Vec::new(), HashSet::new());
        for step in 1.. {
            if walk.is_over() {
                break;
            }
            walk.step(self.driver.now(), |entry| {
                let Ok(key) = self.text_of(entry.key()) else { return ControlFlow::Continue(()) };
                match key.strip_suffix(ERRORS) {
                    Some(name) => drop(erroneous.insert(name.to_owned())),
                    None if key.ends_with(ENDING) => names.push(key),
                    None => {}
                }
                ControlFlow::Continue(())
            })?;
            if step % STRETCH == 0 {
                tokio::task::yield_now().await;
            }
        }
        names.sort_unstable();
        let mut list = Vec::with_capacity(names.len());
        for name in names {
            let error = match erroneous.contains(&name) {
                true => self.get(&format!("{name}{ERRORS}")).await?,
                false => None,
            };
            list.push((name, error));
        }
        Ok(list)
    }

    /// The text of a schema.
    ///
    /// # Errors
    ///
    /// If the cache cannot be read, or has something else than a text under this name.
    pub async fn get(&self, name: &str) -> Result<Option<String>, SchemaError> {
        Ok(self.stored(name).await?.map(|stored| stored.text))
    }

    /// Stores a schema.
    ///
    /// # Errors
    ///
    /// If the name cannot be that of a schema, or the cache cannot be changed.
    pub async fn save(&self, name: &str, text: &str, saving: Saving) -> Result<Saved, SchemaError> {
        if !name.ends_with(ENDING) {
            return Err(SchemaError::Name(name.to_owned()));
        }
        let (key, value) = (self.bytes_of(name)?, self.bytes_of(text)?);
        let (len, most) = (key.len(), self.max_key);
        if len > most {
            return Err(SchemaError::LongName { len, most });
        }
        loop {
            let (condition, saved) = match (self.stored(name).await?, saving) {
                (None, Saving::Update) | (Some(_), Saving::Create) => return Ok(Saved::Unchanged),
                (Some(standing), _) if standing.text == text => return Ok(Saved::Unchanged),
                (None, Saving::Create | Saving::CreateOrUpdate) => {
                    (Condition::Absent, Saved::Created)
                }
                (Some(standing), Saving::Update | Saving::CreateOrUpdate) => {
                    (Condition::Version(standing.version), Saved::Updated)
                }
            };
            let change =
                Change::Write { value: Value::Inline(&value), expiration: Expiration::NEVER };
            // First, because the caller may leave in between: the error is not about the new text.
            self.remove_key(&format!("{name}{ERRORS}")).await?;
            // If another client was quicker, its schema decides what this one is to do.
            if self.change(Command::new(&key, condition, change)).await? {
                return Ok(saved);
            }
        }
    }

    /// Removes a schema. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the cache cannot be changed.
    pub async fn remove(&self, name: &str) -> Result<bool, SchemaError> {
        self.remove_key(&format!("{name}{ERRORS}")).await?;
        self.remove_key(name).await
    }

    async fn remove_key(&self, key: &str) -> Result<bool, SchemaError> {
        let key = self.bytes_of(key)?;
        // Only what is there: removing anything else would be remembered while a source is connected.
        let removal = Command::new(&key, Condition::Present, Change::Remove);
        self.change(removal).await
    }

    async fn change(&self, command: Command<'_>) -> Result<bool, SchemaError> {
        let mut changed = false;
        let reply =
            &mut |outcome: Outcome<'_>| changed = matches!(outcome, Outcome::Changed { .. });
        self.driver.drive(&self.cache, command, reply).await?;
        Ok(changed)
    }

    async fn stored(&self, name: &str) -> Result<Option<Stored>, SchemaError> {
        let key = self.bytes_of(name)?;
        let mut found: Option<(Bytes, Version)> = None;
        let reply = &mut |outcome: Outcome<'_>| {
            found = match outcome {
                Outcome::Found(entry) => Some((owned(entry.value()), entry.metadata().version)),
                Outcome::Missing | Outcome::Changed { .. } | Outcome::Refused { .. } => None,
            };
        };
        self.driver.drive(&self.cache, Command::read(&key), reply).await?;
        let Some((value, version)) = found else { return Ok(None) };
        let text =
            self.text_of(&value).map_err(|why| SchemaError::NoText { name: name.into(), why })?;
        Ok(Some(Stored { text, version }))
    }

    /// A name or text as the cache stores it.
    fn bytes_of(&self, text: &str) -> Result<Vec<u8>, SchemaError> {
        let storage = &self.cache.config().encoding.key;
        let converted = Conversion::to_stored(Some(&MediaType::TEXT), storage.as_ref())
            .map_err(|error| error.to_string())
            .and_then(|conversion| {
                let bytes = conversion.apply(text.as_bytes()).map_err(|error| error.to_string())?;
                Ok(bytes.into_owned())
            });
        converted.map_err(|why| SchemaError::NoText { name: text.into(), why })
    }

    fn text_of(&self, bytes: &[u8]) -> Result<String, String> {
        let storage = &self.cache.config().encoding.key;
        let conversion = Conversion::of_stored(storage.as_ref(), Some(&MediaType::TEXT));
        let conversion = conversion.map_err(|error| error.to_string())?;
        let text = conversion.apply(bytes).map_err(|error| error.to_string())?;
        String::from_utf8(text.into_owned()).map_err(|error| error.to_string())
    }
}
