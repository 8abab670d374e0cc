//! What is refused, what is noted, and what is accepted silently.

use super::*;

#[test]
fn what_would_change_what_happens_to_data_is_refused() {
    for (content, what) in [
        ("<transaction mode='NON_XA'/>", "'mode' of 'transaction'"),
        ("<persistence><file-store/></persistence>", "'file-store'"),
        (
            "<persistence><s:string-keyed-jdbc-store xmlns:s='x'/></persistence>",
            "'s:string-keyed-jdbc-store'",
        ),
        ("<file-store/>", "'file-store'"),
        (
            "<persistence passivation='true'><remote-store uri='hotrod://h'/></persistence>",
            "'passivation' of 'persistence'",
        ),
        ("<backups><backup site='LON'/></backups>", "'backups'"),
        ("<backup-for remote-cache='a' remote-site='LON'/>", "'backup-for'"),
        ("<security><authorization/></security>", "'authorization'"),
        ("<security><authorization roles='admin'/></security>", "'authorization'"),
    ] {
        let error = error(&with(content));
        assert!(
            matches!(&error, ConfigError::Refused { what: refused, .. } if refused == what),
            "{error}"
        );
    }
    assert!(matches!(error("<local-cache batching='true'/>"), ConfigError::Refused { .. }));
}

#[test]
fn values_that_match_the_behaviour_are_accepted_silently() {
    for xml in [
        with("<transaction mode='NONE'/>"),
        with("<transaction/>"),
        with("<persistence passivation='false'/>"),
        with("<backups/>"),
        with("<security/>"),
        with("<security><authorization enabled='false'/></security>"),
        with("<indexing enabled='false'/>"),
        with("<partition-handling when-split='ALLOW_READ_WRITES' merge-policy='NONE'/>"),
        with("<memory storage='HEAP'/>"),
        with("<expiration touch='SYNC'/>"),
        "<distributed-cache l1-lifespan='0' capacity-factor='1.0' batching='false' \
         key-partitioner='org.infinispan.distribution.ch.impl.HashFunctionPartitioner'/>"
            .to_owned(),
        "<local-cache simple-cache='false' unreliable-return-values='false' aliases=''/>"
            .to_owned(),
    ] {
        assert_eq!(whats(&xml), Vec::<String>::new(), "{xml}");
    }
}

#[test]
fn what_has_no_effect_is_noted_once_with_its_place() {
    let parsed = parsed(
        "<distributed-cache remote-timeout='1' aliases='a b'>\n <indexing><indexed-entities/></indexing>\n \
         <state-transfer timeout='1'/><tracing/><query/>\n</distributed-cache>",
    );
    let shown: Vec<_> = parsed.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "'remote-timeout' of 'distributed-cache' (line 1, column 20)",
            "'indexing' of 'distributed-cache': queries are not supported (line 2, column 2)",
            "'state-transfer' of 'distributed-cache' (line 3, column 2)",
            "'tracing' of 'distributed-cache' (line 3, column 31)",
            "'query' of 'distributed-cache' (line 3, column 41)",
        ]
    );
}

#[test]
fn an_unknown_name_is_an_error_with_its_place_and_the_nearest() {
    for (xml, text) in [
        (
            "<distributed-cache\n owner='2'/>",
            "Unexpected attribute 'owner' encountered[2,2]; did you mean 'owners'?",
        ),
        (
            "<distributed-cache>\n  <expiry/></distributed-cache>",
            "Unexpected element 'expiry' encountered[2,3]",
        ),
        (
            "<distributed-cache><expiration lifspan='1'/></distributed-cache>",
            "Unexpected attribute 'lifspan' encountered[1,32]; did you mean 'lifespan'?",
        ),
        (
            "<distributedcache/>",
            "Unexpected element 'distributedcache' encountered[1,1]; did you mean 'distributed-cache'?",
        ),
        (
            "<distributed-cache>text</distributed-cache>",
            "unexpected text in 'distributed-cache' (line 1, column 1); it takes attributes and elements only",
        ),
    ] {
        assert_eq!(error(xml).to_string(), text);
    }
    let json = r#"{"a":{"distribted-cache":{}}}"#;
    let error = parse_cache(json.as_bytes(), Format::Json, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Unexpected element 'distribted-cache' encountered[1,8]; did you mean 'distributed-cache'?"
    );
}

#[test]
fn a_lenient_reader_notes_unknown_names_and_lost_stores() {
    let xml = "<distributed-cache owner='2' owners='3'><bogus/>\
               <persistence><file-store/></persistence></distributed-cache>";
    let options = Options { lenient: true, ..Options::default() };
    let parsed = parse_cache(xml.as_bytes(), Format::Xml, &options).unwrap();
    assert_eq!(parsed.value.config.owners, 3);
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    assert_eq!(whats.len(), 3, "{whats:?}");
    assert_eq!(whats[0], "'file-store': entries are in memory only, a restart loses them");
    assert!(whats[1].starts_with("Unexpected attribute 'owner'"), "{whats:?}");
    assert!(whats[2].starts_with("Unexpected element 'bogus'"), "{whats:?}");

    let transaction = "<local-cache><transaction mode='BATCH'/></local-cache>";
    assert!(parse_cache(transaction.as_bytes(), Format::Xml, &options).is_err());
}

#[test]
fn all_problems_are_reported_at_once() {
    let xml = "<distributed-cache owner='2' segments='x' statistics='perhaps'>\n\
               <expiration lifespan='soon' max-idle='-'/><transaction mode='NON_XA'/>\n\
               <encoding><key media-type='json'/></encoding><backups><backup site='LON'/></backups>\n\
               <persistence><file-store/><remote-store purge='true'><remote-server port='0'/>\
               </remote-store></persistence></distributed-cache>";
    let problems = error(xml).problems();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    for part in [
        "'owner' encountered[1,20]",
        "'segments' is \"x\" (line 1",
        "'statistics' is \"perhaps\"",
        "'lifespan' is \"soon\" (line 2",
        "'max-idle' is \"-\" (line 2",
        "'mode' of 'transaction'",
        "'media-type' is \"json\" (line 3",
        "'backups' is refused",
        "'file-store' is refused (line 4",
        "'purge' of 'remote-store'",
        "'port' is \"0\"",
        "'remote-server' has no host",
    ] {
        assert!(texts.iter().any(|text| text.contains(part)), "{part} in {texts:#?}");
    }
    assert_eq!(texts.len(), 12, "{texts:#?}");
    let places: Vec<_> = problems.iter().map(ConfigError::place).collect();
    assert!(places.is_sorted(), "{texts:#?}");
}

#[test]
fn authorization_is_noted_where_everyone_may_do_everything() {
    let xml = "<caches><local-cache name='a'><security><authorization roles='x'/></security></local-cache>\
               <local-cache name='b'><security><authorization enabled='false'/></security></local-cache></caches>";
    let error = crate::parse_server(xml.as_bytes(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("--insecure"), "{error}");
    let options = Options { insecure: true, ..Options::default() };
    let parsed = crate::parse_server(xml.as_bytes(), &options).unwrap();
    let whats: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.what.as_str()).collect();
    assert_eq!(
        whats,
        ["'authorization' of cache 'a': everyone who reaches the server may do everything"]
    );
}
