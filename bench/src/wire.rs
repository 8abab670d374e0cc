//! Encodes requests and decodes answers in both protocols.

mod hot_rod;
mod memcached;

use hotrod::Writer;

pub(crate) use self::{
    hot_rod::{HotRod, whole},
    memcached::Memcached,
};
use crate::{error::WrongAnswer, plan::Kind};

/// A protocol on one connection.
pub(crate) trait Wire {
    /// Encodes a request. No other request in flight has the same `id`; `value` is for a put.
    fn encode(&mut self, id: u64, kind: Kind, key: &[u8], value: &[u8], out: &mut Writer);

    /// Decodes the first answer in `bytes`, if it is complete.
    fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Answer<'a>>, WrongAnswer>;
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The request that it answers.
    pub id: u64,
    /// Its length in bytes.
    pub len: usize,
    pub outcome: Outcome<'a>,
}

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// A get returned this value.
    Value(&'a [u8]),
    /// A get or a remove found no entry.
    Missing(Kind),
    /// A put or a remove succeeded. memcached does not say which.
    Done(Option<Kind>),
    /// The server refused the request with this message.
    Refused(&'a str),
}

impl Outcome<'_> {
    /// Returns whether a request of this kind can have this outcome.
    pub(crate) fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Value(_) => kind == Kind::Get,
            Self::Missing(of) => kind == of,
            Self::Done(Some(of)) => kind == of,
            Self::Done(None) => matches!(kind, Kind::Put | Kind::Remove),
            Self::Refused(_) => true,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::Missing(Kind::Get) => "miss of a get",
            Self::Missing(_) => "miss of a remove",
            Self::Done(None) => "success without a value",
            Self::Done(Some(Kind::Remove)) => "successful remove",
            Self::Done(Some(_)) => "successful put",
            Self::Refused(_) => "refusal",
        }
    }
}
