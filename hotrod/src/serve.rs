//! Maps requests to store commands, and outcomes to responses.

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

/// What a request needs besides its own fields.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Header of the request.
    pub header: &'a RequestHeader<'a>,
    /// The current time.
    pub now: Timestamp,
    /// Expiration of entries that ask for the cache's default.
    pub default_expiration: Expiration,
    /// The encoded topology block, if the client's topology is out of date.
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

    /// Returns the expiration of an entry written now.
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
    /// Returns the store command for this request.
    fn command(&self, context: &Context<'_>) -> Command<'a>;

    /// Returns the response for the command's outcome.
    fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Self::Response<'b>;
}

macro_rules! keyed {
    ($($name:ident),*) => {
        impl<'a> AnyRequest<'a> {
            /// Returns the store command for the request, or `None` if it is not about one key.
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

            /// Returns whether the response contains the value of the entry in the outcome.
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

/// Writes the header and the fields of a response.
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

/// Writes the outcome of a command as the response.
pub struct Responder<'a, 'w> {
    /// The request to answer.
    pub request: &'a AnyRequest<'a>,
    /// Its context.
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

/// Converts an entry to the form that responses carry.
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

/// Returns the response that most changes share.
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
