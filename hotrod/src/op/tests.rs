//! Responses recorded from a real server.

use std::collections::BTreeMap;

use super::*;
use crate::{
    Limits, ResponseHeader, Status, decoder::Decoder, encode_response_header, recorded,
    topology::Intelligence,
};

/// Decodes a response completely and encodes it again.
fn again<'b, R: Response<'b>>(
    header: &ResponseHeader,
    intelligence: Intelligence,
    version: ProtocolVersion,
    reader: &mut Reader<'b>,
) -> Vec<u8> {
    let response = R::decode(header.status, version, reader).unwrap();
    assert_eq!(response.status(), header.status);
    let mut writer = Writer::default();
    let topology = header.topology.as_ref().map(|topology| topology.block(intelligence));
    encode_response_header(
        &mut writer,
        header.message_id,
        header.opcode,
        header.status,
        topology.as_deref(),
    );
    response.encode(version, &mut writer);
    writer.into_bytes()
}

#[test]
fn a_response_is_read_to_its_last_byte_and_written_as_the_server_wrote_it() {
    let mut compared = BTreeMap::new();
    for exchange in recorded::exchanges() {
        let mut decoder = Decoder::default();
        decoder.push(&exchange.request);
        let Ok(Some(decoded)) = decoder.next_request() else { continue };
        // Statuses 0x06 to 0x08 belong to caches of Java objects: decoded, but never encoded.
        let of_objects = |bytes: &[u8]| matches!(bytes.get(3), Some(0x06..=0x08));
        if exchange.response.is_empty() || of_objects(&exchange.response) {
            continue;
        }
        let (version, intelligence) = (decoded.header.version, decoded.header.intelligence);
        let mut reader = Reader::new(&exchange.response, Limits::NONE);
        let header = ResponseHeader::decode(&mut reader, intelligence).unwrap();
        if header.message_id != decoded.header.message_id {
            // The recording holds the late answer to the request before this one.
            continue;
        }
        if header.status.is_error() {
            reader.text("error").unwrap();
            // A real server answers bytes that it cannot decode with one error for each byte.
            while reader.position() < exchange.response.len() {
                let next = ResponseHeader::decode(&mut reader, intelligence).unwrap();
                assert!(next.status.is_error(), "{}", exchange.label);
                reader.text("error").unwrap();
            }
            continue;
        }
        macro_rules! again_of {
            ($($request:ident => $response:ty),* $(,)?) => {
                match &decoded.request {
                    $(AnyRequest::$request(_) => again::<$response>(&header, intelligence, version, &mut reader),)*
                    _ => continue,
                }
            };
        }
        let written = again_of! {
            Put => crate::Changed<'_>, PutIfAbsent => crate::Changed<'_>, Replace => crate::Changed<'_>,
            ReplaceIfUnmodified => crate::Changed<'_>, Remove => crate::Changed<'_>,
            RemoveIfUnmodified => crate::Changed<'_>, Get => Got<'_>, GetWithVersion => GotWithVersion<'_>,
            GetWithMetadata => GotWithMetadata<'_>, ContainsKey => Contains, Clear => Empty,
            Stats => Statistics, Ping => Pong<'_>, BulkGet => BulkGot<'_>, BulkGetKeys => BulkGotKeys<'_>,
            Size => Count, PutAll => Empty, GetAll => GotAll<'_>, Exec => Executed<'_>,
            IterationStart => IterationStarted<'_>, IterationNext => Batch<'_>, IterationEnd => IterationEnded,
        };
        // Some recordings continue with an event.
        let (response, rest) = exchange.response.split_at(reader.position());
        assert_eq!(written, response, "{} {}", exchange.label, exchange.version);
        assert!(matches!(rest.first(), None | Some(&crate::RESPONSE_MAGIC)), "{}", exchange.label);
        *compared.entry(decoded.request.name()).or_insert(0) += 1;
    }
    assert!(compared.len() >= 20 && compared.values().sum::<i32>() > 250, "{compared:?}");
}

#[test]
fn no_bytes_make_a_client_panic() {
    let corpus: Vec<Vec<u8>> = recorded::exchanges().map(|exchange| exchange.response).collect();
    crate::fuzz::mutations(&corpus, 20_000, 0x8765_4321, crate::fuzz::responses);
}

#[test]
fn an_error_is_read_as_its_status_and_text() {
    let exchange =
        recorded::exchanges().find(|exchange| exchange.label.contains("unknown cache")).unwrap();
    let mut reader = Reader::new(&exchange.response, Limits::NONE);
    let header = ResponseHeader::decode(&mut reader, Intelligence::Basic).unwrap();
    assert_eq!((header.opcode, header.status), (0x50, Status::ParseError));
    let text = reader.text("error").unwrap();
    assert!(text.contains("Cache with name 'nope' not found"), "{text}");
    let mut writer = Writer::default();
    crate::encode_error(&mut writer, header.message_id, header.status, text);
    assert_eq!(writer.bytes(), exchange.response);
}
