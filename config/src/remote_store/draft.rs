//! What URIs and client properties say about a source, before its elements have their say.

use std::time::Duration;

use super::{Authentication, RemoteServer, read::refuse_mask, uri};
use crate::{
    ConfigError,
    fields::{not_used, refused},
    notes::Notes,
    tree::{Attribute, Element},
};

/// Prefix of the properties of a Hot Rod client.
const PREFIX: &str = "infinispan.client.hotrod.";

/// What a URI has to be.
pub(super) const URI: &str = "a URI such as hotrod://user:password@host:11222";

/// Mechanisms that need more than a name and a password.
const UNKNOWN_MECHANISMS: &[&str] = &["EXTERNAL", "OAUTHBEARER", "GSSAPI", "GS2-KRB5"];

/// Versions of the Hot Rod protocol that a source may speak.
const VERSIONS: &[&str] = &[
    "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "3.0", "3.1", "4.0",
    "4.1",
];

/// A source as far as it is described. What is said later wins.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) servers: Vec<RemoteServer>,
    pub(super) encryption: bool,
    pub(super) protocol_version: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) socket_timeout: Option<Duration>,
    pub(super) mechanism: Option<String>,
    pub(super) realm: Option<String>,
    pub(super) server_name: Option<String>,
    username: Option<String>,
    password: Option<String>,
    is_anonymous: bool,
}

impl Draft {
    /// Takes in a URI.
    pub(super) fn uri(&mut self, uri: &Attribute, notes: &mut Notes) {
        let Some(parsed) = uri::parse(&uri.value) else {
            notes.problem(uri.secret_error(URI));
            return;
        };
        self.servers = parsed.servers;
        self.encryption = parsed.encryption;
        self.username = parsed.username.or_else(|| self.username.take());
        self.password = parsed.password.or_else(|| self.password.take());
        for (spelled, value) in parsed.properties {
            let name = spelled.clone();
            let property = Attribute { name, spelled, value, items: Vec::new(), place: uri.place };
            let taken = self.property(&property, "uri", notes);
            notes.check(taken);
        }
    }

    /// Takes in the properties of an element: `properties` with attributes or `property` in it, and
    /// `property` beside it.
    pub(super) fn properties(&mut self, element: &Element, notes: &mut Notes) {
        let properties = notes.check(properties_of(element)).unwrap_or_default();
        let is_uri = |property: &&Attribute| key_of(property) == "uri";
        // The URI first: what is said besides is more exact.
        properties.iter().filter(is_uri).for_each(|property| self.uri(property, notes));
        for property in properties.iter().filter(|property| !is_uri(property)) {
            let taken = self.property(property, "properties", notes);
            notes.check(taken);
        }
    }

    fn property(
        &mut self,
        property: &Attribute,
        from: &str,
        notes: &mut Notes,
    ) -> Result<(), ConfigError> {
        let value = || property.value.clone();
        match key_of(property) {
            // Metadata and raw bytes are always carried.
            "migration" => {}
            "server_list" => {
                self.servers = uri::server_list(&property.value)
                    .ok_or_else(|| property.error("servers such as host:11222;host:11222"))?;
            }
            "auth_username" => self.username = Some(value()),
            "auth_password" => {
                refuse_mask(property, notes);
                self.password = Some(value());
            }
            "auth_realm" => self.realm = Some(value()).filter(|realm| !realm.is_empty()),
            "auth_server_name" => {
                self.server_name = Some(value()).filter(|name| !name.is_empty());
            }
            "sasl_mechanism" => self.mechanism = mechanism(property)?,
            "use_auth" => self.is_anonymous = !property.flag()?,
            "use_ssl" => self.encryption = property.flag()?,
            "protocol_version" => self.protocol_version = protocol_version(property)?,
            "connect_timeout" => self.connect_timeout = timeout(property)?,
            "socket_timeout" => self.socket_timeout = timeout(property)?,
            "auth_token" | "auth_callback_handler" | "auth_client_subject" => {
                return Err(no_such_login(property));
            }
            key => {
                let secures = ["trust_store", "key_store", "ssl_", "sni_", "key_alias"];
                self.encryption |= secures.iter().any(|prefix| key.starts_with(prefix));
                notes.ignore(not_used(&property.spelled, from, ""), property.place);
            }
        }
        Ok(())
    }

    /// Who we are at the source, as far as no element says so.
    pub(super) fn authentication(
        &mut self,
        element: &Element,
    ) -> Result<Option<Authentication>, ConfigError> {
        if self.is_anonymous {
            return Ok(None);
        }
        match (self.username.take(), self.password.take()) {
            (None, None) => Ok(None),
            (Some(username), Some(password)) => Ok(Some(Authentication {
                username,
                password,
                realm: self.realm.take(),
                server_name: self.server_name.take(),
                mechanism: self.mechanism.take(),
                element: None,
            })),
            (Some(_), None) => Err(crate::fields::missing("password", element)),
            (None, Some(_)) => Err(crate::fields::missing("username", element)),
        }
    }
}

/// Returns whether a property says how to connect, and so becomes a part of the configuration.
pub(crate) fn is_client_setting(name: &str) -> bool {
    const SETTINGS: &[&str] = &[
        "auth_password",
        "auth_realm",
        "auth_server_name",
        "auth_username",
        "connect_timeout",
        "migration",
        "protocol_version",
        "sasl_mechanism",
        "server_list",
        "socket_timeout",
        "uri",
        "use_auth",
        "use_ssl",
    ];
    SETTINGS.contains(&name.strip_prefix(PREFIX).unwrap_or(name))
}

/// The client properties of an element, each as an attribute.
fn properties_of(element: &Element) -> Result<Vec<Attribute>, ConfigError> {
    let lists = || element.children("properties");
    let mut properties: Vec<_> = lists().flat_map(|list| list.attributes.clone()).collect();
    let listed = lists().flat_map(|list| list.children("property"));
    for property in listed.chain(element.children("property")) {
        let name = property.attribute("name");
        let name = name.ok_or_else(|| crate::fields::missing("name", property))?;
        let value = property.attribute("value").map_or(&property.text, |value| &value.value);
        properties.push(Attribute {
            name: name.value.clone(),
            spelled: name.value.clone(),
            value: value.clone(),
            items: Vec::new(),
            place: property.place,
        });
    }
    Ok(properties)
}

fn key_of(property: &Attribute) -> &str {
    property.spelled.strip_prefix(PREFIX).unwrap_or(&property.spelled)
}

/// A SASL mechanism, if it is said.
pub(super) fn mechanism(attribute: &Attribute) -> Result<Option<String>, ConfigError> {
    let mechanism = attribute.value.trim();
    if UNKNOWN_MECHANISMS.contains(&mechanism) {
        return Err(no_such_login(attribute));
    }
    Ok(Some(mechanism.to_owned()).filter(|mechanism| !mechanism.is_empty()))
}

fn no_such_login(attribute: &Attribute) -> ConfigError {
    let why = "a source is logged in to with user name and password; give plain, digest or scram";
    refused(format!("'{}'", attribute.spelled), why, attribute.place)
}

/// The newest protocol version to speak; `None` for the newest that both know.
pub(super) fn protocol_version(attribute: &Attribute) -> Result<Option<String>, ConfigError> {
    let version = attribute.value.as_str();
    if version.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    if VERSIONS.contains(&version) {
        return Ok(Some(version.into()));
    }
    Err(ConfigError::IllegalVersion { version: version.into(), place: attribute.place })
}

/// A time to wait; `None` for what Java takes as "for ever".
pub(super) fn timeout(attribute: &Attribute) -> Result<Option<Duration>, ConfigError> {
    attribute.time_or_unlimited().map(|time| time.filter(|time| !time.is_zero()))
}
