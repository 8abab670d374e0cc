//! A phase of a measurement: all connections, from the first request to the last answer.
//!
//! Each thread has its own runtime, so that neither the caller's runtime nor other threads
//! influence the measured times.

use std::{io, sync::Arc, time::Duration};

use hotrod::SegmentSet;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, Interest},
    net::TcpStream,
    runtime, select,
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use crate::{
    conversation::{Conversation, Talk},
    data::Data,
    error::{BenchError, WrongAnswer},
    iterate::Walk,
    load::{Amount, Load, Mix, Protocol, Work},
    plan::Plan,
    probe::{self, Server},
    process::Usage,
    record::Recorder,
    report::{Figures, Meters, Report},
    wire::{HotRod, Memcached},
};

/// Puts a load on a server and measures.
///
/// # Errors
///
/// If the load is impossible, or the server cannot be used or answers wrongly. Refused requests are
/// only counted.
pub async fn measure(load: &Load) -> Result<Report, BenchError> {
    load.check()?;
    let server = probe::probe(load).await?;
    let fill = match load.fill {
        true => Some(run(load, &server, Job::Fill).await?),
        false => None,
    };
    let job = load.work.map(|work| match work {
        Work::Requests { mix, amount } => Job::Requests { mix, amount },
        Work::Iterate { batch } => Job::Iterate { batch },
    });
    let run = match job {
        Some(job) => Some(run(load, &server, job).await?),
        None => None,
    };
    Ok(Report { server: server.name, load: load.clone(), fill, run })
}

/// What all connections do in a phase.
#[derive(Clone, Copy, Debug)]
enum Job {
    Fill,
    Requests { mix: Mix, amount: Amount },
    Iterate { batch: u32 },
}

/// What all connections of a phase share.
#[derive(Debug)]
struct Phase {
    load: Load,
    server: Server,
    job: Job,
    connections: u32,
    /// When to stop sending requests.
    deadline: Option<Instant>,
}

async fn run(load: &Load, server: &Server, job: Job) -> Result<Figures, BenchError> {
    let connections = match job {
        // Without known segments the work cannot be split.
        Job::Iterate { .. } => load.connections.min(server.segments.max(1)),
        _ => load.connections,
    };
    let mut streams: Vec<Vec<_>> = Vec::new();
    streams.resize_with(load.threads.min(connections) as usize, Vec::new);
    for index in 0..connections {
        let stream = probe::connect(load).await?;
        let stream = stream.into_std().map_err(|source| network(load, source))?;
        let count = streams.len();
        if let Some(streams) = streams.get_mut(index as usize % count) {
            streams.push((index, stream));
        }
    }

    let before = Meters { server: server_usage(load)?, client: Usage::own().ok() };
    let start = Instant::now();
    let deadline = match job {
        Job::Requests { amount: Amount::Time(time), .. } => Some(start + time),
        _ => None,
    };
    let (load, server) = (load.clone(), server.clone());
    let phase = Arc::new(Phase { load, server, job, connections, deadline });
    let (end, recorder) = Threads::start(&phase, streams).finish(&phase.load).await?;
    let after = Meters { server: server_usage(&phase.load)?, client: Usage::own().ok() };
    Ok(Figures::new(&recorder, connections, end - start, before, after))
}

fn server_usage(load: &Load) -> Result<Option<Usage>, BenchError> {
    let Some(pid) = load.server_pid else { return Ok(None) };
    Usage::of(pid).map(Some).map_err(|source| BenchError::Process { pid, source })
}

fn network(load: &Load, source: io::Error) -> BenchError {
    BenchError::Network { address: load.address.clone(), source }
}

/// Connections with their numbers.
type Streams = Vec<(u32, std::net::TcpStream)>;

/// The threads of a phase. They end when dropped.
struct Threads {
    ends: JoinSet<(usize, Result<Instant, BenchError>)>,
    watched: Vec<Watched>,
    stop: watch::Sender<()>,
}

/// What the main thread knows of a worker thread.
struct Watched {
    recorder: Arc<Mutex<Recorder>>,
    has_ended: bool,
    /// Bytes that it had received, and when that count was first seen.
    received: (u64, Instant),
}

/// Interval between checks of the threads.
const LOOK: Duration = Duration::from_millis(100);

impl Threads {
    fn start(phase: &Arc<Phase>, streams: Vec<Streams>) -> Self {
        let (stop, stopped) = watch::channel(());
        let mut ends = JoinSet::new();
        let mut watched = Vec::new();
        for (index, streams) in streams.into_iter().enumerate() {
            let recorder = Arc::new(Mutex::new(Recorder::new()));
            let (phase, stopped) = (Arc::clone(phase), stopped.clone());
            let received = (0, Instant::now());
            watched.push(Watched { recorder: Arc::clone(&recorder), has_ended: false, received });
            ends.spawn_blocking(move || (index, thread(&phase, streams, stopped, &recorder)));
        }
        Self { ends, watched, stop }
    }

    /// Waits for all threads; returns when the last one ended, with the sum of their counts.
    async fn finish(mut self, load: &Load) -> Result<(Instant, Recorder), BenchError> {
        let ended = self.wait(load).await;
        drop(self.stop);
        while self.ends.join_next().await.is_some() {}
        let end = ended?;
        let mut all = Recorder::new();
        for thread in &self.watched {
            all.add(&thread.recorder.lock());
        }
        Ok((end, all))
    }

    async fn wait(&mut self, load: &Load) -> Result<Instant, BenchError> {
        let mut end = Instant::now();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            select! {
                joined = self.ends.join_next() => {
                    let Some(joined) = joined else { return Ok(end) };
                    let (index, ended) =
                        joined.map_err(|error| BenchError::Thread(io::Error::other(error)))?;
                    end = end.max(ended?);
                    if let Some(thread) = self.watched.get_mut(index) {
                        thread.has_ended = true;
                    }
                }
                now = looks.tick() => {
                    let waiting = self.watched.iter_mut().filter(|thread| !thread.has_ended);
                    if waiting.into_iter().any(|thread| thread.is_silent(now, load.timeout)) {
                        let (address, after) = (load.address.clone(), load.timeout);
                        return Err(BenchError::Stalled { address, after });
                    }
                }
            }
        }
    }
}

impl Watched {
    /// Returns whether the thread has received nothing for this long. It always has requests in
    /// flight.
    fn is_silent(&mut self, now: Instant, timeout: Duration) -> bool {
        let received = self.recorder.lock().received;
        if received != self.received.0 {
            self.received = (received, now);
        }
        now.saturating_duration_since(self.received.1) > timeout
    }
}

/// Runs these connections concurrently, and returns when the last one was done.
fn thread(
    phase: &Arc<Phase>,
    streams: Streams,
    mut stopped: watch::Receiver<()>,
    recorder: &Arc<Mutex<Recorder>>,
) -> Result<Instant, BenchError> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build();
    runtime.map_err(BenchError::Thread)?.block_on(async {
        let mut connections = JoinSet::new();
        for (index, stream) in streams {
            let stream =
                TcpStream::from_std(stream).map_err(|error| network(&phase.load, error))?;
            let (phase, recorder) = (Arc::clone(phase), Arc::clone(recorder));
            connections.spawn(async move {
                let done = phase.work(index, stream, &recorder).await;
                done.map_err(|fault| fault.at(&phase.load, &recorder))
            });
        }
        loop {
            select! {
                ended = connections.join_next() => match ended {
                    None => return Ok(Instant::now()),
                    Some(Ok(done)) => done?,
                    Some(Err(error)) => return Err(BenchError::Thread(io::Error::other(error))),
                },
                // The sender sends nothing; it is dropped to stop the thread.
                _ = stopped.changed() => return Ok(Instant::now()),
            }
        }
    })
}

impl Phase {
    /// Runs connection `index`.
    async fn work(
        &self,
        index: u32,
        stream: TcpStream,
        recorder: &Mutex<Recorder>,
    ) -> Result<(), Fault> {
        let Load { protocol, keys, seed, .. } = self.load;
        let plan = match self.job {
            Job::Fill => Plan::fill(index, self.connections, keys),
            Job::Requests { mix, amount } => {
                Plan::random(index, self.connections, seed, mix, amount, keys)
            }
            Job::Iterate { batch } => {
                let segments = (self.server.segments > 0).then(|| self.segments(index));
                let walk = Walk::new(self.hot_rod(), segments, batch, Instant::now());
                return drive(stream, walk, recorder, self.deadline).await;
            }
        };
        let depth = self.load.depth as usize;
        let (data, now) = (Data::new(&self.load), Instant::now());
        match protocol {
            Protocol::HotRod => {
                let talk = Conversation::new(self.hot_rod(), plan, data, depth, now);
                drive(stream, talk, recorder, self.deadline).await
            }
            Protocol::Memcached => {
                let talk = Conversation::new(Memcached::new(depth), plan, data, depth, now);
                drive(stream, talk, recorder, self.deadline).await
            }
        }
    }

    fn hot_rod(&self) -> HotRod {
        let Server { version, topology_id, .. } = self.server;
        HotRod { version, cache: self.load.cache.clone(), topology_id }
    }

    /// Returns the segments that connection `index` iterates over.
    fn segments(&self, index: u32) -> SegmentSet {
        (index..self.server.segments).step_by(self.connections.max(1) as usize).collect()
    }
}

/// Failure of a connection.
enum Fault {
    Closed,
    Network(io::Error),
    Wrong(WrongAnswer),
}

impl Fault {
    fn at(self, load: &Load, recorder: &Mutex<Recorder>) -> BenchError {
        let address = load.address.clone();
        match self {
            Self::Closed => {
                let recorder = recorder.lock();
                let refusal = recorder.refusal.clone();
                BenchError::Closed { address, answered: recorder.done + recorder.refused, refusal }
            }
            Self::Network(source) => BenchError::Network { address, source },
            Self::Wrong(source) => BenchError::Wrong { address, source },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset => Self::Closed,
            _ => Self::Network(error),
        }
    }
}

/// Sends requests and handles answers until the conversation is over.
async fn drive<T: Talk>(
    mut stream: TcpStream,
    talk: T,
    recorder: &Mutex<Recorder>,
    deadline: Option<Instant>,
) -> Result<(), Fault> {
    let mut ear = Ear { talk, input: Input::default(), sent: 0, recorder, deadline };
    loop {
        let len = ear.talk.ask().len();
        if len > 0 {
            ear.talk.sent(Instant::now());
        }
        let mut written = 0;
        while written < len {
            match stream.try_write(ear.talk.unsent(written)) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The server stops reading when its own answers are not read, so read and write
                    // together.
                    let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
                    if ready.is_readable() {
                        ear.try_read(&stream)?;
                    }
                }
                Err(error) => {
                    // The server may have sent a reason before it closed.
                    ear.try_read(&stream)?;
                    return Err(error.into());
                }
            }
        }
        ear.sent += len as u64;
        if ear.talk.is_over() {
            return Ok(());
        }
        if ear.talk.can_ask() {
            continue;
        }
        let read = stream.read(ear.input.room()).await?;
        ear.hear(read)?;
    }
}

/// Receiving side of a connection.
struct Ear<'a, T> {
    talk: T,
    input: Input,
    /// Bytes sent but not counted yet.
    sent: u64,
    recorder: &'a Mutex<Recorder>,
    deadline: Option<Instant>,
}

impl<T: Talk> Ear<'_, T> {
    /// Handles what has already arrived.
    fn try_read(&mut self, stream: &TcpStream) -> Result<(), Fault> {
        match stream.try_read(self.input.room()) {
            Ok(read) => self.hear(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Handles the `read` bytes that have just arrived.
    fn hear(&mut self, read: usize) -> Result<(), Fault> {
        if read == 0 {
            return Err(Fault::Closed);
        }
        let now = Instant::now();
        let mut recorder = self.recorder.lock();
        recorder.received += read as u64;
        recorder.sent += std::mem::take(&mut self.sent);
        self.input.came(read);
        let heard = self.talk.hear(self.input.bytes(), now, &mut recorder).map_err(Fault::Wrong)?;
        drop(recorder);
        self.input.consume(heard);
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.talk.stop();
        }
        Ok(())
    }
}

/// Bytes that have arrived but are not handled yet.
struct Input {
    buffer: Vec<u8>,
    /// Number of these bytes in the buffer.
    len: usize,
}

impl Default for Input {
    fn default() -> Self {
        const FIRST: usize = 64 * 1024;
        Self { buffer: vec![0; FIRST], len: 0 }
    }
}

impl Input {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Returns the free end of the buffer, which is never empty; the buffer grows to hold the
    /// longest answer.
    fn room(&mut self) -> &mut [u8] {
        if self.len == self.buffer.len() {
            self.buffer.resize(self.len * 2, 0);
        }
        self.buffer.get_mut(self.len..).unwrap_or_default()
    }

    fn came(&mut self, bytes: usize) {
        self.len += bytes;
    }

    fn consume(&mut self, bytes: usize) {
        if bytes > 0 {
            self.buffer.copy_within(bytes..self.len, 0);
            self.len -= bytes;
        }
    }
}
