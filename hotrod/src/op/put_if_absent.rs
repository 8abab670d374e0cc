//! PUT_IF_ABSENT (0x05): writes an entry if there is none.

use super::{DecodeError, NewEntry, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::previous::Changed;

/// Writes an entry if there is none under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutIfAbsent<'a>(pub NewEntry<'a>);

impl<'a> Request<'a> for PutIfAbsent<'a> {
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

    use super::PutIfAbsent;
    use crate::{
        previous::Changed,
        serve::{Context, Run, refused},
    };

    impl<'a> Run<'a> for PutIfAbsent<'a> {
        fn command(&self, context: &Context<'_>) -> Command<'a> {
            context.write(&self.0, Condition::Absent)
        }
        fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
            match outcome {
                Outcome::Refused { current } => refused(current, context),
                _ => Changed::Done,
            }
        }
    }
}
