//! The handshake of a connection: negotiates the protocol version and logs in.

use std::sync::atomic::Ordering;

use hotrod::{
    DecodeError, Limits, MediaTypeRef, NO_TOPOLOGY, ProtocolVersion, Reader, RequestHeader,
    ServerAddress, Status, Writer,
    op::{Auth, AuthMechList, Challenge, Mechanisms, Operation, Ping, Request, Response},
};

use crate::{
    common::Common,
    config::Protocol,
    credentials::Credentials,
    deadline::Deadline,
    error::{AnswerError, ClientError, ConnectionError},
    inbox::Answer,
    line::{Line, Patience, Question},
    notice::Notice,
    probe::{PROBE_2_0, PROBE_3_1, PROBE_AGAIN, Verdict, judge},
    sasl::{self, Login, Mechanism, SaslError, Step},
};

/// Most messages of a login. No supported mechanism takes more than three.
const MOST_STEPS: usize = 8;

/// Newest version of messages before the login ends: every server since 12 understands it.
const NEWEST_OF_HANDSHAKE: ProtocolVersion = ProtocolVersion::V3_1;

/// Version to use with servers older than 2.9.
const VERSION_OF_OLD: ProtocolVersion = ProtocolVersion::V2_5;

/// Connects, negotiates the protocol version, and logs in.
pub(crate) async fn establish(
    server: &ServerAddress,
    common: &Common,
) -> Result<(Line, ProtocolVersion), ClientError> {
    let Common { config, notices, connections_made, .. } = common;
    let deadline = Deadline::after(config.connect_timeout);
    let mut line = Line::connect(server, config.max_answer, deadline).await?;
    let wanted = match config.protocol {
        Protocol::Auto => None,
        Protocol::Version(version) => Some(version.max(Protocol::OLDEST)),
    };
    let version = match wanted {
        Some(version) if version < ProtocolVersion::V2_9 => {
            ping(&mut line, version, deadline).await?
        }
        _ => match probe(&mut line, deadline).await? {
            Some(newest) => wanted.map_or(newest, |wanted| wanted.min(newest)),
            None => {
                line = Line::connect(server, config.max_answer, deadline).await?;
                ping(&mut line, VERSION_OF_OLD, deadline).await?
            }
        },
    };
    if let Some(asked) = wanted
        && version < asked
    {
        notices.add(Notice::Lowered { server: server.clone(), asked, used: version });
    }
    if let Some(credentials) = &config.credentials {
        let is_wanted = login(&mut line, version, common, credentials, deadline).await?;
        if !is_wanted {
            notices.add(Notice::NoLogin { server: server.clone() });
        }
    }
    connections_made.fetch_add(1, Ordering::AcqRel);
    tracing::debug!(%server, %version, "connected");
    Ok((line, version))
}

/// Sends a PING in this version.
async fn ping(
    line: &mut Line,
    version: ProtocolVersion,
    deadline: Deadline,
) -> Result<ProtocolVersion, ClientError> {
    line.ask(Question::bare(version), &Ping, Patience::Until(deadline)).await?;
    Ok(version)
}

/// Returns the newest version that the server supports, or `None` if it is older than 2.9.
async fn probe(
    line: &mut Line,
    deadline: Deadline,
) -> Result<Option<ProtocolVersion>, ClientError> {
    let patience = Patience::Until(deadline);
    let mut writer = Writer::default();
    encode_ping(&mut writer, PROBE_3_1, ProtocolVersion::V3_1);
    encode_ping(&mut writer, PROBE_2_0, ProtocolVersion::V2_0);
    line.outbox.extend_from_slice(writer.bytes());
    let mut asked_again = false;
    let mut is_answered = false;
    loop {
        line.flush(Ping::NAME, patience).await?;
        match judge(line.inbox.buffer(), asked_again) {
            Ok(Verdict::Speaks { newest, len }) => {
                line.next_id = PROBE_AGAIN + 1;
                bytes::Buf::advance(line.inbox.buffer(), len);
                return Ok(Some(newest));
            }
            Ok(Verdict::Old) => return Ok(None),
            Ok(Verdict::AskAgain) => {
                let mut writer = Writer::default();
                encode_ping(&mut writer, PROBE_AGAIN, ProtocolVersion::V2_0);
                line.outbox.extend_from_slice(writer.bytes());
                asked_again = true;
            }
            Ok(Verdict::Failed { status, text }) => {
                let server = line.server.clone();
                return Err(ClientError::Server { server, operation: Ping::NAME, status, text });
            }
            Err(AnswerError::Decode(DecodeError::Incomplete { .. })) => {
                match line.more(Ping::NAME, patience).await {
                    // Servers older than 8 may close the connection without an error message.
                    Err(ClientError::Lost { source: ConnectionError::Ended, .. })
                        if !is_answered =>
                    {
                        return Ok(None);
                    }
                    more => more?,
                }
                is_answered = true;
            }
            Err(source) => {
                let server = line.server.clone();
                return Err(ClientError::Protocol { server, operation: Ping::NAME, source });
            }
        }
    }
}

fn encode_ping(writer: &mut Writer, message_id: u64, version: ProtocolVersion) {
    let header = RequestHeader {
        message_id,
        version,
        opcode: Ping::REQUEST,
        cache_name: "",
        flags: hotrod::Flags::default(),
        intelligence: hotrod::Intelligence::Basic,
        topology_id: NO_TOPOLOGY,
        key_type: MediaTypeRef::Unspecified,
        value_type: MediaTypeRef::Unspecified,
    };
    header.encode(writer);
    Ping.encode(version, writer);
}

/// Logs in. Returns whether the server requires a login.
///
/// A server keeps a separate credential for each mechanism, and a user may lack some. After such a
/// refusal, the next mechanism is tried on a new connection. After a wrong password no other
/// mechanism is tried: all would fail, and too many attempts may lock the user out.
async fn login(
    line: &mut Line,
    version: ProtocolVersion,
    common: &Common,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<bool, ClientError> {
    let question = Question::bare(version.min(NEWEST_OF_HANDSHAKE));
    let answer = line.ask(question, &AuthMechList, Patience::Until(deadline)).await?;
    let Mechanisms(offered) = read::<AuthMechList>(line, question, &answer)?;
    let offered: Vec<String> = offered.into_iter().map(str::to_owned).collect();
    if offered.is_empty() {
        return Ok(false);
    }
    let mut to_try = sasl::to_try(&offered, credentials.mechanism, credentials.preferred);
    if let Some(accepted) = *common.accepted.lock() {
        // The sort is stable: the others keep their order.
        to_try.sort_by_key(|mechanism| *mechanism != accepted);
    }
    let mut refusals = Refusals::default();
    for mechanism in to_try {
        if !refusals.mechanisms.is_empty() {
            *line = Line::connect(&line.server.clone(), common.config.max_answer, deadline).await?;
        }
        match log_in_by(mechanism, line, question, credentials, deadline).await {
            Ok(()) => {
                *common.accepted.lock() = Some(mechanism);
                return Ok(true);
            }
            Err(ClientError::Server {
                status: Status::ParseError | Status::ServerError,
                text,
                ..
            }) => {
                let is_final = is_about_the_password(&text);
                refusals.add(mechanism, text, is_final);
                if is_final {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    let (server, user) = (line.server.clone(), credentials.user.clone());
    let Refusals { mechanisms, text } = refusals;
    Err(match mechanisms.is_empty() {
        true => ClientError::NoMechanism { server, user, offered },
        false => ClientError::Refused { server, user, mechanisms, text },
    })
}

/// Refused attempts of a login.
#[derive(Default)]
struct Refusals {
    mechanisms: Vec<Mechanism>,
    text: String,
}

impl Refusals {
    fn add(&mut self, mechanism: Mechanism, text: String, is_final: bool) {
        if self.mechanisms.is_empty() || is_final {
            self.text = text;
        }
        self.mechanisms.push(mechanism);
    }
}

/// Returns whether a server refused a login because of a wrong password. No other mechanism is
/// tried then, because each attempt may count towards locking the user out.
fn is_about_the_password(text: &str) -> bool {
    // Elytron's messages for SCRAM and DIGEST, and for PLAIN.
    ["ELY05055", "invalid proof", "ELY05013"].iter().any(|said| text.contains(said))
}

/// Logs in with one mechanism. If the server refuses, returns its error.
async fn log_in_by(
    mechanism: Mechanism,
    line: &mut Line,
    question: Question<'_>,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<(), ClientError> {
    let (mut login, mut response) = Login::start(mechanism, credentials, sasl::nonce());
    for _ in 0..MOST_STEPS {
        let auth = Auth { mechanism: mechanism.name(), response: &response };
        let answer = line.ask(question, &auth, Patience::Until(deadline)).await?;
        let Challenge { complete, challenge } = read::<Auth<'_>>(line, question, &answer)?;
        if !login.is_finished() || !challenge.is_empty() {
            let step;
            (login, step) = take_step(login, challenge.to_vec()).await?;
            match step {
                Ok(Step::Finished) => {}
                Ok(Step::Respond(next)) if !complete => response = next,
                Ok(Step::Respond(_)) => {
                    return Err(untrusted(line, mechanism, credentials, SaslError::OutOfTurn));
                }
                Err(error) => return Err(untrusted(line, mechanism, credentials, error)),
            }
        }
        if login.is_finished() {
            // A real server does not set `complete` with its last message, and waits for nothing
            // more.
            return match complete || mechanism != Mechanism::Plain {
                true => Ok(()),
                false => Err(untrusted(line, mechanism, credentials, SaslError::OutOfTurn)),
            };
        }
    }
    Err(untrusted(line, mechanism, credentials, SaslError::OutOfTurn))
}

/// Runs a login step on a blocking thread: hashing a password thousands of times would delay other
/// connections.
async fn take_step(
    mut login: Login,
    challenge: Vec<u8>,
) -> Result<(Login, Result<Step, SaslError>), ClientError> {
    let step = tokio::task::spawn_blocking(move || {
        let step = login.step(&challenge);
        (login, step)
    });
    // The step does not panic, so the runtime is shutting down.
    step.await.map_err(|_cancelled| ClientError::Closed)
}

fn untrusted(
    line: &Line,
    mechanism: Mechanism,
    credentials: &Credentials,
    source: SaslError,
) -> ClientError {
    let (server, user) = (line.server.clone(), credentials.user.clone());
    ClientError::Untrusted { server, user, mechanism, source }
}

/// Decodes the fields of a complete response.
fn read<'b, R: Request<'b> + Operation>(
    line: &Line,
    question: Question<'_>,
    answer: &'b Answer,
) -> Result<R::Response<'b>, ClientError> {
    let mut reader = Reader::new(&answer.body, Limits::NONE);
    R::Response::decode(answer.header.status, question.version, &mut reader).map_err(|error| {
        let server = line.server.clone();
        ClientError::Protocol { server, operation: R::NAME, source: error.into() }
    })
}
