//! Credentials of a client.

use std::fmt;

use crate::sasl::{Family, Mechanism};

/// User, password, and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Realm of the user, for DIGEST mechanisms. `None`: the realm that the server names.
    pub realm: Option<String>,
    /// Name that the servers go by, for DIGEST mechanisms.
    pub server_name: String,
    /// The only mechanism to use. `None`: mechanisms that both sides support are tried, the
    /// strongest first, until the user has a credential for one of them.
    pub mechanism: Option<Mechanism>,
    /// The mechanisms to try first, if `mechanism` is `None`. PLAIN reveals the password to
    /// eavesdroppers: it is tried only if it is named here or in `mechanism`.
    pub preferred: Option<Family>,
}

impl Credentials {
    /// Creates credentials for a user with a password.
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
    /// Omits the password.
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
