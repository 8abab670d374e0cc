//! Free ports for processes that cannot pick one themselves.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// First port to use: below the range from which systems assign ports to connections, so that a
/// free one stays free.
const FIRST: u16 = 20_000;

/// Number of ports in the range.
const COUNT: u16 = 10_000;

/// Offset at which this process continues its search.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Returns a free port, a different one each time.
pub(super) fn free() -> u16 {
    // Start at a different port in each test process.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
