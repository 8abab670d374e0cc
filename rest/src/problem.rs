//! Why a request was not done, as clients see it: a status and a text, the real server's wherever
//! it has one.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use cluster::AdminError;
use config::{CacheNameError, ConfigError, RemoteStoreError};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use media::{ConversionError, KeyFormError, NoConversion, NotAMediaType};
use migrate::MigrationError;
use store::CacheError;

/// Seconds after which a request that was not carried out may be sent again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request was not done. How it is written, `answer::render` decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Problem {
    /// A problem of this status.
    pub(crate) fn new(status: StatusCode, text: impl ToString) -> Self {
        Self { status, text: text.to_string() }
    }

    /// The request makes no sense.
    pub(crate) fn bad_request(text: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// The parameter `action` names nothing that is known here.
    pub(crate) fn unknown_action() -> Self {
        Self::bad_request("Invalid 'action' parameter supplied")
    }

    /// The action changes something, and GET changes nothing.
    pub(crate) fn not_by_get(action: &str) -> Self {
        let text = format!("GET changes nothing, so it cannot do '{action}': use POST");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, text)
    }

    /// A parameter that is needed is not there.
    pub(crate) fn missing(parameter: &str) -> Self {
        Self::bad_request(format!("ISPN012051: Argument '{parameter}' is required"))
    }

    /// A parameter has a value that makes no sense.
    pub(crate) fn illegal(parameter: &str, value: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("ISPN012023: Argument '{parameter}' has illegal value '{value}'"))
    }

    /// Something that a real server does and this one does not.
    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("{what} is not supported"))
    }

    /// The configured media type cannot be made of what the client sent.
    pub(crate) fn unsupported(error: &NoConversion) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
    }

    /// What is stored cannot be given out as the client wants it.
    pub(crate) fn not_acceptable(text: impl ToString) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, text)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text.clone()));
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Self {
        let status = match &error {
            CacheError::NotExecuted | CacheError::Fenced(_) => StatusCode::SERVICE_UNAVAILABLE,
            CacheError::OutOfMemory { .. }
            | CacheError::TooManyTombstones { .. }
            | CacheError::Full => StatusCode::INSUFFICIENT_STORAGE,
            CacheError::SourceSilent | CacheError::SourceFailed(_) | CacheError::SourceDoubted => {
                StatusCode::BAD_GATEWAY
            }
            CacheError::NotStored(_) => StatusCode::INTERNAL_SERVER_ERROR,
            CacheError::KeyTooLong { .. } | CacheError::KeyBeyondLimit { .. } => {
                StatusCode::BAD_REQUEST
            }
        };
        Self::new(status, error)
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let status = match &error {
            AdminError::NoSuchCache(_) => StatusCode::NOT_FOUND,
            AdminError::CacheExists(_)
            | AdminError::NoSuchTemplate { .. }
            | AdminError::Config(_)
            | AdminError::Immutable { .. }
            | AdminError::Attribute(_)
            | AdminError::Name(_)
            | AdminError::GivenTemplate(_)
            | AdminError::NotStorable(_)
            | AdminError::Reserved(_)
            | AdminError::TooManyCaches { .. }
            | AdminError::Internal(_) => StatusCode::BAD_REQUEST,
            AdminError::NoMemory { .. } => StatusCode::INSUFFICIENT_STORAGE,
            AdminError::Conflict(_) | AdminError::WouldLose(_) => StatusCode::CONFLICT,
            AdminError::NotStored(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

impl From<MigrationError> for Problem {
    fn from(error: MigrationError) -> Self {
        let status = match &error {
            MigrationError::NoSuchCache(_) => StatusCode::NOT_FOUND,
            MigrationError::AlreadyConnected(_) => StatusCode::NOT_MODIFIED,
            MigrationError::Problems(_) | MigrationError::NotStorable(_) => StatusCode::BAD_REQUEST,
            MigrationError::NothingToSynchronize(_)
            | MigrationError::NotConnected(_)
            | MigrationError::WouldLose { .. }
            | MigrationError::Paused { .. }
            | MigrationError::NotNow(_) => StatusCode::CONFLICT,
            MigrationError::NotBegun { .. }
            | MigrationError::NotSynchronized { .. }
            | MigrationError::StaysConnected { .. }
            | MigrationError::NotStored(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

/// Mistakes in what a client sent.
macro_rules! bad_requests {
    ($($error:ty),*) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::bad_request(error)
            }
        })*
    };
}

bad_requests!(
    CacheNameError,
    ConfigError,
    ConversionError,
    KeyFormError,
    NoConversion,
    NotAMediaType,
    RemoteStoreError
);
