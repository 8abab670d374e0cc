//! What an operator says of a source, as the client understands it.

use std::time::Duration;

use client::{
    Client, ClientConfig, ClientError, Credentials, Family, MediaType, MediaTypes, Protocol,
    ProtocolVersion, RemoteCache, ServerAddress,
};
use cluster::SourceServers;
use config::{AuthenticationElement, CacheName, RemoteStoreConfig};
use media::Conversion;

/// Time that a connection to the source may take to come about, unless the operator says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that was said of a source makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error(
        "TLS to the source is not there yet: take a port without it, or wait for a later version"
    )]
    Encryption,
    #[error(transparent)]
    Mechanism(#[from] client::UnknownMechanism),
    #[error("Illegal version {0}")]
    Version(String),
    #[error("a remote-store names no server")]
    NoServer,
}

/// The cache of the source that this one comes from.
pub(crate) fn cache_name(remote: &RemoteStoreConfig, cache: &CacheName) -> String {
    remote.cache.clone().unwrap_or_else(|| cache.to_string())
}

/// How the source is reached.
pub(crate) fn client_config(remote: &RemoteStoreConfig) -> Result<ClientConfig, RemoteError> {
    if remote.encryption {
        return Err(RemoteError::Encryption);
    }
    if remote.servers.is_empty() {
        return Err(RemoteError::NoServer);
    }
    let servers = remote
        .servers
        .iter()
        .map(|server| ServerAddress { host: server.host.clone(), port: server.port });
    let mut config = ClientConfig {
        connect_timeout: remote.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        protocol: protocol(remote.protocol_version.as_deref())?,
        ..ClientConfig::new(servers)
    };
    if let Some(timeout) = remote.socket_timeout {
        config.timeout = timeout;
    }
    if let Some(user) = &remote.authentication {
        config.credentials = Some(Credentials {
            realm: user.realm.clone(),
            mechanism: user.mechanism.as_deref().map(str::parse).transpose()?,
            preferred: user.element.map(|element| match element {
                AuthenticationElement::Plain => Family::Plain,
                AuthenticationElement::Digest => Family::Digest,
                AuthenticationElement::Scram => Family::Scram,
            }),
            server_name: user.server_name.clone().unwrap_or_else(|| "infinispan".into()),
            ..Credentials::new(&user.username, &user.password)
        });
    }
    Ok(config)
}

/// The cache of the source that `cache` comes from, asked in the formats in which it keeps its entries.
/// Servers of line 16 refuse, or convert, what is asked for without a format.
///
/// # Errors
///
/// If the source does not answer, or has no such cache.
pub(crate) async fn open(
    client: &Client,
    remote: &RemoteStoreConfig,
    cache: &CacheName,
) -> Result<RemoteCache, ClientError> {
    let opened = client.cache(&cache_name(remote, cache)).await?;
    let MediaTypes { key, value } = opened.media_types();
    // Java objects come as protostream: there is no other form in which they say of what type they are,
    // and here they are kept so. A real server keeps objects in its own caches, too.
    let own = |media_type: &Option<MediaType>| match media_type {
        _ if cache.is_internal() => Some(MediaType::PROTOSTREAM),
        Some(media_type) => Some(media_type.stored().clone()),
        None => None,
    };
    let formats = MediaTypes { key: own(key), value: own(value) };
    Ok(opened.in_formats(formats))
}

/// A key that is nobody's, in the format in which a source is asked for it: it has to be able to read it.
pub(crate) fn nobodys_key(media_type: Option<&MediaType>) -> Vec<u8> {
    const NAME: &str = "godwit-preflight-0e5f7d";
    let is = |known: MediaType| media_type.is_some_and(|media_type| *media_type == known);
    let len = u8::try_from(NAME.len()).unwrap_or(u8::MAX);
    if is(MediaType::JBOSS_MARSHALLING) {
        // Version 3 of the marshaller, a short string.
        return [&[0x03, 0x3e, len], NAME.as_bytes()].concat();
    }
    if media_type.is_some_and(|it| it.essence() == "application/x-java-serialized-object") {
        // Version 5 of the stream, a string.
        return [&[0xac, 0xed, 0x00, 0x05, 0x74, 0x00, len], NAME.as_bytes()].concat();
    }
    let text = if is(MediaType::JSON) { format!("\"{NAME}\"") } else { NAME.to_owned() };
    let conversion = Conversion::between(Some(&MediaType::TEXT), media_type);
    let converted = conversion.ok().and_then(|to| to.apply(text.as_bytes()).ok().map(Into::into));
    converted.unwrap_or_else(|| text.into_bytes())
}

/// The oldest protocol version in which a source names the formats of keys and values, and is asked in
/// them.
pub(crate) const NAMES_FORMATS: ProtocolVersion = ProtocolVersion::V2_9;

/// What the operator should know of the protocol version in the document.
pub(crate) fn version_notice(remote: &RemoteStoreConfig) -> Option<String> {
    let asked = remote.protocol_version.as_deref()?;
    let version: ProtocolVersion = asked.parse().ok()?;
    (version < NAMES_FORMATS).then(|| {
        format!(
            "protocol-version {asked} cannot name the formats of keys and values: {NAMES_FORMATS} is \
             spoken if the source knows it"
        )
    })
}

fn protocol(version: Option<&str>) -> Result<Protocol, RemoteError> {
    match version {
        None => Ok(Protocol::Auto),
        Some(auto) if auto.eq_ignore_ascii_case("auto") => Ok(Protocol::Auto),
        // Documents keep the version of the day on which they were written.
        Some(version) => version
            .parse()
            .map(|version: ProtocolVersion| Protocol::Version(version.max(NAMES_FORMATS)))
            .map_err(|_unknown| RemoteError::Version(version.into())),
    }
}

/// The servers of which a source consists.
pub(crate) fn source_servers(remote: &RemoteCache) -> SourceServers {
    let announced = remote.topology().is_some();
    SourceServers { names: remote.servers().iter().map(ToString::to_string).collect(), announced }
}

/// What the source's servers were configured as, for messages: never with a password.
pub(crate) fn servers(remote: &RemoteStoreConfig) -> String {
    let server = |server: &config::RemoteServer| format!("{}:{}", server.host, server.port);
    remote.servers.iter().map(server).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    //! What a document says of the login and of the version, and keys that a source can read.

    use client::Mechanism;
    use config::{Authentication, RemoteServer};

    use super::*;

    fn document() -> RemoteStoreConfig {
        RemoteStoreConfig::new(vec![RemoteServer { host: "127.0.0.1".into(), port: 11222 }])
    }

    #[test]
    fn the_element_of_the_document_says_what_is_tried_first() {
        use AuthenticationElement::{Digest, Plain, Scram};
        for (element, mechanism, preferred) in [
            (Some(Digest), None, Some(Family::Digest)),
            (Some(Scram), None, Some(Family::Scram)),
            (Some(Plain), None, Some(Family::Plain)),
            (None, None, None),
            (Some(Digest), Some("SCRAM-SHA-256"), Some(Family::Digest)),
        ] {
            let mut document = document();
            document.authentication = Some(Authentication {
                username: "u".into(),
                password: "p".into(),
                realm: None,
                server_name: None,
                mechanism: mechanism.map(str::to_owned),
                element,
            });
            let credentials = client_config(&document).unwrap().credentials.unwrap();
            assert_eq!(credentials.preferred, preferred);
            assert_eq!(credentials.mechanism, mechanism.map(|_| Mechanism::ScramSha256));
        }
    }

    #[test]
    fn a_version_that_cannot_name_formats_is_raised_and_noted() {
        let of = |version: &str| {
            let mut document = document();
            document.protocol_version = Some(version.into());
            let protocol = client_config(&document).map(|config| config.protocol);
            (protocol, version_notice(&document))
        };
        for version in ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8"] {
            let (protocol, notice) = of(version);
            assert_eq!(protocol.unwrap(), Protocol::Version(ProtocolVersion::V2_9));
            let text = format!(
                "protocol-version {version} cannot name the formats of keys and values: 2.9 is spoken if \
                 the source knows it"
            );
            assert_eq!(notice, Some(text));
        }
        for version in ["2.9", "3.0", "3.1", "4.0", "4.1"] {
            let (protocol, notice) = of(version);
            assert_eq!(protocol.unwrap(), Protocol::Version(version.parse().unwrap()));
            assert_eq!(notice, None);
        }
        assert_eq!(of("auto").0.unwrap(), Protocol::Auto);
        assert_eq!(of("auto").1, None);
    }

    #[test]
    fn nobodys_key_is_one_in_every_format() {
        let key = |name: &str| {
            let media_type: MediaType = name.parse().unwrap();
            nobodys_key(Some(&media_type))
        };
        let name = b"godwit-preflight-0e5f7d";
        assert_eq!(nobodys_key(None), name);
        assert_eq!(key("application/octet-stream"), name);
        assert_eq!(key("text/plain"), name);
        assert_eq!(key("text/plain; charset=UTF-16LE").len(), 2 * name.len());
        assert_eq!(key("text/plain; charset=klingon"), name);
        assert_eq!(key("application/json"), b"\"godwit-preflight-0e5f7d\"");
        assert_eq!(key("application/xml"), b"<string>godwit-preflight-0e5f7d</string>");
        assert_eq!(key("application/x-protostream"), [&b"\x4a\x17"[..], name].concat());
        assert_eq!(key("application/x-jboss-marshalling"), [&b"\x03\x3e\x17"[..], name].concat());
        assert_eq!(
            key("application/x-java-serialized-object"),
            [&b"\xac\xed\x00\x05\x74\x00\x17"[..], name].concat()
        );
    }
}
