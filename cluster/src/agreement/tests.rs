//! Commands, and the caches that follow them.

use config::{CacheConfig, CacheMode};
use store::{Cache, CacheError, Command, Expiration, MemoryLimit, Outcome, Progress, SourceSpace};

use super::*;
use crate::{
    Caches, RemoveRule,
    samples::{complete, connection, name},
};

fn start(directory: Option<&Path>) -> Arc<Agreement> {
    let container = Arc::new(Container::new(MemoryLimit::unlimited()));
    let clock = Arc::new(Clock::start());
    Arc::new(Agreement::start(directory, container, clock, 1_000).unwrap())
}

async fn create(agreement: &Arc<Agreement>) -> Arc<Cache> {
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    let cache = name("orders");
    let create = MetaCommand::CreateCache { cache, config, volatile: false };
    agreement.propose(create).await.unwrap();
    agreement.container().cache("orders").unwrap()
}

async fn connect(agreement: &Arc<Agreement>) {
    let connect =
        MetaCommand::Connect { cache: name("orders"), connection: Box::new(connection(4)) };
    agreement.propose(connect).await.unwrap();
}

fn read(agreement: &Agreement, cache: &Cache) -> Result<Progress, CacheError> {
    cache.execute(&Command::read(b"k"), agreement.clock().now(), &mut |_: Outcome<'_>| ())
}

fn write(agreement: &Agreement, cache: &Cache) -> Result<Progress, CacheError> {
    let command = Command::write(b"k", b"v", Expiration::NEVER);
    cache.execute(&command, agreement.clock().now(), &mut |_: Outcome<'_>| ())
}

#[tokio::test]
async fn caches_follow_the_metadata() {
    let agreement = start(None);
    let cache = create(&agreement).await;
    assert_eq!(read(&agreement, &cache), Ok(Progress::Done));
    connect(&agreement).await;
    assert_eq!(read(&agreement, &cache), Ok(Progress::Load));
    assert_eq!(write(&agreement, &cache), Ok(Progress::Mark));
    agreement.propose(MetaCommand::Mark { cache: name("orders") }).await.unwrap();
    assert_eq!(write(&agreement, &cache), Ok(Progress::Done));
    agreement.propose(complete("orders", 4, &[0, 1, 2, 3])).await.unwrap();
    assert_eq!(read(&agreement, &cache), Ok(Progress::Done));
    agreement.propose(MetaCommand::BecomeUnit { cache: name("orders") }).await.unwrap();
    let link = cache.segment(store::SegmentId(0)).link().cloned().unwrap();
    assert_eq!(
        (link.space, link.marked, link.complete.is_empty()),
        (SourceSpace::Unit, true, true)
    );
    agreement.propose(MetaCommand::Disconnect { cache: name("orders") }).await.unwrap();
    assert!(cache.segment(store::SegmentId(0)).link().is_none());
    agreement.propose(MetaCommand::RemoveCache { cache: name("orders") }).await.unwrap();
    assert!(cache.is_removed() && agreement.container().cache("orders").is_none());
}

#[tokio::test]
async fn a_cache_that_is_bounded_to_less_evicts_the_rest_and_keeps_to_its_bound_afterwards() {
    let agreement = start(None);
    let config = |most| {
        let memory = config::MemoryConfig { max_count: Some(most), ..Default::default() };
        Arc::new(CacheConfig { memory, ..CacheConfig::new(CacheMode::Distributed) })
    };
    let create =
        MetaCommand::CreateCache { cache: name("orders"), config: config(1_000), volatile: false };
    agreement.propose(create).await.unwrap();
    let cache = agreement.container().cache("orders").unwrap();
    let put = |key: u32| {
        let key = key.to_be_bytes();
        let write = Command::write(&key, b"v", Expiration::NEVER);
        let _ = cache.execute(&write, agreement.clock().now(), &mut |_: Outcome<'_>| ()).unwrap();
    };
    (0..1_000).for_each(put);
    let update =
        MetaCommand::UpdateCache { cache: name("orders"), config: config(100), replaces: None };
    agreement.propose(update).await.unwrap();
    while cache.approximate_len() > 100 {
        tokio::task::yield_now().await;
    }
    (2_000..2_500).for_each(put);
    assert_eq!(cache.approximate_len(), 100);
}

#[tokio::test]
async fn what_was_meant_for_a_removed_cache_does_not_happen_to_the_next_one_of_its_name() {
    let agreement = start(None);
    let old = create(&agreement).await;
    agreement.propose(MetaCommand::RemoveCache { cache: name("orders") }).await.unwrap();
    let new = create(&agreement).await;
    connect(&agreement).await;
    let before = agreement.see(Metadata::clone);
    let cache = || name("orders");
    for command in [
        MetaCommand::Clear { cache: cache() },
        MetaCommand::Mark { cache: cache() },
        MetaCommand::Disconnect { cache: cache() },
    ] {
        let refused = agreement.propose_for(&old, command).await.unwrap_err();
        assert!(matches!(refused, ProposeError::Refused(MetaError::NoSuchCache(_))), "{refused}");
    }
    assert_eq!(agreement.see(Metadata::clone), before);
    agreement.propose_for(&new, MetaCommand::Clear { cache: cache() }).await.unwrap();
    assert_eq!(read(&agreement, &new), Ok(Progress::Done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_was_told_is_written_is_not_lost_with_a_cache_that_is_removed_with_care() {
    let agreement = start(None);
    let caches = Caches::new(Arc::clone(&agreement), Vec::new());
    for _ in 0..200 {
        let cache = create(&agreement).await;
        connect(&agreement).await;
        let writing = Arc::clone(&agreement);
        let written = tokio::spawn(async move {
            if write(&writing, &cache) != Ok(Progress::Mark) {
                return false;
            }
            let mark = MetaCommand::Mark { cache: name("orders") };
            // Refused if it has been removed.
            let _ = writing.propose_for(&cache, mark).await;
            write(&writing, &cache) == Ok(Progress::Done)
        });
        let removed = caches.remove(&name("orders"), RemoveRule::Careful).await;
        let written = written.await.unwrap_or(false);
        assert!(!written || removed.is_err(), "it was lost without a word");
        if removed.is_err() {
            caches.remove(&name("orders"), RemoveRule::Force).await.unwrap();
        }
    }
}

#[tokio::test]
async fn whatever_changes_anything_outlives_a_restart() {
    use crate::samples::story;
    let directory = tempfile::tempdir().unwrap();
    for command in story() {
        let agreement = start(Some(directory.path()));
        let before = agreement.see(Metadata::clone);
        agreement.propose(command.clone()).await.unwrap();
        let mut expected = agreement.see(Metadata::clone);
        assert!(expected != before, "the story tells nothing twice: {command:?}");
        expected.restart();
        drop(agreement);
        assert_eq!(start(Some(directory.path())).see(Metadata::clone), expected, "{command:?}");
    }
}

#[tokio::test]
async fn a_restart_loses_no_cache_and_serves_nothing_old_in_the_place_of_what_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let agreement = start(Some(directory.path()));
    create(&agreement).await;
    connect(&agreement).await;
    drop(agreement);

    let agreement = start(Some(directory.path()));
    let cache = agreement.container().cache("orders").unwrap();
    assert_eq!(read(&agreement, &cache), Ok(Progress::Load), "nobody had changed anything");
    agreement.propose(MetaCommand::Mark { cache: name("orders") }).await.unwrap();
    assert_eq!(write(&agreement, &cache), Ok(Progress::Done));
    drop((agreement, cache));

    let agreement = start(Some(directory.path()));
    let cache = agreement.container().cache("orders").unwrap();
    let lost = Err(CacheError::Fenced(Fence::Lost));
    assert_eq!((read(&agreement, &cache), write(&agreement, &cache)), (lost.clone(), lost));
    agreement.propose(MetaCommand::AcceptLoss { cache: name("orders") }).await.unwrap();
    assert_eq!(read(&agreement, &cache), Ok(Progress::Load));
}

#[tokio::test]
async fn a_volatile_cache_goes_with_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let agreement = start(Some(directory.path()));
    let config = Arc::new(CacheConfig::new(CacheMode::Local));
    let cache = name("scratch");
    let create = MetaCommand::CreateCache { cache: cache.clone(), config, volatile: true };
    agreement.propose(create).await.unwrap();
    connect_to(&agreement, cache).await;
    drop(agreement);
    assert!(start(Some(directory.path())).container().cache("scratch").is_none());
}

async fn connect_to(agreement: &Arc<Agreement>, cache: CacheName) {
    agreement
        .propose(MetaCommand::Connect { cache, connection: Box::new(connection(4)) })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cache_with_a_source_waits_for_it() {
    let agreement = start(None);
    let mut config = CacheConfig::new(CacheMode::Distributed);
    config.remote_store = Some(connection(4).remote);
    let create = MetaCommand::CreateCache {
        cache: name("orders"),
        config: Arc::new(config),
        volatile: false,
    };
    agreement.propose(create).await.unwrap();
    let cache = agreement.container().cache("orders").unwrap();
    assert_eq!(read(&agreement, &cache), Err(CacheError::Fenced(Fence::NoSource)));
    connect(&agreement).await;
    assert_eq!(read(&agreement, &cache), Ok(Progress::Load));
}

#[tokio::test]
async fn what_changes_nothing_is_not_written_and_after_the_end_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let len = || std::fs::metadata(directory.path().join("metadata.log")).unwrap().len();
    let agreement = start(Some(directory.path()));
    create(&agreement).await;
    connect(&agreement).await;
    let mark = || MetaCommand::Mark { cache: name("orders") };
    agreement.propose(mark()).await.unwrap();
    let marked = len();
    for _ in 0..100 {
        agreement.propose(mark()).await.unwrap();
    }
    assert_eq!(len(), marked, "one mark is enough for all first writes that wait for it");

    agreement.close().await.unwrap();
    let config = Arc::new(CacheConfig::new(CacheMode::Local));
    let create = |volatile| MetaCommand::CreateCache {
        cache: name("late"),
        config: Arc::clone(&config),
        volatile,
    };
    let error = agreement.propose(create(false)).await.unwrap_err();
    assert!(matches!(error, ProposeError::NotStored(LogError::Closed { .. })), "{error}");
    assert!(agreement.container().cache("late").is_none());
    agreement.propose(create(true)).await.unwrap();
}

/// Servers of a source, each with a name of the same length.
fn servers(count: usize) -> Vec<config::RemoteServer> {
    let server = |number| config::RemoteServer { host: format!("h{number:07}"), port: 11222 };
    (0..count).map(server).collect()
}

fn source(count: usize) -> CacheConfig {
    CacheConfig {
        remote_store: Some(config::RemoteStoreConfig::new(servers(count))),
        ..CacheConfig::new(CacheMode::Local)
    }
}

/// As many servers as take nearly, or more than, so many bytes of a stored configuration.
fn servers_of(bytes: usize) -> usize {
    let len = |count| source(count).to_stored_json().len();
    bytes / (len(2) - len(1))
}

const MEBI: usize = 1024 * 1024;

#[tokio::test]
async fn what_would_not_be_read_back_as_it_is_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let agreement = start(Some(directory.path()));
    create(&agreement).await;
    let before = agreement.see(Metadata::clone);
    let too_long = || Arc::new(source(servers_of(3 * MEBI)));
    // Clustered caches alone have one.
    let other =
        CacheConfig { key_partitioner: Some("a.B".into()), ..CacheConfig::new(CacheMode::Local) };
    let other = || Arc::new(other.clone());
    let mut far = connection(4);
    far.remote.servers = servers(servers_of(3 * MEBI));
    let mut many = connection(4);
    many.space = SourceSpace::Segments(70_000);
    let (orders, new) = (|| name("orders"), || name("new"));
    let volatile = false;
    for (command, reason) in [
        (MetaCommand::CreateCache { cache: new(), config: too_long(), volatile }, "3145728 bytes"),
        (MetaCommand::CreateCache { cache: new(), config: other(), volatile }, "'key-partitioner'"),
        (
            MetaCommand::UpdateCache { cache: orders(), config: too_long(), replaces: None },
            "3145728 bytes",
        ),
        (
            MetaCommand::UpdateCache { cache: orders(), config: other(), replaces: None },
            "'key-partitioner'",
        ),
        (
            MetaCommand::CreateTemplate { template: new(), config: too_long(), volatile },
            "3145728 bytes",
        ),
        (
            MetaCommand::CreateTemplate { template: new(), config: other(), volatile },
            "'key-partitioner'",
        ),
        (MetaCommand::Connect { cache: orders(), connection: Box::new(far) }, "3145728 bytes"),
        (MetaCommand::Connect { cache: orders(), connection: Box::new(many) }, "70000"),
    ] {
        let error = agreement.propose(command.clone()).await.unwrap_err();
        let refused = matches!(error, ProposeError::Refused(MetaError::NotStorable { .. }));
        assert!(refused && error.to_string().contains(reason), "{error}: {command:?}");
    }
    // What goes with the process need not be read.
    let scratch = MetaCommand::CreateCache { cache: new(), config: other(), volatile: true };
    agreement.propose(scratch).await.unwrap();
    drop(agreement);
    assert_eq!(start(Some(directory.path())).see(Metadata::clone), before);
}

#[tokio::test]
async fn what_grows_bit_by_bit_stays_storable() {
    let directory = tempfile::tempdir().unwrap();
    let agreement = start(Some(directory.path()));
    let config = Arc::new(source(servers_of(3 * MEBI - 600)));
    let cache = name("orders");
    agreement
        .propose(MetaCommand::CreateCache { cache: cache.clone(), config, volatile: false })
        .await
        .unwrap();
    let mut refused = None;
    for number in 0..4 {
        let alias = name(&format!("{number:0250}"));
        let assigned = agreement.propose(MetaCommand::AssignAlias { cache: cache.clone(), alias });
        refused = assigned.await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.unwrap().to_string();
    assert!(refused.starts_with("the configuration of orders cannot be stored"), "{refused}");
    // The file is written anew before the first command after a start.
    drop(agreement);
    let agreement = start(Some(directory.path()));
    let config = Arc::new(CacheConfig::new(CacheMode::Local));
    let create = MetaCommand::CreateCache { cache: name("new"), config, volatile: false };
    agreement.propose(create).await.unwrap();
}

#[tokio::test]
async fn a_configuration_that_says_the_same_in_other_words_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = |text: &str| Arc::new(CacheConfig::from_stored_json(text).unwrap());
    let (first, other) = (
        config(r#"{"distributed-cache":{"mode":"SYNC","expiration":{"lifespan":"5s"}}}"#),
        config(
            r#"{"distributed-cache":{"mode":"SYNC","owners":2,"expiration":{"lifespan":"5000"},
            "locking":{"isolation":"REPEATABLE_READ"}}}"#,
        ),
    );
    assert_eq!(first, other);
    let agreement = start(Some(directory.path()));
    let cache = || name("orders");
    let create =
        MetaCommand::CreateCache { cache: cache(), config: Arc::clone(&first), volatile: false };
    agreement.propose(create).await.unwrap();
    let (config, replaces) = (Arc::clone(&other), Some(first));
    let update = MetaCommand::UpdateCache { cache: cache(), config, replaces };
    agreement.propose(update).await.unwrap();
    drop(agreement);
    let agreement = start(Some(directory.path()));
    let stored = agreement.see(|it| it.cache("orders").unwrap().config.to_stored_json());
    assert_eq!(stored, other.to_stored_json());
}

#[tokio::test]
async fn what_does_not_fit_or_cannot_be_stored_is_known_before_it_is_tried() {
    let directory = tempfile::tempdir().unwrap();
    let agreement = start(Some(directory.path()));
    let cache = create(&agreement).await;
    let connect = |cache: String| {
        let mut connection = Box::new(connection(4));
        connection.remote.cache = Some(cache);
        MetaCommand::Connect { cache: name("orders"), connection }
    };
    let too_large = connect("x".repeat(4_000_000));
    agreement.check_for(&cache, &too_large).unwrap_err();
    agreement.propose_for(&cache, too_large).await.unwrap_err();
    agreement.check_for(&cache, &connect("x".into())).unwrap();
    assert!(cache.segment(store::SegmentId(0)).link().is_none(), "nothing was carried out");
    agreement.propose_for(&cache, connect("x".into())).await.unwrap();
    agreement.check_for(&cache, &connect("x".into())).unwrap_err();
    agreement.propose(MetaCommand::RemoveCache { cache: name("orders") }).await.unwrap();
    let mark = MetaCommand::Mark { cache: name("orders") };
    assert!(matches!(agreement.check_for(&cache, &mark), Err(ProposeError::Refused(_))));
}
