//! What the status says of the source's entries agrees with what is here, whatever became of them.

use serde_json::Value;

use super::{NEVER, Scene, key};
use crate::harness::eventually;

impl Scene {
    /// The account of the source's entries. It agrees with the number of entries that are here, of which so many are
    /// clients' own.
    async fn account(&self, own: u64) -> Account {
        let here = self.target.rest.migration("c").await["here"].clone();
        let of = |name: &str| here[name].as_u64().unwrap();
        let first = ["copied", "readThrough", "ahead", "keptForClient", "tombstone", "expired"];
        assert_eq!(of("read"), first.map(of).iter().sum::<u64>(), "{here:#}");
        let came = ["copied", "readThrough", "ahead", "repaired", "goneBefore"].map(of);
        let gone = of("evicted") + of("changedSince");
        assert_eq!(of("asTheyCame") + gone, came.iter().sum::<u64>(), "{here:#}");
        assert_eq!(of("asTheyCame") + own, self.to.size().await.unwrap(), "{here:#}");
        Account(here)
    }

    async fn remove_here(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.to.remove(&key(number)).await.unwrap();
        }
    }
}

struct Account(Value);

impl Account {
    /// It has these numbers.
    #[track_caller]
    fn has(&self, numbers: &[(&str, u64)]) {
        for (name, number) in numbers {
            assert_eq!(self.0[name], *number, "{name} in {:#}", self.0);
        }
    }
}

#[tokio::test]
async fn what_clients_changed_is_not_hidden_by_what_a_repair_fetches() {
    let scene = Scene::connected(100).await;
    scene.target.synchronize("c").await;
    scene.remove_here(1..4).await;
    scene.to.put(&key(9), b"mine", NEVER).await.unwrap();
    scene.account(1).await.has(&[("asTheyCame", 96), ("changedSince", 4), ("repaired", 0)]);
    for number in 1_000..1_003 {
        scene.from.put(&key(number), b"new", NEVER).await.unwrap();
    }
    scene.from.put(&key(50), b"another", NEVER).await.unwrap();
    let report = scene.action("verify&repair=true").await.with(200).json();
    assert_eq!((&report["repaired"], &report["changedHere"]), (&4.into(), &4.into()), "{report:#}");
    let account = scene.account(1).await;
    account.has(&[("read", 100), ("copied", 100), ("asTheyCame", 99)]);
    account.has(&[("changedSince", 4), ("repaired", 3), ("goneBefore", 0)]);
    // What was repaired can go as well.
    scene.remove_here(1_001..1_002).await;
    scene.account(1).await.has(&[("asTheyCame", 98), ("changedSince", 5), ("repaired", 3)]);
    // A connection that continues this one goes on with the account, and with what happened in between.
    scene.disconnect("").await.with(204);
    scene.remove_here(60..62).await;
    scene.connect().await;
    let account = scene.account(1).await;
    account.has(&[("read", 100), ("copied", 100), ("asTheyCame", 96)]);
    account.has(&[("changedSince", 7), ("repaired", 3)]);
    scene.stop().await;
}

#[tokio::test]
async fn what_came_before_the_copy_and_was_removed_at_the_source_is_in_the_account() {
    let scene = Scene::connected(100).await;
    for number in 0..10 {
        scene.to.get(&key(number)).await.unwrap().unwrap();
    }
    for number in 0..4 {
        scene.from.remove(&key(number)).await.unwrap();
    }
    scene.to.put(&key(20), b"mine", NEVER).await.unwrap();
    scene.remove_here(9..10).await;
    scene.target.synchronize("c").await;
    let account = scene.account(1).await;
    account.has(&[("read", 96), ("copied", 89), ("readThrough", 5)]);
    account.has(&[("keptForClient", 1), ("tombstone", 1), ("goneBefore", 4), ("asTheyCame", 98)]);
    // Of a client's own entry that goes, it says nothing: it did not come from the source.
    scene.remove_here(20..21).await;
    scene.remove_here(0..1).await;
    scene.account(0).await.has(&[("goneBefore", 4), ("changedSince", 1), ("asTheyCame", 97)]);
    scene.stop().await;
}

#[tokio::test]
async fn what_an_accepted_source_has_lost_is_in_the_account_where_it_is_here() {
    let scene = Scene::connected(2_000).await;
    scene.relay.slow_down(200_000);
    scene.target.rest.post("/rest/v2/caches/c?action=sync-data&async=true", "").await.with(202);
    eventually("something came", || async {
        (scene.counts().await["written"].as_u64()? > 300).then_some(())
    })
    .await;
    let empty = scene.twin().await;
    empty.cache("c").await;
    scene.relay.lead_to(empty.address());
    scene.relay.cut();
    scene.relay.slow_down(0);
    eventually("it is doubted", || async {
        (scene.target.rest.migration("c").await["state"] == "FAILED").then_some(())
    })
    .await;
    let here = scene.target.rest.migration("c").await["here"].clone();
    assert_eq!(here["asTheyCame"], Value::Null, "not everything is complete: {here:#}");
    scene.action("accept-source-loss").await.with(204);
    let status = scene.target.rest.migration("c").await;
    let (state, problem) = (&status["state"], &status["problem"]);
    assert_eq!((state, problem), (&"CONNECTED".into(), &Value::Null), "it was accepted");
    assert!(
        status["blockers"][0].as_str().unwrap().ends_with("complete: synchronize"),
        "{status:#}"
    );
    scene.target.synchronize("c").await;
    let account = scene.account(0).await;
    let all = account.0["read"].as_u64().unwrap() + account.0["goneBefore"].as_u64().unwrap();
    account.has(&[("asTheyCame", all), ("changedSince", 0)]);
    assert!(all > 300, "{:#}", account.0);
    scene.stop().await;
    empty.stop().await;
}
