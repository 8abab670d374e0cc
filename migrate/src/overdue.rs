//! Entries whose time is over here and that the source may still have: it is asked before they end.
//!
//! A command asks for the entry that it needs by itself. All others are asked for here, a few at a time.
//! Asking counts as a use at the source, so an entry that is kept alive there lives on by its max idle once
//! more, and no longer: it is asked for again only when it would have ended there too. A walk over segments does
//! not wait for that: it asks for what is overdue there before it begins.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use store::{Answer, CacheError, Position, SegmentId, Settled, Step, Timestamp};

use crate::{loader::Loaded, source::SourceConnection};

/// Time between two looks for such entries.
const LOOK: Duration = Duration::from_secs(5);

/// Keys that are collected before the source is asked for them.
const BATCH: usize = 64;

/// Keys that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Keys that are asked for at the same time if somebody waits for them.
const AT_ONCE_IN_HASTE: usize = 64;

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
                if let Err(error) = settle(source, &key, &loaded) {
                    let cache = cache.name();
                    tracing::debug!(%cache, %error, "an entry is not brought up to date");
                }
            })
            .await;
        if step == Step::End {
            return;
        }
    }
}

/// Asks the source for every entry in these segments whose time is over here at the time that is returned, or
/// later.
///
/// # Errors
///
/// If the source does not say, and reads do not go without it; or if it has an entry that does not fit in here.
pub(crate) async fn settle_all(
    source: &Arc<SourceConnection>,
    segments: &[SegmentId],
) -> Result<Timestamp, CacheError> {
    let (cache, begun) = (source.cache(), source.agreement().clock().now());
    for segment in segments {
        let mut position = Position::default();
        loop {
            let now = source.agreement().clock().now();
            let (keys, step) = cache.overdue(*segment, &mut position, BATCH, now);
            stream::iter(keys.into_iter().map(Ok::<_, CacheError>))
                .try_for_each_concurrent(AT_ONCE_IN_HASTE, async |key| {
                    let loaded = source.load(&key).await;
                    let settled = settle(source, &key, &loaded);
                    match loaded {
                        Loaded::Absent | Loaded::Entry(_) => settled,
                        // It was disconnected meanwhile: what is over here is over.
                        _ if source.link().is_none() => Ok(()),
                        Loaded::Silent | Loaded::Failed(_) if source.reads_without() => Ok(()),
                        Loaded::Failed(text) => Err(CacheError::SourceFailed(text.to_string())),
                        Loaded::Silent if source.changed().is_some() => {
                            Err(CacheError::SourceDoubted)
                        }
                        Loaded::Silent => Err(CacheError::SourceSilent),
                    }
                })
                .await?;
            if step == Step::End {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(begun)
}

/// As [`settle_all`], before all entries are looked at. Once the source has said nothing for some time, expired
/// entries are not shown, although they are kept; those that expire after the returned time are.
///
/// # Errors
///
/// If the source does not say, and was heard a short time ago.
pub(crate) async fn settle_for_walk(
    source: &Arc<SourceConnection>,
    segments: &[SegmentId],
) -> Result<Timestamp, CacheError> {
    let begun = source.agreement().clock().now();
    if source.is_silent() {
        return Ok(begun);
    }
    match settle_all(source, segments).await {
        Err(CacheError::SourceSilent | CacheError::SourceDoubted) if source.is_silent() => {
            Ok(begun)
        }
        settled => settled,
    }
}

/// Entries whose time is over here and that the source may still have.
pub(crate) async fn count(source: &SourceConnection) -> usize {
    let (cache, now) = (source.cache(), source.agreement().clock().now());
    let mut count = 0;
    for segment in cache.segment_ids() {
        let mut position = Position::default();
        loop {
            let (keys, step) = cache.overdue(segment, &mut position, BATCH, now);
            count += keys.len();
            if step == Step::End {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    count
}

fn settle(source: &SourceConnection, key: &[u8], loaded: &Loaded) -> Result<(), CacheError> {
    let answer = match loaded {
        Loaded::Absent => Answer::Absent,
        Loaded::Entry(entry) => Answer::Entry(entry.imported()),
        Loaded::Silent | Loaded::Failed(_) => Answer::Silent,
    };
    let (cache, now) = (source.cache(), source.agreement().clock().now());
    cache.settle(key, &answer, source.id(), now).map(|_: Settled| ())
}
