//! Logs in with SASL: one message in, one message out, and no socket.
//!
//! [`Login::start`] returns the client's first message, [`Login::step`] the response to each
//! message of the server. The client's nonce is an argument, so that tests can replay recorded
//! logins. Passwords and user names are sent as they are in UTF-8, without normalization.

mod digest;
mod hash;
mod mechanism;
mod plain;
mod scram;

pub(crate) use self::mechanism::to_try;
pub use self::mechanism::{Family, Mechanism, UnknownMechanism};
use self::{
    digest::Digest,
    mechanism::{Scheme, scheme},
    scram::Scram,
};
use crate::credentials::Credentials;

/// A login on one connection.
#[derive(Debug)]
pub(crate) enum Login {
    Scram(Scram),
    Digest(Digest),
    /// The client has sent its only message.
    Plain,
}

/// What follows a message of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this message.
    Respond(Vec<u8>),
    /// Nothing: the server has proved that it knows the password.
    Finished,
}

impl Login {
    /// Starts a login, and returns the client's first message.
    pub(crate) fn start(
        mechanism: Mechanism,
        credentials: &Credentials,
        nonce: String,
    ) -> (Self, Vec<u8>) {
        match scheme(mechanism) {
            Scheme::Scram(hash) => {
                let (scram, first) = Scram::start(hash, credentials, nonce);
                (Self::Scram(scram), first)
            }
            // The server sends the first message.
            Scheme::Digest(hash) => {
                (Self::Digest(Digest::start(hash, credentials, nonce)), Vec::new())
            }
            Scheme::Plain => (Self::Plain, plain::message(credentials)),
        }
    }

    /// Handles a message of the server.
    pub(crate) fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        match self {
            Self::Scram(scram) => scram.step(challenge),
            Self::Digest(digest) => digest.step(challenge),
            Self::Plain => Err(SaslError::OutOfTurn),
        }
    }

    /// Returns whether the login is complete on both sides.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Scram(scram) => scram.is_finished(),
            Self::Digest(digest) => digest.is_finished(),
            Self::Plain => true,
        }
    }
}

/// Returns an unpredictable nonce.
pub(crate) fn nonce() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    STANDARD_NO_PAD.encode(rand::random::<[u8; 24]>())
}

/// Error for a server that a client must not trust, or cannot log in to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Its message does not follow the mechanism.
    #[error("the server's message has no readable {field}")]
    Malformed {
        /// The part that is missing or malformed.
        field: &'static str,
    },

    /// Its nonce does not begin with the client's.
    #[error("the server's nonce does not begin with the client's")]
    Nonce,

    /// It asks for so few rounds of hashing that the password could be guessed, or for too many to
    /// wait for.
    #[error("the server asks for {asked} rounds of hashing, not for {fewest} to {most}")]
    Rounds {
        /// The number of rounds that it asks for.
        asked: u32,
        /// Fewest accepted rounds.
        fewest: u32,
        /// Most accepted rounds.
        most: u32,
    },

    /// It requires that every message after the login be wrapped.
    #[error("the server insists on the protection \"{0}\"")]
    Protection(String),

    /// It does not know the password.
    #[error("the server did not prove that it knows the password")]
    Unproved,

    /// It reported a failure in the way of the mechanism.
    #[error("the server says \"{0}\"")]
    Reported(String),

    /// It ended the login before its proof, or continued after the end.
    #[error("the server sent a message that does not belong here")]
    OutOfTurn,
}

#[cfg(test)]
mod tests;
