//! What can go wrong, as a caller can act on it.

use std::{io, sync::Arc, time::Duration};

use hotrod::{DecodeError, ServerAddress, Status};

use crate::sasl::{Mechanism, SaslError};

/// An operation failed. "No such entry" and "the condition did not hold" are answers instead.
///
/// ```no_run
/// # use client::{ClientError, RemoteCache, RequestExpiration};
/// # async fn run(cache: RemoteCache) -> Result<(), ClientError> {
/// match cache.put(b"k", b"v", RequestExpiration::default()).await {
///     Ok(_) => {}
///     Err(error) if error.is_in_doubt() => println!("look whether it is there: {error}"),
///     Err(ClientError::Unreachable { server, .. }) => println!("is {server} running?"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be connected to. Nothing was sent.
    #[error("cannot connect to {server}")]
    Unreachable {
        /// The server.
        server: ServerAddress,
        /// Why not.
        source: Arc<io::Error>,
    },

    /// The login was refused.
    #[error("{server} refuses the login of \"{user}\" by {}: {text}", listed(mechanisms))]
    Refused {
        /// The server.
        server: ServerAddress,
        /// Who wanted to log in.
        user: String,
        /// How, one after the other.
        mechanisms: Vec<Mechanism>,
        /// The server's reason for the last mechanism if it ended the attempts, as a wrong password does;
        /// otherwise its reason for the first.
        text: String,
    },

    /// There is no way to log in that both sides know, or the one asked for is not offered.
    #[error(
        "{server} offers no login for \"{user}\" that can be used, only {}{}",
        offered.join(", "), if offered.iter().any(|name| name == "PLAIN") { UNASKED_PLAIN } else { "" }
    )]
    NoMechanism {
        /// The server.
        server: ServerAddress,
        /// Who wanted to log in.
        user: String,
        /// What the server offers.
        offered: Vec<String>,
    },

    /// The server did not prove in the login that it is what it should be.
    #[error("{server} cannot be trusted with the login of \"{user}\" by {mechanism}")]
    Untrusted {
        /// The server.
        server: ServerAddress,
        /// Who wanted to log in.
        user: String,
        /// How.
        mechanism: Mechanism,
        /// Why the mechanism cannot go on with the server's challenge.
        source: SaslError,
    },

    /// There is no cache of this name.
    #[error("there is no cache \"{name}\"")]
    NoSuchCache {
        /// The name.
        name: String,
    },

    /// The server answered that the operation failed.
    #[error("{server} answers {operation} with {status:?}: {text}")]
    Server {
        /// The server.
        server: ServerAddress,
        /// The operation, as the specification calls it.
        operation: &'static str,
        /// The status of the answer.
        status: Status,
        /// What the server says.
        text: String,
    },

    /// The connection ended before the answer. Whether the change was made is unknown.
    #[error("the connection to {server} ended, and whether {operation} was carried out is unknown")]
    InDoubt {
        /// The server.
        server: ServerAddress,
        /// The operation, as the specification calls it.
        operation: &'static str,
        /// How the connection ended.
        source: ConnectionError,
    },

    /// The connection ended before the answer. Nothing was changed.
    #[error("the connection to {server} ended before {operation} was answered")]
    Lost {
        /// The server.
        server: ServerAddress,
        /// The operation, as the specification calls it.
        operation: &'static str,
        /// How the connection ended.
        source: ConnectionError,
    },

    /// There was no answer in time.
    #[error("{} was silent: {operation} was not answered within {} ms", named(server), after.as_millis())]
    TimedOut {
        /// The server, if one was asked.
        server: Option<ServerAddress>,
        /// The operation, as the specification calls it.
        operation: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// Whether the server was asked. Then a change may have been made.
        asked: bool,
    },

    /// The answer is not one. The connection was closed.
    #[error("the answer of {server} to {operation} cannot be read")]
    Protocol {
        /// The server.
        server: ServerAddress,
        /// The operation, as the specification calls it.
        operation: &'static str,
        /// The field that cannot be decoded, and why.
        source: AnswerError,
    },

    /// The server has forgotten the iteration: it was idle for too long, or the server is another.
    #[error("{server} does not know the iteration any more")]
    InvalidIteration {
        /// The server.
        server: ServerAddress,
    },

    /// The client was closed.
    #[error("the client is closed")]
    Closed,

    /// The client was told of no server.
    #[error("no server is known")]
    NoServer,
}

impl ClientError {
    /// Returns whether the login failed, which it would on every other server, too.
    pub(crate) fn is_about_login(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoMechanism { .. } | Self::Untrusted { .. })
    }

    /// Returns whether no server answered. Callers may try again later; an error that a server answered
    /// has its own reason, which people need to see.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::InDoubt { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::NoServer
            | Self::Closed => true,
            Self::Refused { .. }
            | Self::NoMechanism { .. }
            | Self::Untrusted { .. }
            | Self::NoSuchCache { .. }
            | Self::Server { .. }
            | Self::Protocol { .. }
            | Self::InvalidIteration { .. } => false,
        }
    }

    /// Returns whether there was no connection, or it ended: that says nothing about the operation, but that the
    /// server, or the way to it, is gone.
    #[must_use]
    pub fn is_disconnection(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoServer | Self::Closed => true,
            Self::InDoubt { source, .. } | Self::Lost { source, .. } => match source {
                ConnectionError::Io(_) | ConnectionError::Ended | ConnectionError::Closed => true,
                ConnectionError::Answer(_) | ConnectionError::Silent => false,
            },
            Self::TimedOut { .. }
            | Self::Refused { .. }
            | Self::NoMechanism { .. }
            | Self::Untrusted { .. }
            | Self::NoSuchCache { .. }
            | Self::Server { .. }
            | Self::Protocol { .. }
            | Self::InvalidIteration { .. } => false,
        }
    }

    /// Returns whether the operation may have been carried out although it failed. For one that only reads,
    /// that means nothing.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::InDoubt { .. } | Self::Protocol { .. } => true,
            Self::TimedOut { asked, .. } => *asked,
            Self::Server { status, .. } => *status == Status::TimedOut,
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::NoMechanism { .. }
            | Self::Untrusted { .. }
            | Self::NoSuchCache { .. }
            | Self::Lost { .. }
            | Self::InvalidIteration { .. }
            | Self::Closed
            | Self::NoServer => false,
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    /// The network failed.
    #[error("the network failed")]
    Io(#[source] Arc<io::Error>),

    /// The server closed it.
    #[error("the server closed the connection")]
    Ended,

    /// The server said something that cannot be read.
    #[error("the server sent bytes that cannot be read")]
    Answer(#[source] AnswerError),

    /// The server owed answers and said nothing.
    #[error("the server stopped answering")]
    Silent,

    /// This side closed it.
    #[error("the client closed the connection")]
    Closed,
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// What a server said is not an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Its bytes cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),

    /// It is longer than this client takes.
    #[error("an answer of at least {len} bytes is longer than {most} bytes")]
    TooLong {
        /// What it is known to have, at least.
        len: usize,
        /// Most that is taken.
        most: usize,
    },

    /// It answers something else than what was asked.
    #[error("the answer has opcode 0x{actual:02X}, not 0x{expected:02X}")]
    Opcode {
        /// Opcode of an answer to what was asked.
        expected: u8,
        /// Opcode of this one.
        actual: u8,
    },

    /// It answers what nobody asked.
    #[error("there was no message {message_id} to be answered")]
    Unasked {
        /// The message that it means.
        message_id: u64,
    },

    /// A text in it is not what it should be.
    #[error("its text cannot be read: {0}")]
    Text(String),

    /// The server complains of something without saying which message it means.
    #[error("the server says {status:?}: {text}")]
    Complaint {
        /// The status.
        status: Status,
        /// What the server says.
        text: String,
    },
}

/// Why PLAIN is not tried although the server offers it.
const UNASKED_PLAIN: &str =
    "; PLAIN shows the password to whoever listens, so it is used only if it is asked for";

fn listed(mechanisms: &[Mechanism]) -> String {
    mechanisms.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>().join(", ")
}

fn named(server: &Option<ServerAddress>) -> String {
    server.as_ref().map_or_else(|| "the cluster".to_owned(), ToString::to_string)
}
