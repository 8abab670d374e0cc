//! The body of a request that connects a cache to its source.

use crate::{
    ConfigError, Format, Options, Parsed, RemoteStoreConfig,
    notes::Notes,
    remote_store,
    surroundings::Surroundings,
    tree::{self, Element},
};

/// A body does not describe a source. The texts are those of a real server, as far as it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteStoreError {
    /// There is no body.
    #[error("A remote-store config must be provided")]
    Empty,
    /// It is not JSON.
    #[error("Invalid JSON at [{line},{column}]: {reason}")]
    NotJson {
        /// Line.
        line: u32,
        /// Column behind what is wrong.
        column: u32,
        /// What is wrong there; a real server does not say it.
        reason: String,
    },
    /// It is something else than one remote store.
    #[error(
        "Invalid remote-store JSON description: a single remote-store element must be provided"
    )]
    NotOneRemoteStore,
    /// It names a protocol version that was never published.
    #[error("Illegal version {version}")]
    IllegalVersion {
        /// As it was spelled.
        version: String,
    },
    /// What it says does not make sense.
    #[error(transparent)]
    Config(ConfigError),
}

/// Reads the body of a request that connects a cache to its source: JSON, whatever it is called.
///
/// # Errors
///
/// See [`RemoteStoreError`].
pub fn parse_remote_store(body: &[u8]) -> Result<Parsed<RemoteStoreConfig>, RemoteStoreError> {
    if body.is_empty() {
        return Err(RemoteStoreError::Empty);
    }
    let mut root = tree::read(body, Format::Json, &Options::default())?;
    place_attributes_as_a_real_server(&mut root);
    let store = root.only_child().filter(|child| child.name == "remote-store");
    let store = store.ok_or(RemoteStoreError::NotOneRemoteStore)?;
    let mut notes = Notes::default();
    let config = remote_store::read(store, &Surroundings::default(), &mut notes);
    Ok(notes.with(config)?)
}

/// Checks that the body of a request is a JSON object.
///
/// # Errors
///
/// If it is not, with what is wrong and where.
pub fn check_json(body: &[u8]) -> Result<(), ConfigError> {
    tree::read(body, Format::Json, &Options::default()).map(drop)
}

/// A real server names the place of the element for what is wrong with its attributes.
fn place_attributes_as_a_real_server(element: &mut Element) {
    for attribute in &mut element.attributes {
        attribute.place = element.place;
    }
    element.children.iter_mut().for_each(place_attributes_as_a_real_server);
}

impl From<ConfigError> for RemoteStoreError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Syntax { place, reason, .. } => {
                Self::NotJson { line: place.line, column: place.column, reason }
            }
            ConfigError::IllegalVersion { version, .. } => Self::IllegalVersion { version },
            error => Self::Config(error),
        }
    }
}

#[cfg(test)]
mod tests;
