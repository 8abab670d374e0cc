//! Unmodified clients are answered by us as by a real server.
//!
//! Each client holds the same conversation with both, and writes down what comes of every step. The
//! transcripts must be equal line by line; where they may differ, [`DIFFERENCES`] says why.

use std::collections::BTreeSet;

use crate::harness::{
    TestServer,
    infinispan::{Infinispan, Setup, Version, java_program, javascript},
    note,
};

/// A step that comes out otherwise here.
struct Difference {
    /// How the step is called, between the protocol version and the arrow.
    step: &'static str,
    /// The protocol versions that it differs in; all if none is given.
    versions: &'static [&'static str],
    /// What comes of it here.
    ours: &'static str,
    /// Why this is right too.
    reason: &'static str,
}

impl Difference {
    /// Returns whether it is by this that a line of the transcripts differs.
    fn explains(&self, theirs: &str, ours: &str) -> bool {
        let told = |line: &str| {
            let (version, line) = line.split_once(' ')?;
            let known = self.versions.is_empty() || self.versions.contains(&version);
            let outcome = line.strip_prefix(self.step)?.strip_prefix(" -> ")?.to_owned();
            known.then_some(outcome)
        };
        told(theirs).is_some() && told(ours).is_some_and(|outcome| outcome == self.ours)
    }
}

/// Before 2.8, requests do not say what format their bytes have.
const WITHOUT_FORMATS: &[&str] = &["2.0", "2.4", "2.5", "2.7/BASIC"];

const UNUSABLE: &str = "bytes of no named format pass as they are, where the real server has no \
                        answer but errors";

const DIFFERENCES: &[Difference] = &[
    Difference {
        step: "administration: put into a local cache",
        versions: WITHOUT_FORMATS,
        ours: "null",
        reason: UNUSABLE,
    },
    Difference {
        step: "json: get",
        versions: WITHOUT_FORMATS,
        ours: r#""{"number":1,"text":"value"}""#,
        reason: UNUSABLE,
    },
    Difference {
        step: "json: get as text",
        versions: WITHOUT_FORMATS,
        ours: r#""{"number":1,"text":"value"}""#,
        reason: UNUSABLE,
    },
    Difference {
        step: "administration: create from what is no configuration",
        versions: &[],
        ours: "! HotRodClientException: org.infinispan.commons.CacheConfigurationException: \
               Unexpected element 'nonsense' encountered[1,1]",
        reason: "there are no parsers here that could be missing from a class path",
    },
    Difference {
        step: "formats: put what is no JSON",
        versions: &[],
        ours: "! HotRodClientException: java.lang.IllegalStateException: Invalid JSON",
        reason: "what follows there is the text of a Java library",
    },
    Difference {
        step: "octets: get with the default marshaller",
        versions: &["auto", "3.1/TOPOLOGY_AWARE"],
        ours: r#""value""#,
        reason: "bytes that go into an octet-stream cache come out as they went in",
    },
    Difference {
        step: "statistics: exact entries",
        versions: &[],
        ours: r#""3""#,
        reason: "counting exactly costs nothing here, so it need not be switched on",
    },
    Difference {
        step: "statistics: names of totals",
        versions: &[],
        ours: r#"("totalBytesRead", "totalBytesWritten")"#,
        reason: "bytes are counted on the port that is shared with REST, too",
    },
];

/// What the distribution of the real server has beside its program.
pub(crate) const TEMPLATES: &str = r#"<local-cache-configuration name="org.infinispan.LOCAL"/>
<replicated-cache-configuration name="org.infinispan.REPL_SYNC" mode="SYNC"/>
<replicated-cache-configuration name="org.infinispan.REPL_ASYNC" mode="ASYNC"/>
<distributed-cache-configuration name="org.infinispan.DIST_SYNC" mode="SYNC"/>
<distributed-cache-configuration name="org.infinispan.DIST_ASYNC" mode="ASYNC"/>"#;

/// Lines of the Java client, as the rig names them, with the protocol versions that each speaks here.
const JAVA_CLIENTS: [(&str, &[&str]); 4] = [
    ("client-11", &["auto", "2.0", "2.4", "2.7/BASIC"]),
    ("client-14", &["auto", "2.5", "3.1/TOPOLOGY_AWARE"]),
    ("client-15", &["auto", "4.0/BASIC"]),
    ("client-16", &["auto", "3.0"]),
];

/// Protocol versions that the JavaScript client speaks.
const VERSIONS: &[&str] = &["auto", "2.2", "2.5", "2.9", "3.0", "3.1", "4.0"];

#[tokio::test(flavor = "multi_thread")]
async fn every_client_is_answered_as_by_a_real_server() {
    let setup = Setup { login: false, ..Setup::new(Version::V16, TEMPLATES) };
    let (theirs, ours) = (Infinispan::start(setup).await, TestServer::start().await);
    let ports = [theirs.address().port(), ours.address().port()].map(|port| port.to_string());
    let mut comparison = Comparison::default();
    for (client, versions) in JAVA_CLIENTS {
        let program = java_program("Conversation", client);
        let [theirs, ours] =
            both(ports.each_ref().map(|port| program.run(arguments(port, versions)))).await;
        comparison.compare(client, &theirs.lines(), &ours.lines());
    }
    let [theirs, ours] = both(
        ports.each_ref().map(|port| javascript("conversation.mjs", arguments(port, VERSIONS))),
    )
    .await;
    comparison.compare("JavaScript", &theirs.lines(), &ours.lines());
    comparison.finish();
}

fn arguments(port: &str, versions: &[&str]) -> Vec<String> {
    [&port].into_iter().chain(versions).map(ToString::to_string).collect()
}

/// Waits for two at a time: there are two processors.
async fn both<T>([one, other]: [impl Future<Output = T>; 2]) -> [T; 2] {
    let (one, other) = tokio::join!(one, other);
    [one, other]
}

#[derive(Default)]
struct Comparison {
    /// Steps of [`DIFFERENCES`] that did differ.
    seen: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

impl Comparison {
    fn compare(&mut self, client: &str, theirs: &[&str], ours: &[&str]) {
        note(format_args!("{client}: {} steps", theirs.len()));
        if theirs.len() != ours.len() {
            let (theirs, ours) = (theirs.len(), ours.len());
            self.wrong.push(format!("{client}: {theirs} steps there, {ours} here"));
        }
        for (theirs, ours) in theirs.iter().zip(ours).filter(|(theirs, ours)| theirs != ours) {
            match DIFFERENCES.iter().find(|difference| difference.explains(theirs, ours)) {
                Some(difference) => {
                    self.seen.insert(difference.step);
                }
                None => self.wrong.push(format!("{client}\n  theirs: {theirs}\n  ours:   {ours}")),
            }
        }
    }

    fn finish(mut self) {
        for Difference { step, reason, .. } in DIFFERENCES {
            if !self.seen.contains(step) {
                self.wrong.push(format!("{step} does not differ any more, although {reason}"));
            }
        }
        assert!(
            self.wrong.is_empty(),
            "{} differences:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
    }
}
