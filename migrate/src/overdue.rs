//! Entries whose time is over here and that the source may still have: it is asked before they end.
//!
//! A command asks for the entry that it needs by itself. All others are asked for here, a few at a time.
//! Asking counts as a use at the source, so an entry that is kept alive there lives on by its max idle once
//! more, and no longer: it is asked for again only when it would have ended there too.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use store::{Answer, Position, SegmentId, Settled, Step, Timestamp};

use crate::{loader::Loaded, source::SourceConnection};

/// Time between two looks for such entries.
const LOOK: Duration = Duration::from_secs(5);

/// Keys that are collected before the source is asked for them.
const BATCH: usize = 64;

/// Keys that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Milliseconds that an entry is over before it is asked for: a source reports whole seconds, and must have
/// ended it by then if nobody used it.
const GRACE: u64 = 1_500;

/// Keeps asking the source for entries whose time is over here.
pub(crate) async fn keep_settling(source: &Arc<SourceConnection>) {
    loop {
        tokio::time::sleep(LOOK).await;
        for segment in source.cache().segment_ids() {
            if !source.is_believed() {
                break;
            }
            settle_segment(source, segment).await;
            tokio::task::yield_now().await;
        }
    }
}

async fn settle_segment(source: &Arc<SourceConnection>, segment: SegmentId) {
    let (cache, mut position) = (source.cache(), Position::default());
    loop {
        let before = source.agreement().clock().now().millis().saturating_sub(GRACE);
        let before = Timestamp::from_millis(before);
        let (keys, step) = cache.overdue(segment, &mut position, BATCH, before);
        stream::iter(keys)
            .for_each_concurrent(AT_ONCE, async |key| {
                let loaded = source.ask(&key).await;
                settle(source, &key, &loaded);
            })
            .await;
        if step == Step::End {
            return;
        }
    }
}

fn settle(source: &SourceConnection, key: &[u8], loaded: &Loaded) {
    let answer = match loaded {
        Loaded::Absent => Answer::Absent,
        Loaded::Entry(entry) => Answer::Entry(entry.imported()),
        Loaded::Silent | Loaded::Failed(_) => Answer::Silent,
    };
    let (cache, now) = (source.cache(), source.agreement().clock().now());
    match cache.settle(key, &answer, source.id(), now) {
        Ok(Settled::LivesOn | Settled::Ended | Settled::Unchanged) => {}
        Err(error) => {
            tracing::debug!(cache = %cache.name(), %error, "an entry is not brought up to date");
        }
    }
}
