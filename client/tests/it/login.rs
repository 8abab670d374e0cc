//! Logins, with servers that know the password or do not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use client::{
    Client, ClientConfig, ClientError, Credentials, Family, Mechanism, Notice, SaslError,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hotrod::{
    Status,
    op::{AnyRequest, Auth, AuthMechList, Challenge, Mechanisms},
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::fake::{Asked, Do, Fake, Store};

/// How a server ends a login.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// Like a real server: its last message, without `complete`.
    Real,
    /// Its last message, with `complete`.
    Complete,
    /// `complete`, without a proof.
    WithoutProof,
    /// With the proof for another password.
    Wrong,
}

/// A server that knows the user "app" with this password and supports these mechanisms.
struct Guard {
    offered: Vec<&'static str>,
    password: &'static str,
    ending: Ending,
    talk: Mutex<Talk>,
    attempts: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Talk {
    bare: String,
    first: String,
}

impl Guard {
    fn answer(&self, asked: &Asked<'_>, store: &Store) -> Do {
        Do::Say(match asked.request {
            AnyRequest::AuthMechList(_) => {
                asked.answer::<AuthMechList>(&Mechanisms(self.offered.clone()))
            }
            AnyRequest::Auth(Auth { mechanism: "PLAIN", response }) => {
                self.attempts.fetch_add(1, Ordering::SeqCst);
                match *response == [b"\0app\0", self.password.as_bytes()].concat() {
                    true => challenge(asked, true, b""),
                    false => asked.error(Status::ParseError, "ELY05013: password not verified"),
                }
            }
            AnyRequest::Auth(Auth { response, .. }) => {
                self.scram(asked, str::from_utf8(response).unwrap())
            }
            _ => store.answer(asked),
        })
    }

    fn scram(&self, asked: &Asked<'_>, response: &str) -> Vec<u8> {
        let mut talk = self.talk.lock();
        if let Some(bare) = response.strip_prefix("n,,") {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            let nonce = bare.split_once(",r=").unwrap().1;
            talk.first = format!("r={nonce}server,s={},i=4096", STANDARD.encode("salt"));
            talk.bare = bare.to_owned();
            return challenge(asked, false, talk.first.as_bytes());
        }
        let (without_proof, proof) = response.split_once(",p=").unwrap();
        let spoken = [&talk.bare, &talk.first, without_proof].join(",");
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), b"salt", 4096, &mut salted);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(&client_key), spoken.as_bytes());
        let expected: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if STANDARD.decode(proof).unwrap() != expected && self.ending != Ending::Wrong {
            return asked.error(Status::ServerError, "ISPN006024: Invalid credentials");
        }
        let proof = hmac(&hmac(&salted, b"Server Key"), spoken.as_bytes());
        let last = format!("v={}", STANDARD.encode(proof));
        match self.ending {
            Ending::Real | Ending::Wrong => challenge(asked, false, last.as_bytes()),
            Ending::Complete => challenge(asked, true, last.as_bytes()),
            Ending::WithoutProof => challenge(asked, true, b""),
        }
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn challenge(asked: &Asked<'_>, complete: bool, challenge: &[u8]) -> Vec<u8> {
    asked.answer::<Auth<'_>>(&Challenge { complete, challenge })
}

async fn guarded(
    offered: &[&'static str],
    password: &'static str,
    ending: Ending,
) -> (Fake, Arc<AtomicUsize>) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let guard = Guard {
        offered: offered.to_vec(),
        password,
        ending,
        talk: Mutex::default(),
        attempts: Arc::clone(&attempts),
    };
    let store = Store::default();
    store.put(b"k", b"v");
    (Fake::start(move |asked| guard.answer(asked, &store)).await, attempts)
}

fn with(fake: &Fake, mechanism: Option<Mechanism>) -> ClientConfig {
    let credentials = Credentials { mechanism, ..Credentials::new("app", "secret") };
    ClientConfig { credentials: Some(credentials), ..fake.config() }
}

fn preferring(fake: &Fake, preferred: Option<Family>) -> ClientConfig {
    let credentials = Credentials { preferred, ..Credentials::new("app", "secret") };
    ClientConfig { credentials: Some(credentials), ..fake.config() }
}

#[tokio::test]
async fn a_login_is_over_when_the_server_has_proved_itself_complete_or_not() {
    for ending in [Ending::Real, Ending::Complete] {
        let (fake, _) = guarded(&["PLAIN", "SCRAM-SHA-256"], "secret", ending).await;
        let client = Client::connect(with(&fake, None)).await.unwrap();
        let value = client.cache("orders").await.unwrap().get(b"k").await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"v"[..]));
        assert_eq!(client.notices(), []);
    }
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_not_trusted() {
    for (ending, password, expected) in [
        (Ending::Wrong, "other", SaslError::Unproved),
        (Ending::WithoutProof, "secret", SaslError::Malformed { field: "signature" }),
    ] {
        let (fake, _) = guarded(&["SCRAM-SHA-256"], password, ending).await;
        let error = Client::connect(with(&fake, None)).await.unwrap_err();
        let ClientError::Untrusted { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*source, expected);
    }
}

#[tokio::test]
async fn wrong_credentials_are_named_without_the_password_and_tried_once() {
    for (mechanism, text) in [
        (Mechanism::ScramSha256, "ISPN006024: Invalid credentials"),
        (Mechanism::Plain, "ELY05013: password not verified"),
    ] {
        let (one, attempts) = guarded(&["SCRAM-SHA-256", "PLAIN"], "other", Ending::Real).await;
        let two = Fake::honest().await;
        let mut config = with(&one, Some(mechanism));
        config.servers.push(two.address.clone());
        let error = Client::connect(config).await.unwrap_err();
        let shown = format!("{} refuses the login of \"app\" by {mechanism}: {text}", one.address);
        assert_eq!(error.to_string(), shown);
        assert!(!format!("{error:?}").contains("secret"));
        assert_eq!((attempts.load(Ordering::SeqCst), two.connections()), (1, 0));
    }
}

#[tokio::test]
async fn plain_is_used_only_when_asked_for() {
    let (fake, _) = guarded(&["SCRAM-SHA-256", "PLAIN"], "secret", Ending::Wrong).await;
    Client::connect(with(&fake, Some(Mechanism::Plain))).await.unwrap();
    let (fake, attempts) = guarded(&["GSSAPI", "PLAIN"], "secret", Ending::Wrong).await;
    for preferred in [None, Some(Family::Digest), Some(Family::Scram)] {
        let error = Client::connect(preferring(&fake, preferred)).await.unwrap_err().to_string();
        let reason =
            "PLAIN shows the password to whoever listens, so it is used only if it is asked for";
        assert!(error.ends_with(reason), "{error}");
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 0);
    Client::connect(preferring(&fake, Some(Family::Plain))).await.unwrap();
}

/// Elytron's refusals of a user without a credential for the mechanism: SCRAM, then DIGEST.
const NO_CREDENTIAL: [&str; 2] = [
    "javax.security.sasl.SaslException: ELY05161: Unable to retrieve password for \"app\"",
    "ISPN006024: Invalid credentials\nELY05051: Callback handler does not support credential acquisition",
];

/// Starts a server that refuses logins by every mechanism but these, with this text, and then
/// closes the connection.
async fn choosy(
    accepted: &'static [&'static str],
    text: &'static str,
) -> (Fake, Arc<Mutex<Vec<String>>>) {
    let tried = Arc::new(Mutex::new(Vec::new()));
    let guard = Guard {
        offered: vec!["SCRAM-SHA-512", "DIGEST-MD5", "SCRAM-SHA-256", "PLAIN"],
        password: "secret",
        ending: Ending::Real,
        talk: Mutex::default(),
        attempts: Arc::default(),
    };
    let (store, noted) = (Store::default(), Arc::clone(&tried));
    let fake = Fake::start(move |asked| match asked.request {
        AnyRequest::Auth(Auth { mechanism, response }) => {
            if !response.starts_with(b"c=") {
                noted.lock().push((*mechanism).to_owned());
            }
            match accepted.contains(mechanism) {
                true => guard.answer(asked, &store),
                false => Do::SayAndClose(asked.error(Status::ServerError, text)),
            }
        }
        _ => guard.answer(asked, &store),
    });
    (fake.await, tried)
}

#[tokio::test]
async fn the_next_mechanism_is_tried_where_the_user_has_no_credential() {
    for text in NO_CREDENTIAL {
        let (fake, tried) = choosy(&["SCRAM-SHA-256"], text).await;
        let client = Client::connect(preferring(&fake, Some(Family::Digest))).await.unwrap();
        assert_eq!(*tried.lock(), ["DIGEST-MD5", "SCRAM-SHA-512", "SCRAM-SHA-256"], "{text}");
        assert_eq!(client.cache("orders").await.unwrap().get(b"k").await.unwrap(), None);
        // The next login starts with the mechanism that was accepted.
        tried.lock().clear();
        client
            .cache("orders")
            .await
            .unwrap()
            .iterate(client::Iterate::default())
            .await
            .unwrap_err();
        assert_eq!(*tried.lock(), ["SCRAM-SHA-256"]);
    }
}

#[tokio::test]
async fn a_login_that_every_mechanism_refuses_names_them_all_and_never_shows_the_password() {
    let (fake, tried) = choosy(&[], NO_CREDENTIAL[0]).await;
    let error = Client::connect(preferring(&fake, Some(Family::Digest))).await.unwrap_err();
    let shown = format!(
        "{} refuses the login of \"app\" by DIGEST-MD5, SCRAM-SHA-512, SCRAM-SHA-256: {}",
        fake.address, NO_CREDENTIAL[0]
    );
    assert_eq!(error.to_string(), shown);
    assert_eq!(tried.lock().len(), 3);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    for text in ["ELY05055: Authentication rejected (invalid proof)", "ELY05013: not verified"] {
        let (fake, tried) = choosy(&[], text).await;
        let error = Client::connect(preferring(&fake, None)).await.unwrap_err().to_string();
        assert!(error.ends_with(text), "{error}");
        assert_eq!(*tried.lock(), ["SCRAM-SHA-512"], "others may lock the user out");
    }
}

#[tokio::test]
async fn an_error_names_the_offered_mechanisms_if_none_can_be_used() {
    let (fake, _) = guarded(&["GSSAPI", "EXTERNAL"], "secret", Ending::Real).await;
    let error = Client::connect(with(&fake, None)).await.unwrap_err();
    let text = format!(
        "{} offers no login for \"app\" that can be used, only GSSAPI, EXTERNAL",
        fake.address
    );
    assert_eq!(error.to_string(), text);
    let error = Client::connect(with(&fake, Some(Mechanism::Plain))).await.unwrap_err();
    assert!(matches!(error, ClientError::NoMechanism { .. }));
}

#[tokio::test]
async fn unused_credentials_are_noticed() {
    let fake = Fake::honest().await;
    let client = Client::connect(with(&fake, None)).await.unwrap();
    assert_eq!(client.notices(), [Notice::NoLogin { server: fake.address.clone() }]);
    assert_eq!(client.cache("orders").await.unwrap().get(b"k").await.unwrap(), None);
}
