//! A remote store as a real server writes it.

use serde_json::{Value, json};

use super::{Authentication, AuthenticationElement, RemoteStoreConfig};
use crate::write::{Child, Node};

/// What stands in the place of a secret that is not shown.
pub(super) const MASK: &str = "***";

/// Whether secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are replaced: for everyone who may look.
    Masked,
    /// They are written: for our own storage.
    Kept,
}

impl RemoteStoreConfig {
    /// `{"remote-store":{…}}` as a real server shows its source connection: numbers as texts,
    /// defaults of the connection pool written out. The password is not in it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut node = node(self, Secrets::Masked);
        let pool = Node::new("connection-pool")
            .text("exhausted-action", "WAIT")
            .text("max-active", "-1")
            .text("max-pending-requests", "5")
            .text("max-wait", "-1")
            .text("min-idle", "-1")
            .text("min-evictable-idle-time", "180000");
        node.children.insert(0, Child::Element(pool));
        json!({ "remote-store": node.to_json() })
    }

    /// As a document with the password, for our own storage. What was [ignored](Self::ignored) is
    /// not in it: it was shown once.
    #[must_use]
    pub fn to_stored_json(&self) -> String {
        json!({ "remote-store": node(self, Secrets::Kept).to_json() }).to_string()
    }
}

/// The `remote-store` element.
pub(crate) fn node(config: &RemoteStoreConfig, secrets: Secrets) -> Node {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut node = Node::new("remote-store")
        .flag("shared", true)
        .text_if("cache", config.cache.as_deref())
        .number_if("connect-timeout", config.connect_timeout.map(millis))
        .text_if("protocol-version", config.protocol_version.as_deref())
        .number_if("socket-timeout", config.socket_timeout.map(millis));
    if config.read_only {
        node = node.flag("read-only", true);
    }
    let servers = config.servers.iter().map(|server| {
        Node::new("remote-server").text("host", &server.host).number("port", server.port.into())
    });
    node.children.push(Child::List("remote-server".into(), servers.collect()));

    let mut properties = vec![("migration".to_owned(), "true".to_owned())];
    let mut security = Node::new("security");
    if let Some(authentication) = &config.authentication {
        match authentication.element {
            Some(element) => security = security.child(user(authentication, element, secrets)),
            None => properties.extend(user_properties(authentication, secrets)),
        }
    }
    if config.encryption {
        security = security.child(Node::new("encryption"));
    }
    if !security.children.is_empty() {
        node = node.child(security);
    }
    node.children.push(Child::Properties(properties));
    node
}

/// The `authentication` element.
fn user(authentication: &Authentication, element: AuthenticationElement, secrets: Secrets) -> Node {
    let name = match element {
        AuthenticationElement::Plain => "plain",
        AuthenticationElement::Digest => "digest",
        AuthenticationElement::Scram => "scram",
    };
    let user = Node::new(name)
        .text("username", &authentication.username)
        .text("password", shown(&authentication.password, secrets))
        .text_if("realm", authentication.realm.as_deref())
        .text_if("sasl-mechanism", authentication.mechanism.as_deref());
    Node::new("authentication")
        .text_if("server-name", authentication.server_name.as_deref())
        .child(user)
}

/// A user that no element named, as the properties of a client.
fn user_properties(
    authentication: &Authentication,
    secrets: Secrets,
) -> impl Iterator<Item = (String, String)> {
    let said = [
        ("auth_username", Some(authentication.username.as_str())),
        ("auth_password", Some(shown(&authentication.password, secrets))),
        ("auth_realm", authentication.realm.as_deref()),
        ("auth_server_name", authentication.server_name.as_deref()),
        ("sasl_mechanism", authentication.mechanism.as_deref()),
    ];
    said.into_iter().filter_map(|(name, value)| {
        value.map(|value| (format!("infinispan.client.hotrod.{name}"), value.to_owned()))
    })
}

/// A secret as it is written.
pub(crate) const fn shown(password: &str, secrets: Secrets) -> &str {
    match secrets {
        Secrets::Masked => MASK,
        Secrets::Kept => password,
    }
}
