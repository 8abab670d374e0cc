//! What can go wrong.

use std::{io, time::Duration};

use crate::load::Protocol;

/// A load cannot be done, or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Percentages cannot be read.
    #[error(
        "\"{0}\" is not a mix: write get, put, remove, or percentages that are 100 in all, such as \
         80/20 (gets and puts) or 70/20/10 (and removes)"
    )]
    Mix(String),
    /// Sizes cannot be read.
    #[error(
        "\"{0}\" is not a size of values: write bytes, such as 100, or sizes with weights, such as \
         100:9,4096:1"
    )]
    ValueSizes(String),
    /// A target cannot be read.
    #[error(
        "\"{0}\" is not a target: write NAME=PROTOCOL:HOST:PORT[:PID], such as \
         godwit=hotrod:127.0.0.1:11222:4711"
    )]
    Target(String),
    /// Two targets have one name.
    #[error("two targets are called {0}")]
    TwoOfOneName(String),
    /// There is too little or too much of something.
    #[error("{is} {what}: {least} to {most} are possible")]
    Bounds {
        /// Of what.
        what: &'static str,
        /// How much there is.
        is: u64,
        /// How much there must be.
        least: u64,
        /// How much there may be.
        most: u64,
    },
    /// A load without end or beginning.
    #[error("0 seconds are no time to do anything in")]
    NoTime,
    /// Neither a fill nor anything after it.
    #[error("there is nothing to do: neither are keys to be written, nor requests to be sent")]
    Nothing,
    /// There is no such operation.
    #[error("memcached has no iteration: use Hot Rod")]
    NotIterable,
}

/// A measurement failed. What was written before that is still in the server.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The load makes no sense. The server was not asked for anything.
    #[error(transparent)]
    Load(#[from] LoadError),

    /// There is no connection.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        source: io::Error,
    },

    /// The first request was not answered.
    #[error("{address} did not answer within {} s: does it speak {protocol}?", after.as_secs())]
    Silent {
        /// Host and port.
        address: String,
        /// What was spoken.
        protocol: Protocol,
        /// How long it was waited for.
        after: Duration,
    },

    /// The first answer is none.
    #[error("{address} does not speak {protocol}: {answer}")]
    NotSpoken {
        /// Host and port.
        address: String,
        /// What was spoken.
        protocol: Protocol,
        /// What was answered.
        answer: String,
    },

    /// The server does not let the cache be used, for instance because there is none of that name.
    #[error("{address} refuses requests for {cache} (--cache names another): {text}")]
    Refused {
        /// Host and port.
        address: String,
        /// The cache, as one would say it.
        cache: String,
        /// What the server says.
        text: String,
    },

    /// The server ended a connection.
    #[error("{address} closed a connection after {answered} answers{}", said(refusal.as_ref()))]
    Closed {
        /// Host and port.
        address: String,
        /// Requests that had been answered on connections of the same thread.
        answered: u64,
        /// The first error that it had answered with, if there was one.
        refusal: Option<String>,
    },

    /// The network failed.
    #[error("a connection to {address} failed")]
    Network {
        /// Host and port.
        address: String,
        /// What the system says.
        source: io::Error,
    },

    /// The server owes answers and is silent.
    #[error("{address} has not said anything for {} s, and owes answers", after.as_secs())]
    Stalled {
        /// Host and port.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },

    /// An answer is wrong: what it says cannot be, or cannot be read.
    #[error("{address} answered wrongly")]
    Wrong {
        /// Host and port.
        address: String,
        /// What is wrong.
        source: WrongAnswer,
    },

    /// The process of the server cannot be looked at.
    #[error("cannot read the processor time and memory of process {pid}")]
    Process {
        /// Its number.
        pid: u32,
        /// What the system says.
        source: io::Error,
    },

    /// A part of the generator ended by itself.
    #[error("a thread of the load generator failed")]
    Thread(#[source] io::Error),
}

fn said(refusal: Option<&String>) -> String {
    refusal.map(|text| format!("; it had said: {text}")).unwrap_or_default()
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongAnswer {
    /// Its bytes cannot be read.
    #[error(transparent)]
    Decode(#[from] hotrod::DecodeError),
    /// Its line cannot be read.
    #[error("\"{0}\" is not an answer to a meta command")]
    Line(String),
    /// It is too long for a line.
    #[error("a line of more than {most} bytes is not an answer to a meta command")]
    LongLine {
        /// Most bytes of a line.
        most: usize,
    },
    /// It answers what nobody asked.
    #[error("there was no request {id} to be answered")]
    Unasked {
        /// The request that it means.
        id: u64,
    },
    /// It says something of a request that nobody can say of it.
    #[error("a {asked} of key {key} was answered as a {answered}")]
    Kind {
        /// What was asked.
        asked: &'static str,
        /// Of which key.
        key: u64,
        /// What was answered.
        answered: &'static str,
    },
    /// A value is longer or shorter than it was written.
    #[error("the value of key {key} has {actual} bytes, and {expected} bytes were written")]
    Length {
        /// The key.
        key: u64,
        /// Bytes that were written.
        expected: usize,
        /// Bytes that came back.
        actual: usize,
    },
    /// A value is that of another key, or of nobody.
    #[error("the value of key {key} {place}s with other bytes than were written")]
    Content {
        /// The key.
        key: u64,
        /// "begin" or "end".
        place: &'static str,
    },
    /// The server complains of something without saying what it means.
    #[error("it says, of no request in particular: {0}")]
    Complaint(String),
    /// An iteration is not what was asked for.
    #[error("in an iteration, {0}")]
    Iteration(String),
}
