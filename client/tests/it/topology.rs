//! Several servers: owners of keys, servers that are gone, and servers that refer to others.

use std::{sync::Arc, time::Duration};

use client::{
    Client, ClientConfig, ClientError, Intelligence, Notice, RequestExpiration, ServerAddress,
    Topology,
};
use hotrod::{Status, op::AnyRequest};
use parking_lot::Mutex;

use crate::fake::{Do, Fake, Store, eventually};

/// Two servers with the same entries; the first owns segment 0 of two, the second segment 1.
struct Two {
    servers: [Fake; 2],
    gets: Arc<Mutex<Vec<Asked>>>,
}

/// The number of a server that was asked, and the key.
type Asked = (usize, Vec<u8>);

impl Two {
    /// Starts the servers. `refuses` returns the status with which a server refuses GET and PUT.
    async fn start(
        refuses: impl Fn(usize) -> Option<Status> + Clone + Send + Sync + 'static,
    ) -> Self {
        let store = Store::default();
        let gets = Arc::new(Mutex::new(Vec::new()));
        let addresses = Arc::new(Mutex::new(Vec::<ServerAddress>::new()));
        let mut servers = Vec::new();
        for index in 0..2 {
            let (store, gets) = (store.clone(), Arc::clone(&gets));
            let (addresses, refuses) = (Arc::clone(&addresses), refuses.clone());
            let fake = Fake::start(move |asked| {
                if let AnyRequest::Get(get) = asked.request {
                    gets.lock().push((index, get.key.to_vec()));
                }
                if let AnyRequest::Get(_) | AnyRequest::Put(_) = asked.request
                    && let Some(status) = refuses(index)
                {
                    return Do::Say(asked.error(status, "not here"));
                }
                let servers = addresses.lock().clone();
                let topology = Topology { id: 7, servers, owners: vec![vec![0, 1], vec![1, 0]] };
                Do::Say(store.announcing(topology).answer(asked))
            });
            servers.push(fake.await);
        }
        *addresses.lock() = servers.iter().map(|server| server.address.clone()).collect();
        Self { servers: servers.try_into().ok().unwrap(), gets }
    }

    /// Returns a client that is configured with the first server only.
    async fn client(&self) -> Client {
        self.servers[0].client().await
    }
}

/// Keys of the first and of the second of two segments.
const OF_FIRST: &[u8] = b"";
const OF_SECOND: &[u8] = b"k";

#[tokio::test]
async fn keys_are_asked_of_their_owners_on_one_connection_each() {
    let two = Two::start(|_| None).await;
    let client = two.client().await;
    let cache = client.cache("orders").await.unwrap();
    let owners = cache.segments_by_owner();
    assert_eq!(owners[&two.servers[0].address].iter().collect::<Vec<_>>(), [0]);
    assert_eq!(owners[&two.servers[1].address].iter().collect::<Vec<_>>(), [1]);
    assert_eq!(cache.servers(), two.servers.each_ref().map(|server| server.address.clone()));

    // The client connects to the other server meanwhile; until then any server will do.
    eventually(|| async {
        cache.get(OF_SECOND).await.unwrap();
        two.gets.lock().last().unwrap().0 == 1
    })
    .await;
    two.gets.lock().clear();
    for _ in 0..10 {
        cache.get(OF_FIRST).await.unwrap();
        cache.get(OF_SECOND).await.unwrap();
    }
    let gets = two.gets.lock();
    let of_owner = |(server, key): &Asked| *server == usize::from(key == OF_SECOND);
    assert!(gets.len() == 20 && gets.iter().all(of_owner), "{gets:?}");
    assert_eq!(two.servers.each_ref().map(Fake::connections), [1, 1]);
}

#[tokio::test]
async fn an_operation_that_one_server_refused_goes_to_another() {
    for status in [Status::NodeSuspected, Status::IllegalLifecycleState] {
        let two = Two::start(move |index| (index == 0).then_some(status)).await;
        let cache = two.client().await.cache("orders").await.unwrap();
        cache.put(OF_FIRST, b"v", RequestExpiration::NEVER).await.unwrap();
        assert_eq!(cache.get(OF_FIRST).await.unwrap().unwrap(), "v");
    }
    let two = Two::start(|_| Some(Status::IllegalLifecycleState)).await;
    let cache = two.client().await.cache("orders").await.unwrap();
    let error = cache.get(OF_FIRST).await.unwrap_err();
    assert!(matches!(&error, ClientError::Server { status: Status::IllegalLifecycleState, .. }));
    assert_eq!(two.gets.lock().len(), 4);

    let two = Two::start(|_| Some(Status::ServerError)).await;
    let cache = two.client().await.cache("orders").await.unwrap();
    cache.get(OF_FIRST).await.unwrap_err();
    assert_eq!(two.gets.lock().len(), 1);
}

#[tokio::test]
async fn the_other_server_stands_in_for_one_that_is_gone() {
    let two = Two::start(|_| None).await;
    let cache = two.client().await.cache("orders").await.unwrap();
    eventually(|| async {
        cache.get(OF_SECOND).await.unwrap();
        two.gets.lock().last().unwrap().0 == 1
    })
    .await;
    let Two { servers: [first, second], gets } = two;
    drop(first);
    for _ in 0..10 {
        cache.get(OF_FIRST).await.unwrap();
    }
    assert_eq!(gets.lock().last().unwrap().0, 1);
    assert_eq!(second.connections(), 1);
}

#[tokio::test]
async fn addresses_that_cannot_be_reached_are_given_up_for_the_configured_one() {
    let nowhere = Fake::honest().await.address.clone();
    let store = Store::default();
    store.put(b"k", b"v");
    let announced = Topology { id: 9, servers: vec![nowhere.clone()], owners: vec![vec![0]; 2] };
    let levels = Arc::new(Mutex::new(Vec::new()));
    let (seen, store) = (Arc::clone(&levels), store.announcing(announced));
    let fake = Fake::start(move |asked| {
        seen.lock().push(asked.header.intelligence);
        Do::Say(store.answer(asked))
    })
    .await;
    let client = fake.client().await;
    let cache = client.cache("orders").await.unwrap();
    assert_eq!(cache.servers(), std::slice::from_ref(&nowhere));
    eventually(|| async {
        assert_eq!(cache.get(b"k").await.unwrap().unwrap(), "v");
        !client.notices().is_empty()
    })
    .await;
    assert_eq!(client.notices(), [Notice::Announced { servers: vec![nowhere] }]);
    cache.get(b"k").await.unwrap();
    assert_eq!(levels.lock().last(), Some(&Intelligence::Basic));
    assert_eq!((cache.topology(), cache.servers()), (None, vec![fake.address.clone()]));
}

#[tokio::test]
async fn a_basic_client_is_told_nothing_and_one_server_can_be_asked_by_address() {
    let two = Two::start(|_| None).await;
    let config = ClientConfig { intelligence: Intelligence::Basic, ..two.servers[0].config() };
    let cache = Client::connect(config).await.unwrap().cache("orders").await.unwrap();
    cache.get(OF_SECOND).await.unwrap();
    assert_eq!(cache.topology(), None);
    assert_eq!(two.servers[1].connections(), 0);

    // Only that server is asked, even if it does not answer.
    let error = cache.stats_of(&two.servers[1].address).await.unwrap_err();
    assert!(matches!(error, ClientError::Server { operation: "STATS", .. }), "{error:?}");
    assert_eq!(two.servers[1].connections(), 1);
    let gone = ServerAddress { host: "127.0.0.1".into(), port: 1 };
    let error = cache.with_timeout(Duration::from_secs(2)).stats_of(&gone).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { server, .. } if *server == gone));
}
