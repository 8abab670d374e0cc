//! What real clients asked a real server, asked of ours: the same answers, but for what legitimately
//! varies (versions, instants, names of iterations, the order of entries, the topology).

use std::collections::{BTreeSet, HashMap};

use hotrod::{
    Changed, DecodeError, Decoder, Limits, Metadata, Previous, Reader, RequestHeader,
    ResponseHeader, Writer,
    op::{self, AnyRequest, Operation, Request, Response},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::TestServer;

/// Exchanges in which ours answers otherwise, with the reason.
const OTHERWISE: &[(&str, &str)] = &[
    ("GET private topology cache", "there is no such cache, and so it is told"),
    ("GET protected ___protobuf_metadata", "untyped bytes are the stored bytes, as everywhere"),
    ("unknown mediatype id 16", "a clear error instead of a null pointer's"),
    ("bad mediatype def", "the error, and then the connection ends: the stream is lost"),
    ("unknown op", "the error, and then the connection ends: the stream is lost"),
    ("proto: GET octet", "what goes in or out as octet-stream passes untouched, so it is found"),
    ("octet GET proto", "what a client wrote into an octet-stream cache it reads back"),
    ("octet PUT jboss typed", "bytes of any marshaller are kept: clients of 9.4 depend on it"),
    ("obj", "there are no Java objects here"),
    ("txt: GET v as json", "the same error; the text may go on"),
    ("EXEC create", "here a cache can be created without a global state"),
    ("EXEC getorcreate", "here a cache can be created without a global state"),
    ("create", "here a cache can be created without a global state"),
    ("getorcreate", "here a cache can be created without a global state"),
    ("get on new1", "it was created"),
    ("PING new1", "it was created"),
    ("PING meta", "schemas are kept as clients write them, and not as Java objects"),
    ("PUT bad schema", "schemas are not looked at yet"),
    ("GET .errors", "schemas are not looked at yet"),
    ("GET q.proto.errors", "schemas are not looked at yet"),
    ("PUT non .proto key", "schemas are not looked at yet"),
    ("EXEC schemas createOrUpdate", "schemas are not looked at yet"),
    ("EXEC names", "other caches"),
    ("EXEC create tmpl", "the standard templates are there"),
    (
        "ITER_START seg=None fac=None batch=0",
        "a batch of nothing would never end: the server chooses",
    ),
    ("t5 GET", "it was written by a stream, which is not there yet"),
    ("octet: GET as text", "the recording does not hold the write"),
    ("octet: GET as json", "the recording does not hold the write"),
    ("unk: GET text", "what goes in or out of a cache without a media type passes untouched"),
    ("t7 GET expired", "the recording waited before it"),
    ("t7 CLEAR?size", "some of the entries were written by streams and multimaps"),
    ("ITER_NEXT", "batches are filled segment by segment, so they have other borders"),
];

struct Exchange {
    group: String,
    label: String,
    request: Vec<u8>,
    response: Vec<u8>,
}

fn recorded() -> Value {
    serde_json::from_str(include_str!("../../hotrod/vectors/recorded.json")).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn exchanges() -> Vec<Exchange> {
    let document = recorded();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    document["wire"]
        .as_array()
        .unwrap()
        .iter()
        .map(|exchange| Exchange {
            group: text(&exchange["group"]),
            label: text(&exchange["label"]),
            request: unhex(&exchange["request"]),
            response: unhex(&exchange["response"]),
        })
        .collect()
}

#[tokio::test]
async fn the_recorded_exchanges_are_answered_as_the_real_server_did() {
    let server = TestServer::start().await;
    let client = server.client().await;
    let cache = |media_type: &str| {
        format!(
            r#"{{"distributed-cache":{{"segments":20,"statistics":true,"encoding":{{"media-type":"{media_type}"}}}}}}"#
        )
    };
    for (name, config) in [
        ("c1", cache("application/octet-stream")),
        ("proto", cache("application/x-protostream")),
        ("txt", cache("text/plain")),
        ("unk", r#"{"distributed-cache":{}}"#.to_owned()),
        ("obj", cache("application/x-protostream")),
        ("loc", r#"{"local-cache":{}}"#.to_owned()),
        (
            "exp",
            r#"{"distributed-cache":{"expiration":{"lifespan":"100s","max-idle":"50s"}}}"#
                .to_owned(),
        ),
    ] {
        client.create_cache(name, &config).await.unwrap();
    }
    let mut replay = Replay::connect(&server).await;
    let (mut compared, mut otherwise, mut later) = (0, 0, 0);
    let mut group = String::new();
    let mut differences = Vec::new();
    for exchange in exchanges() {
        if exchange.group != group {
            group.clone_from(&exchange.group);
            replay.map.clear();
        }
        match replay.replay(&exchange).await {
            Replayed::Same => compared += 1,
            Replayed::Later => later += 1,
            Replayed::NotComparable => {}
            Replayed::Different { theirs, ours } => {
                let name = format!("{} {}", exchange.group, exchange.label);
                let known = OTHERWISE
                    .iter()
                    .any(|(label, _)| exchange.label.starts_with(label) || name.starts_with(label));
                if known {
                    otherwise += 1;
                } else {
                    differences.push(format!(
                        "{} {}:\n  theirs {theirs}\n  ours   {ours}",
                        exchange.group, exchange.label
                    ));
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(compared > 230, "compared {compared}, otherwise {otherwise}, not done yet {later}");
    server.stop().await;
}

enum Replayed {
    Same,
    /// Ours says that it does not do that yet.
    Later,
    /// The recording holds the answer to another request.
    NotComparable,
    Different {
        theirs: String,
        ours: String,
    },
}

struct Replay {
    address: std::net::SocketAddr,
    stream: TcpStream,
    /// Versions and names of iterations: theirs to ours.
    map: HashMap<String, String>,
}

impl Replay {
    async fn connect(server: &TestServer) -> Self {
        let address = server.address();
        let stream = TcpStream::connect(address).await.unwrap();
        Self { address, stream, map: HashMap::new() }
    }

    async fn replay(&mut self, exchange: &Exchange) -> Replayed {
        let mut decoder = Decoder::default();
        decoder.push(&exchange.request);
        let (message_id, request) = match decoder.next_request() {
            Ok(Some(decoded)) => {
                let sent = self.translated(&decoded.header, &decoded.request, &exchange.request);
                (decoded.header.message_id, Some((decoded, sent)))
            }
            _ => (0, None),
        };
        let sent = request.as_ref().map_or(&exchange.request, |(_, sent)| sent);
        self.stream.write_all(sent).await.unwrap();
        let ours = self.read(request.as_ref().map(|(decoded, _)| decoded)).await;
        let Some((decoded, _)) = &request else {
            // Ours has ended the connection after its error.
            self.stream = TcpStream::connect(self.address).await.unwrap();
            return compare(&error_of(&exchange.response), &error_of(&ours));
        };
        if matches!(decoded.request, AnyRequest::Later(_)) {
            let text = describe(decoded, &ours).unwrap().text;
            assert!(text.starts_with("UnknownOperation"), "{}: {text}", exchange.label);
            return Replayed::Later;
        }
        let theirs = describe(decoded, &exchange.response);
        let ours = describe(decoded, &ours);
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) if theirs.message_id == message_id => {
                self.learn(&theirs, &ours);
                compare(&theirs.text, &ours.text)
            }
            (Ok(_), Ok(_)) => Replayed::NotComparable,
            (theirs, ours) => panic!("{}: {theirs:?} {ours:?}", exchange.label),
        }
    }

    /// The request with our versions and names of iterations in the place of theirs.
    fn translated(
        &self,
        header: &RequestHeader<'_>,
        request: &AnyRequest<'_>,
        bytes: &[u8],
    ) -> Vec<u8> {
        let mut writer = Writer::default();
        header.encode(&mut writer);
        let version = |version: u64| {
            self.map.get(&version.to_string()).map_or(version, |ours| ours.parse().unwrap())
        };
        let id = |id: &str| {
            self.map.get(&format!("id {id}")).cloned().unwrap_or_else(|| format!("x{id}"))
        };
        match request {
            AnyRequest::ReplaceIfUnmodified(replace) => {
                let replace = op::ReplaceIfUnmodified {
                    version: version(replace.version),
                    ..replace.clone()
                };
                replace.encode(header.version, &mut writer);
            }
            AnyRequest::RemoveIfUnmodified(remove) => {
                let remove =
                    op::RemoveIfUnmodified { version: version(remove.version), ..remove.clone() };
                remove.encode(header.version, &mut writer);
            }
            AnyRequest::IterationNext(next) => {
                op::IterationNext { id: &id(next.id) }.encode(header.version, &mut writer);
            }
            AnyRequest::IterationEnd(end) => {
                op::IterationEnd { id: &id(end.id) }.encode(header.version, &mut writer);
            }
            _ => return bytes.to_vec(),
        }
        writer.into_bytes()
    }

    fn learn(&mut self, theirs: &Described, ours: &Described) {
        for (theirs, ours) in theirs.versions.iter().zip(&ours.versions) {
            self.map.insert(theirs.to_string(), ours.to_string());
        }
        if let (Some(theirs), Some(ours)) = (&theirs.iteration, &ours.iteration) {
            self.map.insert(format!("id {theirs}"), ours.clone());
        }
    }

    /// Reads one whole response.
    async fn read(&mut self, decoded: Option<&hotrod::Decoded<'_>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            if !bytes.is_empty() {
                match decoded {
                    Some(decoded) => match describe(decoded, &bytes) {
                        Err(DecodeError::Incomplete { .. }) => {}
                        _ => return bytes,
                    },
                    None if is_whole_error(&bytes) => return bytes,
                    None => {}
                }
            }
            let read = self.stream.read_buf(&mut bytes).await.unwrap();
            assert!(read > 0, "the server has ended the connection: {bytes:?}");
        }
    }
}

fn is_whole_error(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes, Limits::NONE);
    ResponseHeader::decode(&mut reader, hotrod::Intelligence::Basic).is_ok()
        && reader.text("error").is_ok()
}

fn error_of(bytes: &[u8]) -> String {
    let mut reader = Reader::new(bytes, Limits::NONE);
    let header = ResponseHeader::decode(&mut reader, hotrod::Intelligence::Basic).unwrap();
    format!("message {}: {:?} {}", header.message_id, header.status, reader.text("error").unwrap())
}

fn compare(theirs: &str, ours: &str) -> Replayed {
    // Ours may say more.
    if ours == theirs || (theirs.contains("Exception") && ours.starts_with(theirs)) {
        return Replayed::Same;
    }
    Replayed::Different { theirs: theirs.to_owned(), ours: ours.to_owned() }
}

/// A response in words that do not vary.
#[derive(Debug)]
struct Described {
    message_id: u64,
    text: String,
    versions: Vec<u64>,
    iteration: Option<String>,
}

fn describe(decoded: &hotrod::Decoded<'_>, bytes: &[u8]) -> Result<Described, DecodeError> {
    let mut reader = Reader::new(bytes, Limits::NONE);
    let header = ResponseHeader::decode(&mut reader, decoded.header.intelligence)?;
    let mut described = Described {
        message_id: header.message_id,
        text: format!("{:?}", header.status),
        versions: Vec::new(),
        iteration: None,
    };
    let say = if header.status.is_error() {
        reader.text("error")?.to_owned()
    } else if header.message_id == decoded.header.message_id {
        fields(decoded, &header, &mut reader, &mut described)?
    } else {
        String::new()
    };
    // Whether a topology was sent depends on who is asked; that one was, is compared.
    let topology = header.topology.map_or(String::new(), |topology| {
        format!(" + topology of {} segments", topology.owners.len())
    });
    described.text = format!("{} {say}{topology}", described.text);
    Ok(described)
}

fn fields(
    decoded: &hotrod::Decoded<'_>,
    header: &ResponseHeader,
    reader: &mut Reader<'_>,
    described: &mut Described,
) -> Result<String, DecodeError> {
    let (status, version) = (header.status, decoded.header.version);
    let Described { versions, iteration, .. } = described;
    let mut metadata = |metadata: Metadata| {
        versions.push(metadata.version);
        let none = if metadata == Metadata::NONE { " none" } else { "" };
        let seconds =
            |lifetime: Option<hotrod::Lifetime>| lifetime.map(|lifetime| lifetime.seconds);
        format!("{:?} {:?}{none}", seconds(metadata.lifespan), seconds(metadata.max_idle))
    };
    Ok(match &decoded.request {
        AnyRequest::Get(_) => format!("{:?}", op::Got::decode(status, version, reader)?),
        AnyRequest::GetWithVersion(_) => {
            let got = op::GotWithVersion::decode(status, version, reader)?.0;
            got.map_or(String::new(), |(version, value)| {
                versions.push(version);
                format!("{value:?}")
            })
        }
        AnyRequest::GetWithMetadata(_) => {
            let got = op::GotWithMetadata::decode(status, version, reader)?.0;
            got.map_or(String::new(), |(it, value)| format!("{} {value:?}", metadata(it)))
        }
        AnyRequest::Put(_)
        | AnyRequest::PutIfAbsent(_)
        | AnyRequest::Replace(_)
        | AnyRequest::ReplaceIfUnmodified(_)
        | AnyRequest::Remove(_)
        | AnyRequest::RemoveIfUnmodified(_) => {
            let mut previous = |previous: Option<Previous<'_>>| {
                previous.map_or_else(
                    || "none".to_owned(),
                    |previous| {
                        format!("{:?} {:?}", previous.metadata.map(&mut metadata), previous.value)
                    },
                )
            };
            match Changed::decode(status, version, reader)? {
                Changed::DoneAfter(before) => format!("after {}", previous(before)),
                Changed::RefusedBy(current) => format!("by {}", previous(current)),
                other => format!("{other:?}"),
            }
        }
        AnyRequest::Stats(_) => {
            let statistics = op::Statistics::decode(status, version, reader)?.0;
            format!("{:?}", statistics.iter().map(|(name, _)| name).collect::<Vec<_>>())
        }
        AnyRequest::Ping(_) => {
            let pong = op::Pong::decode(status, version, reader)?;
            format!("{:?} {:?} {:?}", pong.key_type, pong.value_type, pong.newest)
        }
        AnyRequest::BulkGet(request) => {
            let entries = op::BulkGot::decode(status, version, reader)?.0;
            match request.most {
                0 => format!("{:?}", entries.into_iter().collect::<BTreeSet<_>>()),
                _ => format!("{} entries", entries.len()),
            }
        }
        AnyRequest::BulkGetKeys(_) => {
            let keys = op::BulkGotKeys::decode(status, version, reader)?.0;
            format!("{:?}", keys.into_iter().collect::<BTreeSet<_>>())
        }
        AnyRequest::Size(_) => format!("{:?}", op::Count::decode(status, version, reader)?),
        AnyRequest::Exec(_) => {
            let op::Executed(result) = op::Executed::decode(status, version, reader)?;
            String::from_utf8_lossy(result).into_owned()
        }
        AnyRequest::GetAll(_) => {
            let found = op::GotAll::decode(status, version, reader)?.0;
            format!("{:?}", found.pairs().collect::<BTreeSet<_>>())
        }
        AnyRequest::IterationStart(_) => {
            *iteration = Some(op::IterationStarted::decode(status, version, reader)?.id.to_owned());
            String::new()
        }
        AnyRequest::IterationNext(_) => {
            let batch = op::Batch::decode(status, version, reader)?;
            let finished: Vec<u32> = batch.finished.iter().collect();
            let entries: BTreeSet<_> =
                batch.entries.iter().map(|entry| (entry.key, entry.value)).collect();
            format!("{finished:?} {entries:?}")
        }
        AnyRequest::AuthMechList(_) => {
            format!("{:?}", op::Mechanisms::decode(status, version, reader)?)
        }
        AnyRequest::Auth(_) => String::new(),
        AnyRequest::ContainsKey(_)
        | AnyRequest::Clear(_)
        | AnyRequest::PutAll(_)
        | AnyRequest::IterationEnd(_) => String::new(),
        AnyRequest::Later(_) => String::new(),
        _ => String::new(),
    })
}

#[test]
fn every_operation_has_an_opcode_of_its_own() {
    let requests: BTreeSet<u8> = op::OPERATIONS.iter().copied().collect();
    assert_eq!(requests.len(), op::OPERATIONS.len());
    assert!(requests.contains(&<op::Get<'_> as Operation>::REQUEST));
}
