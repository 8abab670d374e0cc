//! Who a client is, and how it shows that.

use std::fmt;

use crate::sasl::{Family, Mechanism};

/// Who a client is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name.
    pub user: String,
    /// What only it and the servers know.
    pub password: String,
    /// Realm of the user, for DIGEST mechanisms. `None`: the one that the server names.
    pub realm: Option<String>,
    /// How the servers call themselves, for DIGEST mechanisms.
    pub server_name: String,
    /// The mechanism to use, and no other. `None`: those that both sides know are tried, the strongest
    /// first, until one is there for which the user has a credential.
    pub mechanism: Option<Mechanism>,
    /// The mechanisms that are tried first, unless one is named. PLAIN shows the password to whoever
    /// listens: it is tried only if it is named here or as the mechanism.
    pub preferred: Option<Family>,
}

impl Credentials {
    /// A user with a password.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            realm: None,
            server_name: "infinispan".into(),
            mechanism: None,
            preferred: None,
        }
    }
}

impl fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("realm", &self.realm)
            .field("server_name", &self.server_name)
            .field("mechanism", &self.mechanism)
            .field("preferred", &self.preferred)
            .finish_non_exhaustive()
    }
}
