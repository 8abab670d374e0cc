//! Commands and what they lead to.

use config::CacheMode;

use super::*;
use crate::{
    samples::{complete, connection, gone, lost, name},
    source::{LostServer, UnheardServer},
};

fn create(cache: &str) -> MetaCommand {
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    MetaCommand::CreateCache { cache: name(cache), config, volatile: false }
}

fn connected() -> Metadata {
    let mut metadata = Metadata::default();
    metadata.apply(&create("orders")).unwrap();
    let cache = name("orders");
    metadata.apply(&MetaCommand::Connect { cache, connection: Box::new(connection(4)) }).unwrap();
    metadata
}

fn tie(metadata: &Metadata) -> &Connection {
    metadata.cache("orders").unwrap().connection.as_ref().unwrap()
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let cache = || name("orders");
    let mut metadata = connected();
    let before = metadata.clone();
    let connect = MetaCommand::Connect { cache: cache(), connection: Box::new(connection(4)) };
    let other = name("other");
    let refused = [
        (create("orders"), MetaError::CacheExists(cache())),
        (connect, MetaError::Connected(cache())),
        (MetaCommand::Mark { cache: other.clone() }, MetaError::NoSuchCache(other.clone())),
        (MetaCommand::RemoveCache { cache: other.clone() }, MetaError::NoSuchCache(other)),
    ];
    for (command, error) in refused {
        assert_eq!(metadata.apply(&command), Err(error));
        assert_eq!(metadata, before);
    }
    metadata.apply(&MetaCommand::Disconnect { cache: cache() }).unwrap();
    let again = metadata.apply(&MetaCommand::Disconnect { cache: cache() });
    assert_eq!(again, Err(MetaError::NotConnected(cache())));
}

#[test]
fn segments_are_complete_one_by_one_and_a_clear_completes_all() {
    let mut metadata = connected();
    metadata.apply(&complete("orders", 4, &[1, 3])).unwrap();
    assert_eq!(tie(&metadata).complete.len(), 2);
    assert!(!tie(&metadata).marked);
    metadata.apply(&MetaCommand::Clear { cache: name("orders") }).unwrap();
    assert_eq!(tie(&metadata).complete.len(), 4);
    assert!(tie(&metadata).marked && tie(&metadata).cleared);
}

#[test]
fn what_an_earlier_connection_completes_is_not_believed() {
    let mut metadata = connected();
    let old = complete("orders", 4, &[1]);
    metadata.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let later = Connection { since: Timestamp::from_millis(2_000), ..connection(4) };
    let connect = MetaCommand::Connect { cache: name("orders"), connection: Box::new(later) };
    metadata.apply(&connect).unwrap();
    assert_eq!(metadata.apply(&old), Err(MetaError::Outdated(name("orders"))));

    let mut metadata = connected();
    metadata.apply(&MetaCommand::BecomeUnit { cache: name("orders") }).unwrap();
    assert_eq!(metadata.apply(&old), Err(MetaError::Outdated(name("orders"))));
    assert!(tie(&metadata).complete.is_empty());
}

#[test]
fn a_source_that_is_a_unit_already_stays_as_complete_as_it_is() {
    let mut metadata = connected();
    let become_unit = MetaCommand::BecomeUnit { cache: name("orders") };
    metadata.apply(&become_unit).unwrap();
    let complete = MetaCommand::Complete {
        cache: name("orders"),
        since: tie(&metadata).since,
        space: SourceSpace::Unit,
        segments: vec![(SourceSegment(0), 3)],
    };
    metadata.apply(&complete).unwrap();
    metadata.apply(&become_unit).unwrap();
    assert_eq!((tie(&metadata).complete.len(), tie(&metadata).count.shown), (1, 3));
}

#[test]
fn what_the_source_has_shown_counts_once_and_as_long_as_it_is_complete() {
    let mut metadata = connected();
    let segments = tie(&metadata).space.count();
    for completed in [&[1][..], &[1, 3]] {
        metadata.apply(&complete("orders", segments, completed)).unwrap();
    }
    assert_eq!(tie(&metadata).count.shown, 18);
    let mut restarted = metadata.clone();
    restarted.restart();
    assert_eq!(tie(&restarted).count.shown, 0);
    metadata.apply(&MetaCommand::BecomeUnit { cache: name("orders") }).unwrap();
    assert_eq!(tie(&metadata).count.shown, 0);
}

#[test]
fn of_what_the_source_reports_until_everything_is_here_the_largest_number_counts() {
    let count = |entries, since| {
        let (cache, since) = (name("orders"), Timestamp::from_millis(since));
        MetaCommand::Count { cache, since, entries }
    };
    let mut metadata = connected();
    for (entries, said) in [(30, 40), (50, 50), (45, 50)] {
        metadata.apply(&count(entries, 1_000)).unwrap();
        assert_eq!(tie(&metadata).count.said, Some(said), "{entries}");
    }
    let outdated = Err(MetaError::Outdated(name("orders")));
    assert_eq!(metadata.apply(&count(90, 999)), outdated, "over another connection");
    metadata.apply(&complete("orders", 4, &[0, 1, 2])).unwrap();
    metadata.apply(&count(60, 1_000)).unwrap();
    assert_eq!(tie(&metadata).count.said, Some(60), "some are not here yet");
    metadata.apply(&complete("orders", 4, &[3])).unwrap();
    metadata.apply(&count(90, 1_000)).unwrap();
    assert_eq!(tie(&metadata).count.said, Some(60), "nothing more comes");

    let mut silent = Connection { count: SourceCount::default(), ..connection(4) };
    silent.counted(7);
    assert_eq!(silent.count.said, Some(7), "nothing is here yet");
    silent.count.said = None;
    silent.complete.insert(SourceSegment(0));
    silent.counted(7);
    assert_eq!(silent.count.said, None, "what is here may have been more of it");
}

#[test]
fn a_clear_stays_one_when_the_source_becomes_a_unit() {
    let mut metadata = connected();
    metadata.apply(&MetaCommand::Clear { cache: name("orders") }).unwrap();
    metadata.apply(&MetaCommand::BecomeUnit { cache: name("orders") }).unwrap();
    assert_eq!(tie(&metadata).complete.len(), 1);
}

#[test]
fn a_finished_job_is_remembered_after_the_source_was_let_go() {
    let mut metadata = connected();
    for imported in [1_000, 0] {
        metadata.apply(&MetaCommand::Finish { cache: name("orders"), imported }).unwrap();
    }
    metadata.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let known = metadata.cache("orders").unwrap();
    assert_eq!(known.past.as_ref().unwrap().imported, Some(1_000));
    assert!(known.connection.is_none());
}

#[test]
fn after_a_restart_nothing_is_complete_and_what_clients_have_changed_is_for_the_operator() {
    let mut metadata = connected();
    metadata.apply(&complete("orders", 4, &[1])).unwrap();
    let mut unchanged = metadata.clone();
    unchanged.restart();
    assert_eq!(tie(&unchanged).complete.len(), 0, "what was copied is gone");

    metadata.apply(&MetaCommand::Mark { cache: name("orders") }).unwrap();
    let mut changed = metadata.clone();
    changed.restart();
    assert!(tie(&changed).marked, "its operator decides");
    assert_eq!(tie(&changed).complete.len(), 0, "what was copied is gone here too");
    let mut let_go = changed.clone();
    let_go.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let past = let_go.cache("orders").unwrap().past.as_ref().unwrap();
    assert_eq!((past.complete.len(), past.marked), (0, true), "nobody takes it up as if whole");

    changed.apply(&MetaCommand::AcceptLoss { cache: name("orders") }).unwrap();
    assert_eq!((tie(&changed).complete.len(), tie(&changed).marked), (0, false));
}

#[test]
fn a_server_of_the_source_that_went_after_the_copy_counts_once_a_restart_has_lost_that() {
    let mut metadata = connected();
    let identity = tie(&metadata).identity.clone();
    let lose = |servers: &[LostServer], joined_after| LostServers {
        unheard: vec![UnheardServer {
            server: "c:1".into(),
            since: Some(7),
            after_copy: joined_after,
        }],
        ..gone(servers)
    };
    let accept = |identity: &SourceIdentity, lost: LostServers| MetaCommand::AcceptSource {
        cache: name("orders"),
        identity: identity.clone(),
        lost,
    };
    let servers = lose(&[lost("a:1", true), lost("b:1", false)], true);
    metadata.apply(&accept(&identity, servers.clone())).unwrap();
    assert_eq!(tie(&metadata).lost, servers);
    let all = lose(&[lost("a:1", false), lost("b:1", false)], false);
    let mut let_go = metadata.clone();
    let_go.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let_go.restart();
    assert_eq!(let_go.cache("orders").unwrap().past.as_ref().unwrap().lost, all);
    metadata.restart();
    assert_eq!(tie(&metadata).lost, all);
    metadata.apply(&MetaCommand::AcceptLoss { cache: name("orders") }).unwrap();
    assert_eq!(tie(&metadata).lost, all, "that is another loss");
    metadata.apply(&accept(&SourceIdentity::default(), LostServers::default())).unwrap();
    assert!(tie(&metadata).lost.is_empty() && tie(&metadata).identity.0.is_empty());
}

#[test]
fn who_accepts_a_loss_begins_anew_also_with_a_source_that_was_connected_before() {
    let mut metadata = connected();
    let mut again = connection(30);
    (again.forgets, again.marked) = (true, true);
    metadata.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let connect = MetaCommand::Connect { cache: name("orders"), connection: Box::new(again) };
    metadata.apply(&connect).unwrap();
    metadata.restart();
    metadata.apply(&MetaCommand::AcceptLoss { cache: name("orders") }).unwrap();
    assert!(!tie(&metadata).forgets, "verification may repair whatever is missing");
}

#[test]
fn sums_of_a_damaged_file_stop_at_the_largest_number() {
    let mut metadata = connected();
    for _ in 0..2 {
        metadata.apply(&MetaCommand::Finish { cache: name("orders"), imported: u64::MAX }).unwrap();
    }
    assert_eq!(tie(&metadata).imported, Some(u64::MAX));
}

#[test]
fn after_a_restart_nobody_says_that_a_cache_has_what_it_took_over_before() {
    let mut metadata = connected();
    metadata.apply(&MetaCommand::Finish { cache: name("orders"), imported: 50 }).unwrap();
    metadata.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let past = |metadata: &Metadata| metadata.cache("orders").unwrap().past.clone().unwrap();
    assert_eq!(past(&metadata).imported, Some(50));
    metadata.restart();
    assert_eq!((past(&metadata).imported, past(&metadata).marked), (None, true));
}

#[test]
fn the_commands_of_some_metadata_lead_to_it() {
    let mut metadata = connected();
    metadata.apply(&create("more")).unwrap();
    metadata.apply(&MetaCommand::Mark { cache: name("orders") }).unwrap();
    metadata.apply(&MetaCommand::Disconnect { cache: name("orders") }).unwrap();
    let cache = name("orders");
    metadata.apply(&MetaCommand::Connect { cache, connection: Box::new(connection(20)) }).unwrap();
    let mut again = Metadata::default();
    metadata.commands().iter().for_each(|command| again.apply(command).unwrap());
    assert_eq!(again, metadata);
}

#[test]
fn aliases_and_configurations_come_back_with_the_commands_of_a_shorter_file() {
    let mut metadata = Metadata::default();
    for cache in ["a", "b"] {
        metadata.apply(&create(cache)).unwrap();
    }
    let config = || Arc::new(CacheConfig::new(CacheMode::Local));
    let assign = |cache: &str| MetaCommand::AssignAlias { cache: name(cache), alias: name("x") };
    metadata.apply(&assign("a")).unwrap();
    metadata.apply(&assign("b")).unwrap();
    for (template, volatile) in [("kept", false), ("gone", true)] {
        let template = name(template);
        let command = MetaCommand::CreateTemplate { template, config: config(), volatile };
        assert_eq!(metadata.is_volatile(&command), volatile);
        metadata.apply(&command).unwrap();
    }
    let mut again = Metadata::default();
    metadata.commands().iter().for_each(|command| again.apply(command).unwrap());
    assert_eq!(again, metadata);
    assert!(again.cache("b").unwrap().config.aliases.contains(&name("x")));
    again.restart();
    let templates: Vec<_> = again.templates().map(|(name, _)| name.as_str()).collect();
    assert_eq!(templates, ["kept"]);
}

#[test]
fn an_alias_does_not_go_to_a_cache_that_ends_before_the_one_that_has_it() {
    let mut metadata = Metadata::default();
    metadata.apply(&create("a")).unwrap();
    let config = Arc::new(CacheConfig::new(CacheMode::Local));
    let volatile = MetaCommand::CreateCache { cache: name("v"), config, volatile: true };
    metadata.apply(&volatile).unwrap();
    let assign = |cache: &str| MetaCommand::AssignAlias { cache: name(cache), alias: name("x") };
    metadata.apply(&assign("v")).unwrap();
    metadata.apply(&assign("a")).unwrap();
    let refused = metadata.apply(&assign("v"));
    assert_eq!(
        refused,
        Err(NameError::AliasOutlives { alias: name("x"), cache: name("a") }.into())
    );
}
