//! PUT (0x01): writes an entry unconditionally.

use super::{DecodeError, NewEntry, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::previous::Changed;

/// Writes an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put<'a>(pub NewEntry<'a>);

impl<'a> Request<'a> for Put<'a> {
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

    use super::Put;
    use crate::{
        previous::Changed,
        serve::{Context, Run, previous},
    };

    impl<'a> Run<'a> for Put<'a> {
        fn command(&self, context: &Context<'_>) -> Command<'a> {
            context.write(&self.0, Condition::Always)
        }
        fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
            match outcome {
                Outcome::Changed { previous: before } if context.wants_previous() => {
                    Changed::DoneAfter(before.map(previous))
                }
                _ => Changed::Done,
            }
        }
    }
}
