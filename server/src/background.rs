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
    let mut swept = HashMap::<CacheName, Sweep>::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = node.driver.now();
        let container = node.driver.agreement().container();
        let all_are_short = container.memory().is_short();
        // Caches that are gone are left out.
        let mut last_times = std::mem::take(&mut swept);
        for cache in container.caches() {
            cache.settle_accounts();
            let is_short = cache.is_short_of_room();
            let interval = cache.config().expiration.interval;
            let mut last = last_times.remove(cache.name()).unwrap_or_else(|| Sweep::new(now));
            if last.is_due(now, interval, is_short || all_are_short) {
                let begin = node.driver.now();
                sweep_cache(&cache, &node).await;
                last = Sweep { begin, end: node.driver.now() };
            }
            swept.insert(cache.name().clone(), last);
        }
    }
}

/// When a cache was last swept.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    begin: Timestamp,
    end: Timestamp,
}

impl Sweep {
    /// Part of the time that sweeps take while writes are refused: one in so many.
    const SHARE: u64 = 10;

    fn new(now: Timestamp) -> Self {
        Self { begin: now, end: now }
    }

    /// Returns whether the next sweep is due: after the interval, or earlier where writes are `short` of room.
    fn is_due(self, now: Timestamp, interval: Duration, short: bool) -> bool {
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let took = self.end.millis().saturating_sub(self.begin.millis());
        let soon = self.end.millis().saturating_add(took.saturating_mul(Self::SHARE - 1));
        now.millis() >= self.begin.millis().saturating_add(interval)
            || (short && now.millis() >= soon)
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

    use super::*;

    #[test]
    fn a_cache_is_swept_after_its_interval_and_sooner_where_writes_are_refused() {
        let at = Timestamp::from_millis;
        let minute = Duration::from_secs(60);
        let sweep = Sweep { begin: at(1_000), end: at(3_000) };
        for (now, short, due) in [
            (60_999, false, false),
            (61_000, false, true),
            // It took two seconds: while writes are refused, it is a tenth of the time.
            (20_999, true, false),
            (21_000, true, true),
        ] {
            assert_eq!(sweep.is_due(at(now), minute, short), due, "at {now}");
        }
        assert!(Sweep::new(at(1_000)).is_due(at(1_001), minute, true));
    }
}
