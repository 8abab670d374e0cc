//! Which servers are asked for which key.

use super::*;
use crate::{config::ClientConfig, notice::Notices};

fn address(host: &str) -> ServerAddress {
    ServerAddress { host: host.into(), port: 11222 }
}

fn cluster(configured: &[&str]) -> Cluster {
    let config = ClientConfig::new(configured.iter().map(|host| address(host)));
    Cluster::new(Common::new(config, Notices::default()))
}

/// Two segments, the first owned by `b` and `a`, the second by `a`.
fn topology(id: u32) -> Topology {
    Topology { id, servers: vec![address("a"), address("b")], owners: vec![vec![1, 0], vec![0]] }
}

fn order(cluster: &Cluster, cache: &CacheState, route: Route<'_>) -> Vec<String> {
    let view = cache.view();
    let candidates = cluster.candidates(route, view.as_deref());
    candidates.map(|server| server.address.host.clone()).collect()
}

/// Keys whose hashes put them in the second of two segments: 1732799549 and 89125410.
const IN_SECOND: &[u8] = b"k";
const IN_FIRST: &[u8] = b"";

#[test]
fn a_key_goes_to_its_owners_first_then_to_any_server() {
    let cluster = cluster(&["seed"]);
    let cache = cluster.cache("orders");
    assert_eq!(order(&cluster, &cache, Route::Key(IN_FIRST)), ["seed"]);

    cluster.learn(&cache, topology(7), &address("seed"));
    assert_eq!(cache.topology_id(), 7);
    assert_eq!(order(&cluster, &cache, Route::Key(IN_FIRST))[..2], ["b", "a"]);
    let candidates = order(&cluster, &cache, Route::Key(IN_SECOND));
    assert_eq!((candidates[0].as_str(), candidates.last().unwrap().as_str()), ("a", "seed"));
    assert!(candidates.contains(&"b".to_owned()));
}

#[test]
fn operations_for_any_server_rotate() {
    let cluster = cluster(&["one", "two", "three"]);
    let cache = cluster.cache("orders");
    let firsts: Vec<_> =
        (0..6).map(|_| order(&cluster, &cache, Route::Any).swap_remove(0)).collect();
    assert_eq!(firsts[..3], firsts[3..]);
    let distinct: std::collections::BTreeSet<_> = firsts.iter().collect();
    assert_eq!(distinct.len(), 3);
}

#[test]
fn topologies_are_those_of_one_cache_and_any_other_number_is_newer() {
    let cluster = cluster(&["seed"]);
    let (orders, users) = (cluster.cache("orders"), cluster.cache("users"));
    cluster.learn(&orders, topology(7), &address("seed"));
    assert_eq!((orders.topology_id(), users.topology_id()), (7, NO_TOPOLOGY));
    cluster.learn(&orders, topology(3), &address("seed"));
    assert_eq!(orders.topology_id(), 3);
    assert!(Arc::ptr_eq(&orders, &cluster.cache("orders")));
}

#[test]
fn servers_that_no_topology_names_are_forgotten() {
    let cluster = cluster(&["seed"]);
    let cache = cluster.cache("orders");
    cluster.learn(&cache, topology(7), &address("seed"));
    let b = cluster.server(&address("b"));
    let only_a = Topology { id: 8, servers: vec![address("a")], owners: vec![vec![0], vec![0]] };
    cluster.learn(&cache, only_a, &address("seed"));
    assert!(!Arc::ptr_eq(&b, &cluster.server(&address("b"))));
}

#[test]
fn a_topology_that_makes_no_sense_is_not_used() {
    let cluster = cluster(&["seed"]);
    let cache = cluster.cache("orders");
    let servers = vec![address("a")];
    for wrong in [
        Topology { id: 1, servers: vec![], owners: vec![] },
        Topology { id: 2, servers: servers.clone(), owners: vec![vec![1]] },
        Topology { id: 3, servers: vec![address("")], owners: vec![] },
        Topology { id: 4, servers: vec![address("a"); 1_025], owners: vec![] },
    ] {
        cluster.learn(&cache, wrong, &address("seed"));
        assert_eq!(cache.topology_id(), NO_TOPOLOGY);
    }
    assert_eq!(cluster.common.notices.all(), [Notice::Topology { server: address("seed") }]);
    // A segment without an owner, or a cache that is not distributed, is valid.
    let fine = Topology { id: 5, servers, owners: vec![vec![], vec![0]] };
    cluster.learn(&cache, fine, &address("seed"));
    assert_eq!(order(&cluster, &cache, Route::Key(IN_FIRST)), ["a", "seed"]);
}
