//! Requests as bytes, and answers from bytes, in both protocols.

mod hot_rod;
mod memcached;

use hotrod::Writer;

pub(crate) use self::{
    hot_rod::{HotRod, whole},
    memcached::Memcached,
};
use crate::{error::WrongAnswer, plan::Kind};

/// A protocol, on one connection.
pub(crate) trait Wire {
    /// Writes a request. `id` is that of no other request in flight; `value` is for a put.
    fn encode(&mut self, id: u64, kind: Kind, key: &[u8], value: &[u8], out: &mut Writer);

    /// The first answer in `bytes`, if it is whole.
    fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Answer<'a>>, WrongAnswer>;
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The request that it answers.
    pub id: u64,
    /// Its length in bytes.
    pub len: usize,
    pub outcome: Outcome<'a>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// A get: the value.
    Value(&'a [u8]),
    /// A get or a remove: there is no entry.
    Missing(Kind),
    /// A put or a remove was carried out. memcached does not say which.
    Done(Option<Kind>),
    /// The server did not carry it out, and says why.
    Refused(&'a str),
}

impl Outcome<'_> {
    /// Returns whether it can be what came of a request of this kind.
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
