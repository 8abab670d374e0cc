//! Samples, and settings that are refused.

use super::*;
use crate::{
    CacheMode, CorsRule, Format, Ignored, Options, Parsed, Replication, WhenFull, parse_server,
    template,
};

const GODWIT: &str = include_str!("../../samples/godwit.toml");
const INFINISPAN: &str = include_str!("../../samples/infinispan.xml");
const STANDALONE: &str = include_str!("../../samples/standalone.xml");

/// Reads a file with default values for all properties.
fn parsed(file: &str) -> Parsed<ServerFile> {
    let options = Options { lookup: Some(&|_| None), ..Options::default() };
    parse_server(file.as_bytes(), &options).unwrap_or_else(|error| panic!("{error}"))
}

fn error(file: &str) -> String {
    parse_server(file.as_bytes(), &Options::default()).unwrap_err().to_string()
}

fn cache<'a>(file: &'a ServerFile, name: &str) -> &'a CacheConfig {
    &file.caches.iter().find(|(cache, _)| cache.as_str() == name).unwrap().1
}

fn shown(ignored: &[Ignored]) -> Vec<String> {
    ignored.iter().map(ToString::to_string).collect()
}

#[test]
fn the_sample_has_every_setting() {
    let Parsed { value: file, ignored } = parsed(GODWIT);
    assert_eq!(ignored, []);
    assert_eq!(file.limits.resolve(), Ok(Limits::default()), "the sample shows the defaults");
    let orders = cache(&file, "orders").clone();
    assert_eq!(
        (orders.mode, orders.replication, orders.owners, orders.segments, orders.statistics),
        (CacheMode::Distributed, Replication::Sync, 2, 256, true)
    );
    assert_eq!(orders.expiration.lifespan, Some(Duration::from_hours(1)));
    assert_eq!(orders.memory.max_count, Some(1_000_000));
    let store = cache(&file, "sessions").remote_store.as_ref().unwrap();
    assert_eq!(store.servers.len(), 2);
    assert_eq!(store.authentication.as_ref().unwrap().password, "changeme");
    let prices = cache(&file, "prices");
    assert_eq!(
        (prices.memory.max_size, prices.memory.when_full),
        (Some(100_000_000), WhenFull::Exception)
    );
    assert!(prices.statistics, "from the template");
    assert_eq!(file.templates.len(), 1);

    let config = file.resolve(Some("machine")).unwrap();
    let migration = Migration {
        threads: NonZeroU32::new(4),
        max_entries_per_second: Some(100_000),
        max_bytes_per_second: Some(50_000_000),
        ..Migration::default()
    };
    let expected = ServerConfig {
        bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 11222,
        port_offset: 0,
        node_name: "godwit-1".into(),
        cluster_name: "cluster".into(),
        container_name: "default".into(),
        statistics: true,
        data_dir: Some("/var/lib/godwit".into()),
        max_memory: Some(MemoryLimit::Percent(80)),
        insecure: false,
        lenient: false,
        advertised: Some(Advertised { host: "cache.example.org".into(), port: 11222 }),
        advertised_port: None,
        cors: vec![CorsRule {
            name: "app".into(),
            origins: vec!["http://app.example.org".into()],
            credentials: false,
            max_age: 600,
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["Content-Type".into()],
            expose: vec!["Etag".into()],
        }],
        allowed_hosts: vec!["cache.example.org".parse().unwrap()],
        limits: Limits::default(),
        migration,
        log: "info".into(),
        default_cache: Some("orders".parse().unwrap()),
        caches: config.caches.clone(),
        templates: config.templates.clone(),
    };
    assert_eq!(config, expected);
}

#[test]
fn an_infinispan_xml_is_taken_and_says_what_it_lost() {
    let Parsed { value: file, ignored } = parsed(INFINISPAN);
    assert_eq!(file.bind_address, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert_eq!((file.port, file.port_offset), (Some(11222), Some(0)));
    assert_eq!((file.cluster_name.as_deref(), file.node_name.as_deref()), (Some("shop"), None));
    assert_eq!(file.statistics, Some(true));
    let names: Vec<_> = file.caches.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["orders", "sessions", "prices"]);

    let orders = cache(&file, "orders");
    assert_eq!((orders.owners, orders.statistics), (3, true), "from its configuration");
    assert_eq!(orders.expiration.lifespan, Some(Duration::from_hours(1)), "from its configuration");
    assert_eq!(orders.expiration.max_idle, Some(Duration::from_mins(30)), "its own");
    let store = cache(&file, "sessions").remote_store.as_ref().unwrap();
    assert_eq!(store.protocol_version.as_deref(), Some("2.9"));
    assert_eq!(store.socket_timeout, Some(Duration::from_mins(1)));

    assert_eq!(
        shown(&ignored),
        [
            "'jgroups' of 'infinispan' (line 8, column 5)",
            "'stack' of 'transport' (line 15, column 62)",
            "'security' of 'cache-container': authorization is not there yet (line 17, column 9)",
            "'remote-timeout' of 'distributed-cache' (line 24, column 65)",
            "'locking' of 'distributed-cache' (line 25, column 13)",
            "'storage' of 'memory' (line 27, column 60)",
            "'socket-binding' of 'socket-bindings': everything is served on one port (line 61, column 13)",
            "'security' of 'server': authentication is not there yet (line 63, column 9)",
            "'security-realm' of 'endpoints': authentication is not there yet (line 72, column 45)",
        ]
    );
}

#[test]
fn a_standalone_xml_is_taken_with_its_bindings() {
    let Parsed { value: file, ignored } = parsed(STANDALONE);
    assert_eq!(file.bind_address, Some(IpAddr::from([10, 0, 0, 7])));
    assert_eq!((file.port, file.port_offset), (Some(11222), Some(100)));
    assert_eq!(file.default_cache, Some("default".parse().unwrap()));
    let default = cache(&file, "default");
    assert_eq!((default.segments, default.memory.max_count), (20, Some(1_000)));
    let store = default.remote_store.as_ref().unwrap();
    assert_eq!(
        store.servers,
        [crate::RemoteServer { host: "old.example.org".into(), port: 11322 }]
    );
    let ignored: Vec<_> = ignored.into_iter().map(|ignored| ignored.what).collect();
    assert_eq!(
        ignored,
        [
            "'extensions' of 'server'",
            "'subsystem' of 'profile'",
            "'lock-timeout' of 'transport'",
            "'start' of 'distributed-cache'",
            "'remote-timeout' of 'distributed-cache'",
            "'locking' of 'distributed-cache'",
            "the container 'security': there is one here",
            "'socket-binding' of 'socket-binding-group': everything is served on one port",
        ]
    );
    let config = file.resolve(None).unwrap();
    assert_eq!(config.socket_address(), "10.0.0.7:11322".parse().unwrap());
    assert_eq!(config.node_name, "godwit");
}

#[test]
fn properties_reach_the_settings() {
    let lookup = |name: &str| match name {
        "infinispan.bind.port" => Some("4711".to_owned()),
        "infinispan.node.name" => Some("here".to_owned()),
        _ => None,
    };
    let options = Options { lookup: Some(&lookup), ..Options::default() };
    let file = parse_server(INFINISPAN.as_bytes(), &options).unwrap().value;
    assert_eq!((file.port, file.node_name.as_deref()), (Some(4711), Some("here")));
}

#[test]
fn a_server_in_json_and_yaml_is_the_same_server() {
    let json = r#"{"infinispan":{
        "cache-container":{"name":"c","caches":{"a":{"local-cache":null},"b":{"local-cache":{"configuration":"t"}},
                                                "t":{"local-cache-configuration":{"statistics":true}}}},
        "server":{"interfaces":[{"name":"public","inet-address":{"value":"0.0.0.0"}}],
                  "socket-bindings":{"default-interface":"public","port-offset":1,
                                     "socket-binding":[{"name":"default","port":11222}]},
                  "endpoints":{"socket-binding":"default"}}}}"#;
    let yaml = "
infinispan:
  cacheContainer:
    name: c
    caches:
      a:
        localCache: ~
      b:
        localCache:
          configuration: t
      t:
        localCacheConfiguration:
          statistics: true
  server:
    interfaces:
    - name: public
      inetAddress:
        value: 0.0.0.0
    socketBindings:
      defaultInterface: public
      portOffset: 1
      socketBinding:
      - name: default
        port: 11222
    endpoints:
      socketBinding: default
";
    let (json, yaml) = (parsed(json), parsed(yaml));
    assert_eq!(json.ignored, []);
    assert_eq!(json.value, yaml.value);
    let config = json.value.resolve(None).unwrap();
    assert_eq!(config.socket_address(), "0.0.0.0:11223".parse().unwrap());
    assert_eq!(config.caches.len(), 2);
    assert!(config.caches[1].1.statistics);
}

#[test]
fn nothing_given_is_a_server_on_this_machine() {
    let config = ServerFile::default().resolve(Some("machine")).unwrap();
    assert_eq!(config.socket_address(), "127.0.0.1:11222".parse().unwrap());
    assert_eq!(config.node_name, "machine");
    assert!(config.caches.is_empty() && !config.insecure);
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    for (file, wanted) in [
        ("port = 65535\nport-offset = 1", "port 65535 and offset 1 are more than 65535 together"),
        ("default-cache = 'a'", "the default cache 'a' is not among the caches"),
        ("node-name = \"a\\nb\"", "node-name has to be a name of 1 to 255 bytes"),
        ("[limits]\nmax-key = 0", "limits.max-key has to be at least 1"),
        ("[limits]\nmax-key = \"16MiB\"", "limits.max-key has to be less than 16MiB"),
        ("[migration]\nsource-timeout = 0", "migration.source-timeout has to be longer than 0"),
        (
            "[migration]\nmax-bytes-per-second = 0",
            "migration.max-bytes-per-second has to be at least 1",
        ),
    ] {
        let error = parsed(file).value.resolve(None).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{error}");
    }
    let any = ServerFile { port: Some(0), port_offset: Some(7), ..ServerFile::default() };
    assert_eq!(any.resolve(None).unwrap().socket_address().port(), 0);
}

#[test]
fn a_wrong_setting_is_placed_and_its_name_suggested() {
    for (file, wanted) in [
        ("prot = 1", "Unexpected attribute 'prot' encountered[1,1]; did you mean 'port'?"),
        (
            "[limits]\nmax-keys = 1",
            "Unexpected attribute 'max-keys' encountered[2,1]; did you mean 'max-key'?",
        ),
        (
            "[limit]\nmax-key = 1",
            "Unexpected element 'limit' encountered[1,2]; did you mean 'limits'?",
        ),
        ("port = 'x'", "'port' is \"x\" (line 1, column 1); it has to be a number from 0 to 65535"),
        (
            "max-memory = '120%'",
            "'max-memory' is \"120%\" (line 1, column 1); it has to be a part such as 80%, \
             or a size from 1MB on such as 512MB",
        ),
        (
            "\nbind-address = 'every where'",
            "'bind-address' is \"every where\" (line 2, column 1); it has to be an IP address such as 0.0.0.0, \
             or a host name",
        ),
        (
            "advertised = 'foo'",
            "'advertised' is \"foo\" (line 1, column 1); it has to be a host and a port such as \
             cache.example.org:11222",
        ),
        (
            "[migration]\non-source-error = 'stale'",
            "'on-source-error' is \"stale\" (line 2, column 1); it has to be fail or absent",
        ),
        (
            "[caches.a.distributed-cache]\nowner = 2",
            "Unexpected attribute 'owner' encountered[2,1]; did you mean 'owners'?",
        ),
        (
            "[caches.a.distribted-cache]\nowners = 2",
            "Unexpected element 'distribted-cache' encountered[1,11]; did you mean 'distributed-cache'?",
        ),
        (
            "[caches.a]\nmode = 'SYNC'",
            "cache 'a' has no type (line 1, column 9); write [caches.a.distributed-cache] in TOML, or \
             {\"a\":{\"distributed-cache\":{}}} in JSON (or replicated-cache, local-cache)",
        ),
        (
            "[caches.Orders]",
            "cache 'Orders' has no type (line 1, column 9); write [caches.Orders.distributed-cache] in TOML, or \
             {\"Orders\":{\"distributed-cache\":{}}} in JSON (or replicated-cache, local-cache)",
        ),
        (
            "[caches.local-cach]",
            "Unexpected element 'local-cach' encountered[1,9]; did you mean 'local-cache'?",
        ),
        (
            "distributedCache:\n  mode: SYNC\n",
            "'distributedCache' has no name (line 1, column 1); add it, or create a cache of this configuration \
             by POST /rest/v2/caches/NAME",
        ),
        (
            "<caches><local-cache name='a'><memory max-count='1' max-size='1MB'/></local-cache></caches>",
            "'max-count' with 'max-size' is refused (line 1, column 31): a cache has one bound, by entries or by \
             bytes, as in Infinispan; leave one of them out",
        ),
    ] {
        assert_eq!(error(file), wanted, "{file}");
    }
}

#[test]
fn a_cache_in_toml_may_be_made_from_a_built_in_configuration() {
    let file = parsed("[caches.a.distributed-cache]\nconfiguration = 'org.infinispan.DIST_ASYNC'");
    assert_eq!(Some(cache(&file.value, "a").clone()), template("org.infinispan.DIST_ASYNC"));
}

#[test]
fn a_host_name_to_listen_on_is_looked_up_by_the_caller() {
    let toml = "bind-address = 'cache-1.example.org'";
    let xml = "<server><interfaces><interface name='public'><inet-address value='cache-1.example.org'/>\
               </interface></interfaces></server>";
    for text in [toml, xml] {
        let file = parsed(text).value;
        assert_eq!(
            (file.bind_address, file.bind_host.as_deref()),
            (None, Some("cache-1.example.org"))
        );
        let error = file.resolve(None).unwrap_err().to_string();
        assert!(error.starts_with("bind-address has to be an IP address"), "{error}");
    }
    // Later files take precedence, whether they give a host or an address.
    let (host, address) = (parsed(toml).value, parsed("bind-address = '10.0.0.7'").value);
    let mut file = host.clone();
    assert_eq!(file.overlay(address.clone()), []);
    assert_eq!((file.bind_address, file.bind_host), (address.bind_address, None));
    let mut file = address;
    assert_eq!(file.overlay(host.clone()), []);
    assert_eq!((file.bind_address, file.bind_host), (None, host.bind_host));
}

#[test]
fn an_advertised_address_is_a_host_and_a_port() {
    let read = |text: &str| text.parse::<Advertised>().ok().map(|it| (it.host, it.port));
    let is = |host: &str, port| Some((host.to_owned(), port));
    assert_eq!(read("cache.example.org:4711"), is("cache.example.org", 4711));
    assert_eq!(read("[::1]:4711"), is("::1", 4711));
    for wrong in
        ["", "foo", "foo:", ":1", "foo:0", "foo:65536", "::1", "::1:4711", "[::1]", "a b:1"]
    {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn an_interface_that_is_no_address_is_noted() {
    let file = parsed(
        "<infinispan><server><interfaces><interface name='public'><site-local/></interface>\
         </interfaces></server></infinispan>",
    );
    assert_eq!(file.value.bind_address, None);
    assert_eq!(file.ignored[0].what, "'site-local' of 'interface': give an IP address");
}

#[test]
fn endpoints_name_a_binding_that_is_there() {
    let error = error(
        "<infinispan><server><socket-bindings><socket-binding name='a' port='1'/></socket-bindings>\
         <endpoints socket-binding='b'/></server></infinispan>",
    );
    assert!(error.starts_with("there is no socket-binding 'b' in this document"), "{error}");
}

/// Returns a server with these endpoints.
fn endpoints(content: &str) -> String {
    format!("<infinispan><server><endpoints>{content}</endpoints></server></infinispan>")
}

#[test]
fn an_external_host_and_port_are_where_clients_are_told_to_connect_to() {
    let advertised = |attributes: &str| {
        let connector = format!("<endpoint><hotrod-connector {attributes}/></endpoint>");
        let file = ServerFile { port_offset: Some(100), ..parsed(&endpoints(&connector)).value };
        file.resolve(None).unwrap().advertised.map(|it| (it.host, it.port))
    };
    assert_eq!(advertised(""), None);
    let both = "external-host='cache.example.org' external-port='4711'";
    assert_eq!(advertised(both), Some(("cache.example.org".into(), 4711)));
    let host = advertised("external-host='cache.example.org'");
    assert_eq!(host, Some(("cache.example.org".into(), 11322)), "the port that it listens on");
    assert_eq!(advertised("external-port='4711'"), Some(("127.0.0.1".into(), 4711)));
    let everywhere = ServerFile {
        bind_address: Some(IpAddr::from([0, 0, 0, 0])),
        ..parsed(&endpoints("<hotrod-connector external-port='4711'/>")).value
    };
    let config = everywhere.clone().resolve(None).unwrap();
    assert_eq!((config.advertised, config.advertised_port), (None, Some(4711)));
    let host = ServerFile { external_host: Some("cache.example.org".into()), ..everywhere };
    assert_eq!(host.resolve(None).unwrap().advertised_port, None, "it is given as a whole");
    let wrong = endpoints("<hotrod-connector external-port='no'/>");
    assert!(error(&wrong).contains("'external-port' is \"no\""), "{}", error(&wrong));
}

#[test]
fn what_endpoints_are_told_is_done_or_noted_by_its_name() {
    let parsed = parsed(&endpoints(
        "<ip-filter><accept from='10.0.0.0/8'/></ip-filter>\
         <hotrod-connector idle-timeout='5' max-content-length='20MB'><encryption/><authentication/></hotrod-connector>\
         <rest-connector context-path='cache' compression-level='3' max-content-length='1000'/>\
         <memcached-connector/><resp-connector/>",
    ));
    assert_eq!(parsed.value.limits.max_content, Some(20_000_000));
    let content = |connectors| self::parsed(&endpoints(connectors)).value.limits.max_content;
    let alone = "<rest-connector max-content-length='1MB'/>";
    assert_eq!(content(alone), Some(10_000_000), "Hot Rod keeps its default");
    let both =
        "<hotrod-connector max-content-length='2MB'/><rest-connector max-content-length='1MB'/>";
    assert_eq!(content(both), Some(2_000_000));
    let one_says_nothing = format!("{both}<rest-connector name='second'/>");
    assert_eq!(content(&one_says_nothing), Some(10_000_000), "a connector keeps its default");
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    for what in [
        "'max-content-length' of 'endpoints': one limit holds for all connectors, which is the largest one",
        "'ip-filter' of 'endpoints': everyone who reaches the port is let in",
        "'idle-timeout' of 'hotrod-connector'",
        "'encryption' of 'hotrod-connector': connections are not encrypted",
        "'authentication' of 'hotrod-connector': authentication is not there yet",
        "'context-path' of 'rest-connector'",
        "'compression-level' of 'rest-connector': answers are not compressed",
        "'memcached-connector' of 'endpoints': there is Hot Rod and REST",
        "'resp-connector' of 'endpoints': there is Hot Rod and REST",
    ] {
        assert!(whats.contains(&what), "{what} in {whats:#?}");
    }
    let unknown = error(&endpoints("<hotrod-connector bogus='1'/>"));
    assert!(unknown.contains("'bogus'"), "{unknown}");
}

#[test]
fn rules_for_other_origins_are_read_in_every_spelling() {
    let rule = CorsRule {
        name: "app".into(),
        origins: vec!["http://a.example.org".into(), "https://b.example.org:8443".into()],
        credentials: true,
        max_age: 60,
        methods: vec!["GET".into(), "PUT".into()],
        headers: vec!["If-Match".into()],
        expose: vec!["Etag".into()],
    };
    let elements = endpoints(
        "<rest-connector><cors-rules><cors-rule name='app' allow-credentials='true' max-age-seconds='60'>\
         <allowed-origins>http://a.example.org,https://b.example.org:8443</allowed-origins>\
         <allowed-methods>GET, PUT</allowed-methods><allowed-headers>If-Match</allowed-headers>\
         <expose-headers>Etag</expose-headers></cors-rule></cors-rules></rest-connector>",
    );
    let attributes = endpoints(
        "<rest-connector><cors-rules><cors-rule name='app' allow-credentials='true' max-age-seconds='60' \
         allowed-origins='http://a.example.org https://b.example.org:8443' allowed-methods='GET PUT' \
         allowed-headers='If-Match' expose-headers='Etag'/></cors-rules></rest-connector>",
    );
    let json = r#"{"infinispan":{"server":{"endpoints":{"endpoint":{"rest-connector":{"cors-rules":[{
        "name":"app","allow-credentials":true,"max-age-seconds":60,
        "allowed-origins":["http://a.example.org","https://b.example.org:8443"],
        "allowed-methods":["GET","PUT"],"allowed-headers":["If-Match"],"expose-headers":["Etag"]}]}}}}}}"#;
    let toml = "[cors.app]\nallow-credentials = true\nmax-age-seconds = 60\n\
        allowed-origins = ['http://a.example.org', 'https://b.example.org:8443']\n\
        allowed-methods = ['GET', 'PUT']\nallowed-headers = ['If-Match']\nexpose-headers = ['Etag']";
    for file in [&elements, &attributes, json, toml] {
        assert_eq!(parsed(file).value.cors.as_slice(), std::slice::from_ref(&rule), "{file}");
    }
    let wrong = error(&elements.replace("http://a.example.org", "a.example.org"));
    assert!(wrong.contains("'allowed-origins'"), "{wrong}");
    let any = elements.replace("http://a.example.org,https://b.example.org:8443", "*");
    assert_eq!(parsed(&any).value.cors[0].origins, Vec::<String>::new());
}

#[test]
fn files_are_laid_over_each_other() {
    let mut file =
        parsed("port = 1\nlog = 'info'\n[caches.a.local-cache]\n[caches.b.local-cache]").value;
    let over = parsed(
        "port = 2\n[limits]\nmax-key = 10\n[caches.a.local-cache]\n[caches.b.local-cache]\nstatistics = true\n\
         [caches.c.local-cache]",
    );
    assert_eq!(file.overlay(over.value), [("cache", "b".parse().unwrap())]);
    assert_eq!((file.port, file.log.as_deref()), (Some(2), Some("info")));
    assert_eq!(file.limits.max_key, Some(10));
    let names: Vec<_> = file.caches.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    // A name that occurs twice in one file is a problem of that file alone.
    let twice = "<caches><local-cache name='o'/><replicated-cache name='o'/></caches>";
    let options = Options::default();
    let reading = crate::read_server(twice.as_bytes(), Format::told_by(twice), &options);
    let [problem] = &reading.problems[..] else { panic!("{:?}", reading.problems) };
    assert!(problem.to_string().starts_with("'o' is given a second time"), "{problem}");
    assert_eq!(file.overlay(reading.value.unwrap()), []);
}

#[test]
fn an_alias_leads_to_one_cache() {
    let file = parsed(
        "<caches><local-cache name='a' aliases='x b'/><local-cache name='b' aliases='x'/></caches>",
    );
    let problems = file.value.resolve(None).unwrap_err().problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.to_string().starts_with("the alias ")));
}

#[test]
fn names_of_the_servers_own_caches_are_taken() {
    for (file, wanted) in [
        (
            "<local-cache name='___mine'/>",
            "cache '___mine' cannot be configured: names that begin with ___",
        ),
        ("<local-cache name='org.infinispan.MINE'/>", "cache 'org.infinispan.MINE' cannot be"),
        (
            "<local-cache name='a' aliases='___script_cache'/>",
            "the alias '___script_cache' of cache 'a' is a name of cache '___script_cache', too",
        ),
    ] {
        let file = parsed(&format!("<caches>{file}</caches>"));
        let error = file.value.resolve(None).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{error}");
    }
}

#[test]
fn an_address_to_listen_on_is_given_and_not_chosen() {
    for (text, address) in [
        ("10.0.0.7", IpAddr::from([10, 0, 0, 7])),
        ("[::1]", IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
        ("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ("LOOPBACK", IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ] {
        assert_eq!(text.parse(), Ok(Listen::Address(address)));
    }
    for choice in ["SITE_LOCAL", "GLOBAL", "NON_LOOPBACK", "LINK_LOCAL", "match-interface:eth.*"] {
        assert_eq!(choice.parse::<Listen>(), Err(NoAddress::Choice(choice.into())));
        let xml = format!(
            "<server><interfaces><interface name='public'><inet-address value='{choice}'/></interface>\
             </interfaces></server>"
        );
        let error = parse_server(xml.as_bytes(), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0 stands for all"), "{error}");
    }
    assert_eq!("cache-1".parse(), Ok(Listen::Host("cache-1".into())));
    for other in ["", "every where", "10.0.0.7:11222", "::x"] {
        assert_eq!(other.parse::<Listen>(), Err(NoAddress::Other(other.into())));
    }
}
