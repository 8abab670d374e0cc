//! Errors as Hot Rod clients see them: a status, and a text that begins like the real server's.

use hotrod::{DecodeError, Status};
use store::{Cache, CacheError, WalkStep};

use crate::budget::NoRoom;

/// A failed operation: status and text.
pub(crate) type Failure = (Status, String);

/// Java's name of what clients look for when a cache is missing.
const CACHE_NOT_FOUND: &str = "org.infinispan.server.hotrod.CacheNotFoundException";
const PARSING: &str = "org.infinispan.server.hotrod.RequestParsingException";
const CACHE_EXCEPTION: &str = "org.infinispan.commons.CacheException";
pub(crate) const CONFIGURATION: &str = "org.infinispan.commons.CacheConfigurationException";

/// There is no cache of this name; empty for the default cache.
pub(crate) fn no_such_cache(name: &str) -> Failure {
    let text = if name.is_empty() {
        format!("{CACHE_NOT_FOUND}: Default cache requested but not configured")
    } else {
        format!(
            "{CACHE_NOT_FOUND}: Cache with name '{name}' not found amongst the configured caches"
        )
    };
    (Status::ParseError, text)
}

/// What a walk over a cache came to, as clients are told.
pub(crate) fn walked(
    cache: &Cache,
    walked: Result<WalkStep, CacheError>,
) -> Result<WalkStep, Failure> {
    walked.map_err(|error| match cache.is_removed() {
        true => no_such_cache(cache.name().as_str()),
        false => cache_error(&error),
    })
}

/// What waiting for room came to, as clients are told.
pub(crate) fn roomy<T>(room: Result<T, NoRoom>) -> Result<T, Failure> {
    room.map_err(failed)
}

/// Bytes that are no request.
pub(crate) fn refusal(error: &DecodeError) -> Failure {
    match error {
        DecodeError::Magic { actual, .. } => (
            Status::InvalidMagic,
            format!(
                "org.infinispan.server.hotrod.InvalidMagicIdException: Error reading magic byte or \
                 message id: {} ({error})",
                actual.cast_signed()
            ),
        ),
        DecodeError::UnknownOperation { opcode } => (
            Status::UnknownOperation,
            format!(
                "org.infinispan.server.hotrod.HotRodUnknownOperationException: Unknown operation {}",
                opcode.cast_signed()
            ),
        ),
        DecodeError::UnknownVersion { version } => (
            Status::UnknownVersion,
            format!(
                "org.infinispan.server.hotrod.UnknownVersionException: Unknown version:{version} \
                 ({error})"
            ),
        ),
        DecodeError::Illegal { field: "kind of media type", value } => {
            (Status::ParseError, format!("{PARSING}: Unknown MediaType definition: {value}"))
        }
        _ => (Status::ParseError, format!("{PARSING}: {error}")),
    }
}

/// An operation that is known and not done yet.
pub(crate) fn not_yet(name: &str, opcode: u8) -> Failure {
    let text = format!(
        "org.infinispan.server.hotrod.HotRodUnknownOperationException: Unknown operation {} \
         ({name} is not supported yet)",
        opcode.cast_signed()
    );
    (Status::UnknownOperation, text)
}

/// A command that the cache did not carry out.
pub(crate) fn cache_error(error: &CacheError) -> Failure {
    let status = match error {
        CacheError::NotExecuted => Status::IllegalLifecycleState,
        CacheError::Fenced(_)
        | CacheError::OutOfMemory { .. }
        | CacheError::TooManyTombstones { .. }
        | CacheError::Full
        | CacheError::SourceSilent
        | CacheError::SourceFailed(_)
        | CacheError::SourceDoubted
        | CacheError::NotStored(_)
        | CacheError::KeyTooLong { .. }
        | CacheError::KeyBeyondLimit { .. } => Status::ServerError,
    };
    (status, format!("{CACHE_EXCEPTION}: {error}"))
}

/// Anything else that the cache could not do.
pub(crate) fn failed(text: impl std::fmt::Display) -> Failure {
    (Status::ServerError, format!("{CACHE_EXCEPTION}: {text}"))
}

/// AUTH where no user is known. Unlike every other error it goes under its own opcode.
pub(crate) const NO_AUTHENTICATION: &str =
    "java.lang.UnsupportedOperationException: ISPN006007: The requested operation is invalid";

/// An iteration is asked to convert in a way that is not known here.
pub(crate) fn no_such_factory(name: &str) -> Failure {
    let text = format!(
        "java.lang.IllegalStateException: ISPN005060: Factory '{name}' not found in server"
    );
    (Status::ServerError, text)
}
