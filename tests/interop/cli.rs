//! The command line client of the real server, unmodified, against us.
//!
//! What it prints of a real server it prints of us, command by command; where it may differ,
//! [`DIFFERENCES`] says why. Then it moves a cache over by the commands of the Data Grid manual.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use client::{Duration, RequestExpiration};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    clients::TEMPLATES,
    harness::{
        TestServer,
        infinispan::{Infinispan, PASSWORD, Setup, USER, Version, cli},
        note,
    },
};

/// A command after which the client prints something else.
struct Difference {
    command: &'static str,
    /// What it prints of us.
    ours: &'static str,
    /// Why this is right too.
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        command: "create cache --file={folder}/wrong.json wrong",
        ours: "Error: 'mode' is \"NONSENSE\" (line 1, column 24); it has to be SYNC or ASYNC",
        reason: "it says the same in our words",
    },
    Difference {
        command: "drop cache nothing",
        ours: "Not Found: ISPN012010: Cache with name 'nothing' not found amongst the configured caches",
        reason: "it says what is missing, as every other command does",
    },
];

/// What is done with both, without the login.
const COMMANDS: [&str; 45] = [
    "create cache --template=org.infinispan.DIST_SYNC from-template",
    "create cache --file={folder}/text.json text",
    "create cache --file={folder}/text.json text",
    "create cache --template=nothing wrong",
    "create cache --file={folder}/wrong.json wrong",
    "ls caches",
    "cd caches/text",
    "put k v",
    "put k 2",
    "put --if-absent=true k 3",
    "put --if-absent=true l 3",
    "put --ttl=1000 mortal v",
    "put --ttl=1000 --max-idle=500 idle v",
    "put --ttl=-1 immortal v",
    "put \"key with space\" \"a value\"",
    "put --file={folder}/text.json file",
    "put --encoding=text/plain plain x",
    "put --cache=from-template other 1",
    "get k",
    "get \"key with space\"",
    "get file",
    "get nothing",
    "get --cache=from-template other",
    "get --cache=nothing k",
    "put --cache=nothing k v",
    "ls",
    "describe",
    "describe mortal",
    "describe /containers/default/caches/nothing",
    "stats",
    "availability text",
    "remove k",
    "remove k",
    "get k",
    "clearcache text",
    "ls",
    "stats",
    "clearcache nothing",
    "migrate cluster source-connection -c text",
    "migrate cluster synchronize -c text",
    "migrate cluster connect -c text --file={folder}/wrong.json",
    "drop cache text",
    "drop cache from-template",
    "drop cache nothing",
    "ls caches",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_client_sees_no_difference_and_moves_a_cache_over() {
    let folder = Folder::new();
    let theirs = Infinispan::start(Setup::new(Version::V16, TEMPLATES)).await;
    let ours = TestServer::start().await;
    let their_address = format!("http://{USER}:{PASSWORD}@{}", theirs.address());
    let our_address = format!("http://{}", ours.address());

    let (their_run, our_run) =
        tokio::join!(folder.run(&their_address, COMMANDS), folder.run(&our_address, COMMANDS));
    compare(COMMANDS, &their_run, &our_run);

    fill(&folder, &their_address, &theirs).await;
    migrate(&folder, &our_address, &theirs, &ours).await;
    drop(theirs);
    verify(&ours).await;
}

/// The cache that moves.
const MOVING: &str = "moving";

/// Entries in it; one of three has a lifespan, and two were put by the command line client.
const ENTRIES: u32 = 1_002;

/// In seconds.
const LIFESPAN: u32 = 1_000;

/// Keys and lifespans of those that are put by hundreds.
fn bulk() -> BTreeMap<String, Option<u32>> {
    (0..ENTRIES - 2).map(|i| (format!("key-{i}"), (i % 3 == 0).then_some(LIFESPAN))).collect()
}

async fn fill(folder: &Folder, address: &str, source: &Infinispan) {
    let commands = [
        "create cache --file={folder}/octets.json moving",
        "put --cache=moving by-hand v",
        "put --cache=moving --ttl=1000 mortal v",
    ];
    assert_eq!(folder.run(address, commands).await.printed, [""; 3]);
    let cache = source.cache(MOVING).await;
    for lifespan in [None, Some(LIFESPAN)] {
        let keys = bulk().into_iter().filter(|(_, given)| *given == lifespan).map(|(key, _)| key);
        let entries = keys.map(|key| (key.clone(), format!("value of {key}")));
        let lifespan = lifespan
            .map_or(Duration::Infinite, |seconds| Duration::Millis(u64::from(seconds) * 1000));
        let expiration = RequestExpiration { lifespan, ..RequestExpiration::NEVER };
        cache.put_all(entries, expiration).await.expect("entries");
    }
    assert_eq!(cache.size().await.expect("a size"), u64::from(ENTRIES));
    // The manual's document, with what it says to older lines, and what this one wants instead.
    let mut document = source.document(MOVING);
    document["remote-store"]["raw-values"] = json!(true);
    fs::write(folder.path("remote-store.json"), document.to_string()).expect("a file");
}

/// The steps of the manual, in its order, with looks in between.
async fn migrate(folder: &Folder, address: &str, source: &Infinispan, target: &TestServer) {
    let commands = [
        "create cache --file={folder}/octets.json moving",
        "migrate cluster source-connection -c moving",
        "migrate cluster connect -c moving --file={folder}/remote-store.json",
        "migrate cluster source-connection -c moving",
        "get --cache=moving key-7",
        "migrate cluster disconnect -c moving",
        "put --cache=moving of-a-client v",
        "drop cache moving",
        "remove --cache=moving of-a-client",
        "migrate cluster synchronize -c moving --read-batch=100 --threads=2",
        "migrate cluster synchronize -c moving",
        "migrate cluster disconnect -c moving",
        "migrate cluster source-connection -c moving",
        "migrate cluster synchronize -c moving",
        "get --cache=moving key-8",
    ];
    let [
        created,
        unconnected,
        connected,
        connection,
        read_through,
        too_early,
        written,
        not_dropped,
        removed,
        synchronized,
        synchronized_again,
        disconnected,
        unconnected_again,
        synchronized_late,
        read,
    ] = folder.run(address, commands).await.printed;
    assert_eq!([created, connected, written, removed, disconnected], [""; 5]);
    // A refusal is printed as it is.
    let says = |printed: &str, parts: [&str; 2]| {
        assert!(parts.iter().all(|part| printed.contains(part)), "{parts:?} in {printed}");
    };
    says(&too_early, ["- 0 of 256 source segments are complete: synchronize", "?force=true"]);
    says(&not_dropped, ["Cache moving stays", "DELETE /rest/v2/caches/moving?force=true"]);
    assert_eq!([unconnected, unconnected_again], ["Not Found:"; 2]);
    let connection: Value = serde_json::from_str(&connection).expect("a document");
    let store = &connection["remote-store"];
    assert_eq!(store["cache"], MOVING);
    assert_eq!(store["remote-server"][0]["port"], json!(source.address().port().to_string()));
    let digest = &store["security"]["authentication"]["digest"];
    assert_eq!((&digest["username"], &digest["password"]), (&json!(USER), &json!("***")));
    // A read had brought one of them.
    let rest = ENTRIES - 1;
    assert_eq!(synchronized, format!("ISPN012024: Synchronized {rest} entries"));
    assert_eq!(synchronized_again, "ISPN012024: Synchronized 0 entries");
    // Who repeats a step is told what came of it.
    assert_eq!(synchronized_late, synchronized);
    assert_eq!([read_through, read], ["value of key-7", "value of key-8"]);
    assert_eq!(target.rest.migration(MOVING).await["state"], "DISCONNECTED");
}

/// Everything is there although the source is gone.
async fn verify(target: &TestServer) {
    let cache = target.client().await.cache(MOVING).await.expect("the cache");
    assert_eq!(cache.size().await.expect("a size"), u64::from(ENTRIES));
    let mut expected: BTreeMap<_, _> = bulk()
        .into_iter()
        .map(|(key, lifespan)| (key.clone(), (format!("value of {key}"), lifespan)))
        .collect();
    expected.insert("by-hand".into(), ("v".into(), None));
    expected.insert("mortal".into(), ("v".into(), Some(LIFESPAN)));
    for (key, (value, lifespan)) in expected {
        let entry = cache.get_with_metadata(key.as_bytes()).await.expect("an answer");
        let entry = entry.unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(entry.value, value.as_bytes(), "{key}");
        assert_eq!(entry.metadata.lifespan.map(|given| given.seconds), lifespan, "{key}");
    }
}

/// What the client printed after each of its commands.
struct Printed<const N: usize> {
    printed: [String; N],
    /// What it wrote to its standard error.
    errors: String,
}

/// Where batches and the files that they name lie.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let cache = |media_type: &str| {
            let encoding = json!({ "media-type": media_type });
            json!({ "distributed-cache": { "mode": "SYNC", "statistics": true, "encoding": encoding } })
        };
        for (name, content) in [
            ("text.json", cache("text/plain")),
            ("octets.json", cache("application/octet-stream")),
            ("wrong.json", json!({ "distributed-cache": { "mode": "NONSENSE" } })),
        ] {
            fs::write(folder.path(name), content.to_string()).expect("a file");
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs these commands in one batch, each with a line before it that tells its output apart.
    async fn run<const N: usize>(&self, server: &str, commands: [&str; N]) -> Printed<N> {
        const MARK: &str = "=====";
        let batch = tempfile::NamedTempFile::new_in(self.0.path()).expect("a file");
        let folder = self.0.path().display().to_string();
        let lines: Vec<String> = commands
            .iter()
            .map(|command| format!("echo {MARK}\n{command}\n").replace("{folder}", &folder))
            .collect();
        fs::write(batch.path(), lines.concat()).expect("a batch");
        let begin = tokio::time::Instant::now();
        let ran = cli(server, batch.path() as &Path).await;
        note(format_args!("{N} commands in {:.1} s", begin.elapsed().as_secs_f64()));
        assert!(ran.success, "{}\n{}", ran.output, ran.errors);
        let output = plain(&ran.output);
        let printed =
            output.split(MARK).skip(1).map(|text| text.trim().replace(&folder, "{folder}"));
        let printed: Vec<String> = printed.collect();
        let printed = printed.try_into().unwrap_or_else(|_| panic!("{output}"));
        Printed { printed, errors: plain(&ran.errors).replace(&folder, "{folder}") }
    }
}

/// Text without colours, and without what fills lines up.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    let uncoloured = pieces.fold(first, |text, piece| {
        text + piece.split_once('m').map_or(piece, |(_colour, rest)| rest)
    });
    uncoloured.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn compare<const N: usize>(commands: [&str; N], theirs: &Printed<N>, ours: &Printed<N>) {
    let mut wrong = Vec::new();
    for ((command, theirs), ours) in commands.iter().zip(&theirs.printed).zip(&ours.printed) {
        let (theirs, ours) = (comparable(command, theirs), comparable(command, ours));
        let difference = DIFFERENCES.iter().find(|difference| difference.command == *command);
        match difference {
            None if theirs == ours => {}
            None => wrong.push(format!("{command}\ntheirs: {theirs}\nours:   {ours}")),
            Some(Difference { ours: expected, .. }) if theirs != ours && ours == *expected => {}
            Some(Difference { reason, .. }) => {
                wrong.push(format!(
                    "{command}\ntheirs: {theirs}\nours:   {ours}\nalthough {reason}"
                ));
            }
        }
    }
    if theirs.errors != ours.errors {
        wrong.push(format!("errors\ntheirs: {}\nours:   {}", theirs.errors, ours.errors));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Documents whose numbers differ from run to run or count otherwise here, and what is equal in them.
const NAMES_ONLY: [(&str, &[&str]); 2] = [
    ("stats", &["approximate_entries\"", "stores", "remove_hits", "evictions", "off_heap"]),
    ("describe mortal", &["content-type", "etag", "timetoliveseconds"]),
];

/// What one side says of a connection and the other one does not.
const OF_CONNECTION: [&str; 2] = ["\":status\"", "\"date\""];

/// Without what differs from run to run.
fn comparable(command: &str, printed: &str) -> String {
    let mut lines: Vec<&str> = printed.lines().collect();
    if command.starts_with("ls") {
        // Servers say entries in an order of their own.
        lines.sort_unstable();
    }
    if let Some((_, equal)) = NAMES_ONLY.iter().find(|(masked, _)| *masked == command) {
        lines.retain(|line| !OF_CONNECTION.iter().any(|name| line.contains(name)));
        for line in &mut lines {
            let (name, _) = line.split_once(" : ").unwrap_or((line, ""));
            if !equal.iter().any(|equal| name.contains(equal)) {
                *line = name;
            }
        }
    }
    lines.join("\n")
}
