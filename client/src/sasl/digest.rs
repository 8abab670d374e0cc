//! DIGEST-MD5 (RFC 2831) and its variants with other hashes, as Infinispan's servers implement
//! them.
//!
//! Only the login: messages after it are not protected (`qop=auth`).

use std::borrow::Cow;

use subtle::ConstantTimeEq as _;

use super::{SaslError, Step, hash::Algorithm};
use crate::credentials::Credentials;

/// The service in `digest-uri`.
const SERVICE: &str = "hotrod";
/// The `qop` without protection of later messages, which is also the default.
const UNPROTECTED: &str = "auth";

/// A login with DIGEST.
#[derive(Debug)]
pub(crate) struct Digest {
    algorithm: Algorithm,
    credentials: Credentials,
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Expects the server's realm and nonce.
    First,
    /// Expects the server's digest, which must equal this one.
    Last {
        digest: String,
    },
    Finished,
}

impl Digest {
    pub(super) fn start(algorithm: Algorithm, credentials: &Credentials, nonce: String) -> Self {
        Self { algorithm, credentials: credentials.clone(), nonce, state: State::First }
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    pub(super) fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        match &self.state {
            State::First => {
                let (response, digest) = self.respond(challenge)?;
                self.state = State::Last { digest };
                Ok(Step::Respond(response))
            }
            State::Last { digest } => {
                let last = Directives::parse(challenge)?;
                let theirs =
                    last.get("rspauth").ok_or(SaslError::Malformed { field: "rspauth" })?;
                if !bool::from(theirs.as_bytes().ct_eq(digest.as_bytes())) {
                    return Err(SaslError::Unproved);
                }
                self.state = State::Finished;
                Ok(Step::Finished)
            }
            State::Finished => Err(SaslError::OutOfTurn),
        }
    }

    /// Returns the client's response, and the digest that the server must answer with.
    fn respond(&self, challenge: &[u8]) -> Result<(Vec<u8>, String), SaslError> {
        let first = Directives::parse(challenge)?;
        let server_nonce = first.get("nonce").ok_or(SaslError::Malformed { field: "nonce" })?;
        let protections = first.get("qop").unwrap_or(UNPROTECTED);
        if !protections.split(',').any(|offered| offered.trim() == UNPROTECTED) {
            return Err(SaslError::Protection(protections.to_owned()));
        }
        let Credentials { user, password, realm, server_name, .. } = &self.credentials;
        // Of several realms, take the first if none is configured.
        let realm = realm.as_deref().or_else(|| first.get("realm")).unwrap_or_default();
        let uri = format!("{SERVICE}/{server_name}");
        let nonce = &self.nonce;

        let algorithm = self.algorithm;
        let proof = Proof { algorithm, user, password, realm, server_nonce, nonce, uri: &uri };
        let response = format!(
            "charset=utf-8,username=\"{}\",realm=\"{}\",nonce=\"{}\",nc=00000001,cnonce=\"{}\",\
             digest-uri=\"{}\",maxbuf=65536,response={},qop={UNPROTECTED}",
            escaped(user),
            escaped(realm),
            escaped(server_nonce),
            escaped(nonce),
            escaped(&uri),
            proof.digest("AUTHENTICATE"),
        );
        Ok((response.into_bytes(), proof.digest("")))
    }
}

/// Inputs of a digest; without the password nobody can compute it.
struct Proof<'a> {
    algorithm: Algorithm,
    user: &'a str,
    password: &'a str,
    realm: &'a str,
    server_nonce: &'a str,
    nonce: &'a str,
    uri: &'a str,
}

impl Proof<'_> {
    /// Computes a digest: the client's with a method, the server's with an empty one (RFC 2831,
    /// 2.1.2.1).
    fn digest(&self, method: &str) -> String {
        let Self { algorithm, user, password, realm, server_nonce, nonce, uri } = self;
        let secret = algorithm.hash(&[[*user, realm, password].join(":").as_bytes()]);
        let of_session = format!(":{server_nonce}:{nonce}");
        let a1 = hex(&algorithm.hash(&[&secret, of_session.as_bytes()]));
        let a2 = hex(&algorithm.hash(&[format!("{method}:{uri}").as_bytes()]));
        let all = format!("{a1}:{server_nonce}:00000001:{nonce}:{UNPROTECTED}:{a2}");
        hex(&algorithm.hash(&[all.as_bytes()]))
    }
}

/// A server's directives: `name=value` or `name="value"`, separated by commas.
struct Directives(Vec<(String, String)>);

impl Directives {
    fn parse(challenge: &[u8]) -> Result<Self, SaslError> {
        let malformed = SaslError::Malformed { field: "list of directives" };
        let text = str::from_utf8(challenge).map_err(|_not_utf8| malformed.clone())?;
        let mut directives = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or_else(|| malformed.clone())?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted).ok_or_else(|| malformed.clone())?,
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    let (value, after) = after.split_at(end);
                    (value.trim().to_owned(), after)
                }
            };
            directives.push((name.trim().to_ascii_lowercase(), value));
            rest = after.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        }
        Ok(Self(directives))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Returns the value up to the closing quote, and the text after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['"', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        Cow::Borrowed(text)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    digits.filter_map(|digit| DIGITS.get(usize::from(digit))).collect()
}

#[cfg(test)]
mod tests {
    //! The example of RFC 2831, section 4, and directives as servers may write them.

    use super::*;

    #[test]
    fn digests_are_those_of_the_rfc() {
        let proof = Proof {
            algorithm: Algorithm::Md5,
            user: "chris",
            password: "secret",
            realm: "elwood.innosoft.com",
            server_nonce: "OA6MG9tEQGm2hh",
            nonce: "OA6MHXh6VqTrRk",
            uri: "imap/elwood.innosoft.com",
        };
        assert_eq!(proof.digest("AUTHENTICATE"), "d388dad90d4bbd760a152321f2143af7");
        assert_eq!(proof.digest(""), "ea40f60335c427b5527b84dbabcdfffd");
    }

    #[test]
    fn directives_are_read_quoted_or_not() {
        let list = Directives::parse(br#" realm="a \"b\\, c" , nonce=xyz,QOP="auth,auth-int","#);
        let list = list.unwrap();
        let values = ["realm", "nonce", "qop", "none"].map(|name| list.get(name));
        assert_eq!(values, [Some(r#"a "b\, c"#), Some("xyz"), Some("auth,auth-int"), None]);
        for malformed in [&b"realm"[..], b"realm=\"a", b"realm=\"a\\", b"\xFF=1"] {
            assert!(Directives::parse(malformed).is_err(), "{malformed:?}");
        }
    }
}
