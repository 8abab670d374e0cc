//! REPLACE_IF_UNMODIFIED (0x09): writes an entry if the present one has the given version.

use super::{DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Writer};
use crate::{expiration::RequestExpiration, previous::Changed};

/// Writes `value` under `key` if the entry has `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceIfUnmodified<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Lifespan and max idle of the entry.
    pub expiration: RequestExpiration,
    /// The version that the client expects.
    pub version: u64,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Request<'a> for ReplaceIfUnmodified<'a> {
    type Response<'b> = Changed<'b>;

    fn decode(header: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let key = reader.key()?;
        let expiration = RequestExpiration::decode(header, reader)?;
        let version = reader.long()?;
        Ok(Self { key, expiration, version, value: reader.array("value")? })
    }
    fn encode(&self, version: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.key);
        self.expiration.encode(version, writer);
        writer.long(self.version);
        writer.array(self.value);
    }
}

#[cfg(feature = "serve")]
mod serve {
    use store::{Command, Condition, Outcome, Version};

    use super::ReplaceIfUnmodified;
    use crate::{
        op::NewEntry,
        previous::Changed,
        serve::{Context, Run, changed},
    };

    impl<'a> Run<'a> for ReplaceIfUnmodified<'a> {
        fn command(&self, context: &Context<'_>) -> Command<'a> {
            let condition = Condition::Version(Version(self.version));
            let entry = NewEntry { key: self.key, expiration: self.expiration, value: self.value };
            context.write(&entry, condition)
        }
        fn response<'b>(outcome: Outcome<'b>, context: &Context<'_>) -> Changed<'b> {
            changed(outcome, context)
        }
    }
}
