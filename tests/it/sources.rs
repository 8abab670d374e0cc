//! Sources that cannot be had: what operators are told, and what stays as it was.

use client::RequestExpiration;
use config::ServerFile;
use http::Method;

use crate::{
    harness::{Faulty, OCTETS, TestServer, eventually, source_document},
    migration::Scene,
};

const CONNECTION: &str = "/rest/v2/caches/c/rolling-upgrade/source-connection";

#[tokio::test]
async fn a_server_is_not_its_own_source_and_that_is_all_that_is_said() {
    let server = TestServer::start().await;
    let cache = server.cache("c").await;
    let headers = [("accept", "application/json")];
    // It has no such cache either, but that is beside the point.
    let document = server.as_source("missing");
    let answer = server.rest.call(Method::POST, CONNECTION, &headers, document).await.with(400);
    let problems = answer.json()["problems"].take();
    assert_eq!(problems.as_array().unwrap().len(), 1, "{problems:#}");
    assert_eq!(problems[0]["code"], "ourselves");
    server.rest.get(CONNECTION).await.with(404);
    cache.put(b"k", b"v", RequestExpiration::default()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_source_that_a_restart_has_not_found_again_is_named_as_the_reason() {
    let source = TestServer::start().await;
    source.cache("c").await.put(b"k", b"v", RequestExpiration::default()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let file = || ServerFile { data_dir: Some(data.path().to_path_buf()), ..ServerFile::default() };
    let target = TestServer::start_with(file()).await;
    target.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    target.connect("c", &source.as_source("c")).await;
    target.stop().await;
    source.stop().await;

    let target = TestServer::start_with(file()).await;
    let status = target.rest.migration("c").await;
    assert_eq!(status["state"], "FAILED", "{status:#}");
    for (action, code) in [
        ("?action=sync-data", 500),
        ("/rolling-upgrade?action=resume", 500),
        ("/rolling-upgrade?action=pause", 409),
        ("/rolling-upgrade?action=verify", 409),
        ("/rolling-upgrade?action=accept-source-loss", 409),
    ] {
        let answer = target.rest.post(&format!("/rest/v2/caches/c{action}"), "").await;
        let text = answer.text();
        assert!(text.contains("the source was not reached"), "{action}: {text}");
        assert_eq!(answer.status, code, "{action}: {text}");
    }
    // Nobody knows whether there is such an entry.
    target.rest.get("/rest/v2/caches/c/k").await.with(502);
    let refused = target.rest.delete(CONNECTION).await.with(409);
    assert!(refused.text().contains("the source was not reached"), "{}", refused.text());
    target.rest.delete(&format!("{CONNECTION}?force=true")).await.with(200);
    target.rest.get("/rest/v2/caches/c/k").await.with(404);
    target.stop().await;
}

#[tokio::test]
async fn what_needs_a_source_says_that_there_is_none() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    source.cache("c").await;
    target.cache("c").await;
    let act = async |action: &str| {
        let path = format!("/rest/v2/caches/c/rolling-upgrade?action={action}");
        target.rest.post(&path, "{}").await.with(409).text().to_owned()
    };
    for action in ["resume", "pause", "cancel", "throttle", "verify", "accept-source-loss"] {
        let text = act(action).await;
        assert!(text.contains("cache c is not connected to a source"), "{action}: {text}");
    }
    assert_eq!(target.rest.migration("c").await["neverConnected"], true);
    target.connect("c", &source.as_source("c")).await;
    let resumed = act("resume").await;
    assert!(resumed.contains("no synchronization of cache c has begun"), "{resumed}");
    assert!(resumed.ends_with(": synchronize"), "{resumed}");
    let status = target.rest.migration("c").await;
    assert!(status["job"].is_null(), "nothing was begun: {status:#}");
    assert_eq!(target.synchronize("c").await, 0);
    for action in ["pause", "cancel", "throttle"] {
        let text = act(action).await;
        let none = "no synchronization or verification of cache c is running";
        assert!(text.contains(none), "{action}: {text}");
    }
    assert!(act("resume").await.contains("there is nothing to resume"));
    assert!(act("accept-source-loss").await.contains("has not changed"));
    let zero = "/rest/v2/caches/c/rolling-upgrade?action=throttle";
    let unclear = "/rest/v2/caches/c/rolling-upgrade?action=verify&repair=maybe";
    let answer = target.rest.post(unclear, "").await.with(400);
    assert_eq!(answer.text(), "'repair' is \"maybe\"; it has to be true or false");
    for parameter in ["force=1", "strict=yes", "force"] {
        target.rest.delete(&format!("{CONNECTION}?{parameter}")).await.with(400);
    }
    target.rest.get(CONNECTION).await.with(200);
    let answer = target.rest.post(zero, r#"{"entriesPerSecond":0}"#).await.with(400);
    assert!(answer.text().contains("pause instead"), "{}", answer.text());
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn what_is_mistyped_is_named_and_nothing_is_begun() {
    let scene = Scene::connected(50).await;
    let (sync, act) = ("?action=sync-data", "/rolling-upgrade?action=");
    let (verify, throttle) = (format!("{act}verify"), format!("{act}throttle"));
    let nearest = "did you mean 'entries-per-second'?";
    let (empty, twice) = ("is empty: give it a value", "is given twice");
    for (path, content, part) in [
        (format!("{sync}&entries-per-secnd=5"), "", nearest),
        (format!("{sync}&entries-per-second="), "", empty),
        (format!("{sync}&threads="), "", empty),
        (format!("{sync}&read-batch=1&read-batch=2"), "", twice),
        (format!("{sync}&async=maybe"), "", "'async' is \"maybe\""),
        (format!("{sync}&action=clear"), "", twice),
        (sync.to_owned(), r#"{"entriesPerSecond":5}"#, "sync-data takes no content"),
        (format!("{verify}&entries_per_second=5"), "", nearest),
        (format!("{verify}&bytes-per-second="), "", empty),
        (format!("{verify}&read-batch=5"), "", "it takes repair, async, threads"),
        (format!("{verify}&async=1"), "", "'async' is \"1\""),
        (format!("{verify}&repair=true&repair=false"), "", twice),
        (verify, r#"{"entriesPerSecond":5}"#, "verify takes no content"),
        (format!("{throttle}&entries-per-secnd=5"), "{}", nearest),
        (throttle.clone(), "", "give entries-per-second or bytes-per-second"),
        (throttle.clone(), r#"{"entriesPerSecond":5"#, "Invalid JSON at [1,22]: the document ends"),
        (format!("{throttle}&bytes-per-second=1"), "{}", "leave out one of them"),
        (format!("{act}pause&now=true"), "", "'now' is not a parameter of pause; it takes none"),
        (format!("{act}resmue"), "", "did you mean 'resume'?"),
        (format!("{act}go"), "", "there are pause, resume, cancel, throttle"),
        ("/rolling-upgrade/_verify?action=cancel".to_owned(), "", "the path names the action"),
        ("/rolling-upgrade".to_owned(), "", "'action' is missing; there are pause, resume,"),
        ("/rolling-upgrade?acton=pause".to_owned(), "{}", "'action' is missing"),
        ("/rolling-upgrade?entries-per-second=5".to_owned(), "", "'action' is missing"),
        ("?action=disconnect-source&strct=true".to_owned(), "", "did you mean 'strict'?"),
        ("?action=disconnect-source".to_owned(), r#"{"strict":true}"#, "takes no content"),
    ] {
        let path = format!("/rest/v2/caches/c{path}");
        let text = scene.target.rest.post(&path, content).await.with(400).text().to_owned();
        assert!(text.contains(part), "{path} {content}: {text}");
    }
    let no_entry = "/rest/v2/caches/c/rolling-upgrade";
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        for path in [no_entry.to_owned(), format!("{no_entry}?action=pause")] {
            scene.target.rest.call(method.clone(), &path, &[], "v").await.with(405);
        }
    }
    let status = "/rest/v2/caches/c/rolling-upgrade?action=pause";
    scene.target.rest.get(status).await.with(405);
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let path = format!("{CONNECTION}?action=disconnect-source");
        let refused = scene.target.rest.call(method, &path, &[], "").await.with(400);
        assert_eq!(refused.text(), "Invalid 'action' parameter supplied");
    }
    for parameters in ["?strct=true", "?force=true&force=false", "?strict=", "?action=x"] {
        scene.target.rest.delete(&format!("{CONNECTION}{parameters}")).await.with(400);
    }
    let again = format!("{CONNECTION}?frehs=true");
    let refused = scene.target.rest.post(&again, scene.source.as_source("c")).await.with(400);
    assert!(refused.text().contains("did you mean 'fresh'?"), "{}", refused.text());
    let status = scene.target.rest.migration("c").await;
    assert!(status["job"].is_null() && status["verify"].is_null(), "{status:#}");
    let keys = scene.target.rest.get("/rest/v2/caches/c?action=keys").await.with(200);
    assert!(!keys.text().contains("rolling-upgrade"), "no entry was written: {}", keys.text());
    // What a real server answers takes whatever it ignores.
    for path in ["?_=1", "?action=size&_=1", "?action=entries&batch=5&x", "/rolling-upgrade?_=1"] {
        scene.target.rest.get(&format!("/rest/v2/caches/c{path}")).await.with(200);
    }
    scene.target.rest.get("/rest/v2/caches/c?action=size&exact=yes").await.with(400);
    scene.target.rest.post("/rest/v2/caches/c?action=clear&_=1", "x").await.with(204);
    scene.stop().await;
}

#[tokio::test]
async fn a_source_that_says_nothing_holds_up_its_own_cache_only() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    source.cache("c").await;
    target.cache("c").await;
    target.cache("other").await;
    let silent = Faulty::start(source.address()).await;
    silent.silence(true);
    let waiting = async {
        let path = CONNECTION.replace("/c/", "/other/");
        target.rest.post(&path, source_document(silent.address, "c")).await.status
    };
    let others = async {
        eventually("it waits", || async { (silent.connections() > 0).then_some(()) }).await;
        target.connect("c", &source.as_source("c")).await;
    };
    tokio::select! {
        status = waiting => panic!("{status} before the other was connected"),
        () = others => {}
    }
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn entries_that_had_to_make_room_are_told_from_lost_ones() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    let from = source.cache("c").await;
    let all = (0..500).map(|number| (format!("key {number}").into_bytes(), b"v".to_vec()));
    from.put_all(all, RequestExpiration::default()).await.unwrap();
    let small = r#"{"distributed-cache":{"memory":{"max-count":100,"when-full":"REMOVE"},
        "encoding":{"media-type":"application/octet-stream"}}}"#;
    target.cache_of("c", small).await;
    let connected = target.rest.post(CONNECTION, source.as_source("c")).await.with(204);
    let notice = connected.headers["godwit-notice"].to_str().unwrap();
    assert!(notice.contains("500 entries") && notice.contains("at most 100"), "{notice}");
    assert_eq!(target.synchronize("c").await, 500);
    let refused = target.rest.delete(&format!("{CONNECTION}?strict=true")).await.with(409);
    assert!(refused.text().contains("entries were evicted"), "{}", refused.text());
    target.rest.post("/rest/v2/caches/c?action=stats-reset", "").await.with(204);
    target.rest.delete(&format!("{CONNECTION}?strict=true")).await.with(409);
    for repair in [false, true] {
        let path = format!("/rest/v2/caches/c/rolling-upgrade?action=verify&repair={repair}");
        let report = target.rest.post(&path, "").await.with(200).json();
        let number = |name: &str| report[name].as_u64().unwrap();
        assert_eq!(number("missing"), 0, "{report:#}");
        assert!(number("perhapsEvicted") >= 400 && number("repaired") <= 100, "{report:#}");
        let status = target.rest.migration("c").await;
        assert_eq!((&status["state"], &status["canDisconnect"]), (&"SYNCED".into(), &true.into()));
        let refused = target.rest.delete(&format!("{CONNECTION}?strict=true")).await.with(409);
        assert!(refused.text().contains("they may have been evicted"), "{}", refused.text());
    }
    // One more is missing than was evicted: that is a loss, whatever else may explain the others.
    from.put(b"late", b"v", RequestExpiration::default()).await.unwrap();
    let verify = "/rest/v2/caches/c/rolling-upgrade?action=verify";
    let report = target.rest.post(verify, "").await.with(200).json();
    assert_eq!((&report["missing"], &report["differences"]), (&1.into(), &1.into()), "{report:#}");
    let refused = target.rest.delete(CONNECTION).await.with(409);
    assert!(refused.text().contains("verify has found 1 difference:"), "{}", refused.text());
    from.remove(b"late").await.unwrap();
    target.rest.post(verify, "").await.with(200);
    let disconnected = target.rest.delete(CONNECTION).await.with(204);
    let notice = disconnected.headers["godwit-notice"].to_str().unwrap();
    assert!(notice.contains("verify has not found 4"), "{notice}");
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn an_error_of_the_source_is_repeated_and_not_called_silence() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    source.cache("c").await;
    target.cache("c").await;
    target.connect("c", &source.as_source("c")).await;
    source.rest.delete("/rest/v2/caches/c").await.with(200);
    // More often than a source that is silent is asked before it is left alone.
    for key in 0..20 {
        let path = format!("/rest/v2/caches/c/{key}");
        let answer = target.rest.get(&path).await.with(502);
        let expected = "the source could not be read: there is no cache \"c\"";
        assert!(answer.text().ends_with(expected), "{}", answer.text());
    }
    let status = target.rest.migration("c").await;
    assert_eq!(status["readThrough"]["failed"], 20, "{status:#}");
    assert_eq!(status["readThrough"]["silent"], 0, "{status:#}");
    source.stop().await;
    target.stop().await;
}

#[tokio::test]
async fn a_cache_whose_charset_differs_from_the_sources_is_refused_with_both() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    let config = |media_type: &str| {
        format!(
            r#"{{"distributed-cache":{{"statistics":true,"encoding":{{"media-type":"{media_type}"}}}}}}"#
        )
    };
    let latin = "text/plain; charset=ISO-8859-1";
    let theirs = source.cache_of("c", &config(latin)).await;
    theirs.put(b"k\xe9", b"v\xfc", RequestExpiration::default()).await.unwrap();
    target.cache_of("c", &config("text/plain")).await;
    let answer = target.rest.post(CONNECTION, source.as_source("c")).await.with(400);
    let expected = "keys are text/plain; charset=ISO-8859-1 at the source and text/plain here";
    assert!(answer.text().contains(expected), "{}", answer.text());
    target.rest.delete("/rest/v2/caches/c").await.with(200);
    let ours = target.cache_of("c", &config(latin)).await;
    target.connect("c", &source.as_source("c")).await;
    let value = ours.get(b"k\xe9").await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"v\xfc"[..]), "in the charset of both");
    source.stop().await;
    target.stop().await;
}

#[tokio::test]
async fn an_address_of_the_source_that_leads_here_is_no_source() {
    let scene = Scene::new().await;
    scene.fill(10).await;
    scene.relay.lead_to(scene.target.address());
    // The configured address is the source's own, and the one that it announces is not.
    let document = source_document(scene.source.address(), "c");
    let headers = [("accept", "application/json")];
    let refused = scene.target.rest.call(Method::POST, CONNECTION, &headers, document).await;
    let problems = refused.with(400).json()["problems"].take();
    assert_eq!(problems[0]["code"], "ourselves", "{problems:#}");
    assert_eq!(problems.as_array().unwrap().len(), 1, "{problems:#}");

    scene.relay.lead_to(scene.source.address());
    scene.connect().await;
    scene.relay.lead_to(scene.target.address());
    scene.relay.cut();
    eventually("it is not believed", || async {
        (scene.target.rest.migration("c").await["state"] == "FAILED").then_some(())
    })
    .await;
    let accept = "/rest/v2/caches/c/rolling-upgrade?action=accept-source-loss";
    let refused = scene.target.rest.post(accept, "").await.with(409);
    assert!(refused.text().contains("leads to this server now"), "{}", refused.text());
    scene.relay.lead_to(scene.source.address());
    scene.relay.cut();
    scene.target.rest.post(accept, "").await.with(204);
    assert_eq!(scene.target.synchronize("c").await, 10);
    scene.stop().await;
}
