//! Measurements of servers that answer correctly.

use std::time::Duration;

use bench::{Amount, Kind, Load, Protocol, Work, measure};

use crate::fake::{Fake, SEGMENTS};

const BOTH: [Protocol; 2] = [Protocol::HotRod, Protocol::Memcached];

fn requests(mix: &str, requests: u64) -> Option<Work> {
    Some(Work::Requests { mix: mix.parse().unwrap(), amount: Amount::Requests(requests) })
}

#[tokio::test]
async fn a_fill_writes_each_key_once_and_says_so() {
    for protocol in BOTH {
        let fake = Fake::honest(protocol).await;
        let report = measure(&fake.load).await.unwrap();
        let fill = report.fill.unwrap();
        assert_eq!((fill.ops, fill.misses, fill.errors, fake.len()), (100, 0, 0, 100));
        assert_eq!(fill.latency[&Kind::Put].count, 100);
        assert!(fill.bytes_sent > 11_600, "keys and values: {}", fill.bytes_sent);
        assert!(report.run.is_none());
    }
}

#[tokio::test]
async fn both_protocols_write_the_same_entries_and_send_the_same_requests() {
    let mut written = Vec::new();
    for protocol in BOTH {
        let fake = Fake::honest(protocol).await;
        let value_sizes = "0:1,5:1,300:2".parse().unwrap();
        let work = requests("50/0/50", 400);
        let load = Load { value_sizes, connections: 1, work, ..fake.load.clone() };
        let run = measure(&load).await.unwrap().run.unwrap();
        written.push((fake.entries(), run.misses, run.latency[&Kind::Get].count));
    }
    assert_eq!(written[0], written[1]);
    let (left, misses, gets) = &written[0];
    assert!(left.len() < 100 && *misses > 0 && *gets > 150, "some were removed");
}

#[tokio::test]
async fn every_request_of_a_run_is_counted_and_every_value_is_right() {
    for protocol in BOTH {
        let fake = Fake::honest(protocol).await;
        let load = Load { work: requests("70/20/10", 5_000), threads: 2, ..fake.load.clone() };
        let report = measure(&load).await.unwrap();
        let run = report.run.unwrap();
        assert_eq!((run.ops, run.errors, run.connections), (5_000, 0, 4));
        let counts = [Kind::Get, Kind::Put, Kind::Remove].map(|kind| run.latency[&kind].count);
        assert_eq!(counts.iter().sum::<u64>(), 5_000);
        assert!(counts[0] > 3_200 && counts[1] > 800 && counts[2] > 350, "{counts:?}");
        assert_eq!(run.latency_of_all.unwrap().count, 5_000);
    }
}

#[tokio::test]
async fn a_run_ends_when_its_time_is_over() {
    let fake = Fake::honest(Protocol::Memcached).await;
    let amount = Amount::Time(Duration::from_millis(200));
    let work = Some(Work::Requests { mix: "get".parse().unwrap(), amount });
    let pid = Some(std::process::id());
    let load = Load { work, server_pid: pid, ..fake.load.clone() };
    let run = measure(&load).await.unwrap().run.unwrap();
    assert!((0.2..5.0).contains(&run.seconds), "{}", run.seconds);
    assert!(run.ops > 0);
    assert!(run.server.unwrap().rss_after > 0);
}

#[tokio::test]
async fn large_values_in_both_directions_do_not_block_each_other() {
    for protocol in BOTH {
        let fake = Fake::honest(protocol).await;
        let load = Load {
            value_sizes: "300000".parse().unwrap(),
            keys: 10,
            connections: 2,
            depth: 40,
            work: requests("50/50", 400),
            ..fake.load.clone()
        };
        assert_eq!(measure(&load).await.unwrap().run.unwrap().ops, 400);
    }
}

#[tokio::test]
async fn an_iteration_gives_every_entry_over_all_connections() {
    let fake = Fake::honest(Protocol::HotRod).await;
    let work = Some(Work::Iterate { batch: 7 });
    let load = Load { work, connections: 3, threads: 2, ..fake.load.clone() };
    let run = measure(&load).await.unwrap().run.unwrap();
    assert_eq!((run.ops, run.connections, run.errors), (100, 3, 0));
    assert_eq!(fake.count("ITERATION_START"), 3);
    assert_eq!(fake.count("ITERATION_END"), 3);

    let many = Load { connections: 50, fill: false, ..load };
    let run = measure(&many).await.unwrap().run.unwrap();
    assert_eq!((run.ops, run.connections), (100, SEGMENTS), "no more than there are segments");
}

#[tokio::test]
async fn connections_are_as_many_as_were_asked_for() {
    let fake = Fake::honest(Protocol::HotRod).await;
    measure(&Load { connections: 9, ..fake.load.clone() }).await.unwrap();
    assert_eq!(fake.connections(), 9 + 1, "and the first contact");
}
