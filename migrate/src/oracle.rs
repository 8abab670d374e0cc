//! Random migrations in virtual time, with an oracle for each key.
//!
//! A world of one target, two sources and their clients is taken through random steps: what operators do,
//! what clients do, restarts, outages, and clocks that are wrong or are set. The rules under test are the
//! real ones (`store::Cache`, `cluster::Metadata`, `Attempt`, `Opening`, `SyncJob`, the source's clocks, the judge
//! and the report of a verification); only sockets and tasks are replaced. [`model`] knows what a client of the
//! target may be told; verdicts and the count of evicted entries are compared with what has really happened.
//!
//! `SEED=7` runs one seed and prints its steps, `SEEDS=20000` runs so many.

mod model;
mod source;
mod world;

use std::io::Write as _;

/// Seeds that every run of the tests tries.
const SEEDS: u64 = 2_000;

#[test]
fn no_migration_loses_an_entry_or_undoes_what_a_client_did() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let (count, mut done, mut failed) = (seeds.end - seeds.start, world::Tally::default(), vec![]);
    for seed in seeds {
        match world::run(seed) {
            Ok(tally) => done += tally,
            Err(violation) => failed.push((seed, violation)),
        }
    }
    if let Some((seed, violation)) = failed.first() {
        for (seed, violation) in &failed {
            say(&format!("SEED={seed} {}", violation.lines().last().unwrap_or_default()));
        }
        panic!("{} of {count} seeds fail; SEED={seed}:\n{violation}", failed.len());
    }
    // A run in which little happens proves little.
    assert!(count < SEEDS || done.is_rich(), "{done:?}");
    say(&format!("{count} seeds: {done:?}"));
}

#[test]
fn a_seed_repeats_step_by_step() {
    for seed in 0..60 {
        assert!(world::steps(seed) == world::steps(seed), "seed {seed}");
    }
}

/// Tells whoever runs the test by hand, with `--nocapture`.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
