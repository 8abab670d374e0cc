//! PLAIN (RFC 4616): user and password in one message.

use crate::credentials::Credentials;

pub(super) fn message(credentials: &Credentials) -> Vec<u8> {
    // No authorization identity: users act as themselves.
    [b"", credentials.user.as_bytes(), credentials.password.as_bytes()].join(&0)
}
