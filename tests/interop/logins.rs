//! A user of the source need not have a credential of every kind: one is enough, whatever it is.

use serde_json::{Value, json};

use crate::harness::{
    TestServer,
    infinispan::{Infinispan, PASSWORD, Setup, USER, Version, cache_element},
    note,
};

/// Users as `user create --algorithms` writes them down: one with every credential, and one with each alone.
const USERS: &str = include_str!("../rig/users.properties");

const CACHE: &str = "orders";

const CONFIG: &str =
    r#"{"distributed-cache":{"mode":"SYNC","encoding":{"media-type":"application/octet-stream"}}}"#;

const ENTRIES: u64 = 200;

/// The credentials that a user can have.
const CREDENTIALS: [&str; 9] = [
    "digest-md5",
    "digest-sha",
    "digest-sha-256",
    "digest-sha-384",
    "digest-sha-512",
    "scram-sha-1",
    "scram-sha-256",
    "scram-sha-384",
    "scram-sha-512",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_one_credential_brings_a_cache_over() {
    let element = cache_element(CACHE, "application/octet-stream", "");
    let setup = Setup { users: Some(USERS), ..Setup::new(Version::V16, element) };
    let source = Infinispan::start(setup).await;
    let filled = source.cache(CACHE).await;
    let entries = (0..ENTRIES).map(|number| (number.to_be_bytes(), b"v"));
    filled.put_all(entries, client::RequestExpiration::NEVER).await.unwrap();
    let target = TestServer::start().await;
    for credential in CREDENTIALS {
        let user = format!("only-{credential}");
        for element in ["digest", "scram", "plain"] {
            let login = json!({ "username": user, "password": PASSWORD, "realm": "default" });
            target.rest.post("/rest/v2/caches/orders", CONFIG).await.with(200);
            target.connect(CACHE, &document(&source, json!({ element: login })).to_string()).await;
            assert_eq!(target.synchronize(CACHE).await, ENTRIES, "{user} by {element}");
            let path = "/rest/v2/caches/orders/rolling-upgrade";
            let report = target.rest.post(&format!("{path}?action=verify"), "").await.with(200);
            assert_eq!(report.json()["same"], ENTRIES, "{user} by {element}");
            let disconnect = format!("{path}/source-connection?strict=true");
            target.rest.delete(&disconnect).await.with(204);
            target.rest.delete("/rest/v2/caches/orders").await.with(200);
        }
        note(format_args!("{user}: came over by digest, scram and plain"));
    }
    refusals(&source, &target).await;
    target.stop().await;
}

/// What is wrong is said, and other mechanisms are not tried where that could lock a user out.
async fn refusals(source: &Infinispan, target: &TestServer) {
    target.rest.post("/rest/v2/caches/orders", CONFIG).await.with(200);
    for (login, reason, tried) in [
        (
            json!({ "digest": { "username": "only-digest-md5", "password": "wrong", "realm": "default" } }),
            "Authentication rejected (invalid proof)",
            "by DIGEST-SHA-512, DIGEST-SHA-384, DIGEST-SHA-256, DIGEST-SHA, DIGEST-MD5:",
        ),
        (
            json!({ "scram": { "username": USER, "password": "wrong" } }),
            "Authentication rejected (invalid proof)",
            "by SCRAM-SHA-512:",
        ),
        (
            json!({ "scram": {
                "username": "only-digest-md5", "password": PASSWORD, "sasl-mechanism": "SCRAM-SHA-256"
            } }),
            "Unable to retrieve password",
            "by SCRAM-SHA-256:",
        ),
        (
            json!({ "digest": { "username": "nobody", "password": PASSWORD, "realm": "default" } }),
            "",
            "refuses the login of \"nobody\"",
        ),
    ] {
        let path = "/rest/v2/caches/orders/rolling-upgrade/source-connection";
        let refused = target.rest.post(path, document(source, login.clone()).to_string()).await;
        let refused = refused.with(400);
        let text = refused.text();
        assert!(text.contains(reason) && text.contains(tried), "{login}: {text}");
        target.rest.get(path).await.with(404);
    }
}

/// The manual's document with this login.
fn document(source: &Infinispan, login: Value) -> Value {
    let mut document = source.document(CACHE);
    document["remote-store"]["security"] = json!({ "authentication": login });
    document
}
