//! What requests say: parts of their path, parameters, headers, content.
//!
//! Everything here comes from outside. It is read into types once, and what makes no sense is a
//! [`Problem`](crate::problem::Problem).

mod accept;
mod conditions;
mod content;
mod entity_tag;
mod expiration;
mod flags;
mod headers;
mod parameters;
mod path;

pub(crate) use self::{
    accept::{accepted, document_type, wants_json_only},
    conditions::{Conditions, Verdict, WriteCondition},
    content::Content,
    expiration::expiration,
    flags::{AdminFlags, EntryFlags},
    headers::{media_type, text},
    parameters::{OwnParameters, Parameters},
    path::{CachePath, EntryPath, NamePath, fuzz as path},
};
