//! Free ports for processes that cannot be told to take any.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports that systems give to connections by themselves: what was free once stays so.
const FIRST: u16 = 20_000;

/// How many there are.
const COUNT: u16 = 10_000;

/// Where this process looks next.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A free port, another one each time.
pub(super) fn free() -> u16 {
    // Other test processes look elsewhere first.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
