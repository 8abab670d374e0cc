//! What the keys of a source show: whether it places them as we do, and whether it finds them.

use client::{Bytes, ClientError, Item, Iterate, RemoteCache, SegmentSet};
use futures_util::{FutureExt as _, future::BoxFuture};
use media::{MediaType, hash};
use store::SourceSpace;

use super::{Problem, ProblemCode, problem};
use crate::stored_key::StoredKey;

/// Keys of each part of the source that are looked at to see whether it places them as we do.
const SAMPLE: u32 = 64;

/// Keys that the source is asked for one by one.
const BY_KEY: u32 = 8;

/// Times that those that were not found are looked for again: clients may put and remove a key again and again.
const LOOKS: usize = 3;

/// Bytes of a key that is too long for that.
const LONG: usize = 64 * 1024;

/// How the source divides its keys: by segments if it says so, and if a sample of its keys is where it
/// should be then.
pub(super) async fn space(remote: &RemoteCache) -> Result<SourceSpace, ClientError> {
    // Java objects are placed by a hash of their own, and are given to us as something else.
    if !remote.keys_are_stored_keys() {
        return Ok(SourceSpace::Unit);
    }
    let Some(topology) = remote.topology() else { return Ok(SourceSpace::Unit) };
    let count = u32::try_from(topology.owners.len()).unwrap_or(0);
    if count == 0 {
        return Ok(SourceSpace::Unit);
    }
    let space = SourceSpace::Segments(count);
    for asked in halves(count) {
        let asked: SegmentSet = asked.into_iter().collect();
        let is_in = |key: Bytes| asked.contains(space.segment_of(hash::hash(&key)).0);
        if !sample(remote, Some(asked.clone()), is_in).await? {
            return Ok(SourceSpace::Unit);
        }
    }
    Ok(space)
}

/// For each binary digit of a segment's number, the segments that have it and those that do not. A key that is in
/// another segment than its own is in the wrong half of at least one digit, wherever it is.
fn halves(count: u32) -> Vec<Vec<u32>> {
    let digits = u32::BITS - count.saturating_sub(1).leading_zeros();
    let with = |digit: u32, is_set: bool| {
        (0..count).filter(move |segment| (segment >> digit & 1 == 1) == is_set).collect()
    };
    (0..digits).flat_map(|digit| [with(digit, false), with(digit, true)]).collect()
}

/// Looks at some keys of these segments, or of all, until `look` has seen enough. Returns whether it has not.
async fn sample(
    remote: &RemoteCache,
    segments: Option<SegmentSet>,
    mut look: impl FnMut(Bytes) -> bool,
) -> Result<bool, ClientError> {
    let iterate = Iterate { segments, batch: SAMPLE, keys_only: true, ..Iterate::default() };
    let mut iteration = remote.iterate(iterate).await?;
    let mut goes_on = true;
    // None is kept that was looked at: keys may be long.
    while goes_on && let Some(Item::Entry { key, .. }) = iteration.next().await? {
        goes_on = look(key);
    }
    // Its connection serves the next one. That the server forgets it can fail.
    let _ = iteration.end().await;
    Ok(goes_on)
}

/// What is wrong with a source that shows entries in a walk and does not find them by their keys, as one whose keys do
/// not survive a conversion: reads that go through to it would miss them.
/// The keys have this media type here.
pub(super) async fn hidden_keys(
    remote: &RemoteCache,
    key_type: Option<&MediaType>,
) -> Result<Option<Problem>, ClientError> {
    let hidden = not_found(remote, keys_to_ask_for(remote).await?).await?;
    let shown_again = |keys| shown_again(remote, keys).boxed();
    let hidden = still_hidden(hidden, shown_again, |keys| not_found(remote, keys).boxed()).await?;
    Ok(hidden.first().map(|key| {
        let (number, key) = (hidden.len(), StoredKey::of(key, key_type));
        let text = format!(
            "the source shows entries that it does not find by their keys, {number} of some that were tried, such as \
             '{key}': reads would miss them. Its keys may not survive the conversion to the media type in which they \
             are read: create the caches on both sides with the media type in which the source's clients write. If \
             clients put and remove them all the time, try again"
        );
        problem(ProblemCode::MediaTypes, text)
    }))
}

/// Those of these keys that the source shows, and does not find by their keys, each time that it is asked for both.
/// Others may have removed the rest in between, or they have ended: then they are not shown again.
async fn still_hidden<'r, E>(
    mut hidden: Vec<Bytes>,
    shown_again: impl Fn(Vec<Bytes>) -> BoxFuture<'r, Result<Vec<Bytes>, E>>,
    not_found: impl Fn(Vec<Bytes>) -> BoxFuture<'r, Result<Vec<Bytes>, E>>,
) -> Result<Vec<Bytes>, E> {
    for _ in 0..LOOKS {
        if hidden.is_empty() {
            break;
        }
        hidden = not_found(shown_again(hidden).await?).await?;
    }
    Ok(hidden)
}

/// Those of these keys that a walk over the source shows.
async fn shown_again(
    remote: &RemoteCache,
    mut wanted: Vec<Bytes>,
) -> Result<Vec<Bytes>, ClientError> {
    let mut shown = Vec::new();
    sample(remote, None, |key| {
        if let Some(at) = wanted.iter().position(|wanted| *wanted == key) {
            shown.push(wanted.swap_remove(at));
        }
        !wanted.is_empty()
    })
    .await?;
    Ok(shown)
}

/// Some keys of entries that have no max idle: being asked for, the others would live longer.
async fn keys_to_ask_for(remote: &RemoteCache) -> Result<Vec<Bytes>, ClientError> {
    // They come with their values, which may be long.
    let iterate = Iterate { batch: BY_KEY, with_metadata: true, ..Iterate::default() };
    let mut iteration = remote.iterate(iterate).await?;
    let mut keys = Vec::new();
    let mut seen = 0;
    while keys.len() < BY_KEY as usize
        && seen < SAMPLE
        && let Some(Item::Entry { key, metadata, .. }) = iteration.next().await?
    {
        seen += 1;
        let has_max_idle = metadata.is_none_or(|metadata| metadata.max_idle.is_some());
        if !has_max_idle && key.len() <= LONG {
            keys.push(key);
        }
    }
    let _ = iteration.end().await;
    Ok(keys)
}

/// Those of these keys under which the source finds nothing.
async fn not_found(remote: &RemoteCache, keys: Vec<Bytes>) -> Result<Vec<Bytes>, ClientError> {
    let mut hidden = Vec::new();
    for key in keys {
        if remote.get_with_metadata(&key).await?.is_none() {
            hidden.push(key);
        }
    }
    Ok(hidden)
}

#[cfg(test)]
mod tests {
    //! Keys in segments that are not theirs, and keys that are shown and not found.

    use std::{cell::Cell, convert::Infallible};

    use super::*;

    #[tokio::test]
    async fn keys_that_come_and_go_are_not_hidden_and_those_that_are_never_found_are() {
        let keys = |names: &[&'static str]| -> Vec<Bytes> {
            names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
        };
        let without = |keys: Vec<Bytes>, name: &str| -> Vec<Bytes> {
            keys.into_iter().filter(|key| key != name).collect()
        };
        let still = async |names: &[&'static str]| {
            let looks = Cell::new(0);
            let shown_again = |keys| {
                let shown = without(keys, "removed");
                async { Ok::<_, Infallible>(shown) }.boxed()
            };
            let not_found = |keys| {
                looks.set(looks.get() + 1);
                let is_found = looks.get() == LOOKS;
                let hidden = if is_found { without(keys, "comes and goes") } else { keys };
                async { Ok(hidden) }.boxed()
            };
            let hidden = still_hidden(keys(names), shown_again, not_found).await;
            (hidden.unwrap_or_default(), looks.get())
        };
        let all = ["hidden", "comes and goes", "removed"];
        assert_eq!(still(&all).await, (keys(&["hidden"]), LOOKS));
        assert_eq!(still(&["removed"]).await, (Vec::new(), 1));
        assert_eq!(still(&[]).await, (Vec::new(), 0));
    }

    #[test]
    fn a_key_in_another_segment_is_in_the_wrong_half_of_some_digit() {
        for count in [1, 2, 3, 7, 60, 256] {
            let halves = halves(count);
            assert!(halves.iter().all(|half| !half.is_empty()), "{count}");
            for (is, should) in (0..count).flat_map(|is| (0..count).map(move |should| (is, should)))
            {
                let shown = halves.iter().filter(|half| half.contains(&is));
                let is_found = shown.clone().any(|half| !half.contains(&should));
                assert_eq!(
                    (is_found, shown.count() > 0),
                    (is != should, count > 1),
                    "{is} {should}"
                );
            }
        }
    }
}
