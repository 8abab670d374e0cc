//! REPLACE (0x07): writes an entry if there is one.

use super::{DecodeError, NewEntry, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::previous::Changed;

/// Writes an entry if there is one under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace<'a>(pub NewEntry<'a>);

impl<'a> Request<'a> for Replace<'a> {
    type Response<'b> = Changed<'b>;

    fn decode(header: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        NewEntry::decode(header, reader).map(Self)
    }
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        self.0.encode(version, writer);
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Command, Condition, Outcome};

    use super::Replace;
    use crate::{
        previous::Changed,
        serve::{Context, Run, changed},
    };

    impl<'a> Run<'a> for Replace<'a> {
        fn command(&self, context: &Context<'_>) -> Command<'a> {
            context.write(&self.0, Condition::Present)
        }
        fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
            match outcome {
                // Unlike the ...IfUnmodified operations, REPLACE answers "not executed" for a
                // missing entry.
                Outcome::Missing => Changed::Refused,
                outcome => changed(outcome, context),
            }
        }
    }
}
