//! How a client proves who it is: one step in, one step out, and no socket.
//!
//! [`Login::start`] gives what the client says first, [`Login::step`] what it answers to each thing
//! the server says. The client's nonce is an argument, so that a recorded conversation can be
//! spoken again. Passwords and user names go as UTF-8, as they are: they are not normalized.

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
    /// It has said all there is to say.
    Plain,
}

/// What comes after something that the server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client says this.
    Respond(Vec<u8>),
    /// Nothing: the server has proved what it had to.
    Finished,
}

impl Login {
    /// Begins a login. Also gives what the client says first.
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
            // The server speaks first.
            Scheme::Digest(hash) => {
                (Self::Digest(Digest::start(hash, credentials, nonce)), Vec::new())
            }
            Scheme::Plain => (Self::Plain, plain::message(credentials)),
        }
    }

    /// Takes in what the server said.
    pub(crate) fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        match self {
            Self::Scram(scram) => scram.step(challenge),
            Self::Digest(digest) => digest.step(challenge),
            Self::Plain => Err(SaslError::OutOfTurn),
        }
    }

    /// Returns whether nothing is left to be said or proved.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Scram(scram) => scram.is_finished(),
            Self::Digest(digest) => digest.is_finished(),
            Self::Plain => true,
        }
    }
}

/// A nonce that nobody can foresee.
pub(crate) fn nonce() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    STANDARD_NO_PAD.encode(rand::random::<[u8; 24]>())
}

/// The server said what a server that knows the password does not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// What it said is not a message of this mechanism.
    #[error("the server's message has no readable {field}")]
    Malformed {
        /// What is missing in it.
        field: &'static str,
    },

    /// Its nonce does not begin with the client's.
    #[error("the server's nonce does not begin with the client's")]
    Nonce,

    /// It asks for so few rounds that the password could be guessed, or for so many that nobody waits.
    #[error("the server asks for {asked} rounds of hashing, not for {fewest} to {most}")]
    Rounds {
        /// What it asks for.
        asked: u32,
        /// Fewest rounds that are done.
        fewest: u32,
        /// Most rounds that are done.
        most: u32,
    },

    /// It insists on wrapping every message after the login.
    #[error("the server insists on the protection \"{0}\"")]
    Protection(String),

    /// It does not know the password.
    #[error("the server did not prove that it knows the password")]
    Unproved,

    /// The mechanism has a way to say that it failed, and the server used it.
    #[error("the server says \"{0}\"")]
    Reported(String),

    /// It ends the login before its proof, or goes on after the end.
    #[error("the server sent a message that does not belong here")]
    OutOfTurn,
}

#[cfg(test)]
mod tests;
