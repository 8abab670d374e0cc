//! Several servers under the same loads.

use std::time::Duration;

use bench::{Amount, Load, Matrix, Pace, Protocol, Target, ValueSizes, compare_targets};

use crate::fake::{CACHE, Fake};

fn target(name: &str, fake: &Fake) -> Target {
    let (protocol, address) = (fake.load.protocol, fake.load.address.clone());
    Target { name: name.into(), protocol, address, pid: Some(std::process::id()) }
}

#[tokio::test]
async fn rounds_are_interleaved_and_every_cell_has_every_target() {
    let (a, b) = (Fake::honest(Protocol::HotRod).await, Fake::honest(Protocol::Memcached).await);
    let targets = [target("a", &a), target("b", &b)];
    let common = Load { cache: CACHE.into(), connections: 2, keys: 50, ..Load::default() };
    let matrix = Matrix {
        mixes: vec!["get".parse().unwrap(), "remove".parse().unwrap()],
        depths: vec![1, 4],
        value_sizes: vec![ValueSizes::fixed(10), ValueSizes::fixed(20)],
    };
    let pace = Pace { rounds: 2, round: Amount::Requests(100), warm_up: Duration::from_millis(10) };
    let mut steps = Vec::new();
    let mut before = |step: &str| steps.push(step.to_owned());
    let compared = compare_targets("again".into(), &common, &targets, &matrix, pace, &mut before);
    let comparison = compared.await.unwrap();

    assert_eq!(
        steps[..8],
        [
            "a: fill, values of 10",
            "b: fill, values of 10",
            "a: get, depth 1, values of 10, warm-up",
            "b: get, depth 1, values of 10, warm-up",
            "a: get, depth 1, values of 10, round 1/2",
            "b: get, depth 1, values of 10, round 1/2",
            "a: get, depth 1, values of 10, round 2/2",
            "b: get, depth 1, values of 10, round 2/2",
        ]
    );
    assert_eq!(comparison.command, "again");
    assert_eq!((comparison.fills.len(), comparison.cells.len()), (2, 8));
    for cell in &comparison.cells {
        let [a, b] = &cell.targets[..] else { panic!("two targets") };
        assert_eq!((a.name.as_str(), b.name.as_str(), a.ops_ratio), ("a", "b", 1.0));
        assert_eq!((a.rounds.len(), b.rounds.len(), a.errors + b.errors), (2, 2, 0));
        assert_eq!(b.ops_ratio, b.ops_per_second / a.ops_per_second);
        assert!(a.cpu_us_per_op.is_some() && a.p50_us > 0.0);
    }
    let gets = comparison.cells.iter().filter(|cell| cell.mix.to_string() == "get");
    let misses = gets.flat_map(|cell| &cell.targets).map(|target| target.misses).sum::<u64>();
    assert_eq!(misses, 0, "what a cell removes is there again for the next one");

    let json = serde_json::to_value(&comparison).unwrap();
    let target = &json["cells"][0]["targets"][1];
    for name in ["ops_per_second", "ops_ratio", "p99_us", "p99.9_us", "p99_ratio", "rounds"] {
        assert!(!target[name].is_null(), "{name} in {target}");
    }
    assert_eq!(json["pace"]["round"]["requests"], 100);
}

#[tokio::test]
async fn a_target_that_cannot_be_used_ends_the_comparison() {
    let a = Fake::honest(Protocol::HotRod).await;
    let mut wrong = target("wrong", &a);
    wrong.protocol = Protocol::Memcached;
    let common = Load { cache: CACHE.into(), timeout: Duration::from_secs(1), ..Load::default() };
    let matrix = Matrix {
        mixes: vec!["get".parse().unwrap()],
        depths: vec![1],
        value_sizes: vec![ValueSizes::fixed(10)],
    };
    let pace = Pace { rounds: 1, round: Amount::Requests(1), warm_up: Duration::ZERO };
    let targets = [target("a", &a), wrong];
    let mut before = |_: &str| {};
    let command = String::new();
    let compared = compare_targets(command, &common, &targets, &matrix, pace, &mut before);
    let error = compared.await.unwrap_err().to_string();
    assert!(error.contains(&a.load.address), "{error}");
}
