//! The documents that are sent, and the answers of a real server.

use super::*;
use crate::{AuthenticationElement, RemoteServer};

/// The document of the manual.
const MANUAL: &str = r#"{"remote-store":{"cache":"myCache","shared":true,"raw-values":true,
    "security":{"authentication":{"digest":{"username":"username","password":"changeme","realm":"default"}}},
    "remote-server":[{"host":"127.0.0.1","port":12222}]}}"#;

fn parsed(body: &str) -> Parsed<RemoteStoreConfig> {
    parse_remote_store(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn error(body: &str) -> String {
    parse_remote_store(body.as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_document_of_the_manual_connects() {
    let Parsed { value: config, ignored } = parsed(MANUAL);
    assert_eq!(ignored, []);
    assert_eq!(config.cache.as_deref(), Some("myCache"));
    assert_eq!(config.servers, [RemoteServer { host: "127.0.0.1".into(), port: 12222 }]);
    let user = config.authentication.unwrap();
    assert_eq!((user.username.as_str(), user.password.as_str()), ("username", "changeme"));
    assert_eq!(user.realm.as_deref(), Some("default"));
    assert_eq!(user.element, Some(AuthenticationElement::Digest));
    assert!(!config.encryption && !config.read_only);
}

#[test]
fn the_document_of_the_operator_connects() {
    let config = parsed(
        r#"{"remote-store":{"cache":"c","shared":true,"segmented":false,"properties":{"migration":true},
            "remote-server":{"host":"infinispan-0","port":11223},
            "security":{"authentication":{"server-name":"infinispan",
                "digest":{"username":"operator","password":"p","realm":"admin"}}}}}"#,
    );
    assert_eq!(config.ignored, []);
    let config = config.value;
    assert_eq!(config.servers, [RemoteServer { host: "infinispan-0".into(), port: 11223 }]);
    let user = config.authentication.unwrap();
    assert_eq!(
        (user.server_name.as_deref(), user.realm.as_deref()),
        (Some("infinispan"), Some("admin"))
    );
}

#[test]
fn the_long_document_of_the_manual_says_what_is_not_used() {
    let Parsed { value: config, ignored } = parsed(
        r#"{"remote-store":{"cache":"my-cache","shared":true,"socket-timeout":60000,"protocol-version":"2.9",
            "remote-server":[{"host":"127.0.0.2","port":12222}],
            "async-executor":{"properties":{"name":4}},
            "security":{"authentication":{"server-name":"servername","digest":{"username":"username",
                "password":"password","realm":"realm","sasl-mechanism":"DIGEST-SHA-256"}},
              "encryption":{"protocol":"TLSv1.2","sni-hostname":"snihostname",
                "keystore":{"filename":"/path","password":"secret","certificate-password":"secret"},
                "truststore":{"filename":"/path","password":"secret","type":"JKS"}}}}}"#,
    );
    assert!(config.encryption);
    assert_eq!(config.socket_timeout, Some(std::time::Duration::from_mins(1)));
    assert_eq!(
        config.authentication.as_ref().unwrap().mechanism.as_deref(),
        Some("DIGEST-SHA-256")
    );
    let whats: Vec<_> = ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "'async-executor' of 'remote-store'",
            "'protocol' of 'encryption'",
            "'sni-hostname' of 'encryption'",
            "'keystore' of 'encryption'",
            "'truststore' of 'encryption'",
        ]
    );
    assert_eq!(config.ignored.len(), whats.len());
}

#[test]
fn a_body_that_is_no_description_gets_the_text_of_a_real_server() {
    for (body, text) in [
        ("", "A remote-store config must be provided"),
        ("{bad", "Invalid JSON at [1,3]: here has to be a name in double quotes"),
        ("<remote-store/>", "Invalid JSON at [1,2]: here has to be a value"),
        (
            "{\"remote-store\":{\n\"cache\":",
            "Invalid JSON at [2,9]: the document ends too early; here has to be a value",
        ),
        (
            "{\"remote-store\": {\"cache\": \"g\",}}",
            "Invalid JSON at [1,33]: a comma stands before the closing brace: take it out",
        ),
        (
            "{}",
            "Invalid remote-store JSON description: a single remote-store element must be provided",
        ),
        (
            r#"{"file-store":{}}"#,
            "Invalid remote-store JSON description: a single remote-store element must be provided",
        ),
        (
            r#"{"remote-store":{"remote-server":{"host":"a"}},"cache":"b"}"#,
            "Invalid remote-store JSON description: a single remote-store element must be provided",
        ),
        (
            r#"{"remote-store":{"protocol-version":"2.99","remote-server":{"host":"a"}}}"#,
            "Illegal version 2.99",
        ),
        (r#"{"remote-store":{"bogus":1}}"#, "Unexpected attribute 'bogus' encountered[1,3]"),
        (
            r#"{"remote-store":{"cache":"a"}}"#,
            "'remote-store' has no remote-server or uri (line 1, column 3); add it",
        ),
        (
            r#"{"remote-store":{"bogus":1,"remote-server":[{"host":"a"}]}}"#,
            "Unexpected attribute 'bogus' encountered[1,3]",
        ),
        (
            r#"{"remote-store":{"cahce":"x","remote-server":[{"host":"a"}]}}"#,
            "Unexpected attribute 'cahce' encountered[1,3]; did you mean 'cache'?",
        ),
    ] {
        assert_eq!(error(body), text, "{body}");
    }
}

#[test]
fn any_version_that_was_published_is_taken() {
    let body = |version: &str| {
        format!(
            r#"{{"remote-store":{{"protocol-version":"{version}","remote-server":{{"host":"a"}}}}}}"#
        )
    };
    for version in ["2.0", "2.5", "2.9", "3.0", "3.1", "4.0", "4.1"] {
        assert_eq!(parsed(&body(version)).value.protocol_version.as_deref(), Some(version));
    }
    for version in ["auto", "AUTO"] {
        assert_eq!(parsed(&body(version)).value.protocol_version, None);
    }
    for version in ["1.3", "2.10", "5.0", "25"] {
        assert_eq!(error(&body(version)), format!("Illegal version {version}"));
    }
}

#[test]
fn a_password_is_never_repeated() {
    let error = error(r#"{"remote-store":{"uri":"hotrod://joe:secret@:x"}}"#);
    assert_eq!(
        error,
        "'uri' is \"***\" (line 1, column 3); it has to be a URI such as hotrod://user:password@host:11222"
    );
}

#[test]
fn a_reference_in_a_body_is_a_text() {
    let config = parsed(
        r#"{"remote-store":{"remote-server":{"host":"a"},"security":{"authentication":
            {"plain":{"username":"u","password":"${env.HOME}"}}}}}"#,
    );
    assert_eq!(config.value.authentication.unwrap().password, "${env.HOME}");
}
