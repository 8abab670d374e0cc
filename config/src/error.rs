//! What can be wrong with a configuration, with the place where it stands.

use std::fmt;

use crate::{CacheNameError, Format};

/// A place in a document, counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Place {
    /// Where every document begins.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A configuration was not taken; nothing of it is in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is too large to be a configuration.
    #[error("the document is larger than {limit} bytes; a configuration has to be smaller")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// It is nested too deep to be a configuration.
    #[error("the document is nested more than {limit} deep ({place})")]
    TooDeep {
        /// How deep it may be.
        limit: usize,
        /// The first element beyond.
        place: Place,
    },
    /// It is not a document of its format.
    #[error("Invalid {format} at [{},{}]: {reason}", place.line, place.column)]
    Syntax {
        /// Format that it was read as.
        format: Format,
        /// Where it stopped to be one.
        place: Place,
        /// What stands there.
        reason: String,
    },
    /// An element has no meaning where it stands.
    #[error("Unexpected element '{name}' encountered[{},{}]{}", place.line, place.column, DidYouMean(nearest))]
    UnexpectedElement {
        /// Its name.
        name: String,
        /// Its place.
        place: Place,
        /// The name that was meant, if one is near.
        nearest: Option<&'static str>,
    },
    /// An attribute has no meaning where it stands.
    #[error("Unexpected attribute '{name}' encountered[{},{}]{}", place.line, place.column, DidYouMean(nearest))]
    UnexpectedAttribute {
        /// Its name.
        name: String,
        /// Its place.
        place: Place,
        /// The name that was meant, if one is near.
        nearest: Option<&'static str>,
    },
    /// A text stands where only elements have a meaning.
    #[error("unexpected text in '{element}' ({place}); it takes attributes and elements only")]
    UnexpectedText {
        /// The element.
        element: String,
        /// Its place.
        place: Place,
    },
    /// Something is said twice.
    #[error("'{name}' is given a second time ({place}); leave one of them out")]
    Twice {
        /// Its name.
        name: String,
        /// The second.
        place: Place,
    },
    /// A value does not fit its attribute.
    #[error("'{name}' is \"{value}\" ({place}); it has to be {expected}")]
    Value {
        /// The attribute.
        name: String,
        /// Its value, cut; secrets are left out.
        value: String,
        /// What fits.
        expected: String,
        /// Its place.
        place: Place,
    },
    /// Something that is needed is not said.
    #[error("'{element}' has no {name} ({place}); add it")]
    Missing {
        /// What is needed.
        name: &'static str,
        /// Element that needs it.
        element: String,
        /// Its place.
        place: Place,
    },
    /// A cache is named, and nothing says what kind of cache it is.
    #[error(
        "cache '{cache}' has no type ({place}); write [caches.{cache}.distributed-cache] in TOML, or \
         {{\"{cache}\":{{\"distributed-cache\":{{}}}}}} in JSON (or replicated-cache, local-cache)"
    )]
    NoType {
        /// Its name.
        cache: String,
        /// Its place.
        place: Place,
    },
    /// A cache has no name in a document that configures a server.
    #[error(
        "'{element}' has no name ({place}); add it, or create a cache of this configuration by POST \
         /rest/v2/caches/NAME"
    )]
    NoName {
        /// Its element.
        element: String,
        /// Its place.
        place: Place,
    },
    /// It is understood, and leaving it out would change what happens to data.
    #[error("{what} is refused{}: {why}", At(*place))]
    Refused {
        /// What it is.
        what: String,
        /// Why, and what to do.
        why: &'static str,
        /// Its place, if it stands in a document.
        place: Option<Place>,
    },
    /// A protocol version that was never published.
    #[error("Illegal version {version}")]
    IllegalVersion {
        /// As it was spelled.
        version: String,
        /// Its place.
        place: Place,
    },
    /// `${name}` without a value and without a default.
    #[error(
        "'${{{name}}}' has no value ({place}); set it, or give a default as in ${{{name}:value}}"
    )]
    NoProperty {
        /// Its name.
        name: String,
        /// Its place.
        place: Place,
    },
    /// A cache names a configuration that is not there.
    #[error("there is no configuration '{name}'{}; there are {}", At(*place), known.join(", "))]
    NoSuchConfiguration {
        /// Its name.
        name: String,
        /// Names of those that are there.
        known: Vec<String>,
        /// Where it is named, if in a document.
        place: Option<Place>,
    },
    /// Configurations name each other.
    #[error(
        "the configuration '{name}' is made from itself ({place}); take out one 'configuration'"
    )]
    Circle {
        /// One of them.
        name: String,
        /// Where it is named.
        place: Place,
    },
    /// Something is named that the document does not define.
    #[error("there is no {kind} '{name}' in this document ({place}); define it, or name another")]
    NotDefined {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it is named.
        place: Place,
    },
    /// A cache has no legal name.
    #[error("{source} ({place})")]
    CacheName {
        /// What is wrong with it.
        source: CacheNameError,
        /// Its place.
        place: Place,
    },
    /// One cache was expected.
    #[error(
        "the document configures {found} caches where one is expected, such as {{\"distributed-cache\":{{}}}}"
    )]
    NotOneCache {
        /// How many it configures.
        found: usize,
    },
    /// The caches are too long, each written with all that it is made from.
    #[error(
        "the caches take more than {most} bytes, because each has all of the configuration that it is made from: \
         convert fewer of them at a time"
    )]
    TooLong {
        /// Most bytes.
        most: usize,
    },
    /// The port does not exist once the offset is added.
    #[error("port {port} and offset {offset} are more than 65535 together; lower one of them")]
    Port {
        /// Port.
        port: u16,
        /// What is added to it.
        offset: u16,
    },
    /// The default cache is not among the caches.
    #[error("the default cache '{name}' is not among the caches; configure it, or name another")]
    NoDefaultCache {
        /// Its name.
        name: String,
    },
    /// A cache is made from a configuration that has a problem.
    #[error("cache '{cache}' is made from '{template}': {problem}")]
    InTemplate {
        /// Name of the cache, or of a first one.
        cache: String,
        /// Name of the configuration.
        template: String,
        /// Its problem.
        problem: Box<Self>,
    },
    /// The name of a cache is reserved for the server itself.
    #[error(
        "cache '{cache}' cannot be configured: names that begin with ___ or org.infinispan belong to the server; \
         take another"
    )]
    Reserved {
        /// Its name.
        cache: String,
    },
    /// An alias leads to another cache as well.
    #[error(
        "the alias '{alias}' of cache '{cache}' is a name of cache '{owner}', too; remove one of them"
    )]
    AliasTaken {
        /// The alias.
        alias: String,
        /// A cache that has it.
        cache: String,
        /// Another cache that has it, as its name or as an alias.
        owner: String,
    },
    /// There is more than one problem.
    #[error("{}", Lines(problems))]
    Several {
        /// All of them, in the order of the document.
        problems: Vec<Self>,
    },
    /// A setting has no place in the file: it came from several.
    #[error("{name} has to be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What fits.
        expected: &'static str,
    },
}

impl ConfigError {
    /// One error for all of these problems.
    pub(crate) fn all(mut problems: Vec<Self>) -> Self {
        match (problems.pop(), problems.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                problems.extend(last);
                Self::Several { problems }
            }
        }
    }

    /// The problems that it consists of.
    #[must_use]
    pub fn problems(self) -> Vec<Self> {
        match self {
            Self::Several { problems } => problems,
            only => vec![only],
        }
    }

    /// Where it stands, if that is one place.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::TooDeep { place, .. }
            | Self::Syntax { place, .. }
            | Self::UnexpectedElement { place, .. }
            | Self::UnexpectedAttribute { place, .. }
            | Self::UnexpectedText { place, .. }
            | Self::Twice { place, .. }
            | Self::Value { place, .. }
            | Self::Missing { place, .. }
            | Self::NoType { place, .. }
            | Self::NoName { place, .. }
            | Self::IllegalVersion { place, .. }
            | Self::NoProperty { place, .. }
            | Self::Circle { place, .. }
            | Self::NotDefined { place, .. }
            | Self::CacheName { place, .. } => Some(*place),
            Self::Refused { place, .. } | Self::NoSuchConfiguration { place, .. } => *place,
            Self::InTemplate { problem, .. } => problem.place(),
            Self::Several { problems } => problems.first()?.place(),
            Self::TooLarge { .. }
            | Self::NotOneCache { .. }
            | Self::TooLong { .. }
            | Self::Port { .. }
            | Self::NoDefaultCache { .. }
            | Self::AliasTaken { .. }
            | Self::Reserved { .. }
            | Self::Setting { .. } => None,
        }
    }
}

/// The place of something, if it has one.
struct At(Option<Place>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |place| write!(f, " ({place})"))
    }
}

/// Each problem on a line of its own.
struct Lines<'a>(&'a [ConfigError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

/// The end of a message about an unknown name.
struct DidYouMean<'a>(&'a Option<&'static str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |nearest| write!(f, "; did you mean '{nearest}'?"))
    }
}
