//! One connection: reads, takes requests, writes answers.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use hotrod::{Decoder, Writer, encode_error};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    errors,
    order::{Claim, Order, Ticket},
    scope::{Done, Taken},
    session::Session,
    slow::{Answer, Deferred},
    waiting::Waiting,
};
use crate::{
    budget::{Charge, Doing, FREE, NoRoom, Share},
    linger,
    node::Node,
};

/// Requests that are taken before answers are written and others have their turn.
const TURN_REQUESTS: usize = 1_024;

/// Bytes of answers after which they are written and others have their turn.
const TURN_BYTES: usize = 256 * 1024;

/// Room for bytes that one read may bring.
const READ_ROOM: usize = 8 * 1024;

/// Memory that an idle connection keeps for its buffers, each: together what is free.
const KEEP: usize = FREE / 2;

/// How a turn ended.
enum Turn {
    /// Every request that is here was taken, or as many wait as may.
    Drained,
    /// There may be more.
    More,
}

/// Whether more requests may come.
enum Input {
    /// The peer may send more.
    Open,
    /// The peer has closed its side, or all of the connection: one cannot be told from the other.
    Ended,
    /// The last bytes were not a request, and where the next one begins is not known.
    Refused(hotrod::Refused),
}

/// Serves a connection until its peer leaves. Requests that were received by then and change something are
/// carried out, however the connection ends; the others are as long as the peer may still read.
///
/// # Errors
///
/// If the connection breaks.
pub(crate) async fn serve(stream: TcpStream, node: Arc<Node>, share: Arc<Share>) -> io::Result<()> {
    Connection::new(stream, node, share)?.run().await
}

struct Connection {
    stream: TcpStream,
    node: Arc<Node>,
    decoder: Decoder,
    session: Session,
    writer: Writer,
    /// Which of the deferred requests wait for others of them.
    order: Order,
    /// Those that do.
    blocked: HashMap<Ticket, Deferred>,
    /// The others.
    waiting: FuturesUnordered<Waiting>,
    /// Bytes of all deferred requests, with what was found for them so far.
    waiting_bytes: usize,
    share: Arc<Share>,
    /// What the buffers and the deferred requests take.
    charge: Charge,
    input: Input,
    /// Why nothing can be read or written any more. Answers are then thrown away.
    broken: Option<io::Error>,
}

impl Connection {
    fn new(stream: TcpStream, node: Arc<Node>, share: Arc<Share>) -> io::Result<Self> {
        Ok(Self {
            decoder: Decoder::new(node.limits.wire),
            session: Session::new(Arc::clone(&node), Arc::clone(&share), stream.local_addr()?),
            writer: Writer::default(),
            order: Order::default(),
            blocked: HashMap::new(),
            waiting: FuturesUnordered::new(),
            waiting_bytes: 0,
            charge: share.charge(),
            share,
            input: Input::Open,
            broken: None,
            stream,
            node,
        })
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            let turn = self.turn();
            self.count();
            self.flush().await;
            if self.broken.is_some() && self.drop_reads() {
                // There is room for more requests.
                continue;
            }
            match turn {
                Turn::More => tokio::task::yield_now().await,
                Turn::Drained if self.waiting.is_empty() && !self.is_open() => break,
                Turn::Drained => self.wait().await,
            }
        }
        if let Input::Refused(refused) = &self.input {
            refuse(refused, &mut self.writer);
            self.flush().await;
        }
        // All else goes before it lingers: it counts against others.
        let (mut stream, input, broken) = self.ended();
        match (broken, input) {
            (Some(error), _) => Err(error),
            (None, Input::Refused(_)) => linger::end(&mut stream).await,
            (None, _) => stream.shutdown().await,
        }
    }

    /// What is left of a connection that takes no more requests.
    fn ended(self) -> (TcpStream, Input, Option<io::Error>) {
        (self.stream, self.input, self.broken)
    }

    /// Takes the requests that are here, up to a turn's worth.
    fn turn(&mut self) -> Turn {
        if matches!(self.input, Input::Refused(_)) {
            return Turn::Drained;
        }
        let now = self.node.driver.now();
        self.session.refresh();
        for _ in 0..TURN_REQUESTS {
            if self.is_full() {
                return Turn::Drained;
            }
            if self.has_enough() {
                return Turn::More;
            }
            match self.decoder.next_request() {
                Ok(Some(decoded)) => {
                    self.share.moved();
                    let taken = self.session.take(&decoded, now, &self.order, &mut self.writer);
                    if let Taken::Waits { claim, done } = taken {
                        let (scope, bytes) = (self.session.scope(), decoded.bytes.into());
                        let only_reads = matches!(done, Done::Answered(_))
                            || claim.as_ref().is_some_and(Claim::only_reads);
                        self.defer(claim, Deferred { scope, bytes, done, only_reads });
                    }
                }
                Ok(None) => return Turn::Drained,
                Err(refused) => {
                    self.input = Input::Refused(refused);
                    return Turn::Drained;
                }
            }
        }
        Turn::More
    }

    /// Carries out a request beside the read loop, once the deferred requests that it may not overtake
    /// have finished.
    fn defer(&mut self, claim: Option<Claim>, deferred: Deferred) {
        self.waiting_bytes += deferred.len();
        match self.order.defer(claim) {
            (ticket, true) => self.waiting.push(Waiting::new(ticket, deferred)),
            (ticket, false) => drop(self.blocked.insert(ticket, deferred)),
        }
    }

    /// Waits for bytes, or for an answer.
    async fn wait(&mut self) {
        self.decoder.shrink(KEEP);
        self.count();
        let reads = self.waiting.is_empty() || self.is_open() && !self.is_full();
        self.share.does(match (self.decoder.waiting(), self.waiting.is_empty()) {
            (0, true) => Doing::Nothing,
            (1.., _) if reads => Doing::Receiving,
            // Where nothing is read, it is not for the peer to go on.
            _ => Doing::Working,
        });
        let bytes = self.decoder.wanted(READ_ROOM) + self.other_bytes();
        let read = async {
            let more = bytes.saturating_sub(self.charge.bytes());
            if more > 0 {
                self.charge.merge(self.share.reserve(more).await.map_err(closed)?);
            }
            self.stream.read_buf(self.decoder.room(READ_ROOM)).await
        };
        let read = tokio::select! {
            read = read, if reads => read,
            Some(answer) = self.waiting.next(), if !self.waiting.is_empty() => {
                self.take_answer(answer);
                self.take_ready_answers();
                return;
            }
            () = self.share.closed(), if self.broken.is_none() => Err(closed(NoRoom::Closed)),
        };
        match read {
            Ok(0) => self.input = Input::Ended,
            Ok(read) => {
                self.share.passed(read);
                self.node.traffic.read.fetch_add(read as u64, Relaxed);
            }
            Err(error) => self.broken = Some(error),
        }
    }

    /// Counts what it takes by now. What is reserved for a request that is still arriving stays so.
    fn count(&mut self) {
        let reserved = self.charge.bytes().min(self.decoder.wanted(0) + self.other_bytes());
        self.charge.set(reserved.max(self.decoder.capacity() + self.other_bytes()));
    }

    /// Bytes that it takes beside those of the decoder.
    fn other_bytes(&self) -> usize {
        self.writer.capacity() + self.waiting_bytes
    }

    /// Returns whether more requests may come.
    fn is_open(&self) -> bool {
        matches!(self.input, Input::Open) && self.broken.is_none()
    }

    /// Returns whether as many requests wait as may: until one is answered, none is taken.
    fn is_full(&self) -> bool {
        let limits = &self.node.limits;
        self.order.len() >= limits.in_flight || self.waiting_bytes >= limits.in_flight_bytes
    }

    /// Returns whether its answers are to be sent before more are written.
    fn has_enough(&self) -> bool {
        let len = self.writer.len();
        len >= TURN_BYTES || len >= KEEP && !self.share.has_room(TURN_BYTES)
    }

    fn take_ready_answers(&mut self) {
        while !self.has_enough()
            && let Some(Some(answer)) = self.waiting.next().now_or_never()
        {
            self.take_answer(answer);
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        let Answer { ticket, bytes, deferred_len, charge } = answer;
        self.writer.append(bytes);
        // It counts with the writer from now on. Nobody else may take the room in between.
        self.charge.merge(charge);
        self.finish(ticket, deferred_len);
    }

    /// Starts the requests that waited for one that is done with. For a peer that has left, those that only
    /// read are done with when their turn comes.
    fn finish(&mut self, ticket: Ticket, deferred_len: usize) {
        let mut dropped = Vec::new();
        let mut finished = Some((ticket, deferred_len));
        while let Some((ticket, deferred_len)) = finished {
            self.waiting_bytes -= deferred_len;
            for ticket in self.order.finish(ticket) {
                match self.blocked.remove(&ticket) {
                    Some(deferred) if self.broken.is_some() && deferred.only_reads => {
                        dropped.push((ticket, deferred.len()));
                    }
                    Some(deferred) => self.waiting.push(Waiting::new(ticket, deferred)),
                    None => {}
                }
            }
            finished = dropped.pop();
        }
        if self.order.is_empty() {
            self.session.none_waits();
        }
    }

    /// Drops what is being read for a peer that has left. Returns whether there was anything. A read that is
    /// blocked keeps its place, so that changes stay in order, and is dropped when its turn comes.
    fn drop_reads(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (reads, changes): (Vec<_>, Vec<_>) = waiting.partition(|waiting| waiting.only_reads);
        self.waiting.extend(changes);
        reads.iter().for_each(|read| self.finish(read.ticket, read.deferred_len));
        !reads.is_empty()
    }

    async fn flush(&mut self) {
        if !self.writer.is_empty() && self.broken.is_none() {
            match send(&mut self.stream, self.writer.bytes(), &self.share).await {
                Ok(()) => {
                    let bytes = self.writer.len() as u64;
                    self.node.traffic.written.fetch_add(bytes, Relaxed);
                }
                Err(error) => self.broken = Some(error),
            }
        }
        self.writer.reset(KEEP);
    }
}

/// Sends bytes, unless the connection is closed because its peer takes none of them.
async fn send(stream: &mut TcpStream, bytes: &[u8], share: &Share) -> io::Result<()> {
    let mut sent = match stream.try_write(bytes) {
        Ok(sent) => sent,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    if sent == bytes.len() {
        return Ok(());
    }
    share.does(Doing::Sending);
    let held_up = share.hold_up();
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        let more = tokio::select! {
            more = stream.write(rest) => more?,
            () = share.closed() => return Err(closed(NoRoom::Closed)),
        };
        if more == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        sent += more;
        share.passed(more);
    }
    drop(held_up);
    share.does(Doing::Working);
    Ok(())
}

fn closed(reason: NoRoom) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

/// Answers bytes that cannot be read. After them, nobody knows where the next request begins.
fn refuse(refused: &hotrod::Refused, writer: &mut Writer) {
    let (status, text) = errors::refusal(&refused.error);
    encode_error(writer, refused.message_id, status, &text);
}

#[cfg(test)]
mod tests {
    //! Peers that do not read.

    use std::time::Duration;

    use hotrod::{RequestExpiration, op};
    use store::{Cache, Command, Outcome};

    use super::*;
    use crate::hotrod::{
        order::{Access, CacheId, Keys},
        samples,
    };

    /// A request that writes `v` under a key of the cache `c`.
    fn put(key: &[u8]) -> Box<[u8]> {
        let entry = op::NewEntry { key, value: b"v", expiration: RequestExpiration::NEVER };
        samples::message(&op::Put(entry)).into()
    }

    fn is_there(node: &Node, cache: &Cache, key: &[u8]) -> bool {
        let mut there = false;
        let mut reply = |outcome: Outcome<'_>| there = matches!(outcome, Outcome::Found(_));
        let _ = cache.execute(&Command::read(key), node.driver.now(), &mut reply).unwrap();
        there
    }

    /// A connection to a member with the cache `c`, and its peer.
    async fn connected() -> (Connection, TcpStream, Arc<Cache>) {
        let (node, cache) = samples::with_cache().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let share = node.budget.share(([127, 0, 0, 1], 1).into());
        (Connection::new(stream, node, share).unwrap(), peer, cache)
    }

    #[tokio::test]
    async fn waits_for_room_are_held_up_while_an_answer_is_sent() {
        let (mut connection, peer, _) = connected().await;
        let share = Arc::clone(&connection.share);
        for _ in 0..2 {
            assert!(!share.is_held_up());
            connection.writer.raw(&vec![0; 32 << 20]);
            let reads = async {
                while !share.is_held_up() {
                    tokio::task::yield_now().await;
                }
                let mut left = 32 << 20;
                while left > 0 {
                    peer.readable().await.unwrap();
                    left -= peer.try_read(&mut vec![0; 1 << 20]).unwrap_or(0);
                }
            };
            tokio::join!(connection.flush(), reads);
            assert!(connection.broken.is_none());
        }
        assert!(!share.is_held_up());
        connection.writer.raw(&vec![0; 32 << 20]);
        tokio::join!(connection.flush(), async { drop(peer) });
        assert!(connection.broken.is_some() && !share.is_held_up());
    }

    #[tokio::test]
    async fn an_answer_counts_until_it_counts_with_the_writer() {
        let (mut connection, _peer, _) = connected().await;
        let node = Arc::clone(&connection.node);
        let mut charge = connection.share.charge();
        charge.set(100_000);
        let before = node.budget.used();
        let (ticket, _) = connection.order.defer(None);
        connection.take_answer(Answer { ticket, bytes: vec![7; 100_000], deferred_len: 0, charge });
        assert!(before > 0 && node.budget.used() >= before, "{before}");
        connection.count();
        let taken = connection.decoder.capacity() + connection.other_bytes();
        assert_eq!(connection.charge.bytes(), taken);
    }

    #[tokio::test]
    async fn reads_of_a_peer_that_has_left_are_dropped_and_the_changes_behind_them_are_made() {
        let (mut connection, peer, cache) = connected().await;
        let node = Arc::clone(&connection.node);

        // Makes the session know the cache.
        connection.decoder.push(&put(b"known"));
        let decoded = connection.decoder.next_request().unwrap().unwrap();
        let (now, writer) = (node.driver.now(), &mut connection.writer);
        let taken = connection.session.take(&decoded, now, &connection.order, writer);
        assert!(matches!(taken, Taken::Answered));

        // Reads that take for ever, a change behind one of them, and a read and a change behind that.
        let claim = |key, access| Claim { cache: CacheId(1), keys: Keys::One(key), access };
        for (key, access) in [(1, Access::Read), (2, Access::Read), (3, Access::Follow)] {
            let claim = claim(key, access);
            let only_reads = claim.only_reads();
            let (ticket, starts) = connection.order.defer(Some(claim));
            assert!(starts);
            connection.waiting_bytes += 1;
            let answer = Box::pin(std::future::pending());
            connection.waiting.push(Waiting { ticket, deferred_len: 1, only_reads, answer });
        }
        connection.defer(
            None,
            Deferred {
                scope: connection.session.scope(),
                bytes: put(b"beside"),
                done: Done::Nothing,
                only_reads: false,
            },
        );
        for (bytes, access) in [
            (put(b"first"), Access::Change),
            // If it were carried out, it would be seen.
            (put(b"read"), Access::Read),
            (put(b"last"), Access::Change),
        ] {
            let claim = claim(1, access);
            let only_reads = claim.only_reads();
            let scope = connection.session.scope();
            connection
                .defer(Some(claim), Deferred { scope, bytes, done: Done::Nothing, only_reads });
        }
        assert_eq!((connection.waiting.len(), connection.blocked.len()), (4, 3));

        drop(peer);
        connection.broken = Some(io::ErrorKind::ConnectionReset.into());
        let ended = tokio::time::timeout(Duration::from_secs(60), connection.run()).await;
        ended.expect("nobody waits for what is only read").unwrap_err();
        let is_there = |key: &[u8]| is_there(&node, &cache, key);
        assert!(is_there(b"beside") && is_there(b"first") && is_there(b"last"));
        assert!(!is_there(b"read"), "it is not carried out");
    }
}
