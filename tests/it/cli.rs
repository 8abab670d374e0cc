//! The program as people use it: flags, files, exit statuses.

use std::{
    fs,
    process::{Output, Stdio},
};

use client::{Client, ClientConfig, Credentials, RequestExpiration, ServerAddress};
use config::{MigrationFile, ServerFile};
use hotrod::{
    ProtocolVersion, Reader, Status,
    op::{self, Response as _},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    connection::{Wire, to_c},
    harness::{Faulty, OCTETS, ServerProcess, TestServer, binary, eventually, source_document},
};

async fn godwit(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).kill_on_drop(true).output().await.unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The line that it ended with, if it ended with this status.
fn refused(output: &Output, status: i32, part: &str) {
    assert_eq!(output.status.code(), Some(status), "{}{}", out(output), err(output));
    assert!(err(output).contains(part), "{part:?} in {}", err(output));
}

#[tokio::test]
async fn a_cache_is_taken_over_by_the_commands_of_the_manual() {
    let source = TestServer::start().await;
    let from = source.cache("myCache").await;
    for number in 0..500_u32 {
        from.put(&number.to_be_bytes(), b"v", RequestExpiration::NEVER).await.unwrap();
    }
    let target = ServerProcess::start(&[]).await;
    target.rest.post("/rest/v2/caches/myCache", OCTETS).await.with(200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("remote-store.json");
    fs::write(&file, source_document(source.address(), "myCache")).unwrap();
    let server = format!("http://{}", target.address);
    let migrate = |command: &'static str, more: Vec<String>| {
        let mut arguments = ["migrate", "cluster", command, "-c", "myCache", "-s", &server]
            .map(ToOwned::to_owned)
            .to_vec();
        arguments.extend(more);
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            godwit(&arguments).await
        }
    };

    refused(&migrate("synchronize", vec![]).await, 1, "ISPN010016");
    let failed = migrate("synchronize", vec!["--json".into()]).await;
    let error: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(error["error"].as_str().unwrap().contains("ISPN010016"), "{error}");
    refused(&failed, 1, "ISPN010016");
    refused(&migrate("disconnect", vec![]).await, 1, "never connected");
    let connected = migrate("connect", vec![format!("--file={}", file.display())]).await;
    assert!(connected.status.success(), "{}", err(&connected));
    assert!(out(&connected).ends_with("Next: synchronize.\n"), "{}", out(&connected));
    let again = migrate("connect", vec![format!("--file={}", file.display())]).await;
    let to = format!("connected already, to cache myCache of {}", source.address());
    refused(&again, 1, &to);
    for (name, text, part) in [
        (
            "wrong.xml",
            "\n<remote-store/>",
            "a JSON document is expected, and this is XML, such as {\"remote-store\"",
        ),
        ("wrong.yaml", "remote-store:", "a JSON document is expected, such as {\"remote-store\""),
        (
            "wrong.json",
            "{\"remote-store\": [\n",
            "[2,1]: the document ends too early; here has to be",
        ),
    ] {
        let wrong = folder.path().join(name);
        fs::write(&wrong, text).unwrap();
        let refused_it = migrate("connect", vec![format!("--file={}", wrong.display())]).await;
        refused(&refused_it, 1, &format!("{name}: Invalid JSON at ["));
        refused(&refused_it, 1, part);
    }
    let shown = migrate("source-connection", vec![]).await;
    assert!(out(&shown).contains("remote-store"), "{}", out(&shown));
    // Refused while entries would be lost.
    refused(&migrate("disconnect", vec![]).await, 1, "--force");
    let synchronized = migrate("synchronize", vec![]).await;
    let all = "500 of 500 are here: 500 copied, 0 read through";
    let text = out(&synchronized);
    assert_eq!(text.trim_end(), format!("Synchronized 500 entries. {all}, 500 new."));
    assert!(err(&synchronized).contains("no verification was run"), "{}", err(&synchronized));
    let text = out(&migrate("synchronize", vec![]).await);
    assert_eq!(text.trim_end(), format!("Synchronized 0 entries. {all}, 0 new."));
    let text = out(&migrate("status", vec![]).await);
    assert!(text.contains(&format!("entries      {all}.")), "{text}");
    assert!(text.contains("asked for    0 entries before they were copied"), "{text}");
    refused(&migrate("disconnect", vec!["--strict".into()]).await, 1, "no verification was run");
    refused(&migrate("disconnect", vec!["--strict".into(), "--force".into()]).await, 2, "--force");
    let verified = migrate("verify", vec!["--json".into()]).await;
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&report["compared"], &report["missing"]), (&500.into(), &0.into()), "{report}");
    let status = migrate("status", vec!["--json".into()]).await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["state"], "VERIFIED", "{status}");
    let disconnected = migrate("disconnect", vec![]).await;
    assert!(disconnected.status.success() && err(&disconnected).is_empty(), "{disconnected:?}");
    refused(&migrate("pause", vec![]).await, 1, "not connected");
    let nothing = "cache myCache is not connected any more, and nothing was copied now";
    refused(&migrate("synchronize", vec![]).await, 1, nothing);
    for line in [
        "WARN not disconnected: 0 of 256 source segments are complete: synchronize cache=myCache",
        "INFO synchronizing cache=myCache",
        "INFO synchronization ended",
        "WARN not disconnected: no verification was run: verify compares every entry cache=myCache",
        "INFO verifying cache=myCache repair=false",
        "INFO verification ended cache=myCache state=\"finished\" compared=500 same=500",
        "INFO disconnected cache=myCache",
    ] {
        let logged = || async { target.later_log().contains(line).then_some(()) };
        eventually(line, logged).await;
    }
    let again = out(&migrate("connect", vec![format!("--file={}", file.display())]).await);
    assert!(again.ends_with("Everything was copied before. Next: verify.\n"), "{again}");
    let unverified = migrate("disconnect", vec![]).await;
    assert_eq!(err(&unverified), "note: no verification was run\n");
    let fresh = vec![format!("--file={}", file.display()), "--fresh".into()];
    assert!(migrate("connect", fresh).await.status.success());
    let forced = migrate("disconnect", vec!["--force".into()]).await;
    assert!(out(&forced).contains("0 of 256 source segments are complete"), "{}", out(&forced));
    for line in [
        "WARN disconnected, although no verification was run cache=myCache",
        "WARN disconnected by force, and left behind: 0 of 256 source segments are complete cache=myCache",
    ] {
        let logged = || async { target.later_log().contains(line).then_some(()) };
        eventually(line, logged).await;
    }
    source.stop().await;

    let to = target.client().await.cache("myCache").await.unwrap();
    assert_eq!(to.size().await.unwrap(), 500);
    assert!(target.terminate().await.success());
}

#[tokio::test]
async fn a_forced_disconnect_says_what_is_left_behind() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    source.cache("c").await.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
    target.cache("c").await;
    target.connect("c", &source.as_source("c")).await;
    let server = format!("http://{}", target.address());
    let disconnect = ["migrate", "cluster", "disconnect", "-c", "c", "--server", &server];
    refused(&godwit(&disconnect).await, 1, "0 of 256 source segments are complete: synchronize");
    let forced = godwit(&[&disconnect[..], &["--force"]].concat()).await;
    assert!(forced.status.success(), "{}", err(&forced));
    assert!(out(&forced).contains("0 of 256 source segments"), "{}", out(&forced));
    let again = godwit(&[&disconnect[..], &["--force", "--json"]].concat()).await;
    let document: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(document["leftBehind"], serde_json::json!([]), "{document}");
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn verify_says_by_its_exit_status_that_something_differs() {
    let source = TestServer::start().await;
    let from = source.cache("c").await;
    from.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
    let target = TestServer::start().await;
    target.cache("c").await;
    target.connect("c", &source.as_source("c")).await;
    assert_eq!(target.synchronize("c").await, 1);
    from.put(b"k", b"other", RequestExpiration::NEVER).await.unwrap();
    let server = format!("http://{}", target.address());
    let verify = ["migrate", "cluster", "verify", "-c", "c", "--server", &server];
    let output = godwit(&verify).await;
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(out(&output).contains("1 different"), "{}", out(&output));
    assert!(out(&output).contains("different    k: value\n"), "{}", out(&output));
    let reason =
        "verify has found 1 difference: verify and status --json list them; verify --repair";
    assert!(err(&output).contains(reason), "{}", err(&output));
    assert!(err(&output).starts_with("error: cache c is not verified:"), "{}", err(&output));
    let repaired = godwit(&[&verify[..], &["--repair"]].concat()).await;
    assert!(repaired.status.success(), "{}", err(&repaired));
    assert!(out(&repaired).contains("different    k: value, repaired\n"), "{}", out(&repaired));
    target.stop().await;
    source.stop().await;
}

/// A command that people have started and look at.
struct Started {
    child: tokio::process::Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
}

impl Started {
    fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments).kill_on_drop(true);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads what it says until it says this.
    async fn says(&mut self, part: &str) {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if line.contains(part) {
                return;
            }
        }
        panic!("it ended without \"{part}\"");
    }

    async fn interrupt(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_command_that_waits_says_that_its_job_is_paused_and_that_it_goes_on_without_it() {
    let source = TestServer::start().await;
    let from = source.cache("c").await;
    for number in 0..300_u32 {
        from.put(&number.to_be_bytes(), b"v", RequestExpiration::NEVER).await.unwrap();
    }
    let migration = MigrationFile { max_entries_per_second: Some(10), ..MigrationFile::default() };
    let target = TestServer::start_with(ServerFile { migration, ..ServerFile::default() }).await;
    target.cache("c").await;
    target.connect("c", &source.as_source("c")).await;
    let server = format!("http://{}", target.address());
    let act = async |action: &str, body: &'static str| {
        let path = format!("/rest/v2/caches/c/rolling-upgrade?action={action}");
        target.rest.post(&path, body).await.with(204);
    };
    for (step, state, job) in [
        ("synchronize", "/job/state", "the synchronization"),
        ("verify", "/verify/state", "the verification"),
    ] {
        let mut waiting = Started::new(&["migrate", "cluster", step, "-c", "c", "-s", &server]);
        let is = async |wanted: &str| {
            eventually(wanted, || async {
                let status = target.rest.migration("c").await;
                (status.pointer(state)? == wanted).then_some(())
            })
            .await;
        };
        is("running").await;
        waiting.says("it is limited to 10 entries/s").await;
        act("throttle", r#"{"bytesPerSecond":100}"#).await;
        waiting.says("it is limited to 100 bytes/s").await;
        act("pause", "").await;
        waiting.says("it is paused until it is resumed").await;
        waiting.interrupt().await;
        let status = format!("`godwit migrate cluster status -c c -s {server}`");
        waiting.says(&format!("{job} goes on at the target. {status}")).await;
        assert_eq!(waiting.child.wait().await.unwrap().code(), Some(130), "{step}");
        act("throttle", "{}").await;
        act("resume", "").await;
        is("finished").await;
    }
    // Whoever waits is told that somebody else has ended it, and that it goes on after a pause.
    let slow = ["verify", "-c", "c", "-s", &server, "--entries-per-second", "1", "--threads", "1"];
    let mut waiting = Started::new(&[&["migrate", "cluster"], &slow[..]].concat());
    waiting.says("it is limited to 1 entry/s").await;
    let mut joined =
        Started::new(&["migrate", "cluster", "verify", "-c", "c", "-s", &server, "--threads", "2"]);
    joined.says("goes on as it was begun, without threads 2").await;
    act("pause", "").await;
    waiting.says("it is paused until it is resumed").await;
    act("resume", "").await;
    waiting.says("it was resumed").await;
    act("cancel", "").await;
    waiting.says("error: the verification has ended without a result: cancelled").await;
    assert_eq!(waiting.child.wait().await.unwrap().code(), Some(1));
    let mut waiting = Started::new(&[&["migrate", "cluster"], &slow[..]].concat());
    waiting.says("it is limited to 1 entry/s").await;
    target.stop().await;
    waiting.says(&format!("the server at {server} does not answer any more")).await;
    assert_eq!(waiting.child.wait().await.unwrap().code(), Some(1));
    source.stop().await;
}

#[tokio::test]
async fn a_connect_that_is_interrupted_says_that_the_target_may_still_connect() {
    let (source, target) = (TestServer::start().await, TestServer::start().await);
    source.cache("c").await;
    target.cache("c").await;
    let silent = Faulty::start(source.address()).await;
    silent.silence(true);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("remote-store.json");
    fs::write(&file, source_document(silent.address, "c")).unwrap();
    let (server, file) = (format!("http://{}", target.address()), file.to_str().unwrap());
    let connect = ["migrate", "cluster", "connect", "-c", "c", "-s", &server, "--file", file];
    let mut waiting = Started::new(&connect);
    eventually("it waits", || async { (silent.connections() > 0).then_some(()) }).await;
    waiting.interrupt().await;
    let status = format!("`godwit migrate cluster status -c c -s {server}`");
    waiting.says(&format!("the target may still connect the cache. {status}")).await;
    assert_eq!(waiting.child.wait().await.unwrap().code(), Some(130));
    target.stop().await;
    source.stop().await;
}

#[tokio::test]
async fn a_client_that_wants_to_log_in_is_a_warning_in_the_log() {
    let server = ServerProcess::start(&[]).await;
    server.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
    let address =
        ServerAddress { host: server.address.ip().to_string(), port: server.address.port() };
    let config = ClientConfig {
        credentials: Some(Credentials::new("app", "secret")),
        ..ClientConfig::new([address])
    };
    let warning = "WARN a Hot Rod client wants to log in";
    let mechanisms = |status, reader: &mut Reader<'_>| {
        Ok(op::Mechanisms::decode(status, ProtocolVersion::V4_1, reader)?.0.len())
    };
    // Unlike the Java client, ours goes on without a login where none is offered, as a target does.
    let client = Client::connect(config).await.unwrap();
    client.cache("c").await.unwrap();
    client.close().await;
    for _ in 0..2 {
        assert!(!server.later_log().contains(warning), "{}", server.later_log());
        let mut wire = Wire::over(TcpStream::connect(server.address).await.unwrap());
        wire.send(&to_c(&op::AuthMechList)).await;
        assert_eq!(wire.answer(mechanisms).await.1, 0);
        wire.send(&to_c(&op::ContainsKey { key: b"k" })).await;
        assert_eq!(wire.status().await.0, Status::KeyDoesNotExist);
    }
    for _ in 0..2 {
        let mut wire = Wire::over(TcpStream::connect(server.address).await.unwrap());
        wire.send(&to_c(&op::AuthMechList)).await;
        assert_eq!(wire.answer(mechanisms).await.1, 0);
    }
    eventually(warning, || async { server.later_log().contains(warning).then_some(()) }).await;
    assert_eq!(server.later_log().matches(warning).count(), 1, "not at each attempt");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn the_demo_shows_no_differences() {
    let arguments = ["demo", "--entries", "3000", "--clients", "4", "--seed", "7", "--json"];
    let output = godwit(&arguments).await;
    assert!(output.status.success(), "{}", err(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["differences"], 0, "{figures}");
    assert!(figures["copied"].as_u64().unwrap() > 1_000, "{figures}");
    let zero = godwit(&["demo", "--entries", "0"]).await;
    refused(&zero, 2, "--entries");
    refused(&zero, 2, "at least 1");
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    refused(&godwit(&["--port", "99999"]).await, 2, "99999");
    let few = "\"5\" is not a limit of memory such as 80% or 512MB, and at least 1MB";
    refused(&godwit(&["--max-memory", "5", "--check-config"]).await, 2, few);
    refused(&godwit(&["--log", "frobnicate", "--check-config"]).await, 78, "frobnicate");
    refused(&godwit(&["--log", "migrate=loud", "--check-config"]).await, 78, "migrate=loud");
    refused(&godwit(&["--bind-address", "0.0.0.0", "--port", "0"]).await, 78, "--insecure");
    let check = ["--bind-address", "0.0.0.0", "--check-config"];
    refused(&godwit(&check).await, 78, "--insecure");
    let nowhere = godwit(&["--config", "/nowhere/at/all.toml"]).await;
    refused(&nowhere, 78, "/nowhere/at/all.toml");
    assert_eq!(err(&nowhere).matches("No such file").count(), 1, "{}", err(&nowhere));
    let toml = file("wrong.toml", "port = 11222\nprot = 1\n");
    refused(&godwit(&["--config", &toml]).await, 78, "prot");
    let xml =
        file("wrong.xml", "<infinispan>\n  <cache-container name=\"default\">\n</infinispan>");
    refused(&godwit(&["--config", &xml]).await, 78, "[3,1]");
    let bomb =
        r#"<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><infinispan>&c;</infinispan>"#;
    refused(&godwit(&["--config", &file("bomb.xml", bomb)]).await, 78, "document type");
    for name in ["empty.xml", "empty.json", "empty.yaml"] {
        refused(&godwit(&["--config", &file(name, " \n")]).await, 78, "the file is empty");
    }
    refused(&godwit(&["--config", &file("text.xml", "text")]).await, 78, "Invalid XML");
    // A file is judged as the flags are.
    let toml = file("foo.toml", "advertised = \"foo\"\n");
    refused(&godwit(&["--config", &toml, "--check-config"]).await, 78, "a host and a port such as");
    refused(
        &godwit(&["--advertised", "foo", "--check-config"]).await,
        2,
        "a host and a port such as",
    );
    let toml = file("host.toml", "bind-address = \"no-such-host.invalid\"\n");
    let unknown = "\"no-such-host.invalid\" is not an IP address, and no address was found for it as a host name";
    // It may have an address later, so that another start may succeed.
    refused(&godwit(&["--config", &toml]).await, 1, unknown);
    refused(&godwit(&["--bind-address", "no-such-host.invalid"]).await, 1, unknown);
    refused(&godwit(&["--config", &toml, "--check-config"]).await, 1, unknown);
    let wrong = ["--config", &toml, "--log", "frobnicate"];
    let wrong = godwit(&wrong).await;
    refused(&wrong, 78, unknown);
    refused(&wrong, 78, "frobnicate");
    refused(&godwit(&["--bind-address", "every where"]).await, 2, "nor a host name");
    let over = ["--config", &toml, "--check-config", "--bind-address", "127.0.0.1"];
    assert!(godwit(&over).await.status.success(), "the flag wins");
    let mut command = Command::new(binary());
    command.args(["migrate", "cluster", "connect", "-c", "c"]).env("GODWIT_SERVER", "localhost:1");
    let no_file = command.output().await.unwrap();
    refused(&no_file, 2, "--file");
    assert!(!err(&no_file).contains("--server"), "it may be left out: {}", err(&no_file));
    let mut command = Command::new(binary());
    command.args(["migrate", "cluster", "status"]).env("GODWIT_SERVER", "localhost:1");
    let nobody = command.output().await.unwrap();
    refused(&nobody, 1, "no server answers at http://localhost:1, see --server and GODWIT_SERVER");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = closed.local_addr().unwrap().port().to_string();
    refused(&godwit(&["--port", &busy]).await, 1, "cannot listen");
    drop(closed);
    let server = format!("http://127.0.0.1:{busy}");
    refused(&godwit(&["migrate", "cluster", "status", "-s", &server]).await, 1, &busy);
}

#[tokio::test]
async fn the_caches_of_an_infinispan_xml_are_served_and_what_has_no_effect_is_listed() {
    let source = TestServer::start().await;
    let from = source.cache("orders").await;
    from.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
    let xml = format!(
        r#"<infinispan xmlns="urn:infinispan:config:16.0">
  <cache-container name="default" statistics="true">
    <transport cluster="one" stack="kubernetes"/>
    <distributed-cache name="orders" owners="2" segments="64" statistics="true">
      <encoding media-type="application/octet-stream"/>
      <expiration lifespan="1h" interval="100"/>
      <indexing enabled="true"/>
      <persistence>
        <remote-store xmlns="urn:infinispan:config:store:remote:16.0" cache="orders" shared="true"
            raw-values="true" segmented="false">
          <remote-server host="127.0.0.1" port="{}"/>
        </remote-store>
      </persistence>
    </distributed-cache>
    <local-cache name="sessions"/>
  </cache-container>
</infinispan>"#,
        source.address().port()
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("infinispan.xml");
    fs::write(&path, xml).unwrap();
    let path = path.to_str().unwrap();

    let check = godwit(&["--config", path, "--check-config"]).await;
    assert!(check.status.success(), "{}", err(&check));
    assert!(out(&check).starts_with("2 caches; listens on "), "{}", out(&check));
    let ignored = err(&check);
    for part in ["ignored", path, "transport", "indexing"] {
        assert!(ignored.contains(part), "{part:?} in {ignored}");
    }
    let target = ServerProcess::start(&["--config", path]).await;
    let names = target.rest.get("/rest/v2/caches").await.with(200).json();
    assert!(names.to_string().contains("sessions"), "{names}");
    // Connected from the start, as the file says.
    let to = target.client().await.cache("orders").await.unwrap();
    let value =
        eventually("the source is connected", || async { to.get(b"k").await.ok().flatten() }).await;
    assert_eq!(&value[..], b"v");
    assert!(target.terminate().await.success());
    source.stop().await;
}

#[tokio::test]
async fn interrupt_and_term_end_cleanly_with_clients_connected() {
    for signal in ["INT", "TERM"] {
        let server = ServerProcess::start(&[]).await;
        server.rest.post("/rest/v2/caches/c", OCTETS).await.with(200);
        let cache = server.client().await.cache("c").await.unwrap();
        cache.put(b"k", b"v", RequestExpiration::NEVER).await.unwrap();
        server.signal(signal).await;
        assert!(server.ended().await.success(), "{signal}");
        cache.get(b"k").await.unwrap_err();
    }
}
