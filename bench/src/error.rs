//! Errors of the load generator.

use std::{io, time::Duration};

use crate::load::Protocol;

/// Error for an impossible or malformed load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Malformed percentages.
    #[error(
        "\"{0}\" is not a mix: write get, put, remove, or percentages that are 100 in all, such as \
         80/20 (gets and puts) or 70/20/10 (and removes)"
    )]
    Mix(String),
    /// Malformed sizes.
    #[error(
        "\"{0}\" is not a size of values: write bytes, such as 100, or sizes with weights, such as \
         100:9,4096:1"
    )]
    ValueSizes(String),
    /// A malformed target.
    #[error(
        "\"{0}\" is not a target: write NAME=PROTOCOL:HOST:PORT[:PID], such as \
         godwit=hotrod:127.0.0.1:11222:4711"
    )]
    Target(String),
    /// Two targets have the same name.
    #[error("two targets are called {0}")]
    TwoOfOneName(String),
    /// A number is out of bounds.
    #[error("{is} {what}: {least} to {most} are possible")]
    Bounds {
        /// Noun for what the number counts, for the message.
        what: &'static str,
        /// The given number.
        is: u64,
        /// The least allowed number.
        least: u64,
        /// The greatest allowed number.
        most: u64,
    },
    /// The time of a load is zero.
    #[error("the load lasts 0 seconds: give it more time")]
    NoTime,
    /// Neither a fill nor requests were asked for.
    #[error("there is nothing to do: no keys to write and no requests to send")]
    Nothing,
    /// The protocol has no iteration.
    #[error("memcached has no iteration: use Hot Rod")]
    NotIterable,
}

/// Error of a measurement. What was written before remains in the server.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The load is impossible. Nothing was sent to the server.
    #[error(transparent)]
    Load(#[from] LoadError),

    /// Connecting failed.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },

    /// The first request was not answered.
    #[error("{address} did not answer within {} s: does it speak {protocol}?", after.as_secs())]
    Silent {
        /// Host and port.
        address: String,
        /// The protocol in use.
        protocol: Protocol,
        /// Time for which nothing arrived before the run was given up.
        after: Duration,
    },

    /// The first answer is not one of this protocol.
    #[error("{address} does not speak {protocol}: {answer}")]
    NotSpoken {
        /// Host and port.
        address: String,
        /// The protocol in use.
        protocol: Protocol,
        /// The answer.
        answer: String,
    },

    /// The server refuses requests for the cache, for instance because it does not exist.
    #[error("{address} refuses requests for {cache} (--cache names another): {text}")]
    Refused {
        /// Host and port.
        address: String,
        /// The cache, as a phrase.
        cache: String,
        /// The server's error message.
        text: String,
    },

    /// The server closed a connection.
    #[error("{address} closed a connection after {answered} answers{}", said(refusal.as_ref()))]
    Closed {
        /// Host and port.
        address: String,
        /// Number of requests answered before on connections of the same thread.
        answered: u64,
        /// The first error message among them, if there was one.
        refusal: Option<String>,
    },

    /// A connection failed.
    #[error("a connection to {address} failed")]
    Network {
        /// Host and port.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },

    /// The server sent nothing while requests were in flight.
    #[error("{address} sent nothing for {} s while requests were in flight", after.as_secs())]
    Stalled {
        /// Host and port.
        address: String,
        /// Time for which nothing arrived before the run was given up.
        after: Duration,
    },

    /// An answer is wrong or cannot be decoded.
    #[error("{address} answered wrongly")]
    Wrong {
        /// Host and port.
        address: String,
        /// The rule that the answer breaks.
        source: WrongAnswer,
    },

    /// The resource usage of the server's process cannot be read.
    #[error("cannot read the processor time and memory of process {pid}")]
    Process {
        /// Id of the process.
        pid: u32,
        /// The error of the operating system.
        source: io::Error,
    },

    /// A thread of the load generator failed.
    #[error("a thread of the load generator failed")]
    Thread(#[source] io::Error),
}

fn said(refusal: Option<&String>) -> String {
    refusal.map(|text| format!("; it had said: {text}")).unwrap_or_default()
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongAnswer {
    /// Its bytes cannot be decoded.
    #[error(transparent)]
    Decode(#[from] hotrod::DecodeError),
    /// Its line cannot be parsed.
    #[error("\"{0}\" is not an answer to a meta command")]
    Line(String),
    /// Its first line is too long.
    #[error("a line of more than {most} bytes is not an answer to a meta command")]
    LongLine {
        /// Most bytes of a line.
        most: usize,
    },
    /// It answers a request that is not in flight.
    #[error("there was no request {id} to be answered")]
    Unasked {
        /// The id in the answer.
        id: u64,
    },
    /// It does not fit the kind of the request.
    #[error("a {asked} of key {key} was answered as a {answered}")]
    Kind {
        /// The kind of the request.
        asked: &'static str,
        /// The key of the request.
        key: u64,
        /// The kind of the answer.
        answered: &'static str,
    },
    /// The value does not have the length that was written.
    #[error("the value of key {key} has {actual} bytes, and {expected} bytes were written")]
    Length {
        /// The key.
        key: u64,
        /// Bytes that were written.
        expected: usize,
        /// Bytes that came back.
        actual: usize,
    },
    /// The value is not the one that was written.
    #[error("the value of key {key} {place}s with other bytes than were written")]
    Content {
        /// The key.
        key: u64,
        /// "begin" or "end".
        place: &'static str,
    },
    /// The server reported an error without naming a request.
    #[error("an error that names no request: {0}")]
    Complaint(String),
    /// An iteration returned something that was not asked for.
    #[error("in an iteration, {0}")]
    Iteration(String),
}
