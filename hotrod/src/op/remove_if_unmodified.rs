//! REMOVE_IF_UNMODIFIED (0x0D): removes an entry if it has the given version.

use super::{DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::previous::Changed;

/// Removes the entry under `key` if it has `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveIfUnmodified<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The version that the client expects.
    pub version: u64,
}

impl<'a> Request<'a> for RemoveIfUnmodified<'a> {
    type Response<'b> = Changed<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { key: reader.key()?, version: reader.long()? })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
        writer.long(self.version);
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Change, Command, Condition, Outcome, Version};

    use super::RemoveIfUnmodified;
    use crate::{
        previous::Changed,
        serve::{Context, Run, changed},
    };

    impl<'a> Run<'a> for RemoveIfUnmodified<'a> {
        fn command(&self, context: &Context<'_>) -> Command<'a> {
            context.change(self.key, Condition::Version(Version(self.version)), Change::Remove)
        }
        fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
            changed(outcome, context)
        }
    }
}
