//! Tests of [`super`].

use serde_json::json;

use super::*;

#[test]
fn figures_are_rates_and_costs_of_what_was_counted() {
    let mut recorder = Recorder::new();
    for micros in 1..=1_000 {
        recorder.latency(Kind::Get, Duration::from_micros(micros));
    }
    recorder.done = 1_000;
    recorder.misses = 10;
    let usage = |cpu, rss| Some(Usage { cpu: Duration::from_millis(cpu), rss });
    let before = Meters { server: usage(100, 1_000), client: usage(0, 0) };
    let after = Meters { server: usage(110, 3_000), client: usage(1_500, 0) };
    let figures = Figures::new(&recorder, 50, Duration::from_secs(2), before, after);

    assert_eq!((figures.ops, figures.seconds, figures.ops_per_second), (1_000, 2.0, 500.0));
    let server =
        ServerUsage { cpu_us_per_op: 10.0, cpus: 0.005, rss_before: 1_000, rss_after: 3_000 };
    assert_eq!(figures.server, Some(server));
    assert_eq!(figures.client_cpus, Some(0.75));
    let latency = figures.latency[&Kind::Get];
    let percentiles =
        [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us, latency.max_us];
    assert_eq!(percentiles, [500, 900, 990, 999, 1_000]);
    assert_eq!(figures.latency_of_all, Some(latency));
}

#[test]
fn an_empty_phase_does_not_divide_by_zero() {
    let none = Meters { server: None, client: None };
    let figures = Figures::new(&Recorder::new(), 1, Duration::ZERO, none, none);
    assert_eq!((figures.ops_per_second, figures.latency_of_all), (0.0, None));
}

#[test]
fn a_report_has_the_same_names_in_json_every_time() {
    let latency =
        Latency { count: 1, mean_us: 2.5, p50_us: 2, p90_us: 3, p99_us: 4, p99_9_us: 5, max_us: 6 };
    let usage = ServerUsage { cpu_us_per_op: 1.5, cpus: 0.5, rss_before: 7, rss_after: 8 };
    let run = Figures {
        ops: 1,
        seconds: 2.0,
        ops_per_second: 0.5,
        connections: 50,
        misses: 0,
        errors: 1,
        first_error: Some("full".into()),
        bytes_sent: 30,
        bytes_received: 40,
        latency: [(Kind::Put, latency)].into(),
        latency_of_all: None,
        server: Some(usage),
        client_cpus: Some(0.25),
    };
    let server = "Hot Rod 4.1".into();
    let report = Report { server, load: Load::default(), fill: None, run: Some(run) };
    let expected = json!({
        "server": "Hot Rod 4.1",
        "load": {
            "protocol": "hotrod",
            "address": "127.0.0.1:11222",
            "cache": "",
            "connections": 50,
            "depth": 1,
            "threads": 1,
            "keys": 100_000,
            "key_size": 16,
            "value_sizes": "100",
            "fill": true,
            "work": { "requests": { "mix": "80/20", "amount": { "seconds": 10.0 } } },
            "seed": 1,
            "server_pid": null,
            "timeout_seconds": 10.0,
        },
        "fill": null,
        "run": {
            "ops": 1,
            "seconds": 2.0,
            "ops_per_second": 0.5,
            "connections": 50,
            "misses": 0,
            "errors": 1,
            "first_error": "full",
            "bytes_sent": 30,
            "bytes_received": 40,
            "latency": { "put": {
                "count": 1,
                "mean_us": 2.5,
                "p50_us": 2,
                "p90_us": 3,
                "p99_us": 4,
                "p99.9_us": 5,
                "max_us": 6,
            } },
            "latency_of_all": null,
            "server": { "cpu_us_per_op": 1.5, "cpus": 0.5, "rss_before": 7, "rss_after": 8 },
            "client_cpus": 0.25,
        },
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
}
