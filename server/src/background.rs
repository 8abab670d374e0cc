//! What is done beside requests: the clock, sweeps over entries that nobody reads, what memory they take,
//! old iterations.

use std::{collections::HashMap, sync::Arc, time::Duration};

use config::CacheName;
use store::Cache;

use crate::node::Node;

/// Time between two looks at what is to be swept.
const LOOK: Duration = Duration::from_secs(1);

/// Starts it all; it ends with the node.
pub(crate) fn start(node: &Arc<Node>) {
    let clock = Arc::clone(node);
    every(node, cluster::TICK, move || clock.driver.agreement().clock().tick());
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

/// Ends entries whose time is over, each cache as often as it is configured; and counts its memory.
async fn sweep(node: Arc<Node>) {
    let mut swept = HashMap::<CacheName, u64>::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = node.driver.now();
        // Caches that are gone are left out.
        let mut last_times = std::mem::take(&mut swept);
        for cache in node.driver.agreement().container().caches() {
            cache.settle_accounts();
            let interval = cache.config().expiration.interval;
            let mut last = last_times.remove(cache.name()).unwrap_or_else(|| now.millis());
            let due = last.saturating_add(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX));
            if now.millis() >= due {
                last = now.millis();
                sweep_cache(&cache, &node).await;
            }
            swept.insert(cache.name().clone(), last);
        }
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
