//! Determines a server's protocol version from its responses to two PINGs.
//!
//! Servers since 10.0 report their version in the response to PING 3.1. Older ones omit it, and
//! nothing in their response tells where it ends. So a PING 2.0, whose response has the same layout
//! everywhere, is sent after it: where a version would be, the next response begins instead.

use hotrod::{
    DecodeError, Intelligence, Limits, MediaTypeRef, ProtocolVersion, RESPONSE_MAGIC, Reader,
    ResponseHeader, Status,
    op::{Operation as _, Ping},
};

use crate::error::AnswerError;

/// Message ids of the two PINGs, and of one sent after them if the first response arrives last.
pub(crate) const PROBE_3_1: u64 = 1;
pub(crate) const PROBE_2_0: u64 = 2;
pub(crate) const PROBE_AGAIN: u64 = 3;

/// Most operations that a server may list.
const MOST_OPERATIONS: u32 = 1_024;

/// Conclusion from the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server supports versions up to this one, and the next response begins after `len` bytes.
    Speaks { newest: ProtocolVersion, len: usize },
    /// The server is older than 2.9 and needs a new connection.
    Old,
    /// The responses came in the other order: a PING with id [`PROBE_AGAIN`] shows where the last
    /// one ends.
    AskAgain,
    /// The server cannot serve now.
    Failed { status: Status, text: String },
}

/// Interprets the responses to the two PINGs.
pub(crate) fn judge(bytes: &[u8], asked_again: bool) -> Result<Verdict, AnswerError> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut waits_for = vec![PROBE_2_0];
    if asked_again {
        waits_for.push(PROBE_AGAIN);
    }
    loop {
        let header = ResponseHeader::decode(&mut reader, Intelligence::Basic)?;
        match header.status {
            Status::Success => {}
            // It does not know the version, or took the media types for messages.
            Status::InvalidMagic
            | Status::UnknownOperation
            | Status::UnknownVersion
            | Status::ParseError => return Ok(Verdict::Old),
            status if status.is_error() => {
                let text = reader.text("text of an error")?.to_owned();
                return Ok(Verdict::Failed { status, text });
            }
            status => {
                let value = status.byte().into();
                return Err(DecodeError::Illegal { field: "status of PING", value }.into());
            }
        }
        if header.opcode != Ping::RESPONSE {
            return Err(AnswerError::Opcode { expected: Ping::RESPONSE, actual: header.opcode });
        }
        if header.message_id == PROBE_3_1 {
            break;
        }
        take(&mut waits_for, header.message_id)?;
    }

    let came_last = waits_for.is_empty();
    let newest = match next(bytes, &reader) {
        None if came_last && !asked_again => return Ok(Verdict::AskAgain),
        // Before 2.9 there are no media types.
        Some(RESPONSE_MAGIC) => return Ok(Verdict::Old),
        _ => {
            MediaTypeRef::decode(&mut reader)?;
            MediaTypeRef::decode(&mut reader)?;
            match next(bytes, &reader) {
                None if came_last && !asked_again => return Ok(Verdict::AskAgain),
                Some(RESPONSE_MAGIC) => ProtocolVersion::V2_9,
                _ => rest_of_pong(&mut reader)?,
            }
        }
    };
    while !waits_for.is_empty() {
        let header = ResponseHeader::decode(&mut reader, Intelligence::Basic)?;
        if header.status.is_error() {
            reader.text("text of an error")?;
        }
        take(&mut waits_for, header.message_id)?;
    }
    Ok(Verdict::Speaks { newest, len: reader.position() })
}

/// Decodes what servers since 10.0 send after the media types.
fn rest_of_pong(reader: &mut Reader<'_>) -> Result<ProtocolVersion, DecodeError> {
    const FIELD: &str = "number of operations";
    let newest = ProtocolVersion::from_byte(reader.byte()?)?;
    let count = reader.vint(FIELD)?;
    if count > MOST_OPERATIONS {
        return Err(DecodeError::Illegal { field: FIELD, value: count.into() });
    }
    (0..count).try_for_each(|_| reader.short().map(drop))?;
    Ok(newest)
}

fn next(bytes: &[u8], reader: &Reader<'_>) -> Option<u8> {
    bytes.get(reader.position()).copied()
}

fn take(waits_for: &mut Vec<u64>, message_id: u64) -> Result<(), AnswerError> {
    let at = waits_for.iter().position(|id| *id == message_id);
    let at = at.ok_or(AnswerError::Unasked { message_id })?;
    waits_for.swap_remove(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Responses of servers of each age.

    use hex_literal::hex;

    use super::*;

    /// Magic, id, PING, success, no topology.
    const TO_2_0: [u8; 5] = hex!("A1 02 18 00 00");
    const AGAIN: [u8; 5] = hex!("A1 03 18 00 00");
    const OF_8: [u8; 5] = hex!("A1 01 18 00 00");
    const OF_9_4: [u8; 9] = hex!("A1 01 18 00 00 00 01 03 00");
    /// Version 4.1, two operations.
    const OF_16: [u8; 13] = hex!("A1 01 18 00 00 00 00 29 02 00 01 00 03");

    fn speaks(newest: ProtocolVersion, len: usize) -> Verdict {
        Verdict::Speaks { newest, len }
    }

    #[test]
    fn a_server_is_known_by_what_stands_behind_the_media_types() {
        let unknown_version = hex!("A1 01 50 83 00 03 61 62 63");
        let table = [
            ([&OF_16[..], &TO_2_0].concat(), speaks(ProtocolVersion::V4_1, 18)),
            ([&TO_2_0[..], &OF_16].concat(), speaks(ProtocolVersion::V4_1, 18)),
            ([&OF_9_4[..], &TO_2_0].concat(), speaks(ProtocolVersion::V2_9, 14)),
            ([&TO_2_0[..], &OF_9_4].concat(), Verdict::AskAgain),
            ([&OF_8[..], &TO_2_0].concat(), Verdict::Old),
            ([&TO_2_0[..], &OF_8].concat(), Verdict::AskAgain),
            (unknown_version.to_vec(), Verdict::Old),
            (
                hex!("A1 00 50 85 00 02 6E 6F").to_vec(),
                Verdict::Failed { status: Status::ServerError, text: "no".into() },
            ),
        ];
        for (bytes, verdict) in table {
            assert_eq!(judge(&bytes, false), Ok(verdict), "{bytes:02X?}");
        }
    }

    #[test]
    fn answers_in_the_other_order_are_told_apart_by_one_more() {
        let newer = [&TO_2_0[..], &OF_16, &AGAIN].concat();
        assert_eq!(judge(&newer, true), Ok(speaks(ProtocolVersion::V4_1, 23)));
        let older = [&TO_2_0[..], &OF_9_4, &AGAIN].concat();
        assert_eq!(judge(&older, true), Ok(speaks(ProtocolVersion::V2_9, 19)));
        let oldest = [&TO_2_0[..], &OF_8, &AGAIN].concat();
        assert_eq!(judge(&oldest, true), Ok(Verdict::Old));
    }

    #[test]
    fn nothing_is_said_before_all_of_it_is_there() {
        for bytes in [[&OF_16[..], &TO_2_0].concat(), [&OF_9_4[..], &TO_2_0].concat()] {
            for len in 0..bytes.len() {
                let verdict = judge(&bytes[..len], false);
                let incomplete = AnswerError::Decode(DecodeError::Incomplete { missing: 0 });
                let is_incomplete = verdict.as_ref().is_err_and(|error| {
                    std::mem::discriminant(error) == std::mem::discriminant(&incomplete)
                });
                assert!(is_incomplete, "{verdict:?} after {len} of {bytes:02X?}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let table = [
            (&b"HTTP/1.1"[..], "a message begins with byte 0xA1, not 0x48"),
            (&hex!("A1 07 18 00 00"), "there was no message 7 to be answered"),
            (&hex!("A1 01 04 00 00"), "the answer has opcode 0x04, not 0x18"),
            (&hex!("A1 01 18 02 00"), "the status of PING cannot be 2"),
            (
                &hex!("A1 01 18 00 00 00 00 29 FF FF FF FF 0F"),
                "the number of operations cannot be 4294967295",
            ),
        ];
        for (bytes, text) in table {
            assert_eq!(judge(bytes, false).unwrap_err().to_string(), text);
        }
    }
}
