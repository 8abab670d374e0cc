//! The metadata file: a clean stop, a crash, damage, a full disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use tokio::process::Command;

use crate::harness::{OCTETS, ServerProcess, TestServer, binary, eventually, source_document};

const CONNECTION: &str = "/rest/v2/caches/orders/rolling-upgrade/source-connection";

struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("metadata.log")
    }

    fn arguments(&self) -> [&str; 2] {
        ["--data-dir", self.path().to_str().unwrap()]
    }

    /// A server that stops cleanly after caches were created and one of them was connected.
    async fn with_caches(source: &TestServer) -> Self {
        let data = Self::new();
        let server = ServerProcess::start(&data.arguments()).await;
        for cache in ["orders", "customers"] {
            server.rest.post(&format!("/rest/v2/caches/{cache}"), OCTETS).await.with(200);
        }
        let document = source_document(source.address(), "orders");
        server.rest.post(CONNECTION, document).await.with(204);
        assert!(server.terminate().await.success());
        data
    }

    /// A start that is refused.
    async fn refused(&self) -> String {
        let mut serve = vec!["serve", "--port", "0"];
        serve.extend(self.arguments());
        let output = godwit(&serve).await;
        assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
        text(&output.stderr)
    }
}

async fn godwit(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).kill_on_drop(true).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is there after a start: names of caches, and whether the source is connected.
async fn content(server: &ServerProcess) -> (String, u16) {
    let caches = server.rest.get("/rest/v2/caches").await.with(200).text().to_owned();
    (caches, server.rest.get(CONNECTION).await.status.as_u16())
}

#[tokio::test]
async fn a_damaged_file_prevents_the_start_and_can_be_salvaged() {
    let source = TestServer::start().await;
    source.cache("orders").await;
    let data = Data::with_caches(&source).await;
    let good = fs::read(data.file()).unwrap();
    let server = ServerProcess::start(&data.arguments()).await;
    assert!(!server.log().contains("WARN"), "{}", server.log());
    let whole = content(&server).await;
    assert!(whole.0.contains("customers") && whole.1 == 200, "{whole:?}");
    assert!(server.terminate().await.success());
    assert_eq!(fs::read(data.file()).unwrap(), good, "nothing was to be written");

    // In the header, in a length, in the middle, in the last record; cut in the header; empty.
    let mut damaged: Vec<Vec<u8>> = [0, 12, 32, good.len() / 2, good.len() - 1]
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 0x80;
            bytes
        })
        .into();
    damaged.extend([good[..20].to_vec(), vec![]]);
    for bytes in &damaged {
        fs::write(data.file(), bytes).unwrap();
        let error = data.refused().await;
        assert!(error.contains("byte") && error.contains("godwit metadata inspect"), "{error}");
        assert_eq!(&fs::read(data.file()).unwrap(), bytes);
    }
    fs::remove_file(data.file()).unwrap();
    assert!(data.refused().await.contains("is missing"));

    fs::write(data.file(), &damaged[3]).unwrap();
    let inspected = godwit(&["metadata", "inspect", data.file().to_str().unwrap()]).await;
    let shown = text(&inspected.stdout);
    assert_eq!(inspected.status.code(), Some(65), "{shown}");
    assert!(shown.contains("LOST") && shown.contains("create cache"), "{shown}");
    let salvaged = godwit(&["metadata", "salvage", data.path().to_str().unwrap()]).await;
    let said = text(&salvaged.stdout);
    assert!(salvaged.status.success() && said.contains("one record is missing"), "{said}");
    assert_eq!(fs::read(data.file()).unwrap(), damaged[3]);
    fs::rename(data.path().join("metadata.log.salvaged"), data.file()).unwrap();
    let server = ServerProcess::start(&data.arguments()).await;
    assert!(!server.log().contains("closing mark"), "{}", server.log());
    assert!(server.terminate().await.success());
    source.stop().await;
}

#[tokio::test]
async fn a_file_that_was_cut_is_reported_and_kept() {
    let source = TestServer::start().await;
    source.cache("orders").await;
    let data = Data::with_caches(&source).await;
    let good = fs::read(data.file()).unwrap();
    const CLOSING_MARK: usize = 44;
    for (cut, said) in [
        (good.len() - CLOSING_MARK, "no closing mark"),
        (good.len() - 1, "cut off while it was written"),
        (good.len() - CLOSING_MARK - 1, "cut off while it was written"),
    ] {
        fs::write(data.file(), &good[..cut]).unwrap();
        let server = ServerProcess::start(&data.arguments()).await;
        let log = server.log();
        assert!(log.contains("WARN") && log.contains(said), "cut at {cut}: {log}");
        assert!(log.contains("records were read, the last one of 20"), "{log}");
        let kept = log.split_once("it is kept as ").unwrap().1.split_whitespace().next().unwrap();
        assert_eq!(fs::read(data.path().join(kept)).unwrap(), &good[..cut]);
        server.kill().await;
    }
    source.stop().await;
}

#[tokio::test]
async fn a_crash_is_reported_and_a_clean_stop_is_not() {
    let data = Data::new();
    let server = ServerProcess::start(&data.arguments()).await;
    server.rest.post("/rest/v2/caches/orders", OCTETS).await.with(200);
    // Both read a file that is in use.
    let inspected = godwit(&["metadata", "inspect", data.file().to_str().unwrap()]).await;
    let shown = text(&inspected.stdout);
    assert!(shown.contains("it has no closing mark: a server is using it"), "{shown}");
    let salvaged = godwit(&["metadata", "salvage", data.file().to_str().unwrap()]).await;
    let said = text(&salvaged.stdout);
    assert!(said.contains("although nothing of") && !said.contains("elsewhere"), "{said}");
    server.kill().await;
    let server = ServerProcess::start(&data.arguments()).await;
    assert!(server.log().contains("no closing mark"), "{}", server.log());
    assert!(content(&server).await.0.contains("orders"));
    assert!(server.terminate().await.success());
    let server = ServerProcess::start(&data.arguments()).await;
    assert!(!server.log().contains("closing mark"), "{}", server.log());
    assert!(content(&server).await.0.contains("orders"));
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_second_server_is_refused_although_somebody_has_removed_the_lock_file() {
    let data = Data::new();
    let server = ServerProcess::start(&data.arguments()).await;
    server.rest.post("/rest/v2/caches/orders", OCTETS).await.with(200);
    fs::remove_file(data.path().join("lock")).unwrap();
    let mut serve = vec!["serve", "--port", "0"];
    serve.extend(data.arguments());
    let second = godwit(&serve).await;
    assert!(!second.status.success());
    let said = text(&second.stderr);
    assert!(said.contains("is used by another process"), "{said}");
    server.rest.post("/rest/v2/caches/customers", OCTETS).await.with(200);
    assert!(server.terminate().await.success());
    let server = ServerProcess::start(&data.arguments()).await;
    let caches = content(&server).await.0;
    assert!(caches.contains("orders") && caches.contains("customers"), "{caches}");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_start_names_the_caches_whose_entries_went_with_the_process() {
    const LOST: &str = "lost with the process that ended";
    let source = TestServer::start().await;
    let orders = source.cache("orders").await;
    orders.put(b"k", b"v", client::RequestExpiration::NEVER).await.unwrap();
    let data = Data::with_caches(&source).await;
    let server = ServerProcess::start(&data.arguments()).await;
    assert!(!server.log().contains(LOST), "the source has everything: {}", server.log());
    eventually("its source is reached", || async {
        let copied = server.rest.post("/rest/v2/caches/orders?action=sync-data", "").await;
        (copied.status == 200).then_some(())
    })
    .await;
    server.rest.delete(CONNECTION).await.with(204);
    assert!(server.rest.migration("orders").await.get("problem").is_none());
    assert!(server.terminate().await.success());

    let server = ServerProcess::start(&data.arguments()).await;
    let lost: Vec<&str> = server.log().lines().filter(|line| line.contains(LOST)).collect();
    assert!(lost.len() == 1 && lost[0].contains("WARN"), "{}", server.log());
    assert!(lost[0].contains("orders"), "{lost:?}");
    let status = server.rest.migration("orders").await;
    assert_eq!(status["state"], "DISCONNECTED");
    assert!(status["problem"].as_str().unwrap().contains(LOST), "{status:#}");
    assert!(server.terminate().await.success());
    source.stop().await;
}

#[tokio::test]
async fn a_start_warns_of_a_cache_that_waits_for_its_operator() {
    let source = TestServer::start().await;
    source.cache("orders").await;
    let data = Data::with_caches(&source).await;
    let server = ServerProcess::start(&data.arguments()).await;
    let logs = async |server: &ServerProcess, line: &str| {
        // It may be reached before anybody can connect.
        let logged = || async {
            let log = [server.log(), &server.later_log()].concat();
            log.contains(line).then_some(())
        };
        eventually(line, logged).await;
    };
    logs(&server, "INFO reached again cache=orders").await;
    server.rest.post("/rest/v2/caches/orders/mine", "v").await.with(204);
    assert!(server.terminate().await.success());

    let server = ServerProcess::start(&data.arguments()).await;
    logs(&server, "WARN reached again, and waits for its operator cache=orders").await;
    assert_eq!(server.rest.migration("orders").await["state"], "FAILED");
    assert!(server.terminate().await.success());
    source.stop().await;
}

#[tokio::test]
async fn clearing_a_connected_cache_again_and_again_does_not_fill_the_disk() {
    let source = TestServer::start().await;
    source.cache("orders").await;
    let data = Data::with_caches(&source).await;
    let server = ServerProcess::start(&data.arguments()).await;
    let before = fs::metadata(data.file()).unwrap().len();
    for _ in 0..300 {
        server.rest.post("/rest/v2/caches/orders?action=clear", "").await.with(204);
    }
    let after = fs::metadata(data.file()).unwrap().len();
    assert!(after < 2 * before, "{before} {after}");
    assert!(server.terminate().await.success());
    source.stop().await;
}

#[tokio::test]
async fn whatever_is_accepted_is_there_after_a_restart() {
    let data = Data::new();
    let server = ServerProcess::start(&data.arguments()).await;
    // Repeated elements are lists in JSON, which nest twice as deep; backslashes are two letters there.
    let inner = "<x a='1'/><x>".repeat(20) + "<y b='1'/>" + &"</x>".repeat(20);
    let deep = format!("<local-cache><indexing>{inner}</indexing></local-cache>");
    let long = format!("<local-cache><indexing path='{}'/></local-cache>", "\\".repeat(600_000));
    let create = async |cache: &str, document: String| {
        let (path, xml) = (format!("/rest/v2/caches/{cache}"), ("content-type", "application/xml"));
        server.rest.call(http::Method::POST, &path, &[xml], document).await
    };
    for (cache, document) in [("deep", deep), ("long", long)] {
        create(cache, document).await.with(200);
    }
    let servers: Vec<_> = (0..130_000).map(|number| format!("h{number:05}")).collect();
    let uri = format!("hotrod://{}", servers.join(","));
    let far = format!(
        "<local-cache><persistence><remote-store uri='{uri}'/></persistence></local-cache>"
    );
    let refused = create("far", far).await.with(400);
    assert!(refused.text().contains("cannot be stored: it would take"), "{}", refused.text());
    let before = content(&server).await;
    let shown = server.rest.get("/rest/v2/caches/deep?action=config").await.with(200);
    assert!(server.terminate().await.success());

    let server = ServerProcess::start(&data.arguments()).await;
    assert_eq!(content(&server).await, before);
    let again = server.rest.get("/rest/v2/caches/deep?action=config").await.with(200);
    assert_eq!(again.text(), shown.text());
    assert!(server.terminate().await.success());
}
