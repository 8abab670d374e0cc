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

/// Exchanges in which ours answers otherwise: what our answer begins with, and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("t5 GET", "KeyDoesNotExist", "it was written by a stream, which is not there yet"),
    (
        "t5 EXEC names",
        r#"Success ["___protobuf_metadata","___script_cache","c1""#,
        "one more cache",
    ),
    (
        "t5 EXEC names c1",
        r#"Success ["___protobuf_metadata","___script_cache","c1""#,
        "one more cache",
    ),
    ("t5 EXEC create", "Success", GLOBAL_STATE),
    ("t5 EXEC create again", ALREADY_EXISTS, GLOBAL_STATE),
    ("t5 EXEC getorcreate", "Success", GLOBAL_STATE),
    ("t5 PING new1", "Success Known(12) Known(12)", "it was created"),
    (
        "t5 EXEC create no name",
        "ServerError org.infinispan.commons.CacheException: ISPN005030: Administration task \
         '@@cache@create' invoked without required parameter 'name'",
        "the same, without the null pointer's line",
    ),
    ("t5 EXEC create tmpl", "Success", "the standard templates are there"),
    (
        "t5 ITER_END",
        "Success {([107, 48], [118, 48])",
        "batches of no entry would never end: the server chooses how many they have",
    ),
    ("t6 GET protected ___protobuf_metadata", "KeyDoesNotExist", UNTYPED),
    (
        "t6 GET private topology cache",
        "ParseError org.infinispan.server.hotrod.CacheNotFoundException",
        "there is no such cache, and so it is told",
    ),
    (
        "t6 unknown mediatype id 16",
        "ParseError org.infinispan.server.hotrod.RequestParsingException: the media type cannot be 16",
        "a clear error instead of a null pointer's",
    ),
    ("t6 proto: GET octet", "Success Got(Some", UNTYPED),
    ("t6 octet: GET as text", "KeyDoesNotExist", "the recording does not hold the write"),
    ("t6 octet: GET as json", "KeyDoesNotExist", "the recording does not hold the write"),
    ("t6 unk: GET text", "Success Got(Some", UNTYPED),
    ("t7 GET expired", "Success Got(Some", "the recording waited before it"),
    ("t7 CLEAR?size", "Success Count(10)", "two were written by streams and multimaps"),
    (
        "t8 octet GET proto",
        "Success Got(Some",
        "what a client wrote into an octet-stream cache it reads back",
    ),
    (
        "t8 octet PUT jboss typed",
        "Success Done",
        "bytes of any marshaller are kept: clients of 9.4 depend on it",
    ),
    ("t8 PING meta", "Success Known(12) Known(12)", "schemas are kept as clients write them"),
    ("t8 GET .errors", "KeyDoesNotExist", SCHEMAS),
    ("t8 GET q.proto.errors", "KeyDoesNotExist", SCHEMAS),
    ("t8 PUT non .proto key", "Success Done", SCHEMAS),
    ("t8 create", "Success", GLOBAL_STATE),
    ("t8 create again", ALREADY_EXISTS, GLOBAL_STATE),
    ("t8 getorcreate", "Success", GLOBAL_STATE),
    ("t8 get on new1", "KeyDoesNotExist", "it was created"),
];

const GLOBAL_STATE: &str = "here a cache can be created without a global state";
const UNTYPED: &str = "untyped bytes are the stored bytes, as everywhere";
const SCHEMAS: &str = "schemas are not looked at yet";
const ALREADY_EXISTS: &str = "ServerError org.infinispan.commons.CacheConfigurationException: \
                              ISPN000507: Cache new1 already exists";

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
    let (mut compared, mut later, mut otherwise) = (0, 0, BTreeSet::new());
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
                    .position(|(known, begins, _)| *known == name && ours.starts_with(begins));
                match known {
                    Some(known) => {
                        otherwise.insert(known);
                    }
                    None => {
                        differences.push(format!("{name}:\n  theirs {theirs}\n  ours   {ours}"));
                    }
                }
            }
        }
    }
    for (index, (name, begins, _)) in OTHERWISE.iter().enumerate() {
        if !otherwise.contains(&index) {
            differences.push(format!("{name}: ours does not differ by \"{begins}\" any more"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(compared > 250, "compared {compared}, not done yet {later}");
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
    /// What iterations have given so far, by their names there.
    walks: HashMap<String, Walk>,
}

/// An iteration, there and here. Batches have other borders here: the whole is compared.
#[derive(Default)]
struct Walk {
    theirs: BTreeSet<(Vec<u8>, Vec<u8>)>,
    ours: BTreeSet<(Vec<u8>, Vec<u8>)>,
    /// Whether theirs was read to its end. Ours always is.
    is_whole: bool,
}

impl Walk {
    /// What they have given, and what we have given of that, or of all if they have given all.
    fn compared(self) -> (String, String) {
        let Self { theirs, mut ours, is_whole } = self;
        if !is_whole {
            ours.retain(|entry| theirs.contains(entry));
        }
        (format!("{theirs:?}"), format!("{ours:?}"))
    }
}

impl Replay {
    async fn connect(server: &TestServer) -> Self {
        let address = server.address();
        let stream = TcpStream::connect(address).await.unwrap();
        Self { address, stream, map: HashMap::new(), walks: HashMap::new() }
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
        let mut walk = None;
        if let Some((decoded, _)) = &request
            && let AnyRequest::IterationEnd(end) = &decoded.request
        {
            walk = self.walk_to_end(&decoded.header, end.id).await;
        }
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
                if let AnyRequest::IterationNext(next) = &decoded.request {
                    let walk = self.walks.entry(next.id.to_owned()).or_default();
                    walk.is_whole = theirs.entries.is_empty();
                    walk.theirs.extend(theirs.entries);
                    walk.ours.extend(ours.entries);
                }
                let (all, given) = walk.map(Walk::compared).unwrap_or_default();
                compare(&(theirs.text + &all), &(ours.text + &given))
            }
            (Ok(_), Ok(_)) => Replayed::NotComparable,
            (theirs, ours) => panic!("{}: {theirs:?} {ours:?}", exchange.label),
        }
    }

    /// Reads one of our iterations to its end.
    async fn walk_to_end(&mut self, header: &RequestHeader<'_>, id: &str) -> Option<Walk> {
        let mut walk = self.walks.remove(id)?;
        loop {
            let header = RequestHeader { opcode: op::IterationNext::REQUEST, ..*header };
            let next = AnyRequest::IterationNext(op::IterationNext { id });
            let sent = self.translated(&header, &next, &[]);
            self.stream.write_all(&sent).await.unwrap();
            let decoded = hotrod::Decoded { header, request: next, bytes: &[] };
            let answer = self.read(Some(&decoded)).await;
            let batch = describe(&decoded, &answer).unwrap();
            if batch.entries.is_empty() {
                return Some(walk);
            }
            walk.ours.extend(batch.entries);
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
    /// Those of one batch of an iteration.
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

fn describe(decoded: &hotrod::Decoded<'_>, bytes: &[u8]) -> Result<Described, DecodeError> {
    let mut reader = Reader::new(bytes, Limits::NONE);
    let header = ResponseHeader::decode(&mut reader, decoded.header.intelligence)?;
    let mut described = Described {
        message_id: header.message_id,
        text: format!("{:?}", header.status),
        versions: Vec::new(),
        iteration: None,
        entries: Vec::new(),
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
    let Described { versions, iteration, entries, .. } = described;
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
            let batch = batch.entries.iter();
            entries.extend(batch.map(|entry| (entry.key.to_vec(), entry.value.to_vec())));
            String::new()
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
