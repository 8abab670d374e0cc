//! The SASL mechanisms, and the order in which to try them.

use std::{fmt, str::FromStr};

use super::hash::Algorithm;

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// `SCRAM-SHA-512`
    ScramSha512,
    /// `SCRAM-SHA-384`
    ScramSha384,
    /// `SCRAM-SHA-256`
    ScramSha256,
    /// `SCRAM-SHA-1`
    ScramSha1,
    /// `DIGEST-SHA-512`
    DigestSha512,
    /// `DIGEST-SHA-384`
    DigestSha384,
    /// `DIGEST-SHA-256`
    DigestSha256,
    /// `DIGEST-SHA`
    DigestSha1,
    /// `DIGEST-MD5`
    DigestMd5,
    /// `PLAIN`: sends the password itself, readable for eavesdroppers.
    Plain,
}

/// Message exchange of a mechanism.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    Scram(Algorithm),
    Digest(Algorithm),
    Plain,
}

/// Each mechanism with its name, the strongest first.
const MECHANISMS: [(Mechanism, &str); 10] = [
    (Mechanism::ScramSha512, "SCRAM-SHA-512"),
    (Mechanism::ScramSha384, "SCRAM-SHA-384"),
    (Mechanism::ScramSha256, "SCRAM-SHA-256"),
    (Mechanism::ScramSha1, "SCRAM-SHA-1"),
    (Mechanism::DigestSha512, "DIGEST-SHA-512"),
    (Mechanism::DigestSha384, "DIGEST-SHA-384"),
    (Mechanism::DigestSha256, "DIGEST-SHA-256"),
    (Mechanism::DigestSha1, "DIGEST-SHA"),
    (Mechanism::DigestMd5, "DIGEST-MD5"),
    (Mechanism::Plain, "PLAIN"),
];

pub(super) fn scheme(mechanism: Mechanism) -> Scheme {
    match mechanism {
        Mechanism::ScramSha512 => Scheme::Scram(Algorithm::Sha512),
        Mechanism::ScramSha384 => Scheme::Scram(Algorithm::Sha384),
        Mechanism::ScramSha256 => Scheme::Scram(Algorithm::Sha256),
        Mechanism::ScramSha1 => Scheme::Scram(Algorithm::Sha1),
        Mechanism::DigestSha512 => Scheme::Digest(Algorithm::Sha512),
        Mechanism::DigestSha384 => Scheme::Digest(Algorithm::Sha384),
        Mechanism::DigestSha256 => Scheme::Digest(Algorithm::Sha256),
        Mechanism::DigestSha1 => Scheme::Digest(Algorithm::Sha1),
        Mechanism::DigestMd5 => Scheme::Digest(Algorithm::Md5),
        Mechanism::Plain => Scheme::Plain,
    }
}

/// Mechanisms with the same message exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `SCRAM-*`
    Scram,
    /// `DIGEST-*`
    Digest,
    /// `PLAIN`
    Plain,
}

/// Returns the offered mechanisms to try, in order. If one was asked for, it is the only one;
/// otherwise the preferred family comes first, then the others, the strongest first. PLAIN reveals
/// the password to eavesdroppers, so it is tried last, and only if it or its family was asked for.
pub(crate) fn to_try(
    offered: &[String],
    asked: Option<Mechanism>,
    preferred: Option<Family>,
) -> Vec<Mechanism> {
    let is_offered = |mechanism: &Mechanism| offered.iter().any(|name| name == mechanism.name());
    let mut mechanisms: Vec<Mechanism> = match asked {
        Some(asked) => vec![asked],
        None => MECHANISMS.iter().map(|row| row.0).collect(),
    };
    let may_be_plain = asked.is_some() || preferred == Some(Family::Plain);
    mechanisms.retain(|mechanism| {
        is_offered(mechanism) && (may_be_plain || *mechanism != Mechanism::Plain)
    });
    // The sort is stable: within a family the strongest stays first.
    mechanisms.sort_by_key(|mechanism| match mechanism.family() {
        Family::Plain => 2,
        family if Some(family) == preferred => 0,
        _ => 1,
    });
    mechanisms
}

impl Mechanism {
    /// Returns the family of the mechanism.
    #[must_use]
    pub fn family(self) -> Family {
        match scheme(self) {
            Scheme::Scram(_) => Family::Scram,
            Scheme::Digest(_) => Family::Digest,
            Scheme::Plain => Family::Plain,
        }
    }

    /// Returns the registered name, such as `SCRAM-SHA-256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        MECHANISMS.iter().find(|row| row.0 == self).map_or("PLAIN", |row| row.1)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = MECHANISMS.iter().find(|row| row.1.eq_ignore_ascii_case(name));
        known.map(|row| row.0).ok_or_else(|| UnknownMechanism(name.into()))
    }
}

/// Error for a text that does not name a supported mechanism.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the SASL mechanism \"{0}\" is not supported: use SCRAM-SHA-*, DIGEST-SHA*, DIGEST-MD5 or PLAIN"
)]
pub struct UnknownMechanism(String);
