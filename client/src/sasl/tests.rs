//! Replays the examples of the RFCs, and logins recorded between real clients and servers.

use super::*;

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::new(user, password)
}

fn text(step: Step) -> String {
    match step {
        Step::Respond(bytes) => String::from_utf8(bytes).unwrap(),
        Step::Finished => panic!("finished"),
    }
}

/// Replays a SCRAM login: nonce, the server's first message, the client's second, the server's
/// last.
fn assert_scram(mechanism: Mechanism, user: &str, password: &str, said: [&str; 4]) {
    let [nonce, first, second, last] = said;
    let (mut login, greeting) = Login::start(mechanism, &credentials(user, password), nonce.into());
    assert_eq!(greeting, format!("n,,n={user},r={nonce}").into_bytes());
    assert_eq!(text(login.step(first.as_bytes()).unwrap()), second);
    assert!(!login.is_finished());
    assert_eq!(login.step(last.as_bytes()), Ok(Step::Finished));
    assert!(login.is_finished());
}

#[test]
fn scram_matches_the_examples_of_rfc_5802_and_rfc_7677() {
    assert_scram(
        Mechanism::ScramSha1,
        "user",
        "pencil",
        [
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
    assert_scram(
        Mechanism::ScramSha256,
        "user",
        "pencil",
        [
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

#[test]
fn recorded_logins_are_replayed_byte_for_byte() {
    let spoken = Recorded::of("auth java-16.0.7 SCRAM-SHA-256 (right password)");
    let nonce = spoken.client[0].split_once(",r=").unwrap().1;
    let (mut login, greeting) =
        Login::start(Mechanism::ScramSha256, &credentials("user", "secret"), nonce.into());
    assert_eq!(greeting, spoken.client[0].as_bytes());
    assert_eq!(text(login.step(spoken.server[0].as_bytes()).unwrap()), spoken.client[1]);
    assert_eq!(login.step(spoken.server[1].as_bytes()), Ok(Step::Finished));

    for session in [
        "auth java-16.0.7 DIGEST-MD5 (right password)",
        "auth java-16.0.7 DIGEST-MD5 (client asked auth-conf, server offered auth only)",
    ] {
        let spoken = Recorded::of(session);
        let nonce = spoken.client[1].split_once("cnonce=\"").unwrap().1.split_once('"').unwrap().0;
        let (mut login, greeting) =
            Login::start(Mechanism::DigestMd5, &credentials("user", "secret"), nonce.into());
        assert_eq!(greeting, b"");
        assert_eq!(text(login.step(spoken.server[0].as_bytes()).unwrap()), spoken.client[1]);
        assert_eq!(login.step(spoken.server[1].as_bytes()), Ok(Step::Finished));
    }
}

#[test]
fn a_server_that_does_not_know_the_password_is_detected() {
    let first = "r=abcdef,s=QSXCR+Q6sek8bf92,i=4096";
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha384, Mechanism::ScramSha512] {
        let (mut login, _) = Login::start(mechanism, &credentials("u", "p"), "abc".into());
        login.step(first.as_bytes()).unwrap();
        assert_eq!(login.step(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Err(SaslError::Unproved));
        assert!(!login.is_finished());
    }
    let (mut login, _) =
        Login::start(Mechanism::DigestSha512, &credentials("u", "p"), "abc".into());
    login.step(b"realm=\"default\",nonce=\"xyz\"").unwrap();
    assert_eq!(login.step(b"rspauth=00"), Err(SaslError::Unproved));
    assert!(!login.is_finished());
}

#[test]
fn messages_that_a_server_must_not_send_are_refused() {
    let scram = |first: &str| {
        let (mut login, _) =
            Login::start(Mechanism::ScramSha256, &credentials("u", "p"), "abc".into());
        login.step(first.as_bytes()).unwrap_err()
    };
    let rounds = |asked| SaslError::Rounds { asked, fewest: 4_096, most: 1_000_000 };
    assert_eq!(scram("r=xyz,s=AAAA,i=4096"), SaslError::Nonce);
    assert_eq!(scram("r=abc,s=AAAA,i=4096"), SaslError::Nonce);
    assert_eq!(scram("r=abcd,s=AAAA,i=1"), rounds(1));
    assert_eq!(scram("r=abcd,s=AAAA,i=4000000000"), rounds(4_000_000_000));
    assert_eq!(scram("r=abcd,s=?,i=4096"), SaslError::Malformed { field: "salt" });
    assert_eq!(scram("r=abcd,s=AAAA"), SaslError::Malformed { field: "number of rounds" });
    assert_eq!(scram(""), SaslError::Malformed { field: "nonce" });

    let (mut login, _) = Login::start(Mechanism::ScramSha256, &credentials("u", "p"), "abc".into());
    login.step(b"r=abcd,s=AAAA,i=4096").unwrap();
    assert_eq!(login.step(b"e=invalid-proof"), Err(SaslError::Reported("invalid-proof".into())));

    let digest = |first: &str| {
        let (mut login, _) =
            Login::start(Mechanism::DigestMd5, &credentials("u", "p"), "abc".into());
        login.step(first.as_bytes()).unwrap_err()
    };
    assert_eq!(digest("realm=\"a\""), SaslError::Malformed { field: "nonce" });
    let protection = SaslError::Protection("auth-int,auth-conf".into());
    assert_eq!(digest("nonce=\"a\",qop=\"auth-int,auth-conf\""), protection);

    let (mut login, greeting) =
        Login::start(Mechanism::Plain, &credentials("u", "p"), "abc".into());
    assert_eq!((greeting, login.is_finished()), (b"\0u\0p".to_vec(), true));
    assert_eq!(login.step(b"more?"), Err(SaslError::OutOfTurn));
}

#[test]
fn special_characters_in_names_are_escaped() {
    let (_, greeting) =
        Login::start(Mechanism::ScramSha256, &credentials("a=b,c", "p"), "n".into());
    assert_eq!(greeting, b"n,,n=a=3Db=2Cc,r=n");

    let strange = credentials("a\"b\\c", "p");
    let (mut login, _) = Login::start(Mechanism::DigestMd5, &strange, "n".into());
    let response = text(login.step(b"realm=\"r\",nonce=\"x\"").unwrap());
    assert!(response.contains(r#"username="a\"b\\c""#), "{response}");
}

#[test]
fn the_realm_is_the_one_asked_for_or_the_first_one_offered() {
    let challenge = b"realm=\"one\",realm=\"two\",nonce=\"x\"";
    let response = |realm: Option<&str>| {
        let credentials = Credentials { realm: realm.map(str::to_owned), ..credentials("u", "p") };
        let (mut login, _) = Login::start(Mechanism::DigestMd5, &credentials, "n".into());
        text(login.step(challenge).unwrap())
    };
    assert!(response(None).contains("realm=\"one\""));
    assert!(response(Some("two")).contains("realm=\"two\""));
}

#[test]
fn the_strongest_common_mechanism_is_tried_first_and_plain_only_on_request() {
    let to_try = |offered: &[&str], asked, preferred| {
        let offered: Vec<String> = offered.iter().map(|name| (*name).to_owned()).collect();
        to_try(&offered, asked, preferred)
    };
    use Mechanism::{DigestMd5, DigestSha1, Plain, ScramSha1, ScramSha256, ScramSha512};
    let all = ["PLAIN", "DIGEST-MD5", "GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512", "DIGEST-SHA"];
    let strongest_first = [ScramSha512, ScramSha256, DigestSha1, DigestMd5];
    assert_eq!(to_try(&all, None, None), strongest_first);
    assert_eq!(to_try(&all, None, Some(Family::Scram)), strongest_first);
    assert_eq!(
        to_try(&all, None, Some(Family::Digest)),
        [DigestSha1, DigestMd5, ScramSha512, ScramSha256]
    );
    assert_eq!(
        to_try(&all, None, Some(Family::Plain)),
        [ScramSha512, ScramSha256, DigestSha1, DigestMd5, Plain],
        "the password is shown last"
    );
    assert_eq!(to_try(&all, Some(Plain), None), [Plain]);
    assert_eq!(to_try(&all, Some(DigestMd5), Some(Family::Scram)), [DigestMd5]);
    assert_eq!(to_try(&all, Some(ScramSha1), None), []);
    assert_eq!(to_try(&["EXTERNAL", "PLAIN"], None, None), [], "nobody asked for it");
    assert_eq!(to_try(&["EXTERNAL", "PLAIN"], None, Some(Family::Digest)), []);
    assert_eq!(to_try(&["EXTERNAL", "GSSAPI"], None, Some(Family::Plain)), []);
}

#[test]
fn a_mechanism_is_read_by_its_name() {
    assert_eq!("scram-sha-256".parse(), Ok(Mechanism::ScramSha256));
    assert_eq!(Mechanism::DigestSha1.to_string(), "DIGEST-SHA");
    let unknown = "GSSAPI".parse::<Mechanism>().unwrap_err().to_string();
    assert!(unknown.starts_with("the SASL mechanism \"GSSAPI\" is not supported"), "{unknown}");
}

/// The AUTH messages of a client and a server.
struct Recorded {
    client: Vec<String>,
    server: Vec<String>,
}

impl Recorded {
    fn of(session: &str) -> Self {
        use hotrod::{
            Decoder, Intelligence, Limits, ProtocolVersion, Reader, ResponseHeader,
            op::{AnyRequest, Challenge, Response as _},
        };
        let document = include_str!("../../../hotrod/vectors/recorded.json");
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let mut recorded = Self { client: Vec::new(), server: Vec::new() };
        for item in document["client_sessions"][session].as_array().unwrap() {
            let bytes = unhex(item["hex"].as_str().unwrap());
            if item["dir"] == "c2s" {
                let mut decoder = Decoder::default();
                decoder.push(&bytes);
                if let AnyRequest::Auth(auth) = decoder.next_request().unwrap().unwrap().request {
                    recorded.client.push(String::from_utf8(auth.response.to_vec()).unwrap());
                }
                continue;
            }
            let mut reader = Reader::new(&bytes, Limits::NONE);
            let header = ResponseHeader::decode(&mut reader, Intelligence::Basic).unwrap();
            if header.opcode == 0x24 {
                let challenge =
                    Challenge::decode(header.status, ProtocolVersion::V3_1, &mut reader).unwrap();
                // A real server does not set `complete`, even with its last message.
                assert!(!challenge.complete);
                recorded.server.push(String::from_utf8(challenge.challenge.to_vec()).unwrap());
            }
        }
        recorded
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
