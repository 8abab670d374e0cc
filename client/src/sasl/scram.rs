//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password without sending it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq as _;

use super::{SaslError, Step, hash::Algorithm};
use crate::credentials::Credentials;

/// "No channel binding, no authorization identity", and the same in base64.
const HEADER: &str = "n,,";
const HEADER_BASE64: &str = "biws";

/// RFC 7677 requires at least 4,096; a million takes the client seconds.
const FEWEST_ROUNDS: u32 = 4_096;
const MOST_ROUNDS: u32 = 1_000_000;

/// A login with SCRAM.
#[derive(Debug)]
pub(crate) struct Scram {
    algorithm: Algorithm,
    state: State,
}

enum State {
    /// Expects the server's nonce, a salt and a number of rounds.
    First {
        bare: String,
        nonce: String,
        password: String,
    },
    /// Expects the server's signature.
    Last {
        signature: Vec<u8>,
    },
    Finished,
}

impl std::fmt::Debug for State {
    /// Omits the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::First { .. } => "First",
            Self::Last { .. } => "Last",
            Self::Finished => "Finished",
        })
    }
}

impl Scram {
    pub(super) fn start(
        algorithm: Algorithm,
        credentials: &Credentials,
        nonce: String,
    ) -> (Self, Vec<u8>) {
        let user = credentials.user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        let first = format!("{HEADER}{bare}").into_bytes();
        let password = credentials.password.clone();
        (Self { algorithm, state: State::First { bare, nonce, password } }, first)
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    pub(super) fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError> {
        match &self.state {
            State::First { bare, nonce, password } => {
                let (response, signature) = self.prove(bare, nonce, password, challenge)?;
                self.state = State::Last { signature };
                Ok(Step::Respond(response))
            }
            State::Last { signature } => {
                verify(signature, challenge)?;
                self.state = State::Finished;
                Ok(Step::Finished)
            }
            State::Finished => Err(SaslError::OutOfTurn),
        }
    }

    /// Returns the client's second message, and the signature that the server must answer with.
    fn prove(
        &self,
        bare: &str,
        nonce: &str,
        password: &str,
        challenge: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), SaslError> {
        let first = text(challenge)?;
        let their_nonce = attribute(first, "r=").ok_or(SaslError::Malformed { field: "nonce" })?;
        if !their_nonce.starts_with(nonce) || their_nonce.len() == nonce.len() {
            return Err(SaslError::Nonce);
        }
        let salt = attribute(first, "s=").and_then(|salt| STANDARD.decode(salt).ok());
        let salt = salt.ok_or(SaslError::Malformed { field: "salt" })?;
        let rounds = attribute(first, "i=").and_then(|rounds| rounds.parse().ok());
        let rounds = rounds.ok_or(SaslError::Malformed { field: "number of rounds" })?;
        if !(FEWEST_ROUNDS..=MOST_ROUNDS).contains(&rounds) {
            let (fewest, most) = (FEWEST_ROUNDS, MOST_ROUNDS);
            return Err(SaslError::Rounds { asked: rounds, fewest, most });
        }

        let without_proof = format!("c={HEADER_BASE64},r={their_nonce}");
        let spoken = [bare, first, &without_proof].join(",");
        let algorithm = self.algorithm;
        let salted = algorithm.stretch(password.as_bytes(), &salt, rounds);
        let client_key = algorithm.hmac(&salted, &[b"Client Key"]);
        let stored_key = algorithm.hash(&[&client_key]);
        let client_signature = algorithm.hmac(&stored_key, &[spoken.as_bytes()]);
        let proof: Vec<u8> =
            client_key.iter().zip(&client_signature).map(|(key, sign)| key ^ sign).collect();
        let server_key = algorithm.hmac(&salted, &[b"Server Key"]);
        let server_signature = algorithm.hmac(&server_key, &[spoken.as_bytes()]);
        let response = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok((response.into_bytes(), server_signature))
    }
}

fn verify(signature: &[u8], challenge: &[u8]) -> Result<(), SaslError> {
    let last = text(challenge)?;
    if let Some(error) = attribute(last, "e=") {
        return Err(SaslError::Reported(error.to_owned()));
    }
    let theirs = attribute(last, "v=").and_then(|value| STANDARD.decode(value).ok());
    let theirs = theirs.ok_or(SaslError::Malformed { field: "signature" })?;
    if bool::from(theirs.ct_eq(signature)) { Ok(()) } else { Err(SaslError::Unproved) }
}

fn text(challenge: &[u8]) -> Result<&str, SaslError> {
    str::from_utf8(challenge).map_err(|_not_utf8| SaslError::Malformed { field: "text" })
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|attribute| attribute.strip_prefix(name))
}
