//! Recorded traffic of real servers and clients, as requests with their responses.

use std::collections::BTreeMap;

use hotrod::{
    Decoder, Limits, Reader, RequestHeader, ResponseHeader, Writer,
    op::{self, AnyRequest, Response as _},
};

/// A recorded request and its response.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

/// Returns a recorded response with this message id.
pub(crate) fn answering(message_id: u64, recorded: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(recorded, Limits::NONE);
    reader.byte().unwrap();
    reader.vlong("message id").unwrap();
    let mut writer = Writer::default();
    writer.byte(hotrod::RESPONSE_MAGIC);
    writer.vlong(message_id);
    writer.raw(&recorded[reader.position()..]);
    writer.into_bytes()
}

fn recorded() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../hotrod/vectors/recorded.json")).unwrap()
}

/// Returns the recorded single exchanges.
pub(crate) fn wire() -> Vec<Exchange> {
    let recorded = recorded();
    let wire = recorded["wire"].as_array().unwrap().iter();
    wire.map(|exchange| Exchange {
        request: unhex(&exchange["request"]),
        response: unhex(&exchange["response"]),
    })
    .collect()
}

/// Returns the exchanges in the recorded sessions of whole clients.
pub(crate) fn sessions() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for items in recorded()["client_sessions"].as_object().unwrap().values() {
        let mut streams = BTreeMap::<u64, [Vec<u8>; 2]>::new();
        for item in items.as_array().unwrap() {
            let stream = streams.entry(item["conn"].as_u64().unwrap()).or_default();
            stream[usize::from(item["dir"] != "c2s")].extend(unhex(&item["hex"]));
        }
        for [asked, said] in streams.values() {
            pair(asked, said, &mut exchanges);
        }
    }
    exchanges
}

/// Pairs the requests on a connection with the responses, as far as the responses can be told
/// apart.
fn pair(asked: &[u8], mut said: &[u8], exchanges: &mut Vec<Exchange>) {
    let mut requests = BTreeMap::new();
    let mut decoder = Decoder::default();
    decoder.push(asked);
    while let Ok(Some(decoded)) = decoder.next_request() {
        requests.insert(decoded.header.message_id, decoded.bytes.to_vec());
    }
    while !said.is_empty() {
        let mut reader = Reader::new(said, Limits::NONE);
        reader.byte().unwrap();
        let Some(request) = requests.remove(&reader.vlong("message id").unwrap()) else { return };
        let mut decoder = Decoder::default();
        decoder.push(&request);
        let decoded = decoder.next_request().unwrap().unwrap();
        let Some(len) = len_of_answer(&decoded.header, &decoded.request, said) else { return };
        let (response, rest) = said.split_at(len);
        exchanges.push(Exchange { request: request.clone(), response: response.to_vec() });
        said = rest;
    }
}

pub(crate) fn is_whole(
    header: &RequestHeader<'_>,
    request: &AnyRequest<'_>,
    response: &[u8],
) -> bool {
    len_of_answer(header, request, response) == Some(response.len())
}

/// Returns the length of the response to this request, if these bytes begin with it.
fn len_of_answer(
    header: &RequestHeader<'_>,
    request: &AnyRequest<'_>,
    bytes: &[u8],
) -> Option<usize> {
    let mut reader = Reader::new(bytes, Limits::NONE);
    let answer = ResponseHeader::decode(&mut reader, header.intelligence).ok()?;
    if answer.message_id != header.message_id {
        return None;
    }
    if answer.status.is_error() {
        reader.text("text").ok()?;
        return Some(reader.position());
    }
    if answer.opcode != request.response_opcode() {
        return None;
    }
    macro_rules! measured {
        ($($request:ident => $response:ty),* $(,)?) => {
            match request {
                $(AnyRequest::$request(_) => {
                    <$response>::decode(answer.status, header.version, &mut reader).map(drop)
                })*
                _ => return None,
            }
        };
    }
    let measured = measured! {
        Put => hotrod::Changed<'_>, PutIfAbsent => hotrod::Changed<'_>,
        Replace => hotrod::Changed<'_>, ReplaceIfUnmodified => hotrod::Changed<'_>,
        Remove => hotrod::Changed<'_>, RemoveIfUnmodified => hotrod::Changed<'_>,
        Get => op::Got<'_>, GetWithVersion => op::GotWithVersion<'_>,
        GetWithMetadata => op::GotWithMetadata<'_>, ContainsKey => op::Contains,
        GetAll => op::GotAll<'_>, PutAll => op::Empty, Clear => op::Empty, Size => op::Count,
        Stats => op::Statistics, Ping => op::Pong<'_>, Exec => op::Executed<'_>,
        AuthMechList => op::Mechanisms<'_>, Auth => op::Challenge<'_>,
        IterationStart => op::IterationStarted<'_>, IterationNext => op::Batch<'_>,
        IterationEnd => op::IterationEnded,
    };
    measured.ok().map(|()| reader.position())
}

fn unhex(text: &serde_json::Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
