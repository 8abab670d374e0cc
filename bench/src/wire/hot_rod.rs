//! Hot Rod 4.0 and 4.1, as a hash-aware client uses it.

use hotrod::{
    DecodeError, ERROR_RESPONSE, Flags, Intelligence, Limits, MediaTypeRef, ProtocolVersion,
    Reader, RequestExpiration, RequestHeader, ResponseHeader, Status, Writer,
    op::{Get, Got, NewEntry, Operation, Put, Remove, Request, Response as _},
};

use super::{Answer, Outcome, Wire};
use crate::{error::WrongAnswer, plan::Kind};

/// What all requests of one connection share.
#[derive(Clone, Debug)]
pub(crate) struct HotRod {
    pub version: ProtocolVersion,
    pub cache: String,
    /// The last topology that the server reported.
    pub topology_id: u32,
}

impl HotRod {
    /// What every client but the simplest announces.
    pub(crate) const INTELLIGENCE: Intelligence = Intelligence::HashAware;

    /// Encodes a request of any operation.
    #[inline]
    pub(crate) fn request<'a, R: Request<'a> + Operation>(
        &self,
        message_id: u64,
        request: &R,
        out: &mut Writer,
    ) {
        let header = RequestHeader {
            message_id,
            version: self.version,
            opcode: R::REQUEST,
            cache_name: &self.cache,
            flags: Flags::default(),
            intelligence: Self::INTELLIGENCE,
            topology_id: self.topology_id,
            // Bytes are passed as the cache stores them.
            key_type: MediaTypeRef::Unspecified,
            value_type: MediaTypeRef::Unspecified,
        };
        header.encode(out);
        request.encode(self.version, out);
    }

    /// Decodes the header of an answer, and remembers a new topology.
    #[inline]
    pub(crate) fn header(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<ResponseHeader, DecodeError> {
        let header = ResponseHeader::decode(reader, Self::INTELLIGENCE)?;
        if let Some(topology) = &header.topology {
            self.topology_id = topology.id;
        }
        Ok(header)
    }
}

/// Returns `None` if bytes are missing.
pub(crate) fn whole<T>(decoded: Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
    match decoded {
        Ok(decoded) => Ok(Some(decoded)),
        Err(DecodeError::Incomplete { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Wire for HotRod {
    #[inline]
    fn encode(&mut self, id: u64, kind: Kind, key: &[u8], value: &[u8], out: &mut Writer) {
        match kind {
            Kind::Put => {
                let expiration = RequestExpiration::default();
                self.request(id, &Put(NewEntry { key, expiration, value }), out);
            }
            Kind::Remove => self.request(id, &Remove { key }, out),
            Kind::Get | Kind::Next => self.request(id, &Get { key }, out),
        }
    }

    #[inline]
    fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Answer<'a>>, WrongAnswer> {
        let mut reader = Reader::new(bytes, Limits::NONE);
        let Some(header) = whole(self.header(&mut reader))? else { return Ok(None) };
        let outcome = outcome(&header, self.version, &mut reader);
        let Some(outcome) = whole(outcome)? else { return Ok(None) };
        match (header.message_id, outcome) {
            // An error about an undecodable request has no message id.
            (0, Outcome::Refused(text)) => Err(WrongAnswer::Complaint(text.into())),
            (id, outcome) => Ok(Some(Answer { id, len: reader.position(), outcome })),
        }
    }
}

#[inline]
fn outcome<'a>(
    header: &ResponseHeader,
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<Outcome<'a>, DecodeError> {
    if header.status.is_error() {
        return Ok(Outcome::Refused(reader.text("error")?));
    }
    match header.opcode {
        Get::RESPONSE => Ok(match Got::decode(header.status, version, reader)? {
            Got(Some(value)) => Outcome::Value(value.get()),
            Got(None) => Outcome::Missing(Kind::Get),
        }),
        Put::RESPONSE => Ok(changed(header.status, Kind::Put)),
        Remove::RESPONSE => Ok(changed(header.status, Kind::Remove)),
        ERROR_RESPONSE => Ok(Outcome::Refused(reader.text("error")?)),
        opcode => Err(DecodeError::UnknownOperation { opcode }),
    }
}

/// Returns the outcome of a change. No previous entry was asked for, so none follows.
fn changed(status: Status, kind: Kind) -> Outcome<'static> {
    match status {
        Status::Success => Outcome::Done(Some(kind)),
        Status::KeyDoesNotExist => Outcome::Missing(kind),
        _ => Outcome::Refused("the condition did not hold"),
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use hotrod::NO_TOPOLOGY;

    use super::*;

    fn hot_rod() -> HotRod {
        HotRod { version: ProtocolVersion::V4_1, cache: "c".into(), topology_id: NO_TOPOLOGY }
    }

    fn encoded(kind: Kind) -> Vec<u8> {
        let mut out = Writer::default();
        hot_rod().encode(5, kind, b"key", b"value", &mut out);
        out.into_bytes()
    }

    fn decoded(bytes: &[u8]) -> Result<Option<Answer<'_>>, WrongAnswer> {
        hot_rod().decode(bytes)
    }

    #[test]
    fn requests_are_those_of_version_4_1() {
        // Magic, message 5, 4.1, opcode, cache "c", no flags, hash aware, topology -1, no media types,
        // no other parameters.
        let [get, put, remove] = [
            hex!("A0 05 29 03 01 63 00 03 FFFFFFFF0F 00 00 00  03 6B6579"),
            hex!("A0 05 29 01 01 63 00 03 FFFFFFFF0F 00 00 00  03 6B6579"),
            hex!("A0 05 29 0B 01 63 00 03 FFFFFFFF0F 00 00 00  03 6B6579"),
        ];
        assert_eq!(encoded(Kind::Get), get);
        assert_eq!(encoded(Kind::Remove), remove);
        // The expiration is the cache's own.
        assert_eq!(encoded(Kind::Put), [&put[..], &hex!("77 05 76616C7565")].concat());
    }

    #[test]
    fn answers_are_read_whole_and_wherever_they_are_cut() {
        let answers: [(&[u8], Outcome<'_>); 6] = [
            (&hex!("A1 05 04 00 00 03 616263"), Outcome::Value(b"abc")),
            (&hex!("A1 05 04 02 00"), Outcome::Missing(Kind::Get)),
            (&hex!("A1 05 02 00 00"), Outcome::Done(Some(Kind::Put))),
            (&hex!("A1 05 0C 00 00"), Outcome::Done(Some(Kind::Remove))),
            (&hex!("A1 05 0C 02 00"), Outcome::Missing(Kind::Remove)),
            (&hex!("A1 05 50 85 00 04 66756C6C"), Outcome::Refused("full")),
        ];
        for (bytes, outcome) in answers {
            let answer = Answer { id: 5, len: bytes.len(), outcome };
            assert_eq!(decoded(bytes), Ok(Some(answer)));
            assert_eq!(decoded(&[bytes, &hex!("A1 06")].concat()), Ok(Some(answer)));
            for cut in 0..bytes.len() {
                assert_eq!(decoded(&bytes[..cut]), Ok(None), "{cut} bytes of {outcome:?}");
            }
        }
    }

    #[test]
    fn a_new_topology_is_remembered_so_that_it_comes_once() {
        // Status 0, topology 7: server "a", port 1; hash 3, one segment with one owner, the first.
        let bytes = hex!("A1 05 02 00 01  07 01 01 61 0001  03 01 01 00");
        let mut wire = hot_rod();
        assert!(wire.decode(&bytes).unwrap().is_some());
        assert_eq!(wire.topology_id, 7);
    }

    #[test]
    fn what_answers_no_request_is_wrong() {
        let complaint = hex!("A1 00 50 81 00 03 626164");
        assert_eq!(decoded(&complaint), Err(WrongAnswer::Complaint("bad".into())));
        let magic = DecodeError::Magic { expected: 0xA1, actual: b'V' };
        assert_eq!(decoded(b"VA 3"), Err(magic.into()));
        let opcode = DecodeError::UnknownOperation { opcode: 0x18 };
        assert_eq!(decoded(&hex!("A1 05 18 00 00")), Err(opcode.into()));
    }
}
