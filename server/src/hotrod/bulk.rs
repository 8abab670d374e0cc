//! PUT_ALL, GET_ALL, BULK_GET and BULK_GET_KEYS: many entries in one message.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hotrod::{
    Writer,
    op::{self, Empty},
    serve::{Context, write_response},
};
use store::{
    Command, EntryRef, Expiration, Growth, Outcome, Progress, Reply, Source, TakenEntry, Timestamp,
    Walk, WalkStep,
};

use super::{
    codec::Codec,
    errors::{self, Failure},
    scope::{Done, Scope, Target},
};
use crate::budget::{Charge, FREE, Share};

/// Entries that are read or written before other requests have their turn.
const STRETCH: usize = 256;

/// Steps of a walk after which other requests have their turn.
const STEPS: usize = 16;

/// Keys of one request that are asked for at the source at the same time.
const LOADS: usize = 64;

/// Bytes that each key of a request takes beside itself while the entries are looked for.
const PER_KEY: usize = 48;

/// Bytes from which on an answer is large: each connection gets one such at a time.
const LARGE: usize = 256 * 1024;

/// Bytes that are taken out of a segment before others have their turn at it.
const PAGE_BYTES: usize = 1024 * 1024;

/// Most bytes of an answer that is one message by its nature.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// How many times longer a key or value may be as it is stored than as it was sent, at most: a control character takes
/// six characters in JSON, each of four bytes in UTF-32, which may be written as hexadecimal digits.
const MOST_GROWTH: usize = 6 * 4 * 2;

/// Writes few entries at once. If one of them has to wait, returns how many are written.
pub(super) fn put_all_now(
    target: &Target,
    context: &Context<'_>,
    request: &op::PutAll<'_>,
    writer: &mut Writer,
) -> Result<Option<Done>, Failure> {
    let codec = Codec::of(context.header, &target.config.encoding)?;
    let expiration = context.expiration(request.expiration);
    if may_lack_room(target, codec, request) {
        let mut room = RoomCheck::new(target, codec, expiration, context.now);
        let mut check = || {
            for pair in request.entries.clone().pairs() {
                if !room.add(pair)? {
                    break;
                }
            }
            room.check()
        };
        check().map_err(|failure| partly(failure, 0, request))?;
    }
    for (written, (key, value)) in request.entries.clone().pairs().enumerate() {
        let write = || {
            let (key, value) = (codec.key_in(key)?, codec.value_in(value)?);
            let command = Command::write(&key, &value, expiration);
            let progress = target.cache.execute(&command, context.now, &mut |_: Outcome<'_>| ());
            progress.map_err(|error| errors::cache_error(&error))
        };
        let progress = write().map_err(|failure| partly(failure, written, request))?;
        if matches!(progress, Progress::Load | Progress::Mark) {
            return Ok(Some(Done::Written(written)));
        }
    }
    write_response::<op::PutAll<'_>>(&Empty(hotrod::Status::Success), context, writer);
    Ok(None)
}

/// Writes any number of entries. The first `written` of them are written already: another client may
/// have changed them since, so they are not written again.
pub(super) async fn put_all(
    scope: &Scope,
    target: &Target,
    context: &Context<'_>,
    request: &op::PutAll<'_>,
    written: usize,
) -> Result<(), Failure> {
    let codec = Codec::of(context.header, &target.config.encoding)?;
    let expiration: Expiration = context.expiration(request.expiration);
    if written == 0 && may_lack_room(target, codec, request) {
        let mut room = RoomCheck::new(target, codec, expiration, context.now);
        let check = async {
            for (index, pair) in request.entries.clone().pairs().enumerate() {
                if !room.add(pair)? {
                    break;
                }
                if index % STRETCH == STRETCH - 1 {
                    tokio::task::yield_now().await;
                }
            }
            room.check()
        };
        check.await.map_err(|failure| partly(failure, 0, request))?;
    }
    for (index, (key, value)) in request.entries.clone().pairs().enumerate().skip(written) {
        let write = async || {
            let (key, value) = (codec.key_in(key)?, codec.value_in(value)?);
            let command = Command::write(&key, &value, expiration);
            let driver = &scope.node.driver;
            let driven = driver.drive(&target.cache, command, &mut |_: Outcome<'_>| ()).await;
            driven.map_err(|error| errors::cache_error(&error))
        };
        write().await.map_err(|failure| partly(failure, index, request))?;
        if index % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Returns whether the entries of a request have to be added up before the first is written, because there may not be
/// room for all of them.
fn may_lack_room(target: &Target, codec: Codec, request: &op::PutAll<'_>) -> bool {
    let pairs = request.entries.clone().pairs();
    let bytes: usize = pairs.map(|(key, value)| key.len() + value.len()).sum();
    let most = if codec.writes_untouched() { bytes } else { bytes.saturating_mul(MOST_GROWTH) };
    !target.cache.surely_has_room(count(request), most)
}

/// Adds up what the entries of a request take, one after the other, and refuses them together where there is no room
/// for them: otherwise the first of them would be written. None of them is kept.
struct RoomCheck<'a> {
    target: &'a Target,
    codec: Codec,
    expiration: Expiration,
    now: Timestamp,
    growth: Growth,
}

impl<'a> RoomCheck<'a> {
    fn new(target: &'a Target, codec: Codec, expiration: Expiration, now: Timestamp) -> Self {
        Self { target, codec, expiration, now, growth: Growth::default() }
    }

    /// Adds an entry. Returns whether there could be room for more.
    fn add(&mut self, (key, value): (&[u8], &[u8])) -> Result<bool, Failure> {
        let (key, value) = (self.codec.key_in(key)?, self.codec.value_in(value)?);
        let entry = (&*key, &*value);
        Ok(self.target.cache.add_growth(&mut self.growth, entry, self.expiration, self.now))
    }

    fn check(&self) -> Result<(), Failure> {
        let checked = self.target.cache.check_room(self.growth, self.now);
        checked.map_err(|error| errors::cache_error(&error))
    }
}

/// Entries of a request.
fn count(request: &op::PutAll<'_>) -> u64 {
    request.entries.left() / 2
}

/// Adds to a failure which entries were written before it.
fn partly((status, text): Failure, written: usize, request: &op::PutAll<'_>) -> Failure {
    let all = count(request);
    let which = match written {
        0 => format!("none of the {all} entries is stored"),
        1 => format!("of the {all} entries, only the first in the request is stored"),
        some => format!("of the {all} entries, only the first {some} in the request are stored"),
    };
    (status, format!("{text}; {which}"))
}

/// Reads few entries at once. If some of them may be at the source, or they are large, returns what was
/// found so far.
pub(super) fn get_all_now(
    target: &Target,
    share: &Share,
    context: &Context<'_>,
    request: &op::GetAll<'_>,
    writer: &mut Writer,
) -> Result<Option<Done>, Failure> {
    let codec = Codec::of(context.header, &target.config.encoding)?;
    let mut found = Found::default();
    let most = if share.has_room(LARGE) { LARGE } else { FREE / 2 };
    for (read_keys, key) in distinct(request).enumerate() {
        if found.entries.len() >= most {
            return Ok(Some(Done::Read(read_keys, found)));
        }
        let stored = codec.key_in(key)?;
        let mut reply = found.reply(key, codec);
        let progress = target
            .cache
            .execute(&read(&stored, context), context.now, &mut reply)
            .map_err(|error| errors::cache_error(&error))?;
        reply.finish()?;
        if matches!(progress, Progress::Load | Progress::Mark) {
            return Ok(Some(Done::Read(read_keys, found)));
        }
    }
    found.write(context, writer);
    Ok(None)
}

/// Reads any number of entries, and asks the source for those that it may have. `done` says how many keys
/// are read already, and what was found under them.
pub(super) async fn get_all(
    scope: &Scope,
    target: &Target,
    context: &Context<'_>,
    request: &op::GetAll<'_>,
    done: (usize, Found),
    writer: &mut Writer,
    charge: &mut Charge,
) -> Result<(), Failure> {
    let codec = Codec::of(context.header, &target.config.encoding)?;
    let (read_keys, mut all) = done;
    let of_keys =
        usize::try_from(request.keys.left()).unwrap_or(usize::MAX).saturating_mul(PER_KEY);
    charge.set(all.entries.capacity());
    errors::roomy(charge.grow_to(charge.bytes().saturating_add(of_keys)).await)?;
    let mut keys = distinct(request).skip(read_keys).collect::<Vec<_>>().into_iter();
    let mut reads = FuturesUnordered::new();
    reads.extend(keys.by_ref().take(LOADS).map(|key| get_one(scope, target, context, codec, key)));
    let (mut count, mut alone) = (0, None);
    while let Some(found) = reads.next().await {
        if let (key, Some(taken)) = found? {
            let value = taken.entry().value().bytes();
            let grown = all.entries.len() + key.len() + codec.most_out(value.len());
            errors::roomy(charge.grow_to(of_keys + grown).await)?;
            all.add(key, &codec.value_out(value)?);
            charge.set(charge.bytes().max(of_keys + all.entries.capacity()));
            within(all.entries.len())?;
        }
        if alone.is_none() && all.entries.len() >= LARGE {
            alone = Some(scope.large.lock().await);
        }
        reads.extend(keys.next().map(|key| get_one(scope, target, context, codec, key)));
        count += 1;
        if count % STRETCH == 0 {
            tokio::task::yield_now().await;
        }
    }
    all.write(context, writer);
    Ok(())
}

/// Reads one entry and takes it along: there may be no room for a copy of it yet.
async fn get_one<'a>(
    scope: &Scope,
    target: &Target,
    context: &Context<'_>,
    codec: Codec,
    key: &'a [u8],
) -> Result<(&'a [u8], Option<TakenEntry>), Failure> {
    let stored = codec.key_in(key)?;
    let command = read(&stored, context);
    let mut taken = None;
    let mut reply = |outcome: Outcome<'_>| {
        if let Outcome::Found(entry) = outcome {
            taken = Some(entry.take());
        }
    };
    scope
        .node
        .driver
        .drive_in_turn(&target.cache, command, Some(&scope.turn), &mut reply)
        .await
        .map_err(|error| errors::cache_error(&error))?;
    Ok((key, taken))
}

fn read<'a>(key: &'a [u8], context: &Context<'_>) -> Command<'a> {
    let source = match context.header.flags.has(hotrod::Flags::SKIP_CACHE_LOAD) {
        true => Source::Skip,
        false => Source::NotAsked,
    };
    Command { source, ..Command::read(key) }
}

/// The keys of a request, each once: clients count distinct keys in the answer.
fn distinct<'a>(request: &op::GetAll<'a>) -> impl Iterator<Item = &'a [u8]> {
    let mut seen = HashSet::new();
    request.keys.clone().filter(move |key| seen.insert(*key))
}

/// Entries that were found, as they go on the wire.
#[derive(Default)]
pub(crate) struct Found {
    count: u32,
    entries: Writer,
}

impl Found {
    /// Where the outcome of reading `key` goes.
    fn reply<'a>(&'a mut self, key: &'a [u8], codec: Codec) -> FoundReply<'a> {
        FoundReply { found: self, key, codec, taken: None }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len()
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries.array(key);
        self.entries.array(value);
        self.count += 1;
    }

    fn write(&self, context: &Context<'_>, writer: &mut Writer) {
        let header = context.header;
        let opcode = <op::GetAll<'_> as op::Operation>::RESPONSE;
        let status = hotrod::Status::Success;
        hotrod::encode_response_header(writer, header.message_id, opcode, status, context.topology);
        writer.vint(self.count);
        writer.raw(self.entries.bytes());
    }
}

/// Adds what is read under one key. What has to be converted is taken along and added by
/// [`finish`](Self::finish), after the lock of its segment is released.
struct FoundReply<'a> {
    found: &'a mut Found,
    key: &'a [u8],
    codec: Codec,
    taken: Option<TakenEntry>,
}

impl FoundReply<'_> {
    fn finish(self) -> Result<(), Failure> {
        if let Some(taken) = self.taken {
            let value = self.codec.value_out(taken.entry().value().bytes())?;
            self.found.add(self.key, &value);
        }
        Ok(())
    }
}

impl Reply for FoundReply<'_> {
    fn reply(&mut self, outcome: Outcome<'_>) {
        let Outcome::Found(entry) = outcome else { return };
        if self.codec.reads_untouched() {
            self.found.add(self.key, entry.value().bytes());
        } else {
            self.taken = Some(entry.take());
        }
    }
}

fn within(bytes: usize) -> Result<(), Failure> {
    if bytes > MOST_BYTES {
        let text = format!(
            "the answer would be one message of more than {MOST_BYTES} bytes; ask for fewer keys, or \
             iterate"
        );
        return Err(errors::failed(text));
    }
    Ok(())
}

/// Entries of the whole cache in one message, as old clients ask for them: at most so many (0 is all), or
/// all keys alone.
pub(super) async fn bulk_get(
    scope: &Scope,
    target: &Target,
    context: &Context<'_>,
    most_entries: Option<u32>,
    charge: &mut Charge,
) -> Result<Writer, Failure> {
    let codec = Codec::of(context.header, &target.config.encoding)?;
    let cache = &target.cache;
    let segments: Vec<_> = cache.segment_ids().collect();
    let whole = scope.node.driver.make_whole(cache, &segments).await;
    let settled = whole.map_err(|error| errors::cache_error(&error))?;
    // One at a time of each connection: an answer may be large.
    let _one = scope.large.lock().await;
    let most = match most_entries {
        None | Some(0) => u64::MAX,
        Some(most) => most.into(),
    };
    let mut entries = Writer::default();
    let mut count = 0_u64;
    let mut walk = Walk::over(Arc::clone(cache));
    walk.settled_at(settled);
    for step in 1_usize.. {
        let mut page = Page::new(codec, most_entries.is_some());
        let walked = walk.step(scope.node.driver.now(), |entry| {
            if count >= most {
                return ControlFlow::Break(());
            }
            page.add(entry);
            count += 1;
            match page.bytes >= PAGE_BYTES || count >= most {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        errors::roomy(charge.grow_to(entries.len() + codec.most_out(page.bytes)).await)?;
        page.write(&mut entries)?;
        within(entries.len())?;
        charge.set(entries.capacity().max(charge.bytes()));
        if errors::walked(cache, walked)? == WalkStep::End || count >= most {
            break;
        }
        if step % STEPS == 0 {
            tokio::task::yield_now().await;
        }
    }
    entries.bool(false);
    Ok(entries)
}

/// Entries of one step of a walk, as they are stored. They are converted after the lock of their segment
/// is released.
struct Page {
    codec: Codec,
    with_values: bool,
    entries: Vec<(Box<[u8]>, Option<TakenEntry>)>,
    bytes: usize,
}

impl Page {
    fn new(codec: Codec, with_values: bool) -> Self {
        Self { codec, with_values, entries: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, entry: EntryRef<'_>) {
        let value = self.with_values.then(|| entry.take());
        self.bytes += entry.key().len();
        self.bytes += value.as_ref().map_or(0, |value| value.entry().value().bytes().len());
        self.entries.push((entry.key().into(), value));
    }

    fn write(self, writer: &mut Writer) -> Result<(), Failure> {
        for (key, value) in self.entries {
            let key = self.codec.key_out(&key)?;
            let value = value.as_ref().map(|value| value.entry().value().bytes());
            let value = value.map(|value| self.codec.value_out(value)).transpose()?;
            writer.bool(true);
            writer.array(&key);
            if let Some(value) = value {
                writer.array(&value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
