//! What is done beside requests: the clock, sweeps over entries that nobody reads, what memory they take,
//! old iterations.

use std::{collections::HashMap, sync::Arc, time::Duration};

use config::CacheName;
use store::{Cache, Timestamp};

use crate::{budget, node::Node};

/// Time between two looks at what is to be swept.
const LOOK: Duration = Duration::from_secs(1);

/// Starts it all; it ends with the node.
pub(crate) fn start(node: &Arc<Node>) {
    let clock = Arc::clone(node);
    every(node, cluster::TICK, move || clock.driver.agreement().clock().tick());
    let connections = Arc::clone(node);
    every(node, budget::LOOK, move || connections.budget.enforce(connections.driver.now()));
    let iterations = Arc::clone(node);
    every(node, Duration::from_secs(10), move || {
        iterations.iterations.sweep(iterations.driver.now());
    });
    let (sweeping, stopping) = (Arc::clone(node), node.stopping.clone());
    node.tasks.spawn(async move {
        stopping.run_until_cancelled(sweep(sweeping)).await;
    });
}

fn every(node: &Arc<Node>, interval: Duration, act: impl Fn() + Send + 'static) {
    let stopping = node.stopping.clone();
    node.tasks.spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            act();
        }
    });
}

/// Ends entries whose time is over, each cache as often as it is configured, and sooner if writes are refused; and
/// counts its memory.
async fn sweep(node: Arc<Node>) {
    let mut swept = HashMap::<CacheName, Timestamp>::new();
    let mut rest = Rest::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = node.driver.now();
        let container = node.driver.agreement().container();
        let all_are_short = container.memory().is_short();
        // Caches that are gone are left out.
        let mut last_times = std::mem::take(&mut swept);
        for cache in container.caches() {
            cache.settle_accounts();
            let is_short = cache.is_short_of_room() || all_are_short;
            let interval = cache.config().expiration.interval;
            let mut last = last_times.remove(cache.name()).unwrap_or(now);
            if is_after(now, last, interval) || (is_short && rest.is_over(now)) {
                last = node.driver.now();
                sweep_cache(&cache, &node).await;
            }
            swept.insert(cache.name().clone(), last);
        }
        rest.after(now, node.driver.now());
    }
}

/// Returns whether the interval since `last` is over.
fn is_after(now: Timestamp, last: Timestamp, interval: Duration) -> bool {
    let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    now.millis() >= last.millis().saturating_add(interval)
}

/// Keeps sweeps that are made early, because writes are refused, from taking all of the time.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    until: Timestamp,
}

impl Rest {
    /// Part of the time that sweeps take while writes are refused: one in so many, for all caches together.
    const SHARE: u64 = 10;

    /// Notes that a round of sweeps has come to its end.
    fn after(&mut self, begin: Timestamp, end: Timestamp) {
        let took = end.millis().saturating_sub(begin.millis());
        let until = end.millis().saturating_add(took.saturating_mul(Self::SHARE - 1));
        self.until = self.until.max(Timestamp::from_millis(until));
    }

    /// Returns whether caches may be swept early again.
    fn is_over(self, now: Timestamp) -> bool {
        now >= self.until
    }
}

async fn sweep_cache(cache: &Arc<Cache>, node: &Node) {
    for segment in cache.segment_ids() {
        if cache.used_segment(segment).is_some() {
            cache.sweep(segment, node.driver.now());
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    //! When a cache is swept.

    use cluster::MetaCommand;
    use config::{CacheConfig, CacheMode, MemoryConfig, ServerFile};
    use store::{CacheError, Command, Expiration, Lifetime, Outcome, Progress};

    use super::*;

    #[test]
    fn sweeps_of_all_caches_together_take_a_tenth_of_the_time_while_writes_are_refused() {
        let at = Timestamp::from_millis;
        let mut rest = Rest::default();
        assert!(rest.is_over(at(1_000)));
        // However many caches that were: they took two seconds.
        rest.after(at(1_000), at(3_000));
        assert!(!rest.is_over(at(20_999)) && rest.is_over(at(21_000)));
        // A round in which nothing was done does not shorten it.
        rest.after(at(4_000), at(4_001));
        assert!(!rest.is_over(at(20_999)));
        rest.after(at(21_000), at(22_000));
        assert!(!rest.is_over(at(30_999)) && rest.is_over(at(31_000)));
    }

    #[test]
    fn a_cache_is_swept_after_its_interval() {
        let at = Timestamp::from_millis;
        let minute = Duration::from_secs(60);
        assert!(
            !is_after(at(60_999), at(1_000), minute) && is_after(at(61_000), at(1_000), minute)
        );
        assert!(!is_after(at(u64::MAX - 1), at(1_000), Duration::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_refused_brings_the_sweep_to_what_it_has_not_looked_at() {
        for of_member in [false, true] {
            let config = ServerFile::default().resolve(None).unwrap();
            let node = Node::start(config, 8_000_000, Vec::new()).await.unwrap();
            let memory = MemoryConfig {
                max_count: Some(1),
                when_full: config::WhenFull::Exception,
                ..MemoryConfig::default()
            };
            for (name, memory) in [("bounded", memory), ("other", MemoryConfig::default())] {
                let config = CacheConfig { memory, ..CacheConfig::new(CacheMode::Local) }.into();
                let cache = name.parse().unwrap();
                let create = MetaCommand::CreateCache { cache, config, volatile: true };
                node.caches.agreement().propose(create).await.unwrap();
            }
            let [bounded, other] = ["bounded", "other"].map(|name| node.cache(name).unwrap());
            // Both writes are from a time when the entry was not over.
            let then = Timestamp::from_millis(node.driver.now().millis() - 10_000);
            let write = |cache: &Cache, key: &[u8], value: &[u8]| {
                let lifespan = Some(Lifetime::from_millis(1_000));
                let command = Command::write(key, value, Expiration { lifespan, max_idle: None });
                cache.execute(&command, then, &mut |_: Outcome<'_>| ())
            };
            assert_eq!(write(&bounded, b"k", b"v"), Ok(Progress::Done));
            let refused = match of_member {
                true => write(&other, b"large", &vec![7; 9_000_000]),
                false => write(&bounded, b"another", b"v"),
            };
            assert!(matches!(refused, Err(CacheError::Full | CacheError::OutOfMemory { .. })));
            assert_eq!(bounded.stats().expirations, 0);
            let swept = async {
                while bounded.stats().expirations == 0 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                () = sweep(Arc::clone(&node)) => {}
                swept = tokio::time::timeout(Duration::from_secs(10), swept) => swept.unwrap(),
            }
        }
    }
}
