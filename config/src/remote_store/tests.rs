//! Every spelling of a source, what is refused, and what a real server would show of it.

use super::*;
use crate::{ConfigError, Format, Options, Parsed, parse_cache, parse_remote_store};

/// Reads the store of a cache, whose element is given as XML.
fn parsed(store: &str) -> Parsed<RemoteStoreConfig> {
    let xml = format!("<distributed-cache><persistence>{store}</persistence></distributed-cache>");
    let parsed = parse_cache(xml.as_bytes(), Format::Xml, &Options::default());
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}: {store}"));
    parsed.map(|cache| cache.config.remote_store.unwrap())
}

fn config(store: &str) -> RemoteStoreConfig {
    parsed(store).value
}

fn error(store: &str) -> ConfigError {
    let xml = format!("<distributed-cache><persistence>{store}</persistence></distributed-cache>");
    parse_cache(xml.as_bytes(), Format::Xml, &Options::default()).unwrap_err()
}

fn server(host: &str, port: u16) -> RemoteServer {
    RemoteServer { host: host.into(), port }
}

/// A store with one server and something else.
fn with(attributes: &str, content: &str) -> String {
    format!("<remote-store {attributes}><remote-server host='h'/>{content}</remote-store>")
}

#[test]
fn the_example_of_the_manual_in_xml_connects() {
    let Parsed { value: config, ignored } = parsed(
        "<remote-store xmlns='urn:infinispan:config:store:remote:15.0' cache='myDistCache' \
           protocol-version='2.5' segmented='false'>\
           <security><authentication server-name='infinispan'>\
             <digest username='admin' password='changeme' realm='default'/></authentication></security>\
           <remote-server host='127.0.0.1' port='11222'/><property name='migration'>true</property>\
         </remote-store>",
    );
    assert_eq!(ignored, []);
    let expected = RemoteStoreConfig {
        cache: Some("myDistCache".into()),
        servers: vec![server("127.0.0.1", 11222)],
        authentication: Some(Authentication {
            username: "admin".into(),
            password: "changeme".into(),
            realm: Some("default".into()),
            server_name: Some("infinispan".into()),
            mechanism: None,
            element: Some(AuthenticationElement::Digest),
        }),
        encryption: false,
        read_only: false,
        protocol_version: Some("2.5".into()),
        connect_timeout: None,
        socket_timeout: None,
        ignored: vec![],
    };
    assert!(config == expected, "{config:?}");
}

#[test]
fn a_store_of_the_eighth_line_stands_in_the_cache_and_names_a_binding() {
    let document = |binding: &str| {
        format!(
            "<config><subsystem><cache-container><distributed-cache name='c'>\
             <remote-store cache='mycache' socket-timeout='60000' tcp-no-delay='true' protocol-version='2.6' \
               shared='true' hotrod-wrapping='true' purge='false' passivation='false'>\
             <remote-server outbound-socket-binding='x'/></remote-store></distributed-cache>\
             </cache-container></subsystem>{binding}</config>"
        )
    };
    let binding = "<outbound-socket-binding name='x'><remote-destination host='old' port='11322'/>\
                   </outbound-socket-binding>";
    let parsed = parse_cache(document(binding).as_bytes(), Format::Xml, &Options::default());
    let store = parsed.unwrap().value.config.remote_store.unwrap();
    assert_eq!(store.servers, [server("old", 11322)]);
    assert_eq!(store.socket_timeout, Some(Duration::from_mins(1)));

    let wrong = binding.replace("'old'", "'o l d'");
    let error = parse_cache(document(&wrong).as_bytes(), Format::Xml, &Options::default());
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("'host' is \"o l d\""), "{error}");
    let error = parse_cache(document("").as_bytes(), Format::Xml, &Options::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("there is no outbound-socket-binding 'x' in this document"),
        "{error}"
    );
}

#[test]
fn security_of_the_ninth_line_stands_in_the_store() {
    let config = config(&with(
        "",
        "<authentication><digest username='u' password='p' realm='r' server-name='s'/></authentication>\
         <encryption security-realm='x' sni-hostname='y'/>",
    ));
    let user = config.authentication.unwrap();
    assert_eq!((user.realm.as_deref(), user.server_name.as_deref()), (Some("r"), Some("s")));
    assert!(config.encryption);
}

#[test]
fn a_uri_or_the_properties_of_a_client_describe_a_source() {
    for store in [
        "<remote-store uri='hotrods://u:p@a,b:2?auth_realm=r&amp;sasl_mechanism=SCRAM-SHA-256'/>",
        "<remote-store><property name='infinispan.client.hotrod.uri'>\
           hotrods://u:p@a,b:2?auth_realm=r&amp;sasl_mechanism=SCRAM-SHA-256</property></remote-store>",
        "<remote-store><properties><property name='infinispan.client.hotrod.server_list'>a;b:2</property>\
           <property name='infinispan.client.hotrod.auth_username' value='u'/>\
           <property name='auth_password'>p</property><property name='auth_realm'>r</property>\
           <property name='sasl_mechanism'>SCRAM-SHA-256</property><property name='use_ssl'>true</property>\
           </properties></remote-store>",
    ] {
        let config = config(store);
        assert_eq!(config.servers, [server("a", 11222), server("b", 2)], "{store}");
        assert!(config.encryption, "{store}");
        let user = config.authentication.unwrap();
        assert_eq!((user.username.as_str(), user.password.as_str()), ("u", "p"));
        assert_eq!(user.realm.as_deref(), Some("r"));
        assert_eq!(user.mechanism.as_deref(), Some("SCRAM-SHA-256"));
        assert_eq!(user.element, None);
    }
}

#[test]
fn what_an_element_says_wins_over_a_uri() {
    let config = config(
        "<remote-store uri='hotrod://u:p@a?protocol_version=2.5&amp;connect_timeout=1' protocol-version='3.0'>\
         <remote-server host='a'/><remote-server host='[::1]' port='7'/>\
         <security><authentication><scram username='v' password='q'/></authentication></security></remote-store>",
    );
    assert_eq!(config.servers, [server("a", 11222), server("::1", 7)]);
    assert_eq!(config.protocol_version.as_deref(), Some("3.0"));
    assert_eq!(config.connect_timeout, Some(Duration::from_millis(1)));
    let user = config.authentication.unwrap();
    assert_eq!((user.username.as_str(), user.element), ("v", Some(AuthenticationElement::Scram)));
}

#[test]
fn a_store_may_use_a_client_of_the_container() {
    let xml = |store: &str| {
        format!(
            "<infinispan><remote-cache-containers>\
             <remote-cache-container name='old' uri='hotrod://u:p@one,two:12111'>\
               <property name='infinispan.client.hotrod.auth_realm'>r</property></remote-cache-container>\
             <remote-cache-container uri='hotrod://three'/></remote-cache-containers><cache-container>\
             <distributed-cache><persistence>{store}</persistence></distributed-cache></cache-container></infinispan>"
        )
    };
    let read =
        |document: &str, format| parse_cache(document.as_bytes(), format, &Options::default());
    let store =
        |document: &str, format| read(document, format).unwrap().value.config.remote_store.unwrap();

    let named = store(&xml("<remote-store remote-cache-container='old'/>"), Format::Xml);
    assert_eq!(named.servers, [server("one", 11222), server("two", 12111)]);
    assert_eq!(named.authentication.unwrap().realm.as_deref(), Some("r"));
    let unnamed = store(&xml("<remote-store cache='c'/>"), Format::Xml);
    assert_eq!(unnamed.servers, [server("three", 11222)]);
    let error =
        read(&xml("<remote-store remote-cache-container='new'/>"), Format::Xml).unwrap_err();
    assert!(error.to_string().starts_with("there is no remote-cache-container 'new'"), "{error}");

    let json = r#"{"infinispan":{"remote-cache-containers":[{"uri":"hotrod://one,two:12111"}],
        "cache-container":{"caches":{"c":{"distributed-cache":{"remote-store":{"cache":"c"}}}}}}}"#;
    assert_eq!(store(json, Format::Json).servers, [server("one", 11222), server("two", 12111)]);
}

#[test]
fn what_would_change_the_source_or_lose_data_is_refused() {
    for store in [
        with("purge='true'", ""),
        with("preload='true'", ""),
        with("passivation='true'", ""),
        with("write-only='true'", ""),
        with("transactional='true'", ""),
        with("", "<security><authentication><external/></authentication></security>"),
        "<remote-store uri='hotrod://h?sasl_mechanism=EXTERNAL'/>".to_owned(),
        format!("{0}{0}", with("", "")),
    ] {
        assert!(matches!(error(&store), ConfigError::Refused { .. }), "{store}");
    }
    assert!(config(&with("read-only='true'", "")).read_only);
}

#[test]
fn what_is_wrong_with_a_store_is_told() {
    for (store, text) in [
        ("<remote-store/>".into(), "'remote-store' has no remote-server or uri"),
        ("<remote-store><remote-server/></remote-store>".into(), "'remote-server' has no host"),
        ("<remote-store><remote-server host='a b'/></remote-store>".into(), "'host' is \"a b\""),
        (
            "<remote-store><remote-server host='a' port='0'/></remote-store>".into(),
            "'port' is \"0\"",
        ),
        (with("socket-timeout='soon'", ""), "'socket-timeout' is \"soon\""),
        (
            with("shared='perhaps'", "<security><authentication/></security>"),
            "'authentication' has no plain, digest or scram",
        ),
        (
            with("", "<security><authentication><plain username='u'/></authentication></security>"),
            "'plain' has no password",
        ),
        (
            with(
                "",
                "<security><authentication><plain username='u' password='p'/>\
                 <digest username='u' password='p'/></authentication></security>",
            ),
            "Unexpected element 'digest' encountered[",
        ),
        ("<remote-store uri='hotrod://u@h'/>".into(), "'remote-store' has no password"),
        (with("", "<property>x</property>"), "'property' has no name"),
    ] {
        let error = error(&store).to_string();
        assert!(error.starts_with(text), "{error}: {store}");
    }
}

#[test]
fn a_port_in_a_host_is_said_to_have_a_place_of_its_own() {
    for host in ["127.0.0.1:31100", "localhost:1", "[::1]:7"] {
        let error =
            error(&format!("<remote-store><remote-server host='{host}' port='8'/></remote-store>"));
        assert!(error.to_string().ends_with("alone; its port stands in 'port'"), "{error}");
    }
    let other = error("<remote-store><remote-server host='a:b'/></remote-store>").to_string();
    assert!(other.ends_with("it has to be the name or address of a machine"), "{other}");
    config("<remote-store><remote-server host='fe80::1%eth0'/></remote-store>");
}

#[test]
fn what_is_of_other_eras_is_accepted_and_noted_where_it_matters() {
    let Parsed { value: config, ignored } = parsed(&with(
        "shared='false' segmented='true' raw-values='true' hotrod-wrapping='true' fetch-state='false' \
         ping-on-start='true' marshaller='x.Y' key-size-estimate='1' tcp-no-delay='true' \
         force-return-values='false'",
        "<connection-pool max-total='1' test-idle='true'/><write-behind modification-queue-size='1'/>\
         <property name='infinispan.client.hotrod.max_retries'>3</property>",
    ));
    let whats: Vec<_> = ignored.into_iter().map(|ignored| ignored.what).collect();
    assert_eq!(
        whats,
        [
            "'fetch-state' of 'remote-store'",
            "'ping-on-start' of 'remote-store'",
            "'marshaller' of 'remote-store'",
            "'key-size-estimate' of 'remote-store'",
            "'connection-pool' of 'remote-store'",
            "'write-behind' of 'remote-store': nothing is written to the source, neither at once nor later",
            "'infinispan.client.hotrod.max_retries' of 'properties'",
        ]
    );
    assert_eq!(config.ignored.len(), whats.len());
}

#[test]
fn a_source_is_shown_as_a_real_server_shows_it() {
    let config = config(&with(
        "cache='small' connect-timeout='2s'",
        "<security><authentication><digest username='admin' password='secret' realm='default'/>\
         </authentication></security>",
    ));
    assert_eq!(
        config.to_json().to_string(),
        r#"{"remote-store":{"shared":true,"cache":"small","connect-timeout":"2000","connection-pool":{"exhausted-action":"WAIT","max-active":"-1","max-pending-requests":"5","max-wait":"-1","min-idle":"-1","min-evictable-idle-time":"180000"},"remote-server":[{"host":"h","port":"11222"}],"security":{"authentication":{"digest":{"username":"admin","password":"***","realm":"default"}}},"properties":{"migration":"true"}}}"#
    );
}

#[test]
fn what_is_stored_is_read_back_whole() {
    for store in [
        with("", ""),
        with("cache='' read-only='true' protocol-version='2.0' socket-timeout='7'", ""),
        with(
            "",
            "<security><authentication server-name='s'><plain username='u' password=' p&#10; '/>\
             </authentication><encryption/></security>",
        ),
        "<remote-store uri='hotrod://u:%20p@a?auth_realm=r&amp;sasl_mechanism=PLAIN&amp;auth_server_name=x'/>"
            .to_owned(),
    ] {
        let config = config(&store);
        let stored = config.to_stored_json();
        let read = parse_remote_store(stored.as_bytes()).unwrap();
        assert!(read.value == config, "{stored}");
        assert_eq!(read.ignored, []);
    }
    let without = config("<remote-store uri='hotrod://u:p@a?use_auth=false'/>");
    assert!(without == RemoteStoreConfig::new(vec![server("a", 11222)]));
    assert_eq!(
        without.to_stored_json(),
        r#"{"remote-store":{"shared":true,"remote-server":[{"host":"a","port":"11222"}],"properties":{"migration":"true"}}}"#
    );
}

#[test]
fn a_password_is_not_in_a_debug_line() {
    let config = config("<remote-store uri='hotrod://joe:secret@a'/>");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_store_that_names_no_server_is_refused() {
    let message = |store: &str| error(store).to_string();
    let empty = message("<remote-store cache='c' uri=''/>");
    assert!(empty.starts_with("'uri' is \"\" (line 1"), "{empty}");
    assert!(empty.contains("it has to be a URI such as hotrod://user"), "{empty}");
    assert!(message("<remote-store cache='c'/>").contains("has no remote-server or uri"));
    // Beside servers, an empty attribute is as good as none.
    assert_eq!(config(&with("uri=''", "")), config(&with("", "")));

    let body = parse_remote_store(br#"{"remote-store":{"uri":""}}"#).unwrap_err();
    assert!(body.to_string().contains("'uri' is \"\""), "{body}");

    let server = "<infinispan><cache-container><local-cache name='c'><persistence>\
         <remote-store remote-cache-container='old'/></persistence></local-cache></cache-container>\
         <remote-cache-containers><remote-cache-container name='old'/></remote-cache-containers>\
         </infinispan>";
    let error = crate::parse_server(server.as_bytes(), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("has no remote-server or uri"), "{error}");
}
