//! Caches come, change and go.

use config::CacheMode;
use store::{Container, MemoryLimit};

use super::*;
use crate::{clock::Clock, metadata::MetaCommand, samples::name};

fn caches() -> Caches {
    let container = Arc::new(Container::new(MemoryLimit::unlimited()));
    let clock = Arc::new(Clock::start());
    let template = CacheConfig { statistics: true, ..CacheConfig::new(CacheMode::Local) };
    Caches::new(
        Arc::new(Agreement::start(None, container, clock, 10).unwrap()),
        vec![(name("small"), template)],
    )
}

#[tokio::test]
async fn a_cache_is_created_once_and_removed_once() {
    let caches = caches();
    let config = caches.template("org.infinispan.DIST_SYNC", &name("a")).unwrap();
    caches.create(&name("a"), config.clone(), false).await.unwrap();
    let again = caches.create(&name("a"), config, false).await.unwrap_err();
    assert_eq!(again.to_string(), "ISPN000507: Cache a already exists");
    assert_eq!(caches.names(), [name("a")]);
    caches.remove(&name("a"), RemoveRule::Careful).await.unwrap();
    let again = caches.remove(&name("a"), RemoveRule::Careful).await.unwrap_err().to_string();
    assert!(again.starts_with("ISPN012010: Cache with name 'a' not found"), "{again}");
}

#[tokio::test]
async fn the_servers_own_caches_stay_and_others_with_such_names_can_go() {
    let caches = caches();
    for cache in ["___script_cache", "___mine"] {
        let config = Arc::new(CacheConfig::new(CacheMode::Local));
        let create = MetaCommand::CreateCache { cache: name(cache), config, volatile: false };
        caches.agreement().propose(create).await.unwrap();
    }
    let error = caches.remove(&name("___script_cache"), RemoveRule::Force).await.unwrap_err();
    assert!(matches!(error, AdminError::Internal(_)), "{error}");
    // As an earlier build had it in its data directory.
    caches.remove(&name("___mine"), RemoveRule::Careful).await.unwrap();
    assert_eq!(caches.names(), [name("___script_cache")]);
}

#[tokio::test]
async fn what_holds_entries_in_their_place_cannot_be_changed() {
    let caches = caches();
    let config = CacheConfig::new(CacheMode::Distributed);
    caches.create(&name("a"), config.clone(), false).await.unwrap();
    let statistics = CacheConfig { statistics: true, ..config.clone() };
    caches.update(&name("a"), statistics.clone()).await.unwrap();
    assert!(caches.config("a").unwrap().statistics);
    assert!(caches.agreement().container().cache("a").unwrap().config().statistics);
    let segments = CacheConfig { segments: 60, ..statistics };
    let error = caches.update(&name("a"), segments).await.unwrap_err().to_string();
    assert_eq!(error, "segments of cache a cannot be changed while it is there");
    assert!(matches!(caches.update(&name("b"), config).await, Err(AdminError::NoSuchCache(_))));
}

#[test]
fn templates_of_the_server_stand_beside_the_built_in_ones() {
    let caches = caches();
    assert!(caches.template("small", &name("a")).unwrap().statistics);
    let error = caches.template("nope", &name("a")).unwrap_err().to_string();
    assert_eq!(error, "ISPN000374: No such template 'nope' when declaring 'a'");
    assert!(caches.template_names().contains(&"org.infinispan.DIST_SYNC".to_owned()));
}

#[tokio::test]
async fn an_alias_leads_to_one_cache_and_conflicts_are_refused() {
    let caches = caches();
    let config = CacheConfig::new(CacheMode::Distributed);
    let with = |alias: &str| CacheConfig { aliases: [name(alias)].into(), ..config.clone() };
    caches.create(&name("a"), with("x"), false).await.unwrap();
    caches.create(&name("b"), config.clone(), false).await.unwrap();
    let opened = |alias: &str| caches.resolve(alias).ok().map(|name| name.to_string());
    assert_eq!(opened("x").as_deref(), Some("a"));

    let error = caches.create(&name("x"), config.clone(), false).await.unwrap_err();
    assert_eq!(error.to_string(), "ISPN000507: Cache x already exists");
    let error = caches.create(&name("c"), with("x"), false).await.unwrap_err().to_string();
    assert_eq!(error, "ISPN000702: The alias 'x' is already being used by cache 'a'");
    let error = caches.update(&name("b"), with("x")).await.unwrap_err().to_string();
    assert_eq!(error, "ISPN000702: The alias 'x' is already being used by cache 'a'");
    for cache in ["a", "b"] {
        let error = caches.assign_alias("b", &name(cache)).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("ISPN000438: Cache with name '{cache}' is defined more than once!")
        );
    }
    assert_eq!(opened("x").as_deref(), Some("a"), "nothing has changed");

    caches.assign_alias("b", &name("x")).await.unwrap();
    assert_eq!(opened("x").as_deref(), Some("b"));
    assert!(caches.config("a").unwrap().aliases.is_empty());
    let standing = caches.agreement().container().cache("a").unwrap();
    assert!(standing.config().aliases.is_empty(), "those who hold it see that it has changed");
    caches.assign_alias("x", &name("y")).await.unwrap();
    assert_eq!(opened("y").as_deref(), Some("b"), "an alias names its cache here, too");
    caches.set_attribute("b", "aliases", "z").await.unwrap();
    assert_eq!((opened("x"), opened("z").as_deref()), (None, Some("b")));
    caches.remove(&name("b"), RemoveRule::Careful).await.unwrap();
    assert_eq!(opened("z"), None);
    let error = caches.assign_alias("a", &name("two words")).await.unwrap_err().to_string();
    assert!(error.contains("has a space in it"), "{error}");
    caches.update(&name("a"), with("p")).await.unwrap();
    caches.assign_alias("a", &name("q")).await.unwrap();
    caches.update(&name("a"), with("p")).await.unwrap();
    assert_eq!((opened("p").as_deref(), opened("q")), (Some("a"), None), "it is whole");
    assert!(matches!(caches.assign_alias("b", &name("q")).await, Err(AdminError::NoSuchCache(_))));
}

#[tokio::test]
async fn a_configuration_is_made_once_and_caches_are_made_from_it() {
    let caches = caches();
    let config = CacheConfig { owners: 5, ..CacheConfig::new(CacheMode::Distributed) };
    caches.create_template(&name("mine"), config.clone(), false).await.unwrap();
    assert_eq!(caches.template("mine", &name("a")).unwrap(), config);
    let text = br#"{"distributed-cache":{"configuration":"mine"}}"#;
    assert_eq!(caches.parse(text, Format::Json).unwrap().value, config);
    for taken in ["mine", "small", "org.infinispan.LOCAL"] {
        let error = caches.create_template(&name(taken), config.clone(), false).await;
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("ISPN000453"), "{error}");
    }
    for template in ["mine", "small"] {
        let created = caches.create(&name(template), config.clone(), false).await;
        let error = created.unwrap_err().to_string();
        assert!(error.starts_with("ISPN000453"), "{error}");
    }
    // A cache that was there before a file had a template of its name is there.
    let agreement = Arc::clone(caches.agreement());
    caches.create(&name("old"), config.clone(), false).await.unwrap();
    let restarted = Caches::new(agreement, vec![(name("old"), config.clone())]);
    let again = restarted.create(&name("old"), config.clone(), false).await.unwrap_err();
    assert_eq!(again.to_string(), "ISPN000507: Cache old already exists");
    let statistics = CacheConfig { statistics: true, ..config.clone() };
    restarted.create_or_update(&name("old"), statistics, false).await.unwrap();
    assert!(restarted.config("old").unwrap().statistics);

    let error = caches.remove_template(&name("small")).await.unwrap_err().to_string();
    assert!(error.contains("started with the configuration small"), "{error}");
    caches.remove_template(&name("mine")).await.unwrap();
    caches.remove_template(&name("mine")).await.unwrap();
    assert!(caches.template("mine", &name("a")).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_the_same_time_are_all_there_afterwards() {
    const EACH: usize = 50;
    let caches = caches();
    caches.create(&name("a"), CacheConfig::new(CacheMode::Distributed), false).await.unwrap();
    let mut changing = tokio::task::JoinSet::new();
    for attribute in ["expiration.lifespan", "expiration.max-idle", "clustering.remote-timeout"] {
        let caches = caches.clone();
        changing.spawn(async move {
            for number in 1..=EACH {
                caches.set_attribute("a", attribute, &format!("{number}s")).await.unwrap();
            }
        });
    }
    let aliasing = caches.clone();
    changing.spawn(async move {
        for number in 0..EACH {
            aliasing.assign_alias("a", &name(&format!("alias-{number}"))).await.unwrap();
        }
    });
    changing.join_all().await;
    let config = caches.config("a").unwrap();
    assert_eq!(config.aliases.len(), EACH);
    let last = Some(std::time::Duration::from_secs(EACH as u64));
    assert_eq!((config.expiration.lifespan, config.expiration.max_idle), (last, last));
}

#[tokio::test]
async fn a_configuration_is_not_replaced_by_one_that_was_derived_from_another() {
    let caches = caches();
    let config = CacheConfig::new(CacheMode::Distributed);
    caches.create(&name("a"), config.clone(), false).await.unwrap();
    let standing = caches.config("a").unwrap();
    // Meanwhile it becomes another cache.
    caches.remove(&name("a"), RemoveRule::Careful).await.unwrap();
    let other = CacheConfig { segments: 60, ..config.clone() };
    caches.create(&name("a"), other.clone(), false).await.unwrap();
    let config = Arc::new(CacheConfig { statistics: true, ..config });
    let update = MetaCommand::UpdateCache { cache: name("a"), config, replaces: Some(standing) };
    let refused = AdminError::from(caches.agreement().propose(update).await.unwrap_err());
    assert_eq!(
        refused.to_string(),
        "the configuration of cache a was changed by somebody else at the same time: try again"
    );
    assert_eq!(*caches.config("a").unwrap(), other);
}

#[tokio::test]
async fn a_cache_that_may_be_there_is_created_once_and_changed_then() {
    let caches = caches();
    let config = CacheConfig::new(CacheMode::Distributed);
    caches.create_or_update(&name("a"), config.clone(), false).await.unwrap();
    let statistics = CacheConfig { statistics: true, ..config.clone() };
    caches.create_or_update(&name("a"), statistics.clone(), false).await.unwrap();
    assert_eq!(*caches.config("a").unwrap(), statistics);
    let segments = CacheConfig { segments: 60, ..config };
    let error = caches.create_or_update(&name("a"), segments, false).await.unwrap_err();
    assert!(matches!(error, AdminError::Immutable { what: "segments", .. }), "{error}");

    let aliased = CacheConfig { aliases: [name("x")].into(), ..statistics };
    caches.create_or_update(&name("a"), aliased.clone(), false).await.unwrap();
    let changed = CacheConfig { statistics: false, ..aliased };
    caches.create_or_update(&name("x"), changed.clone(), false).await.unwrap();
    assert_eq!((caches.names(), &*caches.config("a").unwrap()), (vec![name("a")], &changed));
}

#[tokio::test]
async fn an_attribute_is_set_alone() {
    let caches = caches();
    let config = CacheConfig::new(CacheMode::Distributed);
    caches.create(&name("a"), config, false).await.unwrap();
    caches.set_attribute("a", "expiration.lifespan", "5s").await.unwrap();
    caches.set_attribute("a", "clustering.remote-timeout", "17s").await.unwrap();
    let config = caches.config("a").unwrap();
    assert_eq!(config.expiration.lifespan, Some(std::time::Duration::from_secs(5)));
    let error = caches.set_attribute("a", "clustering.mode", "ASYNC").await.unwrap_err();
    assert_eq!(error.to_string(), "ISPN012035: Attribute 'clustering.mode' is immutable");
}

#[tokio::test]
async fn no_more_caches_are_created_than_there_may_be_or_there_is_memory_for() {
    let caches = caches().with_most(2);
    let config = || CacheConfig::new(CacheMode::Local);
    caches.create(&name("a"), config(), false).await.unwrap();
    caches.create(&name("b"), config(), false).await.unwrap();
    let refused = caches.create(&name("c"), config(), false).await.unwrap_err().to_string();
    assert!(
        refused.ends_with("there are 2 caches already; remove some, or raise limits.max-caches"),
        "{refused}"
    );
    caches.remove(&name("b"), RemoveRule::Careful).await.unwrap();
    caches.create(&name("c"), config(), false).await.unwrap();

    let container = Arc::new(Container::new(MemoryLimit::new(100_000)));
    let agreement = Agreement::start(None, container, Arc::new(Clock::start()), 10).unwrap();
    let caches = Caches::new(Arc::new(agreement), Vec::new());
    let mut made = 0;
    let refused = loop {
        match caches.create(&name(&format!("c{made}")), config(), false).await {
            Ok(()) => made += 1,
            Err(error) => break error.to_string(),
        }
    };
    assert!((5..25).contains(&made), "{made}");
    assert!(refused.contains("the 100000 bytes that caches may take are used up"), "{refused}");
}
