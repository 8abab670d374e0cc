//! Every command survives its bytes, and bytes of released commands keep their meaning.

use config::CacheMode;
use store::Coverage;

use super::*;
use crate::samples::{complete, connection, lost, name};
use crate::source::{
    Counters, Gone, LostServer, LostServers, SourceIdentity, SourceProcess, StartInterval,
    StartedBy, ToldTopology, UnheardServer,
};

/// One server that was started again, one that has left, and two that do not answer.
fn some_lost() -> LostServers {
    let unheard = |server: &str, since, after_copy| UnheardServer {
        server: server.into(),
        since,
        after_copy,
    };
    LostServers {
        gone: vec![lost("a:1", true), LostServer { how: Gone::Left, ..lost("b:1", false) }],
        unheard: vec![unheard("c:1", None, false), unheard("d:1", Some(1_000), true)],
    }
}

fn commands() -> Vec<MetaCommand> {
    let cache = || name("orders");
    let config = || Arc::new(CacheConfig::new(CacheMode::Replicated));
    let mut busy = connection(256);
    busy.complete = Coverage::all(256);
    (busy.marked, busy.cleared, busy.imported) = (true, true, Some(7));
    busy.count = SourceCount { said: Some(u64::MAX), shown: 3 };
    let process = &mut busy.identity.0[0];
    process.started_by = StartedBy {
        boot: Some(StartInterval { boot: u128::MAX, earliest: -3, latest: i64::MAX, read: 7 }),
        awake: Some(StartInterval { boot: u128::MAX, earliest: -9, latest: 2, read: i64::MIN }),
        source: Some(1_800_000_000),
    };
    process.topology = Some(ToldTopology { id: 9, alone: true });
    process.counters = Counters([Some(1), None, Some(u64::MAX), None, Some(0), None, Some(8)]);
    busy.lost = some_lost();
    let (identity, lost) = (busy.identity.clone(), busy.lost.clone());
    vec![
        MetaCommand::CreateCache { cache: cache(), config: config(), volatile: true },
        MetaCommand::UpdateCache { cache: cache(), config: config(), replaces: None },
        MetaCommand::RemoveCache { cache: cache() },
        MetaCommand::Connect { cache: cache(), connection: Box::new(busy) },
        complete("orders", 256, &[0, 255]),
        MetaCommand::Mark { cache: cache() },
        MetaCommand::Clear { cache: cache() },
        MetaCommand::Finish { cache: cache(), imported: u64::MAX },
        MetaCommand::Count { cache: cache(), since: Timestamp::from_millis(7), entries: u64::MAX },
        MetaCommand::AcceptSource { cache: cache(), identity: identity.clone(), lost },
        MetaCommand::AcceptSource { cache: cache(), identity, lost: LostServers::default() },
        MetaCommand::AcceptLoss { cache: cache() },
        MetaCommand::BecomeUnit { cache: cache() },
        MetaCommand::Disconnect { cache: cache() },
        MetaCommand::AssignAlias { cache: cache(), alias: name("sales") },
        MetaCommand::CreateTemplate { template: cache(), config: config(), volatile: true },
        MetaCommand::RemoveTemplate { template: cache() },
    ]
}

#[test]
fn every_command_is_read_as_it_was_written() {
    for command in commands() {
        assert_eq!(decode(&encode(&command).unwrap()).unwrap(), command);
    }
}

#[test]
fn a_connection_of_an_earlier_version_is_read_without_what_it_did_not_know() {
    let connection = connection(4);
    let (cache, identity) = (name("orders"), connection.identity.clone());
    let old = CommandV1::Connect { cache: "orders".into(), connection: (&connection).into() };
    let bytes = serialize(old).unwrap();
    let connection = Box::new(Connection { count: SourceCount::default(), ..connection });
    let connect = MetaCommand::Connect { cache: cache.clone(), connection };
    assert_eq!(decode(&bytes).unwrap(), connect);
    let old = CommandV1::AcceptSource { cache: "orders".into(), identity: processes(&identity) };
    let bytes = serialize(old).unwrap();
    assert_eq!(
        decode(&bytes).unwrap(),
        MetaCommand::AcceptSource { cache, identity, lost: LostServers::default() }
    );
}

#[test]
fn a_process_of_an_earlier_version_is_known_by_whole_seconds() {
    let mut process = connection(4).identity.0.remove(0);
    let v1 = ProcessV1 {
        written: Some(70),
        ..processes(&SourceIdentity(vec![process.clone()])).remove(0)
    };
    let started_by = vec![StartedByV1 { boot: Some((7, 50)), source: Some(9) }];
    let old = CommandV1::AcceptSourceV2 { cache: "orders".into(), identity: vec![v1], started_by };
    let start = StartInterval { boot: 7, earliest: 47_000, latest: 51_000, read: 50_000 };
    process.started_by = StartedBy { boot: Some(start), awake: None, source: Some(9) };
    process.counters = Counters([None, None, None, None, None, None, Some(70)]);
    let expected = MetaCommand::AcceptSource {
        cache: name("orders"),
        identity: SourceIdentity(vec![process]),
        lost: LostServers::default(),
    };
    assert_eq!(decode(&serialize(old).unwrap()).unwrap(), expected);
}

#[test]
fn the_bytes_of_a_command_keep_their_meaning() {
    let mark = MetaCommand::Mark { cache: name("orders") };
    assert_eq!(encode(&mark).unwrap(), b"\x05\x06orders");
    let complete = complete("c", 512, &[3, 300]);
    let bytes = b"\x13\x01c\xFB\xE8\x03\x01\xFB\x00\x02\x02\x03\x09\xFB\x2C\x01\x09";
    assert_eq!(encode(&complete).unwrap(), bytes);
    let bytes = b"\x04\x01c\xFB\xE8\x03\x01\xFB\x00\x02\x02\x03\xFB\x2C\x01";
    let MetaCommand::Complete { segments, .. } = decode(bytes).unwrap() else { panic!() };
    assert_eq!(segments, [(SourceSegment(3), 0), (SourceSegment(300), 0)]);
    // At the end, after what the version before wrote, come the servers that have gone.
    let ends = b"\x02\x03a:1\x00\x01\x03b:1\x01\x00\x02\x03c:1\x00\x00\x03d:1\x01\xFB\xE8\x03\x01";
    let connect = |lost| {
        let connection = Box::new(Connection { lost, ..connection(4) });
        MetaCommand::Connect { cache: name("c"), connection }
    };
    let accept = |lost| {
        let identity = connection(4).identity;
        MetaCommand::AcceptSource { cache: name("c"), identity, lost }
    };
    let both = [
        ([0x14, 0x17], [LostServers::default(), some_lost()].map(connect)),
        ([0x15, 0x18], [LostServers::default(), some_lost()].map(accept)),
    ];
    for (kinds, commands) in both {
        let [without, with] = commands.each_ref().map(|command| encode(command).unwrap());
        assert_eq!([without[0], with[0]], kinds);
        assert_eq!(with[1..], [&without[1..], ends].concat());
        assert_eq!(decode(&with).unwrap(), commands[1]);
    }
}

/// The bytes after the cache's name of a connection in every version: its source, segments, one process,
/// since 1,000, segments 1 and 3 complete, marked, not cleared, forgets, 7 imported.
fn connection_with<'a>(process: &'a [&'a [u8]]) -> Vec<&'a [u8]> {
    let remote: &[&[u8]] = &[
        b"\x86",
        br#"{"remote-store":{"shared":true,"cache":"old","remote-server":[{"host":"127.0.0.1","port":"11222"}],"#,
        br#""properties":{"migration":"true"}}}"#,
        b"\x01\x04",
    ];
    [remote, process, &[b"\xFB\xE8\x03\x02\x01\x03\x01\x00\x01\x01\x07"]].concat()
}

/// One process in every version: started at second 100, and topology 5. In between stand the 70 entries that it had
/// written, which version 3 has elsewhere.
const PROCESS: &[&[u8]] = &[b"\x01\x0F127.0.0.1:11222\x01\x64", b"\x01\x46", b"\x01\x05"];
const PROCESS_V3: &[&[u8]] = &[b"\x01\x0F127.0.0.1:11222\x01\x64", b"\x00", b"\x01\x05"];

/// The bytes that version 2 adds to a process, about when it was started: in boot 7 of this machine, 50 seconds after
/// the machine was booted; and at second 9 of the source's clock.
const STARTED_BY: &[u8] = b"\x01\x01\x07\x64\x01\x09";

/// The bytes that version 3 adds instead: in boot 7, between -3 and 300 ms after the machine was booted, as was read at
/// 8 ms; at second 9 of the source's clock; seven counters, the first 1 and the last 70; and that it is alone.
const KNOWN: &[u8] =
    b"\x01\x01\x07\x05\xFB\x58\x02\x10\x01\x09\x07\x01\x01\x00\x00\x00\x00\x00\x01\x46\x01";

/// The bytes that version 4 adds, by a clock that stands still while the machine is suspended: in boot 7, started
/// between -4 and 3 ms after the machine was booted, as was read at 5 ms.
const AWAKE: &[u8] = b"\x01\x07\x07\x06\x0A";

#[test]
fn the_bytes_of_every_version_of_a_connection_keep_their_meaning() {
    let bytes = |opcode: &[u8], parts: &[&[u8]]| [&[opcode, b"\x01c"], parts].concat().concat();
    let process = |started_by: StartedBy, counters: [Option<u64>; 7], alone: bool| SourceProcess {
        started_by,
        counters: Counters(counters),
        topology: Some(ToldTopology { id: 5, alone }),
        ..connection(4).identity.0.remove(0)
    };
    let by = |boot, awake, source| StartedBy { boot: Some(boot), awake, source: Some(source) };
    let stores = [None, None, None, None, None, None, Some(70)];
    let seconds = StartInterval { boot: 7, earliest: 47_000, latest: 51_000, read: 50_000 };
    let exactly = StartInterval { boot: 7, earliest: -3, latest: 300, read: 8 };
    let awake = StartInterval { boot: 7, earliest: -4, latest: 3, read: 5 };
    let mut all = stores;
    all[0] = Some(1);
    let versions = [
        (b"\x03", b"\x08", &[][..], process(StartedBy::default(), stores, false)),
        (b"\x0F", b"\x10", &[STARTED_BY], process(by(seconds, None, 9), stores, false)),
        (b"\x11", b"\x12", &[KNOWN], process(by(exactly, None, 9), all, true)),
        (b"\x14", b"\x15", &[KNOWN, AWAKE], process(by(exactly, Some(awake), 9), all, true)),
    ];
    for (connect, accept, known, process) in versions {
        let identity = SourceIdentity(vec![process]);
        let (is_counted, is_written) = (connect >= b"\x11", connect == b"\x14");
        let mut expected = Connection {
            identity: identity.clone(),
            marked: true,
            forgets: true,
            imported: Some(7),
            count: match is_counted {
                true => SourceCount { said: Some(40), shown: 9 },
                false => SourceCount::default(),
            },
            ..connection(4)
        };
        [1, 3].into_iter().for_each(|segment| expected.complete.insert(SourceSegment(segment)));
        let count: &[&[u8]] = if is_counted { &[b"\x01\x28\x09"] } else { &[] };
        let cache = || name("c");
        let command = MetaCommand::Connect { cache: cache(), connection: Box::new(expected) };
        let process = if is_counted { PROCESS_V3 } else { PROCESS };
        let stored = bytes(connect, &[&connection_with(process), known, count].concat());
        assert_eq!(decode(&stored).unwrap(), command);
        let accepted =
            MetaCommand::AcceptSource { cache: cache(), identity, lost: LostServers::default() };
        let stored_accepted = bytes(accept, &[process, known].concat());
        assert_eq!(decode(&stored_accepted).unwrap(), accepted);
        if is_written {
            assert_eq!(encode(&command).unwrap(), stored, "the version that is written");
            assert_eq!(encode(&accepted).unwrap(), stored_accepted);
        }
    }
}

#[test]
fn the_bytes_of_an_accepted_source_keep_their_meaning() {
    let start = |earliest| Some(StartInterval { boot: 7, earliest, latest: 2, read: 3 });
    let process = SourceProcess {
        server: "a:1".into(),
        started: Some(9),
        started_by: StartedBy { boot: start(-1), awake: start(1), source: Some(8) },
        counters: Counters([None; 7]),
        topology: Some(ToldTopology { id: 5, alone: true }),
    };
    let accept = |process| MetaCommand::AcceptSource {
        cache: name("c"),
        identity: SourceIdentity(vec![process]),
        lost: LostServers::default(),
    };
    let parts: [&[u8]; 4] = [
        b"\x01c\x01\x03a:1\x01\x09\x00\x01\x05",
        b"\x01\x01\x07\x01\x04\x06\x01\x08",
        b"\x07\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\x01\x07\x02\x04\x06",
    ];
    let bytes = [b"\x15", parts.concat().as_slice()].concat();
    assert_eq!(encode(&accept(process.clone())).unwrap(), bytes);
    // Of an earlier version, which knew one clock.
    let old = [b"\x12", parts[..3].concat().as_slice()].concat();
    let mut known = process;
    known.started_by.awake = None;
    assert_eq!(decode(&old).unwrap(), accept(known));
}

#[test]
fn bytes_that_are_no_command_are_refused_without_taking_memory() {
    let text = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert!(text(b"").contains("cannot be decoded"));
    assert!(text(b"\x05\x06orders!").contains("1 bytes are left over"));
    assert!(text(b"\x05\x00").contains("illegal cache name: a cache needs a name"));
    assert!(text(b"\x05\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F").contains("cannot be decoded"));
    assert!(text(b"\x04\x01c\xFC\xFF\xFF\xFF\x7F").contains("cannot be decoded"));
}

#[test]
fn no_bytes_make_the_decoder_panic() {
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    for command in commands() {
        let bytes = encode(&command).unwrap();
        for _ in 0..500 {
            let mut bytes = bytes.clone();
            for _ in 0..3 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let [at, .., byte] = seed.to_le_bytes();
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte;
            }
            let _ = decode(&bytes);
        }
    }
}
