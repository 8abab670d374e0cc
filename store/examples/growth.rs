//! How long a write waits at most because a table grows: writes new entries, then the same again, when
//! nothing grows any more, and shows the longest of both.
//!
//! `cargo run --release -p godwit-store --example growth [ENTRIES]`, 5,000,000 unless it is said.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures and shows figures"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use config::{CacheConfig, CacheMode};
use store::{Cache, Command, Expiration, MemoryLimit, Outcome, Progress, Timestamp, VersionKey};

const VALUE: [u8; 100] = [7; 100];
const NOW: Timestamp = Timestamp::from_millis(1_000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let entries: u64 = match std::env::args().nth(1) {
        Some(entries) => entries.parse()?,
        None => 5_000_000,
    };
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    let memory = MemoryLimit::unlimited();
    let cache = Cache::new("growth".parse()?, config, VersionKey::new(9), memory, NOW);
    for (round, what) in [(1, "tables grow"), (2, "the same again")] {
        let mut times = Vec::new();
        times.reserve_exact(usize::try_from(entries)?);
        for number in 0..entries {
            times.push(put(&cache, number)?);
        }
        times.sort_unstable();
        // Of so many writes, one took longer.
        let all_but = |one_of: usize| times.iter().rev().nth(times.len() / one_of).copied();
        println!(
            "round {round}, {what}: median {:?}, 99.99 % {:?}, longest {:?} of {entries} writes",
            all_but(2).unwrap_or_default(),
            all_but(10_000).unwrap_or_default(),
            times.last().copied().unwrap_or_default()
        );
    }
    Ok(())
}

/// Writes one entry. How long that took.
fn put(cache: &Cache, number: u64) -> Result<Duration, store::CacheError> {
    let key = format!("{number:016}");
    let command = Command::write(key.as_bytes(), &VALUE, Expiration::NEVER);
    let begin = Instant::now();
    let progress = cache.execute(&command, NOW, &mut |_: Outcome<'_>| ())?;
    let elapsed = begin.elapsed();
    assert!(!matches!(progress, Progress::Load | Progress::Mark), "there is no source");
    Ok(elapsed)
}
