//! The cache as data: entries, segments, and the commands that change them.
//!
//! Nothing here waits, opens a socket or reads a clock: time arrives as an argument, [`Progress`]
//! says what has to be waited for, and effects are the only thing that leaves a segment. That is
//! why every rule of the cache (expiry, versions, conditions, imports) is tested without a runtime.
//!
//! Start reading at [`Command`], then [`Segment::apply`], then [`Cache::execute`].

mod cache;
mod command;
mod container;
mod effect;
mod entry;
mod memory;
mod segment;
mod source;
mod stamp;
mod stats;
mod time;
mod walk;

pub use self::{
    cache::{BACKGROUND_STEP, Cache, Growth, SegmentId},
    command::{
        Answer, CacheError, Change, Command, Condition, Etag, Fence, Imported, Outcome, Progress,
        Reply, Source, TakenOutcome,
    },
    container::Container,
    effect::{Cause, Effect, EffectEntry, Effects, MAX_WAITING},
    entry::{EntryMetadata, EntryRef, MAX_KEY, Origin, SHARED_FROM, TakenEntry, Value},
    memory::MemoryLimit,
    segment::{
        Bound, BroughtIn, EVICTION_SAMPLE, Import, ImportRule, Position, Records, Role, Segment,
        Settled, Standing, Step, WhenFull,
    },
    source::{Beginning, ConnectionId, Coverage, Link, SourceSegment, SourceSpace},
    stamp::{Epoch, Stamp, Version, VersionKey},
    stats::Stats,
    time::{Expiration, Lifetime, Timestamp},
    walk::{Walk, WalkStep},
};
