//! Who a client is, and how it shows that.

use std::fmt;

use crate::sasl::Mechanism;

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
    /// The mechanism to use. `None`: the strongest that both sides know.
    pub mechanism: Option<Mechanism>,
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
            .finish_non_exhaustive()
    }
}
