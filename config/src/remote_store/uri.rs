//! `hotrod[s]://[user[:password]@]host[:port][,host[:port]]…[?name=value&…]`

use super::{DEFAULT_PORT, RemoteServer};

/// The parts of a Hot Rod URI, decoded.
pub(super) struct HotRodUri {
    pub(super) servers: Vec<RemoteServer>,
    pub(super) encryption: bool,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// Client properties without their prefix.
    pub(super) properties: Vec<(String, String)>,
}

/// Reads a URI; `None` if it is none. It is not repeated in messages: it may hold a password.
pub(super) fn parse(uri: &str) -> Option<HotRodUri> {
    let (scheme, rest) = uri.trim().split_once("://")?;
    let encryption = match scheme {
        "hotrod" => false,
        "hotrods" => true,
        _ => return None,
    };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (username, password) = match user.split_once(':') {
        Some((username, password)) => (username, Some(percent_decoded(password)?)),
        None => (user, None),
    };
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    Some(HotRodUri {
        servers: hosts.split(',').map(server).collect::<Option<_>>()?,
        encryption,
        username: Some(percent_decoded(username)?).filter(|username| !username.is_empty()),
        password,
        properties: query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(pair)
            .collect::<Option<_>>()?,
    })
}

/// Servers as the client property lists them: `host:port;host:port`.
pub(super) fn server_list(list: &str) -> Option<Vec<RemoteServer>> {
    list.split(';').map(str::trim).filter(|part| !part.is_empty()).map(server).collect()
}

/// `host`, `host:port`, `[address]:port`
pub(crate) fn server(text: &str) -> Option<RemoteServer> {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, behind) = bracketed.split_once(']')?;
            (address, if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    (is_host(host) && port > 0).then(|| RemoteServer { host: host.into(), port })
}

/// Returns whether a text can be the name or address of a machine. An address has two colons or more; with one,
/// there is a port behind a name.
pub(crate) fn is_host(host: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || "-._:%".contains(letter);
    let has_port = host.matches(':').count() == 1;
    (1..=255).contains(&host.len()) && host.chars().all(is_letter) && !has_port
}

fn pair(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    Some((percent_decoded(name)?, percent_decoded(value)?))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (code, behind) = part.split_at_checked(2)?;
        if !code.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(behind.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    //! What a URI says, and what is none.

    use super::*;

    fn servers(list: &[RemoteServer]) -> Vec<(&str, u16)> {
        list.iter().map(|server| (server.host.as_str(), server.port)).collect()
    }

    #[test]
    fn a_uri_says_servers_user_and_properties() {
        let uri =
            parse("hotrods://joe:p%40ss:w@one,two:1,[::1]:2?sasl_mechanism=PLAIN&auth_realm=a%20b")
                .unwrap();
        assert_eq!(servers(&uri.servers), [("one", 11222), ("two", 1), ("::1", 2)]);
        assert!(uri.encryption);
        assert_eq!(
            (uri.username.as_deref(), uri.password.as_deref()),
            (Some("joe"), Some("p@ss:w"))
        );
        let properties = [("sasl_mechanism", "PLAIN"), ("auth_realm", "a b")];
        assert_eq!(uri.properties, properties.map(|(name, value)| (name.into(), value.into())));

        let uri = parse("hotrod://h/").unwrap();
        assert_eq!(servers(&uri.servers), [("h", 11222)]);
        assert!(!uri.encryption && uri.username.is_none() && uri.password.is_none());
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for uri in [
            "",
            "http://h",
            "hotrod:h",
            "hotrod://",
            "hotrod://h:x",
            "hotrod://h:0",
            "hotrod://h:70000",
            "hotrod://h,",
            "hotrod://a b",
            "hotrod://j%4@h",
            "hotrod://j%+1@h",
            "hotrod://h?x",
            "hotrod://[::1",
        ] {
            assert!(parse(uri).is_none(), "{uri}");
        }
    }

    #[test]
    fn a_server_list_is_divided_by_semicolons() {
        let list = server_list("one:1; two ;[fe80::1%eth0]:3").unwrap();
        assert_eq!(servers(&list), [("one", 1), ("two", 11222), ("fe80::1%eth0", 3)]);
        assert!(server_list("one:x").is_none());
    }
}
