//! Parses `hotrod://user:password@host:port,host?property=value`, the syntax of Infinispan's
//! clients.

use std::{str::FromStr, time::Duration};

use hotrod::{Intelligence, ProtocolVersion, ServerAddress};

use super::{ClientConfig, DEFAULT_PORT, Protocol};
use crate::credentials::Credentials;

/// Error for a text that is not the URI of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It has another scheme.
    #[error("the address of a cluster begins with hotrod://")]
    Scheme,

    /// It asks for encryption.
    #[error("TLS is not supported yet: use hotrod:// instead of hotrods://")]
    Tls,

    /// It names no server, or a malformed one.
    #[error("\"{0}\" is not a server such as host, host:11222 or [::1]:11222")]
    Server(String),

    /// A `%` is not followed by two hexadecimal digits, or the decoded text is not UTF-8.
    #[error("the {0} is not percent-encoded UTF-8")]
    Encoding(&'static str),

    /// A property has no value or an invalid one.
    #[error("the property {name} cannot be \"{value}\"")]
    Property {
        /// Name of the property.
        name: String,
        /// Its value.
        value: String,
    },

    /// There is a user without a password, or a password without a user.
    #[error("a login needs both a user and a password")]
    HalfLogin,
}

impl FromStr for ClientConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        if text.starts_with("hotrods://") {
            return Err(ConfigError::Tls);
        }
        let rest = text.strip_prefix("hotrod://").ok_or(ConfigError::Scheme)?;
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(login), servers),
            None => (None, authority),
        };
        let servers = servers.split(',').map(server).collect::<Result<Vec<_>, _>>()?;
        let mut config = Self::new(servers);
        let mut login = login.map(Login::parse).transpose()?.unwrap_or_default();
        for property in query.split('&').filter(|property| !property.is_empty()) {
            let (name, value) = property.split_once('=').unwrap_or((property, ""));
            let name = decoded("name of a property", name)?;
            let value = decoded("value of a property", value)?;
            set(&mut config, &mut login, name, value)?;
        }
        config.credentials = login.credentials()?;
        Ok(config)
    }
}

/// User, password and login properties in a URI.
#[derive(Default)]
struct Login {
    user: Option<String>,
    password: Option<String>,
    realm: Option<String>,
    server_name: Option<String>,
    mechanism: Option<crate::Mechanism>,
}

impl Login {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(decoded("password", password)?)),
            None => (text, None),
        };
        Ok(Self { user: Some(decoded("user", user)?), password, ..Self::default() })
    }

    fn credentials(self) -> Result<Option<Credentials>, ConfigError> {
        let (user, password) = match (self.user, self.password) {
            (Some(user), Some(password)) => (user, password),
            (None, None) => return Ok(None),
            _ => return Err(ConfigError::HalfLogin),
        };
        let mut credentials = Credentials::new(user, password);
        credentials.realm = self.realm;
        credentials.mechanism = self.mechanism;
        if let Some(server_name) = self.server_name {
            credentials.server_name = server_name;
        }
        Ok(Some(credentials))
    }
}

/// Sets one property. The names are those of Infinispan's Java client, without their common prefix.
fn set(
    config: &mut ClientConfig,
    login: &mut Login,
    name: String,
    value: String,
) -> Result<(), ConfigError> {
    fn read<T: FromStr>(name: &str, value: &str) -> Result<T, ConfigError> {
        let refused = || ConfigError::Property { name: name.into(), value: value.into() };
        value.parse().map_err(|_unreadable| refused())
    }
    let millis = |name: &str| read(name, &value).map(Duration::from_millis);
    match name.as_str() {
        "auth_username" => login.user = Some(value),
        "auth_password" => login.password = Some(value),
        "auth_realm" => login.realm = Some(value),
        "auth_server_name" => login.server_name = Some(value),
        "sasl_mechanism" => login.mechanism = Some(read(&name, &value)?),
        "connect_timeout" => config.connect_timeout = millis(&name)?,
        "socket_timeout" => config.timeout = millis(&name)?,
        "max_retries" => config.max_retries = read(&name, &value)?,
        "protocol_version" if value.eq_ignore_ascii_case("auto") => {
            config.protocol = Protocol::Auto;
        }
        "protocol_version" => {
            config.protocol = Protocol::Version(read::<ProtocolVersion>(&name, &value)?);
        }
        "client_intelligence" => {
            config.intelligence = match value.to_ascii_uppercase().as_str() {
                "BASIC" => Intelligence::Basic,
                "TOPOLOGY_AWARE" => Intelligence::TopologyAware,
                "HASH_DISTRIBUTION_AWARE" => Intelligence::HashAware,
                _ => return Err(ConfigError::Property { name, value }),
            }
        }
        "use_ssl" if value.eq_ignore_ascii_case("true") => return Err(ConfigError::Tls),
        _ => config.ignored.push(name),
    }
    Ok(())
}

fn server(text: &str) -> Result<ServerAddress, ConfigError> {
    let refused = || ConfigError::Server(text.to_owned());
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(refused)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_host = !host.is_empty() && !host.contains([' ', '/', '@', '%', '[', ']']);
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0),
        None => Some(DEFAULT_PORT),
    };
    match port {
        Some(port) if is_host => Ok(ServerAddress { host: host.to_owned(), port }),
        _ => Err(refused()),
    }
}

fn decoded(what: &'static str, text: &str) -> Result<String, ConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or(ConfigError::Encoding(what))?;
        let digit =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = match digits {
            [high, low] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(byte.ok_or(ConfigError::Encoding(what))?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_not_utf8| ConfigError::Encoding(what))
}

#[cfg(test)]
mod tests {
    //! URIs as users write them.

    use super::*;
    use crate::Mechanism;

    fn parse(text: &str) -> Result<ClientConfig, ConfigError> {
        text.parse()
    }

    fn address(host: &str, port: u16) -> ServerAddress {
        ServerAddress { host: host.into(), port }
    }

    #[test]
    fn servers_are_read_with_and_without_a_port() {
        let config = parse("hotrod://one,two:11322,[::1]:11422,[::2]/").unwrap();
        let servers = [
            address("one", 11222),
            address("two", 11322),
            address("::1", 11422),
            address("::2", 11222),
        ];
        assert_eq!(config.servers, servers);
        assert_eq!(config.credentials, None);
    }

    #[test]
    fn a_login_and_properties_are_percent_decoded() {
        let config = parse(
            "hotrod://j%C3%BCrg:p%40ss%3Aw@host?sasl_mechanism=DIGEST-MD5&auth_realm=a%26b\
             &auth_server_name=node&socket_timeout=1500&connect_timeout=250&max_retries=0\
             &protocol_version=2.9&client_intelligence=BASIC&tcp_no_delay=true&use_ssl=false",
        )
        .unwrap();
        let credentials = config.credentials.unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("jürg", "p@ss:w"));
        assert_eq!(credentials.realm.as_deref(), Some("a&b"));
        assert_eq!(credentials.server_name, "node");
        assert_eq!(credentials.mechanism, Some(Mechanism::DigestMd5));
        assert_eq!(config.timeout, Duration::from_millis(1500));
        assert_eq!(config.connect_timeout, Duration::from_millis(250));
        assert_eq!((config.max_retries, config.intelligence), (0, Intelligence::Basic));
        assert_eq!(config.protocol, Protocol::Version(ProtocolVersion::V2_9));
        assert_eq!(config.ignored, ["tcp_no_delay", "use_ssl"]);
    }

    #[test]
    fn errors_name_the_faulty_part() {
        let table = [
            ("http://host", "the address of a cluster begins with hotrod://"),
            ("hotrods://host", "TLS is not supported yet: use hotrod:// instead of hotrods://"),
            (
                "hotrod://host?use_ssl=true",
                "TLS is not supported yet: use hotrod:// instead of hotrods://",
            ),
            ("hotrod://", "\"\" is not a server such as host, host:11222 or [::1]:11222"),
            ("hotrod://a,,b", "\"\" is not a server such as host, host:11222 or [::1]:11222"),
            ("hotrod://a:0", "\"a:0\" is not a server such as host, host:11222 or [::1]:11222"),
            ("hotrod://::1", "\"::1\" is not a server such as host, host:11222 or [::1]:11222"),
            ("hotrod://u:p%4@a", "the password is not percent-encoded UTF-8"),
            ("hotrod://u%FF:p@a", "the user is not percent-encoded UTF-8"),
            ("hotrod://u@a", "a login needs both a user and a password"),
            ("hotrod://a?socket_timeout=2s", "the property socket_timeout cannot be \"2s\""),
            ("hotrod://a?protocol_version=1.3", "the property protocol_version cannot be \"1.3\""),
            (
                "hotrod://a?sasl_mechanism=GSSAPI",
                "the property sasl_mechanism cannot be \"GSSAPI\"",
            ),
        ];
        for (uri, text) in table {
            assert_eq!(parse(uri).unwrap_err().to_string(), text, "{uri}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = parse("hotrod://user:hunter2@host").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}
