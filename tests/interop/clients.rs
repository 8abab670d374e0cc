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

/// A step that may come out otherwise here.
struct Difference {
    /// How the step is called, up to the arrow.
    step: &'static str,
    /// Why both answers are right.
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[];

/// What the distribution of the real server has beside its program.
const TEMPLATES: &str =
    r#"<distributed-cache-configuration name="org.infinispan.DIST_SYNC" mode="SYNC"/>"#;

/// Lines of the Java client, as the rig names them.
const JAVA_CLIENTS: [&str; 4] = ["client-11", "client-14", "client-15", "client-16"];

/// Protocol versions that the JavaScript client speaks.
const VERSIONS: [&str; 7] = ["auto", "2.2", "2.5", "2.9", "3.0", "3.1", "4.0"];

#[tokio::test(flavor = "multi_thread")]
async fn every_client_is_answered_as_by_a_real_server() {
    let setup = Setup { login: false, ..Setup::new(Version::V16, TEMPLATES) };
    let (theirs, ours) = (Infinispan::start(setup).await, TestServer::start().await);
    let ports = [theirs.address().port(), ours.address().port()].map(|port| port.to_string());
    let mut comparison = Comparison::default();
    for client in JAVA_CLIENTS {
        let program = java_program("Conversation", client);
        let [theirs, ours] =
            both(ports.each_ref().map(|port| program.run(vec!["127.0.0.1".into(), port.clone()])))
                .await;
        comparison.compare(client, &theirs.lines(), &ours.lines());
    }
    let [theirs, ours] = both(ports.each_ref().map(|port| {
        let versions = VERSIONS.iter().map(ToString::to_string);
        javascript("conversation.mjs", [port.clone()].into_iter().chain(versions).collect())
    }))
    .await;
    comparison.compare("JavaScript", &theirs.lines(), &ours.lines());
    comparison.finish();
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
            let step = theirs.split(" -> ").next().unwrap_or_default();
            match DIFFERENCES.iter().find(|difference| difference.step == step) {
                Some(difference) => {
                    self.seen.insert(difference.step);
                }
                None => self.wrong.push(format!("{client}\n  theirs: {theirs}\n  ours:   {ours}")),
            }
        }
    }

    fn finish(mut self) {
        for Difference { step, reason } in DIFFERENCES {
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
