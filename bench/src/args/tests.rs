//! Tests of [`super`].

use clap::{CommandFactory as _, Parser};

use super::*;

#[derive(Parser)]
#[command(name = "godwit")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(BenchArgs),
}

fn parsed(line: &str) -> BenchArgs {
    let Command::Bench(args) = Line::try_parse_from(line.split(' ')).unwrap().command;
    args
}

fn compared(line: &str) -> CompareArgs {
    match parsed(line).command {
        Some(BenchCommand::Compare(args)) => args,
        other => panic!("{line} is a comparison, not {other:?}"),
    }
}

#[test]
fn the_arguments_are_consistent() {
    Line::command().debug_assert();
}

#[test]
fn without_arguments_it_is_the_default_load() {
    assert_eq!(parsed("godwit bench").load(), Load::default());
}

#[test]
fn each_argument_is_a_part_of_the_load() {
    let load = parsed(
        "godwit bench --protocol memcached --server-pid 7 --connections 2 --depth 3 --threads 2 \
         --keys 4 --key-size 5 --value-size 6:1,7:2 --mix get --requests 8 --seed 9 --no-fill \
         --timeout 0.5",
    )
    .load();
    let expected = Load {
        protocol: Protocol::Memcached,
        address: "127.0.0.1:11211".into(),
        cache: String::new(),
        connections: 2,
        depth: 3,
        threads: 2,
        keys: 4,
        key_size: 5,
        value_sizes: "6:1,7:2".parse().unwrap(),
        fill: false,
        work: Some(Work::Requests { mix: "get".parse().unwrap(), amount: Amount::Requests(8) }),
        seed: 9,
        server_pid: Some(7),
        timeout: Duration::from_millis(500),
    };
    assert_eq!(load, expected);
    assert_eq!(parsed("godwit bench --fill-only").load().work, None);
}

#[test]
fn an_iteration_writes_nothing_unless_it_is_told_to() {
    let Some(BenchCommand::Iterate(args)) =
        parsed("godwit bench iterate -c orders -a h:1 --connections 8 --batch 50").command
    else {
        panic!("an iteration");
    };
    let load = args.load();
    assert_eq!((load.cache.as_str(), load.address.as_str(), load.fill), ("orders", "h:1", false));
    assert_eq!((load.connections, load.work), (8, Some(Work::Iterate { batch: 50 })));
}

#[test]
fn a_comparison_says_how_to_repeat_it() {
    let short = compared("godwit bench compare --target a=hotrod:h:1:2 --target b=memcached:h:3");
    let command = short.command();
    assert_eq!(
        command,
        "godwit bench compare --target a=hotrod:h:1:2 --target b=memcached:h:3 --mix get,put \
         --depth 1,16 --value-size 100 --keys 100000 --key-size 16 --connections 50 --rounds 5 \
         --seconds 10 --warm-up 1 --threads 1 --seed 1 --timeout 10"
    );
    let long = compared(&command);
    assert_eq!(long.command(), command);
    assert_eq!(
        (long.load(), long.matrix(), long.pace(), long.targets),
        (short.load(), short.matrix(), short.pace(), short.targets)
    );
    let requests = compared(
        "godwit bench compare --target a=hotrod:h:1 --value-size 1 --value-size 2:3,4:5 \
         --requests 7 --mix 80/20 --cache it's",
    );
    let command = requests.command();
    assert!(command.contains(r"--cache 'it'\''s'"), "{command}");
    assert!(command.contains("--value-size 1 --value-size 2:3,4:5 "), "{command}");
    assert!(command.contains("--requests 7 "), "{command}");
}

#[test]
fn invalid_arguments_are_refused() {
    for line in [
        "godwit bench --mix 80",
        "godwit bench --value-size x",
        "godwit bench --protocol redis",
        "godwit bench --seconds -1",
        "godwit bench --seconds NaN",
        "godwit bench --seconds 1 --requests 1",
        "godwit bench --no-fill --fill-only",
        "godwit bench compare",
        "godwit bench compare --target x",
        "godwit bench --mix get iterate",
    ] {
        assert!(Line::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn words_are_quoted_for_a_shell() {
    assert_eq!(quoted("a=hotrod:h:1"), "a=hotrod:h:1");
    assert_eq!(quoted("a=hotrod:[::1]:1"), "'a=hotrod:[::1]:1'");
    assert_eq!(quoted("it's"), r"'it'\''s'");
    assert_eq!(quoted(""), "''");
}
