//! What a connection knows between two requests, and what it does with one.

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use config::CacheConfig;
use hotrod::{
    Decoded, MediaTypeRef, ProtocolVersion, RequestHeader, ServerAddress, Status, Writer,
    encode_error, encode_response_header,
    op::{self, AnyRequest, OPERATIONS, Operation, Request},
    serve::{Context, Responder, write_response},
};
use migrate::{Silences, Turn};
use store::{Change, Expiration, Outcome, Progress, Reply, TakenEntry, TakenOutcome, Timestamp};

use super::{
    bulk,
    codec::Codec,
    errors::{self, Failure},
    order::{Access, Claim, Keys, MOST_KEYS, Order},
    scope::{Begun, Done, Scope, Taken, Target},
    statistics,
    topology::{self, TopologyBlocks},
};
use crate::{budget::Share, node::Node};

/// Entries of one request that are read or written in the read loop; more are taken beside it.
const INLINE_ENTRIES: u64 = 64;

/// Caches that a connection remembers beside that of the last request.
const OTHER_CACHES: usize = 8;

/// What a connection knows between two requests.
pub(crate) struct Session {
    node: Arc<Node>,
    share: Arc<Share>,
    server: ServerAddress,
    /// The cache of the last request: the next one most often names the same.
    target: Option<Arc<Target>>,
    /// The conversions of the last request.
    codec: Remembered,
    /// The same of other caches that requests were about.
    others: Vec<(Arc<Target>, Remembered)>,
    /// Iterations that were begun on this connection.
    pub(super) iterations: Arc<Begun>,
    /// See [`Scope::large`].
    large: Arc<tokio::sync::Mutex<()>>,
    /// What the source did not say to requests that others waited for.
    silences: Arc<Silences>,
    /// Hashes the keys that requests claim.
    hasher: RandomState,
    /// Set while the last request has asked how to log in: a client that leaves then could not connect.
    asked_to_log_in: bool,
}

/// The conversions of a request, with the media types they are for.
type Remembered = Option<(MediaTypes, Codec)>;

/// The media types of a request, for comparison with the next one's.
#[derive(PartialEq, Eq)]
struct MediaTypes {
    key: Kind,
    value: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Unspecified,
    Known(u32),
    Named(Box<str>),
    /// With parameters, which are seldom and looked at each time.
    Detailed,
}

impl Kind {
    fn of(media_type: MediaTypeRef<'_>) -> Self {
        match media_type {
            MediaTypeRef::Unspecified => Self::Unspecified,
            MediaTypeRef::Known(id) => Self::Known(id),
            MediaTypeRef::Named(name) => Self::Named(name.into()),
            MediaTypeRef::Detailed(..) => Self::Detailed,
        }
    }

    fn is(&self, media_type: MediaTypeRef<'_>) -> bool {
        match (self, media_type) {
            (Self::Unspecified, MediaTypeRef::Unspecified) => true,
            (Self::Known(id), MediaTypeRef::Known(other)) => *id == other,
            (Self::Named(name), MediaTypeRef::Named(other)) => **name == *other,
            _ => false,
        }
    }
}

impl Session {
    pub(crate) fn new(node: Arc<Node>, share: Arc<Share>, local: SocketAddr) -> Self {
        let server = topology::address(&node, local);
        let (target, codec, others) = (None, None, Vec::new());
        let (iterations, large, silences) = (Arc::default(), Arc::default(), Arc::default());
        Self {
            node,
            share,
            server,
            target,
            codec,
            others,
            iterations,
            large,
            silences,
            hasher: RandomState::new(),
            asked_to_log_in: false,
        }
    }

    /// Looks once a turn whether what it knows still holds.
    pub(crate) fn refresh(&mut self) {
        if self.target.as_ref().is_some_and(|target| target.is_stale()) {
            (self.target, self.codec) = (None, None);
        }
    }

    /// Does what a request asks, if it need not wait, neither for anything nor for a deferred request.
    #[inline]
    pub(crate) fn take(
        &mut self,
        decoded: &Decoded<'_>,
        now: Timestamp,
        order: &Order,
        writer: &mut Writer,
    ) -> Taken {
        self.asked_to_log_in = false;
        if !order.is_empty()
            && let Some(claim) = self.claim(decoded, now)
            && order.would_overtake(&claim)
        {
            return Taken::Waits { claim: Some(claim), done: Done::Nothing };
        }
        let start = writer.len();
        let taken = self.try_take(decoded, now, writer);
        let unsealed = writer.unsealed();
        if unsealed > 0 && matches!(taken, Ok(None)) && !self.share.has_room(unsealed) {
            // It is copied beside the read loop, once there is room.
            return Taken::Waits { claim: None, done: Done::Answered(writer.split_off(start)) };
        }
        writer.seal();
        match taken {
            Ok(None) => Taken::Answered,
            Ok(Some(done)) => {
                writer.truncate(start);
                Taken::Waits { claim: self.claim(decoded, now), done }
            }
            Err((status, text)) => {
                writer.truncate(start);
                encode_error(writer, decoded.header.message_id, status, &text);
                Taken::Answered
            }
        }
    }

    /// What a request reads or changes; `None` if it is not about entries, or is refused anyway.
    fn claim(&mut self, decoded: &Decoded<'_>, now: Timestamp) -> Option<Claim> {
        let (header, request) = (&decoded.header, &decoded.request);
        if !needs_cache(request) {
            return None;
        }
        self.aim(header.cache_name).ok()?;
        let target = self.target.as_deref()?;
        let codec = remembered(&mut self.codec, header, &target.config);
        let hashed = |key: &[u8]| {
            let stored = codec.as_ref().ok()?.key_in(key).ok()?;
            Some(self.hasher.hash_one(stored.as_ref()))
        };
        // Keys before one that cannot be converted may be changed.
        let some = |keys: Option<_>| keys.map_or(Keys::All, Keys::Some);
        let (keys, access) = match request {
            AnyRequest::Clear(_) => (Keys::All, Access::Change),
            AnyRequest::Size(_) | AnyRequest::BulkGet(_) | AnyRequest::BulkGetKeys(_) => {
                (Keys::All, Access::Read)
            }
            AnyRequest::IterationStart(_) => (Keys::All, Access::Follow),
            // Requests about one iteration follow each other. Its name takes the place of a key.
            AnyRequest::IterationNext(op::IterationNext { id })
            | AnyRequest::IterationEnd(op::IterationEnd { id }) => {
                (Keys::One(self.hasher.hash_one(id)), Access::Change)
            }
            // As so many keys would, without gathering them.
            AnyRequest::PutAll(put_all) if put_all.entries.left() / 2 > MOST_KEYS as u64 => {
                (Keys::All, Access::Change)
            }
            AnyRequest::GetAll(get_all) if get_all.keys.left() > MOST_KEYS as u64 => {
                (Keys::All, Access::Read)
            }
            AnyRequest::PutAll(put_all) => {
                let keys = put_all.entries.clone().pairs().map(|(key, _)| hashed(key));
                (some(keys.collect()), Access::Change)
            }
            AnyRequest::GetAll(get_all) => {
                let keys = get_all.keys.clone().map(hashed);
                (some(keys.collect()), Access::Read)
            }
            one_key => {
                let command = one_key.command(&target.context(header, now))?;
                let access = match command.change {
                    Change::Read => Access::Read,
                    Change::Write { .. } | Change::Remove => Access::Change,
                };
                (Keys::One(hashed(command.key)?), access)
            }
        };
        Some(Claim { cache: target.id(), keys, access })
    }

    /// Does what a request asks. If it has to wait, returns how much of it is done.
    #[inline]
    fn try_take(
        &mut self,
        decoded: &Decoded<'_>,
        now: Timestamp,
        writer: &mut Writer,
    ) -> Result<Option<Done>, Failure> {
        let (header, request) = (&decoded.header, &decoded.request);
        if !needs_cache(request) {
            return self.take_without_cache(header, request, writer);
        }
        self.aim(header.cache_name)?;
        let Some(target) = &self.target else { return Ok(Some(Done::Nothing)) };
        let context = target.context(header, now);
        let Some(command) = request.command(&context) else {
            return take_inline(&self.node, &self.share, target, &context, request, writer);
        };
        let codec = remembered(&mut self.codec, header, &target.config)?;
        let progress = if codec.is_identity() {
            let mut reply = Responder { request, context: &context, writer };
            target.cache.execute(&command, now, &mut reply).map_err(|e| errors::cache_error(&e))?
        } else {
            let stored = codec.stored(&command)?;
            let command = stored.command(&command);
            let mut reply = ConvertedReply::new(codec, &context, request, writer);
            let executed = target.cache.execute(&command, now, &mut reply);
            let progress = executed.map_err(|error| errors::cache_error(&error))?;
            if matches!(command.change, Change::Read) && !self.share.has_room(reply.needs()) {
                // It is read again beside the read loop, and converted once there is room.
                return Ok(Some(Done::Nothing));
            }
            reply.finish()?;
            progress
        };
        Ok(match progress {
            // With one member, every in-sync copy has it.
            Progress::Done | Progress::Held(_) => None,
            Progress::Load | Progress::Mark => Some(Done::Nothing),
        })
    }

    fn take_without_cache(
        &mut self,
        header: &RequestHeader<'_>,
        request: &AnyRequest<'_>,
        writer: &mut Writer,
    ) -> Result<Option<Done>, Failure> {
        let message_id = header.message_id;
        match request {
            AnyRequest::Ping(_) => {
                let target = match self.aim(header.cache_name) {
                    Ok(()) => self.target.as_deref(),
                    // Handshakes ping the default cache whether or not there is one.
                    Err(_) if header.cache_name.is_empty() => None,
                    Err(failure) => return Err(failure),
                };
                pong(header, target, writer);
            }
            AnyRequest::AuthMechList(_) => {
                self.asked_to_log_in = true;
                answer::<op::AuthMechList>(header, &op::Mechanisms::default(), writer);
            }
            AnyRequest::Auth(_) => {
                self.node.logins.refused(self.node.driver.now());
                let opcode = <op::Auth<'_> as Operation>::RESPONSE;
                encode_response_header(writer, message_id, opcode, Status::ServerError, None);
                writer.text(errors::NO_AUTHENTICATION);
            }
            AnyRequest::Later(later) => return Err(errors::not_yet(later.name, later.opcode)),
            _ => return Ok(Some(Done::Nothing)),
        }
        Ok(None)
    }

    /// Makes the cache of this name the one that requests are about.
    #[inline]
    fn aim(&mut self, name: &str) -> Result<(), Failure> {
        match &self.target {
            Some(target) if target.name == name => Ok(()),
            _ => self.find(name),
        }
    }

    fn find(&mut self, name: &str) -> Result<(), Failure> {
        let known = self.others.iter().position(|(target, _)| target.name == name);
        let known = known.map(|at| self.others.remove(at)).filter(|(target, _)| !target.is_stale());
        let (target, codec) = match known {
            Some((target, codec)) => (target, codec),
            None => (self.target(name)?, None),
        };
        let codec = std::mem::replace(&mut self.codec, codec);
        if let Some(last) = self.target.replace(target) {
            self.others.truncate(OTHER_CACHES - 1);
            self.others.insert(0, (last, codec));
        }
        Ok(())
    }

    fn target(&self, name: &str) -> Result<Arc<Target>, Failure> {
        let cache = self.node.cache(name).ok_or_else(|| errors::no_such_cache(name))?;
        let config = cache.config();
        Ok(Arc::new(Target {
            name: name.to_owned(),
            default_expiration: crate::node::default_expiration(&config),
            topology: TopologyBlocks::new(self.node.topologies, &config, self.server.clone()),
            cache,
            config,
        }))
    }

    /// What the last request takes along if it waits.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            node: Arc::clone(&self.node),
            share: Arc::clone(&self.share),
            target: self.target.clone(),
            iterations: Arc::clone(&self.iterations),
            large: Arc::clone(&self.large),
            turn: Turn::begin(&self.silences),
        }
    }

    /// No request waits any more.
    pub(crate) fn none_waits(&self) {
        self.silences.clear();
    }
}

impl Drop for Session {
    /// Ends what was begun on this connection, however the connection ended.
    fn drop(&mut self) {
        self.node.iterations.end_all(&self.iterations);
        if self.asked_to_log_in {
            self.node.logins.refused(self.node.driver.now());
        }
    }
}

/// The conversions of a request: the last one's, if it had the same media types.
#[inline]
fn remembered(
    last: &mut Remembered,
    header: &RequestHeader<'_>,
    config: &CacheConfig,
) -> Result<Codec, Failure> {
    if let Some((types, codec)) = last
        && types.key.is(header.key_type)
        && types.value.is(header.value_type)
    {
        return Ok(*codec);
    }
    let codec = Codec::of(header, &config.encoding)?;
    let types = MediaTypes { key: Kind::of(header.key_type), value: Kind::of(header.value_type) };
    *last = Some((types, codec));
    Ok(codec)
}

/// Returns whether a request is about one cache, which has to be there.
fn needs_cache(request: &AnyRequest<'_>) -> bool {
    !matches!(
        request,
        AnyRequest::Ping(_)
            | AnyRequest::AuthMechList(_)
            | AnyRequest::Auth(_)
            | AnyRequest::Exec(_)
            | AnyRequest::Later(_)
    )
}

/// Requests to a cache that are not about one key, as far as they are quick.
fn take_inline(
    node: &Node,
    share: &Share,
    target: &Target,
    context: &Context<'_>,
    request: &AnyRequest<'_>,
    writer: &mut Writer,
) -> Result<Option<Done>, Failure> {
    match request {
        AnyRequest::Stats(_) => {
            let since_2_4 = context.header.version >= ProtocolVersion::V2_4;
            let statistics = statistics::of(target, &node.traffic, since_2_4, context.now);
            write_response::<op::Stats>(&statistics, context, writer);
            Ok(None)
        }
        AnyRequest::PutAll(put_all) if put_all.entries.left() <= 2 * INLINE_ENTRIES => {
            bulk::put_all_now(target, context, put_all, writer)
        }
        AnyRequest::GetAll(get_all) if get_all.keys.left() <= INLINE_ENTRIES => {
            bulk::get_all_now(target, share, context, get_all, writer)
        }
        _ => Ok(Some(Done::Nothing)),
    }
}

/// Writes a response whose value, if it shows one, is in another form than the cache's.
///
/// The entry is taken along and converted by [`finish`](Self::finish), after the lock of its segment is
/// released: converting a large value takes milliseconds.
pub(crate) struct ConvertedReply<'a, 'w> {
    codec: Codec,
    context: &'a Context<'a>,
    request: &'a AnyRequest<'a>,
    writer: &'w mut Writer,
    taken: Option<TakenOutcome>,
}

impl<'a, 'w> ConvertedReply<'a, 'w> {
    pub(crate) fn new(
        codec: Codec,
        context: &'a Context<'a>,
        request: &'a AnyRequest<'a>,
        writer: &'w mut Writer,
    ) -> Self {
        Self { codec, context, request, writer, taken: None }
    }

    /// Bytes that there should be room for before it is finished.
    pub(crate) fn needs(&self) -> usize {
        let value = |entry: &TakenEntry| self.codec.most_out(entry.entry().value().bytes().len());
        match &self.taken {
            Some(TakenOutcome::Found(entry) | TakenOutcome::Refused { current: entry }) => {
                value(entry)
            }
            Some(TakenOutcome::Changed { previous }) => previous.as_ref().map_or(0, value),
            Some(TakenOutcome::Missing) | None => 0,
        }
    }

    /// Writes what is not written yet.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self { codec, context, request, writer, taken } = self;
        match taken {
            Some(taken) => respond_converted(taken.outcome(), codec, context, request, writer),
            None => Ok(()),
        }
    }
}

impl Reply for ConvertedReply<'_, '_> {
    fn reply(&mut self, outcome: Outcome<'_>) {
        if self.request.shows_value(self.context) {
            self.taken = Some(outcome.take());
        } else {
            self.request.respond(outcome, self.context, self.writer);
            self.writer.seal();
        }
    }
}

fn respond_converted(
    outcome: Outcome<'_>,
    codec: Codec,
    context: &Context<'_>,
    request: &AnyRequest<'_>,
    writer: &mut Writer,
) -> Result<(), Failure> {
    let converted;
    let outcome = match outcome {
        Outcome::Found(entry) => {
            converted = codec.value_out(entry.value().bytes())?;
            Outcome::Found(entry.with_value(&converted))
        }
        Outcome::Refused { current } => {
            converted = codec.value_out(current.value().bytes())?;
            Outcome::Refused { current: current.with_value(&converted) }
        }
        // The change is made. What stood there before is left out if the client could not read it.
        Outcome::Changed { previous: Some(entry) } => {
            match codec.value_out(entry.value().bytes()) {
                Ok(value) => {
                    converted = value;
                    Outcome::Changed { previous: Some(entry.with_value(&converted)) }
                }
                Err(_unreadable) => Outcome::Changed { previous: None },
            }
        }
        outcome => outcome,
    };
    request.respond(outcome, context, writer);
    writer.seal();
    Ok(())
}

/// Writes a response to a request that is not about a cache.
pub(crate) fn answer<'a, R: Request<'a> + Operation>(
    header: &RequestHeader<'_>,
    response: &R::Response<'_>,
    writer: &mut Writer,
) {
    let context = Context {
        header,
        now: Timestamp::default(),
        default_expiration: Expiration::NEVER,
        topology: None,
    };
    write_response::<R>(response, &context, writer);
}

fn pong(header: &RequestHeader<'_>, target: Option<&Target>, writer: &mut Writer) {
    let encoding = target.map(|target| &target.config.encoding);
    let response = op::Pong {
        key_type: MediaTypeRef::of(encoding.and_then(|encoding| encoding.key.as_ref())),
        value_type: MediaTypeRef::of(encoding.and_then(|encoding| encoding.value.as_ref())),
        newest: Some(ProtocolVersion::V4_1),
        operations: OPERATIONS.iter().map(|opcode| u16::from(*opcode)).collect(),
    };
    let context = Context {
        header,
        now: Timestamp::default(),
        default_expiration: Expiration::NEVER,
        topology: target
            .and_then(|target| target.topology.as_ref())
            .and_then(|blocks| blocks.news_for(header)),
    };
    write_response::<op::Ping>(&response, &context, writer);
}
