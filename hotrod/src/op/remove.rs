//! REMOVE (0x0B): removes the entry under a key.

use super::{DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::previous::Changed;

/// Removes the entry under `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove<'a> {
    /// The key.
    pub key: &'a [u8],
}

impl<'a> Request<'a> for Remove<'a> {
    type Response<'b> = Changed<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.key()? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Change, Command, Condition, Outcome};

    use super::Remove;
    use crate::{
        previous::Changed,
        serve::{Context, Run, changed},
    };

    impl<'a> Run<'a> for Remove<'a> {
        fn command(&self, context: &Context<'_>) -> Command<'a> {
            context.change(self.key, Condition::Always, Change::Remove)
        }
        fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
            match outcome {
                // The source did not answer: the key is removed, and whether it had an entry is
                // unknown.
                Outcome::Changed { previous: None } => Changed::Done,
                outcome => changed(outcome, context),
            }
        }
    }
}
