//! What a server makes of a request: a command for the store, and a response from its outcome.

use store::{
    Change, Command, Condition, EntryRef, Expiration, Lifetime, Outcome, Reply, Source, Timestamp,
    Value,
};

use crate::{
    expiration::{Duration, RequestExpiration},
    header::{Flags, RequestHeader, encode_response_header},
    op::{AnyRequest, NewEntry, Operation, Request, Response},
    previous::{Changed, Previous},
    writer::Writer,
};

/// What a request is carried out in.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Its header.
    pub header: &'a RequestHeader<'a>,
    /// The time.
    pub now: Timestamp,
    /// What the cache gives to an entry that asks for the default.
    pub default_expiration: Expiration,
    /// The topology block that the client has to learn, as it goes on the wire.
    pub topology: Option<&'a [u8]>,
}

impl Context<'_> {
    pub(crate) fn wants_previous(&self) -> bool {
        self.header.flags.has(Flags::FORCE_RETURN_PREVIOUS)
    }

    pub(crate) fn write<'k>(&self, entry: &NewEntry<'k>, condition: Condition) -> Command<'k> {
        let expiration = self.expiration(entry.expiration);
        let value = Value::Inline(entry.value);
        self.change(entry.key, condition, Change::Write { value, expiration })
    }

    pub(crate) fn change<'k>(
        &self,
        key: &'k [u8],
        condition: Condition,
        change: Change<'k>,
    ) -> Command<'k> {
        let wants_previous = self.wants_previous();
        Command { wants_previous, ..Command::new(key, condition, change) }
    }

    /// When an entry ends that is written now.
    #[must_use]
    pub fn expiration(&self, requested: RequestExpiration) -> Expiration {
        let lifetime = |duration, default| match duration {
            Duration::Default => default,
            Duration::Infinite => None,
            Duration::Millis(millis) => Some(Lifetime::from_millis(millis)),
            Duration::Until(millis) => {
                Some(Lifetime::from_millis(millis.saturating_sub(self.now.millis())))
            }
        };
        Expiration {
            lifespan: lifetime(requested.lifespan, self.default_expiration.lifespan),
            max_idle: lifetime(requested.max_idle, self.default_expiration.max_idle),
        }
        .effective()
    }
}

/// An operation on one key.
pub trait Run<'a>: Request<'a> {
    /// What it asks of the store.
    fn command(&self, context: &Context<'_>) -> Command<'a>;

    /// What it answers.
    fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Self::Response<'b>;
}

macro_rules! keyed {
    ($($name:ident),*) => {
        impl<'a> AnyRequest<'a> {
            /// What the request asks of the store; `None` if it is not about one key.
            #[inline]
            #[must_use]
            pub fn command(&self, context: &Context<'_>) -> Option<Command<'a>> {
                let command = match self {
                    $(Self::$name(request) => request.command(context),)*
                    _ => return None,
                };
                let skips = context.header.flags.has(Flags::SKIP_CACHE_LOAD);
                // Conditional operations do not honour the flag: their answer depends on the entry.
                let honoured = skips && command.condition == Condition::Always;
                Some(if honoured { Command { source: Source::Skip, ..command } } else { command })
            }

            /// Returns whether the response shows the value of the entry that the outcome names.
            #[must_use]
            pub fn shows_value(&self, context: &Context<'_>) -> bool {
                match self {
                    Self::Get(_) | Self::GetWithVersion(_) | Self::GetWithMetadata(_) => true,
                    Self::ContainsKey(_) => false,
                    _ => context.wants_previous(),
                }
            }

            /// Writes the response to a request about one key.
            #[inline]
            pub fn respond(&self, outcome: Outcome<'_>, context: &Context<'_>, writer: &mut Writer) {
                match self {
                    $(Self::$name(_) => respond::<crate::op::$name<'_>>(outcome, context, writer),)*
                    _ => {}
                }
            }
        }
    };
}

keyed!(
    Put,
    Get,
    PutIfAbsent,
    Replace,
    ReplaceIfUnmodified,
    Remove,
    RemoveIfUnmodified,
    ContainsKey,
    GetWithVersion,
    GetWithMetadata
);

#[inline]
fn respond<'a, R: Run<'a> + Operation>(
    outcome: Outcome<'_>,
    context: &Context<'_>,
    writer: &mut Writer,
) {
    write_response::<R>(&R::response(outcome, context), context, writer);
}

/// Writes header and fields of a response.
pub fn write_response<'a, R: Request<'a> + Operation>(
    response: &R::Response<'_>,
    context: &Context<'_>,
    writer: &mut Writer,
) {
    let header = context.header;
    let status = response.status();
    encode_response_header(writer, header.message_id, R::RESPONSE, status, context.topology);
    response.encode(header.version, writer);
}

/// A reply that writes the response.
pub struct Responder<'a, 'w> {
    /// The request that is answered.
    pub request: &'a AnyRequest<'a>,
    /// What it is carried out in.
    pub context: &'a Context<'a>,
    /// Where the response goes.
    pub writer: &'w mut Writer,
}

impl Reply for Responder<'_, '_> {
    #[inline]
    fn reply(&mut self, outcome: Outcome<'_>) {
        self.request.respond(outcome, self.context, self.writer);
    }
}

/// An entry that stood there, as a response shows it.
pub(crate) fn previous(entry: EntryRef<'_>) -> Previous<'_> {
    Previous { metadata: Some(entry.metadata().into()), value: entry.value().into() }
}

pub(crate) fn refused<'b>(current: EntryRef<'b>, context: &Context<'_>) -> Changed<'b> {
    if context.wants_previous() {
        Changed::RefusedBy(Some(previous(current)))
    } else {
        Changed::Refused
    }
}

/// What most changes answer.
pub(crate) fn changed<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
    match outcome {
        Outcome::Changed { previous: before } if context.wants_previous() => {
            Changed::DoneAfter(before.map(previous))
        }
        Outcome::Changed { .. } | Outcome::Found(_) => Changed::Done,
        Outcome::Refused { current } => refused(current, context),
        Outcome::Missing => Changed::Missing,
    }
}
