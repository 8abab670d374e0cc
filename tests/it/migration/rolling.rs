//! A source whose servers are started again, one after the other: as long as one of them goes on, it is the same.

use std::path::Path;

use serde_json::{Value, json};

use super::{NEVER, key, value};
use crate::harness::{Answer, Faulty, TestServer, eventually};

const CONNECTION: &str = "/rest/v2/caches/c/rolling-upgrade/source-connection";

/// A cache of which servers announce no topology: clients know those that they are told.
const LOCAL: &str =
    r#"{"local-cache":{"statistics":true,"encoding":{"media-type":"application/octet-stream"}}}"#;

/// A server of the source, which is reached over a relay.
struct Member {
    server: TestServer,
    relay: Faulty,
}

impl Member {
    /// Two of them, which have the same entries.
    async fn two() -> [Self; 2] {
        let relay = async || Faulty::start(([127, 0, 0, 1], 0).into()).await;
        let (relay, other_relay) = (relay().await, relay().await);
        let server = TestServer::start().await;
        let cache = server.cache_of("c", LOCAL).await;
        cache.put_all((0..20).map(|n| (key(n), value(n))), NEVER).await.unwrap();
        relay.lead_to(server.address());
        let other = begun(&other_relay, &server).await;
        [Self { server, relay }, Self { server: other, relay: other_relay }]
    }

    async fn three() -> [Self; 3] {
        let [first, second] = Self::two().await;
        let relay = Faulty::start(([127, 0, 0, 1], 0).into()).await;
        let server = begun(&relay, &first.server).await;
        [first, second, Self { server, relay }]
    }

    /// Nobody reaches it any more.
    fn go_away(&self) {
        self.relay.refuse(true);
        self.relay.cut();
    }

    /// What is said once it is known that its process has gone.
    fn was_started_again(&self) -> String {
        format!("source server {} was started again", self.relay.address)
    }

    /// Another process takes its place.
    async fn start_again(&mut self) {
        let next = begun(&self.relay, &self.server).await;
        let before = std::mem::replace(&mut self.server, next);
        self.relay.cut();
        before.stop().await;
    }
}

/// A server with the entries of another one, to which the relay leads from now on.
async fn begun(relay: &Faulty, other: &TestServer) -> TestServer {
    let server = TestServer::start().await;
    server.cache_of("c", LOCAL).await;
    server.connect("c", &other.as_source("c")).await;
    assert_eq!(server.synchronize("c").await, 20);
    server.rest.delete("/rest/v2/caches/c/rolling-upgrade/source-connection").await.with(204);
    relay.lead_to(server.address());
    server
}

/// A target whose source has these servers.
async fn connected(data: &Path, members: &[Member]) -> TestServer {
    let target = started(data).await;
    target.cache_of("c", LOCAL).await;
    target.connect("c", &document(members)).await;
    target
}

/// How a source of these servers is reached.
fn document(members: &[Member]) -> String {
    let address = |member: &Member| {
        let address = member.relay.address;
        json!({ "host": address.ip().to_string(), "port": address.port() })
    };
    let servers: Vec<Value> = members.iter().map(address).collect();
    let document =
        json!({ "remote-store": { "cache": "c", "shared": true, "remote-server": servers } });
    document.to_string()
}

async fn started(data: &Path) -> TestServer {
    let data_dir = Some(data.to_path_buf());
    TestServer::start_with(config::ServerFile { data_dir, ..config::ServerFile::default() }).await
}

/// Waits until the source is there, and returns the status. It was not taken for another one.
async fn reached(target: &TestServer) -> Value {
    eventually("the source is reached", || async {
        let status = target.rest.migration("c").await;
        let problem = status["problem"].as_str().unwrap_or_default();
        assert!(!problem.contains("may be lost"), "{status:#}");
        (status["source"]["reachable"] == true && status["problem"].is_null()).then_some(status)
    })
    .await
}

#[tokio::test]
async fn a_server_that_hangs_while_another_is_started_again_may_go_on() {
    let data = tempfile::tempdir().unwrap();
    let mut members = Member::two().await;
    let target = connected(data.path(), &members).await;
    members[1].relay.silence(true);
    members[0].start_again().await;
    eventually("the one that hangs is missed", || async {
        let status = target.rest.migration("c").await;
        assert_ne!(status["state"], "FAILED", "{status:#}");
        let answer = target.rest.get("/rest/v2/caches/c/x").await;
        assert_eq!(answer.status, 502, "nothing that the new one says is believed");
        status.to_string().contains("shows when").then_some(())
    })
    .await;
    members[1].relay.silence(false);
    reached(&target).await;
    assert_eq!(target.synchronize("c").await, 20);
    target.stop().await;
}

#[tokio::test]
async fn a_restart_knows_a_source_by_the_processes_that_have_come_since() {
    let data = tempfile::tempdir().unwrap();
    let mut members = Member::two().await;
    let target = connected(data.path(), &members).await;
    members[0].start_again_before(|| stored(data.path())).await;
    members[1].start_again().await;
    target.stop().await;
    let target = started(data.path()).await;
    reached(&target).await;
    assert_eq!(target.synchronize("c").await, 20);
    target.stop().await;
}

impl Member {
    /// Another process takes its place, and the target has noticed.
    async fn start_again_before(&mut self, stored: impl Fn() -> u64) {
        let before = stored();
        self.start_again().await;
        eventually("the new process is recorded", || async { (stored() > before).then_some(()) })
            .await;
    }
}

/// Bytes of the files in a directory.
fn stored(data: &Path) -> u64 {
    let files = std::fs::read_dir(data).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Copies and verifies everything, and returns the status.
async fn verified(target: &TestServer) -> Value {
    assert_eq!(target.synchronize("c").await, 20);
    again(target, "verify").await.with(200);
    target.rest.migration("c").await
}

/// Waits until every server of the source has answered since everything was copied, and returns the status.
async fn all_heard(target: &TestServer) -> Value {
    eventually("all servers have answered", || async {
        let status = target.rest.migration("c").await;
        (!status["doubts"].to_string().contains("not answered")).then_some(status)
    })
    .await
}

async fn again(target: &TestServer, action: &str) -> Answer {
    target.rest.post(&format!("/rest/v2/caches/c/rolling-upgrade?action={action}"), "").await
}

async fn disconnected_strictly(target: &TestServer) -> Answer {
    let path = "/rest/v2/caches/c/rolling-upgrade/source-connection?strict=true";
    target.rest.delete(path).await
}

#[tokio::test]
async fn a_server_that_is_started_again_before_the_copy_is_doubted_until_its_loss_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let mut members = Member::two().await;
    let target = connected(data.path(), &members).await;
    members[0].start_again_before(|| stored(data.path())).await;
    // Also after a restart, which knows only the new process.
    target.stop().await;
    let target = started(data.path()).await;
    reached(&target).await;
    let status = verified(&target).await;
    let doubt = format!("source server {} was started again", members[0].relay.address);
    assert!(status["doubts"].to_string().contains(&doubt), "{status:#}");
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    let refused = disconnected_strictly(&target).await.with(409);
    assert!(refused.text().contains(&doubt), "{}", refused.text());

    again(&target, "accept-source-loss").await.with(204);
    let status = target.rest.migration("c").await;
    assert_eq!((&status["state"], &status["doubts"]), (&json!("VERIFIED"), &json!([])));
    again(&target, "accept-source-loss").await.with(409);
    disconnected_strictly(&target).await.with(204);
    target.stop().await;
}

#[tokio::test]
async fn servers_that_are_started_again_after_the_copy_raise_nothing_before_the_target_is() {
    let data = tempfile::tempdir().unwrap();
    let mut members = Member::two().await;
    let target = connected(data.path(), &members).await;
    let status = verified(&target).await;
    assert_eq!(status["state"], "VERIFIED", "{status:#}");
    for member in &mut members {
        member.start_again_before(|| stored(data.path())).await;
        let status = target.rest.migration("c").await;
        assert_eq!((&status["state"], &status["doubts"]), (&json!("VERIFIED"), &json!([])));
    }
    // What was copied is lost now, and copied anew from what the source still has.
    target.stop().await;
    let target = started(data.path()).await;
    reached(&target).await;
    let status = verified(&target).await;
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    assert!(status["doubts"].to_string().contains("of the source's servers, "), "{status:#}");
    target.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_between_two_connections_is_doubted_over_the_second() {
    let data = tempfile::tempdir().unwrap();
    let mut members = Member::two().await;
    let target = connected(data.path(), &members).await;
    let path = "/rest/v2/caches/c/rolling-upgrade/source-connection?force=true";
    target.rest.delete(path).await.with(200);
    members[1].start_again().await;
    target.connect("c", &document(&members)).await;
    let status = verified(&target).await;
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    let doubt = format!("source server {} was started again", members[1].relay.address);
    assert!(status["doubts"].to_string().contains(&doubt), "{status:#}");
    target.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_heard_since_the_copy_is_compared_by_the_next_connection() {
    for (goes_on, query) in [(false, ""), (false, "?force=true"), (true, "")] {
        let data = tempfile::tempdir().unwrap();
        let mut members = Member::two().await;
        let target = connected(data.path(), &members).await;
        members[1].relay.refuse(true);
        members[1].relay.cut();
        let status = verified(&target).await;
        assert!(status["doubts"].to_string().contains("has not answered since"), "{status:#}");
        let path = format!("/rest/v2/caches/c/rolling-upgrade/source-connection{query}");
        let answer = target.rest.delete(&path).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        if !goes_on {
            members[1].start_again().await;
        }
        members[1].relay.refuse(false);
        target.connect("c", &document(&members)).await;
        // Everything is here already.
        again(&target, "verify").await.with(200);
        let status = target.rest.migration("c").await;
        let doubt = format!("source server {} was started again", members[1].relay.address);
        let is_doubted = status["doubts"].to_string().contains(&doubt);
        assert_eq!(is_doubted, !goes_on, "{query}: {status:#}");
        let state = if goes_on { "VERIFIED" } else { "SYNCED" };
        assert_eq!(status["state"], state, "{query}: {status:#}");
        target.stop().await;
    }
}

/// What happens while a server does not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    TargetStartedAgain,
    ConnectedAgain,
}

#[tokio::test]
async fn a_server_that_did_not_answer_at_first_is_doubted_unless_it_has_run_since_before() {
    use Meanwhile::{ConnectedAgain, Nothing, TargetStartedAgain};
    for (goes_on, meanwhile) in [
        (true, Nothing),
        (false, Nothing),
        (true, TargetStartedAgain),
        (false, TargetStartedAgain),
        (false, ConnectedAgain),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut members = Member::two().await;
        eventually("it has certainly run since before", || async {
            let statistics = members[1].server.rest.get("/rest/v2/caches/c?action=stats").await;
            (statistics.json()["time_since_start"].as_u64() >= Some(2)).then_some(())
        })
        .await;
        members[1].go_away();
        let mut target = connected(data.path(), &members).await;
        if !goes_on {
            members[1].start_again().await;
        }
        match meanwhile {
            Nothing => {}
            TargetStartedAgain => {
                target.stop().await;
                target = started(data.path()).await;
                reached(&target).await;
            }
            ConnectedAgain => {
                target.rest.delete(&format!("{CONNECTION}?force=true")).await.with(200);
                target.connect("c", &document(&members)).await;
            }
        }
        members[1].relay.refuse(false);
        verified(&target).await;
        let status = all_heard(&target).await;
        let is_doubted = status["doubts"].to_string().contains(&members[1].was_started_again());
        assert_eq!(is_doubted, !goes_on, "{status:#}");
        let state = if goes_on { "VERIFIED" } else { "SYNCED" };
        assert_eq!(status["state"], state, "{status:#}");
        target.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_doubted_until_that_is_accepted() {
    let data = tempfile::tempdir().unwrap();
    let members = Member::two().await;
    members[1].go_away();
    let target = connected(data.path(), &members).await;
    let doubt = format!(
        "source server {} has not answered since the cache was connected",
        members[1].relay.address
    );
    let status = verified(&target).await;
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    assert!(status["doubts"].to_string().contains(&doubt), "{status:#}");
    let refused = disconnected_strictly(&target).await.with(409);
    assert!(refused.text().contains(&doubt), "{}", refused.text());
    again(&target, "accept-source-loss").await.with(204);
    let status = target.rest.migration("c").await;
    assert_eq!((&status["state"], &status["doubts"]), (&json!("VERIFIED"), &json!([])));
    disconnected_strictly(&target).await.with(204);
    target.stop().await;
}

#[tokio::test]
async fn a_server_that_is_silent_while_the_loss_of_another_is_accepted_is_compared_later() {
    let data = tempfile::tempdir().unwrap();
    let mut members = Member::three().await;
    let target = connected(data.path(), &members).await;
    members[1].start_again().await;
    eventually("it is noticed", || async {
        let answer = again(&target, "accept-source-loss").await;
        // From now on the third one is silent, and nobody was told of it.
        members[2].go_away();
        answer.status.is_success().then_some(())
    })
    .await;
    members[1].start_again().await;
    members[2].start_again().await;
    eventually("the second loss is noticed", || async {
        let answer = again(&target, "accept-source-loss").await;
        answer.status.is_success().then_some(())
    })
    .await;
    members[2].relay.refuse(false);
    verified(&target).await;
    let status = all_heard(&target).await;
    assert_eq!(status["state"], "SYNCED", "{status:#}");
    let doubts = status["doubts"].to_string();
    assert!(doubts.contains(&members[2].was_started_again()), "{status:#}");
    assert!(!doubts.contains(&members[1].was_started_again()), "{status:#}");
    target.stop().await;
}

#[tokio::test]
async fn a_server_that_is_silent_when_the_cache_is_connected_again_is_known_as_it_was() {
    for is_copied in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let mut members = Member::two().await;
        let target = connected(data.path(), &members).await;
        if is_copied {
            assert_eq!(verified(&target).await["state"], "VERIFIED");
        }
        let path = format!("{CONNECTION}?force={}", !is_copied);
        assert!(target.rest.delete(&path).await.status.is_success());
        members[1].go_away();
        target.connect("c", &document(&members)).await;
        // Once everything was here, that takes nothing along.
        if is_copied {
            members[1].start_again().await;
        }
        let silent = target.rest.migration("c").await;
        assert!(!silent["doubts"].to_string().contains("source server"), "{silent:#}");
        members[1].relay.refuse(false);
        if !is_copied {
            assert_eq!(target.synchronize("c").await, 20);
        }
        again(&target, "verify").await.with(200);
        let status = all_heard(&target).await;
        assert_eq!((&status["state"], &status["doubts"]), (&json!("VERIFIED"), &json!([])));
        target.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_since_the_copy_is_doubted_until_it_does_or_is_accepted() {
    for answers in [true, false] {
        let data = tempfile::tempdir().unwrap();
        let members = Member::two().await;
        let target = connected(data.path(), &members).await;
        members[1].relay.refuse(true);
        members[1].relay.cut();
        let status = verified(&target).await;
        assert_eq!(status["state"], "SYNCED", "{status:#}");
        let doubt = format!("source server {} has not answered since", members[1].relay.address);
        assert!(status["doubts"].to_string().contains(&doubt), "{status:#}");
        let refused = disconnected_strictly(&target).await.with(409);
        assert!(refused.text().contains(&doubt), "{}", refused.text());
        if answers {
            members[1].relay.refuse(false);
        } else {
            again(&target, "accept-source-loss").await.with(204);
        }
        eventually("nothing is in doubt any more", || async {
            let status = target.rest.migration("c").await;
            let (state, doubts) = (&status["state"], &status["doubts"]);
            ((state, doubts) == (&json!("VERIFIED"), &json!([]))).then_some(())
        })
        .await;
        disconnected_strictly(&target).await.with(204);
        target.stop().await;
    }
}

#[tokio::test]
async fn an_address_that_leads_here_is_no_server_of_the_source_while_another_one_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let members = Member::two().await;
    let target = connected(data.path(), &members).await;
    members[0].relay.lead_to(target.address());
    members[0].relay.cut();
    eventually("it is said", || async {
        // It may still be answered by the one that goes on.
        target.rest.get("/rest/v2/caches/c/x").await;
        let status = target.rest.migration("c").await;
        assert_ne!(status["state"], "FAILED", "{status:#}");
        status.to_string().contains("leads to this server now").then_some(())
    })
    .await;
    members[0].relay.lead_to(members[0].server.address());
    members[0].relay.cut();
    reached(&target).await;
    assert_eq!(target.synchronize("c").await, 20);
    target.stop().await;
}

#[tokio::test]
async fn a_target_that_is_stopped_while_it_reaches_its_source_asks_nothing_of_it_any_more() {
    let data = tempfile::tempdir().unwrap();
    let members = Member::two().await;
    let target = connected(data.path(), &members).await;
    target.stop().await;
    // Who the source is, it is asked before anything else.
    members.iter().for_each(|member| member.relay.hold_statistics(true));
    let target = started(data.path()).await;
    eventually("it is asked", || async { (members[0].relay.held() > 0).then_some(()) }).await;
    target.stop().await;
    members.iter().for_each(|member| member.relay.hold_statistics(false));
    eventually("every connection has ended", || async {
        members.iter().all(|member| member.relay.open() == 0).then_some(())
    })
    .await;
}
