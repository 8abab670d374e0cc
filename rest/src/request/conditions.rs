//! What has to hold of an entry for a request to be done, and what a reader already has.

use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE},
};
use store::{Condition, EntryMetadata, Etag, Timestamp};

use crate::{
    http_date,
    problem::Problem,
    request::{entity_tag::EntityTags, headers, parameters::not_a_number},
};

/// The conditions of a request that reads.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
    /// Seconds that the entry has to live on.
    min_fresh: Option<i32>,
}

/// What comes of the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The entry is shown.
    Show,
    /// The reader has it already.
    NotModified,
    /// It is not the one that the reader means.
    Failed,
    /// It does not live long enough to be worth showing.
    Stale,
}

impl Conditions {
    /// Those of a request.
    ///
    /// # Errors
    ///
    /// If they cannot be read. Dates that are none say nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let date = |name: HeaderName| {
            let text = headers::text(headers, name)?;
            Ok::<_, Problem>(text.and_then(http_date::parse))
        };
        let cache_control = headers::text(headers, CACHE_CONTROL)?;
        Ok(Self {
            if_match: EntityTags::of(headers, IF_MATCH)?,
            if_none_match: EntityTags::of(headers, IF_NONE_MATCH)?,
            if_modified_since: date(IF_MODIFIED_SINCE)?,
            if_unmodified_since: date(IF_UNMODIFIED_SINCE)?,
            min_fresh: cache_control.map(min_fresh).transpose()?.flatten(),
        })
    }

    /// Judges an entry, in the order of RFC 9110, 13.2.2. Without a lifespan nobody knows when it was
    /// written, and dates decide nothing.
    pub(crate) fn judge(&self, tag: Etag, entry: &EntryMetadata, now: Timestamp) -> Verdict {
        if self.min_fresh.is_some_and(|seconds| !is_fresh(entry, seconds, now)) {
            return Verdict::Stale;
        }
        // To the second, as the header `Last-Modified` is.
        let modified = entry.created.map(|created| created.millis() / 1000);
        let later_than = |date: Timestamp| modified.is_some_and(|at| at > date.millis() / 1000);
        let failed = match &self.if_match {
            Some(tags) => !tags.match_tag(tag),
            None => self.if_unmodified_since.is_some_and(later_than),
        };
        if failed {
            return Verdict::Failed;
        }
        let not_modified = match &self.if_none_match {
            Some(tags) => tags.match_tag(tag),
            None => {
                let since = self.if_modified_since;
                modified.is_some() && since.is_some_and(|date| !later_than(date))
            }
        };
        if not_modified { Verdict::NotModified } else { Verdict::Show }
    }
}

fn is_fresh(entry: &EntryMetadata, seconds: i32, now: Timestamp) -> bool {
    entry.ends().is_none_or(|end| {
        let left = end.millis().saturating_sub(now.millis()) / 1000;
        i64::from(seconds) < i64::try_from(left).unwrap_or(i64::MAX)
    })
}

/// `min-fresh` of a `Cache-Control`.
fn min_fresh(cache_control: &str) -> Result<Option<i32>, Problem> {
    let mut directives = cache_control.split(',');
    let Some(directive) = directives.find(|directive| directive.contains("min-fresh")) else {
        return Ok(None);
    };
    let seconds = directive.rsplit('=').next().unwrap_or_default().trim();
    seconds.parse().map(Some).map_err(|_not_a_number| not_a_number(seconds))
}

/// The condition of a request that changes an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteCondition {
    /// It is decided together with the change.
    Decided(Condition),
    /// It names tags that no entry can have.
    Never,
}

impl WriteCondition {
    /// That of a request that writes: `If-Match` names what has to stand there, `If-None-Match` what
    /// must not.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or names several tags.
    pub(crate) fn of_write(headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(tags) = EntityTags::of(headers, IF_MATCH)? {
            return has_to_be(&tags);
        }
        Ok(Self::Decided(match EntityTags::of(headers, IF_NONE_MATCH)? {
            None => Condition::Always,
            Some(EntityTags::Any) => Condition::Absent,
            Some(EntityTags::Of(tags)) => match single(&tags)? {
                Some(tag) => Condition::NotEtag(tag),
                None => Condition::Always,
            },
        }))
    }

    /// That of a request that removes: either header names what has to stand there, because the real
    /// server reads `If-None-Match` that way.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or names several tags.
    pub(crate) fn of_removal(headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(tags) = EntityTags::of(headers, IF_MATCH)? {
            return has_to_be(&tags);
        }
        match EntityTags::of(headers, IF_NONE_MATCH)? {
            None => Ok(Self::Decided(Condition::Always)),
            // As it is meant by HTTP: of an entry that is there, it does not hold.
            Some(EntityTags::Any) => Ok(Self::Never),
            Some(tags) => has_to_be(&tags),
        }
    }
}

fn has_to_be(tags: &EntityTags) -> Result<WriteCondition, Problem> {
    Ok(match tags {
        EntityTags::Any => WriteCondition::Decided(Condition::Present),
        EntityTags::Of(tags) => match single(tags)? {
            Some(tag) => WriteCondition::Decided(Condition::Etag(tag)),
            None => WriteCondition::Never,
        },
    })
}

fn single(tags: &[Etag]) -> Result<Option<Etag>, Problem> {
    match tags {
        [] => Ok(None),
        [tag] => Ok(Some(*tag)),
        _ => Err(Problem::bad_request("a change takes one entity tag")),
    }
}
