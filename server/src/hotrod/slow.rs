//! Requests that have to wait: what they need is brought, then they are carried out.

use hotrod::{
    Limits, Reader, RequestHeader, Status, Writer, encode_error,
    op::{self, AnyRequest, Empty, Operation},
    serve::{Context, Responder, write_response},
};

use super::{
    admin, bulk,
    codec::Codec,
    errors::{self, Failure},
    iteration,
    order::Ticket,
    scope::{Done, Scope, Target},
    session::{ConvertedReply, answer as answer_request},
};
use crate::budget::Charge;

/// Bytes that a request which waits takes beside its own.
const OWN_BYTES: usize = 5 * 1024;

/// An answer that was waited for.
pub(crate) struct Answer {
    /// The request that it answers.
    pub(crate) ticket: Ticket,
    /// As it goes on the wire.
    pub(crate) bytes: Vec<u8>,
    /// See [`Deferred::len`].
    pub(crate) deferred_len: usize,
    /// What it takes until it is in the writer.
    pub(crate) charge: Charge,
}

/// A request that waits.
pub(crate) struct Deferred {
    pub(crate) scope: Scope,
    /// The whole request, already seen to be one.
    pub(crate) bytes: Box<[u8]>,
    /// How much of it is done already.
    pub(crate) done: Done,
    /// Whether it changes nothing.
    pub(crate) only_reads: bool,
}

impl Deferred {
    /// Bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        OWN_BYTES + self.bytes.len() + self.done.bytes()
    }
}

/// Carries out one request and returns its answer.
pub(crate) async fn answer(ticket: Ticket, deferred: Deferred) -> Answer {
    let deferred_len = deferred.len();
    let Deferred { scope, bytes, done, only_reads: _ } = deferred;
    let (mut charge, most) = (scope.share.charge(), scope.share.most());
    let writer = match done {
        Done::Answered(writer) => writer,
        done => carried_out(&scope, &bytes, done, &mut charge).await,
    };
    // A longer value exists already; it is answered once as much is free as one answer may take.
    let bytes = (writer.len() + writer.unsealed()).min(most);
    let room = charge.grow_to(bytes).await;
    // A connection that is closed gets no answer.
    let bytes = room.map_or_else(|_closed| Vec::new(), |()| writer.into_bytes());
    charge.set(bytes.capacity());
    Answer { ticket, bytes, deferred_len, charge }
}

async fn carried_out(scope: &Scope, bytes: &[u8], done: Done, charge: &mut Charge) -> Writer {
    let mut reader = Reader::new(bytes, Limits::NONE);
    let mut writer = Writer::default();
    let Ok(header) = RequestHeader::decode(&mut reader) else { return writer };
    let Ok(request) = AnyRequest::decode(&header, &mut reader) else { return writer };
    let carried_out = match (&request, &scope.target) {
        (AnyRequest::Exec(exec), _) => admin::exec(&scope.node, exec).await.map(|result| {
            answer_request::<op::Exec<'_>>(&header, &op::Executed(&result), &mut writer);
        }),
        (_, Some(target)) => {
            carry_out(scope, target, (&header, &request), done, &mut writer, charge).await
        }
        (_, None) => Err(errors::no_such_cache(header.cache_name)),
    };
    if let Err((status, text)) = carried_out {
        writer.truncate(0);
        encode_error(&mut writer, header.message_id, status, &text);
    }
    writer
}

async fn carry_out(
    scope: &Scope,
    target: &Target,
    (header, request): (&RequestHeader<'_>, &AnyRequest<'_>),
    done: Done,
    writer: &mut Writer,
    charge: &mut Charge,
) -> Result<(), Failure> {
    let driver = &scope.node.driver;
    let context = &target.context(header, driver.now());
    match request {
        AnyRequest::Clear(_) => {
            driver.clear(&target.cache).await.map_err(|error| errors::cache_error(&error))?;
            write_response::<op::Clear>(&Empty(Status::Success), context, writer);
        }
        AnyRequest::Size(_) => {
            let skip = header.flags.has(hotrod::Flags::SKIP_CACHE_LOAD);
            let size = match skip {
                true => {
                    driver.size_here(&target.cache).await.map_err(|e| errors::cache_error(&e))?
                }
                false => {
                    let size = driver.size_in_turn(&target.cache, Some(&scope.turn)).await;
                    size.map_err(|e| errors::cache_error(&e))?.entries
                }
            };
            // Clients read 32 bits.
            write_response::<op::Size>(&op::Count(size.min(i32::MAX as u64)), context, writer);
        }
        AnyRequest::PutAll(put_all) => {
            let written = match done {
                Done::Written(entries) => entries,
                Done::Nothing | Done::Read(..) | Done::Answered(_) => 0,
            };
            bulk::put_all(scope, target, context, put_all, written).await?;
            write_response::<op::PutAll<'_>>(&Empty(Status::Success), context, writer);
        }
        AnyRequest::GetAll(get_all) => {
            let done = match done {
                Done::Read(keys, found) => (keys, found),
                Done::Nothing | Done::Written(_) | Done::Answered(_) => Default::default(),
            };
            bulk::get_all(scope, target, context, get_all, done, writer, charge).await?;
        }
        AnyRequest::BulkGet(bulk) => {
            let entries = bulk::bulk_get(scope, target, context, Some(bulk.most), charge).await?;
            raw::<op::BulkGet>(context, entries.bytes(), writer);
        }
        AnyRequest::BulkGetKeys(_) => {
            let keys = bulk::bulk_get(scope, target, context, None, charge).await?;
            raw::<op::BulkGetKeys>(context, keys.bytes(), writer);
        }
        AnyRequest::IterationStart(start) => {
            iteration::start(scope, target, context, start, writer).await?;
        }
        AnyRequest::IterationNext(next) => {
            iteration::next(scope, context, next, writer, charge).await?;
        }
        AnyRequest::IterationEnd(end) => iteration::end(scope, context, end, writer),
        _ => one_key(scope, target, context, request, writer, charge).await?,
    }
    Ok(())
}

/// Runs a command on one key to completion.
async fn one_key(
    scope: &Scope,
    target: &Target,
    context: &Context<'_>,
    request: &AnyRequest<'_>,
    writer: &mut Writer,
    charge: &mut Charge,
) -> Result<(), Failure> {
    let Some(command) = request.command(context) else {
        return Err(errors::failed("the request cannot be carried out here"));
    };
    let driver = &scope.node.driver;
    let codec = Codec::of(context.header, &target.config.encoding)?;
    if codec.is_identity() {
        let mut reply = Responder { request, context, writer };
        return driver
            .drive_in_turn(&target.cache, command, Some(&scope.turn), &mut reply)
            .await
            .map_err(|error| errors::cache_error(&error));
    }
    let stored = codec.stored(&command)?;
    let mut reply = ConvertedReply::new(codec, context, request, writer);
    let command = stored.command(&command);
    driver
        .drive_in_turn(&target.cache, command, Some(&scope.turn), &mut reply)
        .await
        .map_err(|error| errors::cache_error(&error))?;
    // A change is made by now, so a longer value is no reason for an error.
    errors::roomy(charge.grow_to(reply.needs().min(scope.share.most())).await)?;
    reply.finish()
}

/// A response whose fields are written already.
fn raw<R: Operation>(context: &Context<'_>, fields: &[u8], writer: &mut Writer) {
    let (id, topology) = (context.header.message_id, context.topology);
    hotrod::encode_response_header(writer, id, R::RESPONSE, Status::Success, topology);
    writer.raw(fields);
}

#[cfg(test)]
mod tests {
    //! What a request that waits takes.

    use config::{CacheConfig, CacheMode, Encoding};
    use hotrod::{Intelligence, MediaTypeRef, ProtocolVersion, ResponseHeader, op::Request};
    use store::{Command, Expiration, Outcome};

    use super::*;
    use crate::{
        budget::Budget,
        hotrod::{order::Order, samples, session::Session},
    };

    #[tokio::test]
    async fn what_a_request_that_waits_takes_is_counted() {
        let (node, _) = samples::with_cache().await;
        let budget = Budget::new(1_000_000, None, node.driver.now());
        let share = budget.share(([127, 0, 0, 1], 1).into());
        let session = Session::new(node, share, ([127, 0, 0, 1], 1).into());
        let bytes = Box::from([7; 100]);
        let deferred =
            Deferred { scope: session.scope(), bytes, done: Done::Nothing, only_reads: true };
        assert_eq!(deferred.len(), OWN_BYTES + 100);
        let (ticket, _) = Order::default().defer(None);
        let future = answer(ticket, deferred);
        let taken = size_of_val(&future);
        assert!((OWN_BYTES / 2..=OWN_BYTES).contains(&taken), "{taken}");
    }
    #[tokio::test]
    async fn a_value_that_is_larger_than_an_answer_may_be_is_given_out_in_another_form() {
        let (node, cache) = samples::with_cache().await;
        let value = [&b"\x4a\x90\x03"[..], &[b'v'; 400]].concat();
        let write = Command::write(b"k", &value, Expiration::NEVER);
        let _ = cache.execute(&write, node.driver.now(), &mut |_: Outcome<'_>| ()).unwrap();
        let (text, protostream) = (media::MediaType::TEXT, media::MediaType::PROTOSTREAM);
        let encoding = Encoding { key: Some(text.clone()), value: Some(protostream) };
        let config = CacheConfig { encoding, ..CacheConfig::new(CacheMode::Distributed) };
        let target = Target {
            name: "c".to_owned(),
            cache,
            config: config.into(),
            default_expiration: Expiration::NEVER,
            topology: None,
        };

        let header = RequestHeader {
            message_id: 1,
            version: ProtocolVersion::V4_1,
            opcode: <op::Get<'_> as Operation>::REQUEST,
            cache_name: "c",
            flags: hotrod::Flags(0),
            intelligence: Intelligence::Basic,
            topology_id: 0,
            key_type: MediaTypeRef::of(Some(&text)),
            value_type: MediaTypeRef::of(Some(&text)),
        };
        let mut request = Writer::default();
        header.encode(&mut request);
        op::Get { key: b"k" }.encode(header.version, &mut request);

        let share = Budget::new(1_000, None, node.driver.now());
        let share = share.share(([127, 0, 0, 1], 1).into());
        let session = Session::new(node, share, ([127, 0, 0, 1], 1).into());
        let scope = Scope { target: Some(target.into()), ..session.scope() };
        let bytes = request.into_bytes().into();
        let deferred = Deferred { scope, bytes, done: Done::Nothing, only_reads: true };
        let (ticket, _) = Order::default().defer(None);
        let answer = answer(ticket, deferred).await;
        let mut reader = Reader::new(&answer.bytes, Limits::NONE);
        let header = ResponseHeader::decode(&mut reader, Intelligence::Basic).unwrap();
        assert_eq!(header.status, Status::Success);
        assert_eq!(reader.array("value").unwrap(), [b'v'; 400]);
    }
}
