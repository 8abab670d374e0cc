//! Why a server cannot be started.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use cluster::{LogError, ProposeError};

/// A server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// It would be open to everybody.
    #[error(
        "{0} can be reached from other machines, and there is no authentication yet: bind to 127.0.0.1, \
         or pass --insecure to let everybody who can reach it do everything"
    )]
    Insecure(IpAddr),
    /// The data directory cannot be used.
    #[error("the data directory cannot be used")]
    Data(#[from] LogError),
    /// A configured cache cannot be created.
    #[error("a configured cache cannot be created")]
    Cache(#[from] ProposeError),
}

impl StartError {
    /// Returns whether the configuration has to be changed: starting again does not help.
    pub(crate) const fn is_wrong_configuration(&self) -> bool {
        match self {
            Self::Insecure(_) | Self::Cache(ProposeError::Refused(_)) => true,
            Self::Listen { .. } | Self::Data(_) | Self::Cache(ProposeError::NotStored(_)) => false,
        }
    }
}
