//! A segment beside its model, on random schedules.

use proptest::prelude::*;

use super::*;
use crate::effect::{Effect, EffectEntry};

/// What a schedule is made of. Keys are few, so that everything meets everything.
#[derive(Clone, Debug)]
enum Act {
    Command {
        key: u8,
        kind: Kind,
        value: u16,
        expiration: Expiration,
        source: FromSource,
    },
    Import {
        key: u8,
        value: u16,
        lifespan: Option<u16>,
        repair: bool,
    },
    Wait(u16),
    Sweep,
    Connect,
    /// The source is silent, and its lifespans had ended that ended so long ago; or it is heard again.
    Silence(Option<u8>),
    Complete(u8),
    Clear,
    Release,
    Disconnect,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Read,
    Write(Condition),
    /// Compare-and-set with the version that the key has, if it has one.
    WriteCurrent,
    Remove,
    RemoveCurrent,
}

#[derive(Clone, Copy, Debug)]
enum FromSource {
    NotAsked,
    Skip,
    Absent,
    Silent,
    Entry(u16),
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Always),
        Just(Condition::Absent),
        Just(Condition::Present),
        Just(Condition::Version(Version(3))),
        (0_u16..4).prop_map(|value| Condition::Etag(Etag::of(&value.to_be_bytes()))),
        (0_u16..4).prop_map(|value| Condition::NotEtag(Etag::of(&value.to_be_bytes()))),
    ]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Read),
        4 => conditions().prop_map(Kind::Write),
        1 => Just(Kind::WriteCurrent),
        2 => Just(Kind::Remove),
        1 => Just(Kind::RemoveCurrent),
    ]
}

fn from_source() -> impl Strategy<Value = FromSource> {
    prop_oneof![
        4 => Just(FromSource::NotAsked),
        1 => Just(FromSource::Skip),
        1 => Just(FromSource::Absent),
        1 => Just(FromSource::Silent),
        2 => (0_u16..4).prop_map(FromSource::Entry),
    ]
}

fn expirations() -> impl Strategy<Value = Expiration> {
    let lifetime = || proptest::option::weighted(0.3, (0_u64..100).prop_map(Lifetime::from_millis));
    (lifetime(), lifetime()).prop_map(|(lifespan, max_idle)| Expiration { lifespan, max_idle })
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => (0_u8..12, kinds(), 0_u16..4, expirations(), from_source()).prop_map(
            |(key, kind, value, expiration, source)| Act::Command { key, kind, value, expiration, source }
        ),
        8 => (0_u8..12, 0_u16..4, proptest::option::of(0_u16..100), any::<bool>()).prop_map(
            |(key, value, lifespan, repair)| Act::Import { key, value, lifespan, repair }
        ),
        4 => (0_u16..60).prop_map(Act::Wait),
        2 => Just(Act::Sweep),
        2 => Just(Act::Connect),
        2 => proptest::option::of(0_u8..100).prop_map(Act::Silence),
        2 => (0_u8..3).prop_map(Act::Complete),
        1 => Just(Act::Clear),
        1 => Just(Act::Release),
        1 => Just(Act::Disconnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_keeps_every_promise_on_any_schedule(acts in proptest::collection::vec(acts(), 1..120)) {
        // A bound that is never reached: with one, every change is counted exactly.
        let mut segment = segment(Bound { entries: Some(u64::MAX), ..Bound::default() });
        segment.read_effects();
        let mut copy = BTreeMap::new();
        let mut newest = Stamp::default();
        let mut model = Model { now: 10_000, ..Model::default() };
        for act in acts {
            play(&mut segment, &mut model, act);
            follow(&mut segment, &mut copy, &mut newest);
            compare(&segment, &mut model, &copy);
        }
    }
}

fn play(segment: &mut Segment, model: &mut Model, act: Act) {
    let now = at(model.now);
    match act {
        Act::Command { key, kind, value, expiration, source } => {
            let (key, value) = ([key], value.to_be_bytes());
            let theirs;
            let mut command = Command::read(&key);
            command.change = match kind {
                Kind::Read => Change::Read,
                Kind::Write(_) | Kind::WriteCurrent => {
                    Change::Write { value: Value::Inline(&value), expiration }
                }
                Kind::Remove | Kind::RemoveCurrent => Change::Remove,
            };
            command.condition = match kind {
                Kind::Read | Kind::Remove => Condition::Always,
                Kind::Write(condition) => condition,
                Kind::WriteCurrent | Kind::RemoveCurrent => {
                    Condition::Version(match segment.inspect(&key, now) {
                        Standing::Local(entry) | Standing::Imported(entry) => entry.version(),
                        _ => Version(0),
                    })
                }
            };
            command.source = match source {
                FromSource::NotAsked => Source::NotAsked,
                FromSource::Skip => Source::Skip,
                FromSource::Absent => answered(Answer::Absent),
                FromSource::Silent => answered(Answer::Silent),
                FromSource::Entry(value) => {
                    theirs = value.to_be_bytes();
                    answered(Answer::Entry(imported(&theirs, 3)))
                }
            };
            // Version 3 is what the source gives to everything; all else is compared by value.
            model.expire();
            segment.find(segment.hash(&key), &key, now);
            model.met = segment.has_released();
            assert!(!model.met || model.released || model.complete.is_none());
            let standing = model.entry(&key).cloned().or_else(|| match command.source {
                Source::Asked(_, Answer::Entry(entry)) if model.asks(&key) => Some(ModelEntry {
                    value: entry.value.bytes().to_vec(),
                    created: 0,
                    used: 0,
                    expiration: Expiration::NEVER,
                    imported: true,
                    at_source: true,
                }),
                _ => None,
            });
            let holds = standing.is_some_and(|entry| match command.condition {
                Condition::Always | Condition::Present => true,
                Condition::Absent => false,
                Condition::Version(version) => match segment.inspect(&key, now) {
                    Standing::Local(entry) | Standing::Imported(entry) => {
                        entry.version() == version
                    }
                    _ => version == Version(3),
                },
                Condition::Etag(etag) => Etag::of(&entry.value) == etag,
                Condition::NotEtag(etag) => Etag::of(&entry.value) != etag,
            });
            let expected = model.command(&command, holds);
            assert_eq!(run(segment, &command, now), expected, "{command:?}");
        }
        Act::Import { key, value, lifespan, repair } => {
            let (key, value) = ([key], value.to_be_bytes());
            let mut entry = imported(&value, 3);
            if let Some(millis) = lifespan {
                entry.metadata.created = Some(now);
                entry.metadata.expiration.lifespan = Some(Lifetime::from_millis(millis.into()));
            }
            let rule = if repair { ImportRule::Repair } else { ImportRule::Copy };
            let expected = model.import(&key, &value, lifespan, repair);
            assert_eq!(import(segment, &key, &entry, rule, now), expected);
        }
        Act::Wait(millis) => model.now += u64::from(millis),
        Act::Sweep => {
            segment.sweep(0, usize::MAX, now);
            model.expire();
            assert!(model.complete.is_none() || segment.has_released() == model.released);
        }
        Act::Connect if model.complete.is_none() => {
            model.complete = Some(vec![false; SOURCE_SEGMENTS as usize]);
            (model.cleared, model.released, model.silent) = (false, false, None);
            segment.connect(Link {
                marked: true,
                max_tombstones: u64::MAX,
                ..Link::new(FIRST, SourceSpace::Segments(SOURCE_SEGMENTS), now)
            });
        }
        Act::Connect => {}
        Act::Silence(ago) => {
            let over = ago.map(|ago| model.now - u64::from(ago));
            segment.set_silent(FIRST, over.map(at));
            model.silent = over;
        }
        Act::Complete(number) => {
            // What has ended by now was remembered until now, although nobody has looked.
            segment.sweep(0, usize::MAX, now);
            model.expire();
            segment.complete(SourceSegment(number.into()));
            if let Some(complete) = &mut model.complete {
                complete[usize::from(number)] = true;
            }
        }
        Act::Clear => {
            segment.sweep(0, usize::MAX, now);
            segment.end_imports();
            drop(segment.clear());
            model.complete.iter_mut().for_each(|complete| complete.fill(true));
            model.records.clear();
            model.cleared = model.complete.is_some();
            model.released |= model.cleared;
        }
        Act::Release => {
            segment.sweep(0, usize::MAX, now);
            model.expire();
            segment.release_tombstones(&mut Position::default(), usize::MAX);
            let complete = model.complete.clone();
            model.records.retain(|key, record| match record {
                ModelRecord::Tombstone { at_source, removal } => {
                    let is_kept = *at_source || *removal || may_hold(complete.as_ref(), key);
                    if !is_kept {
                        model.released = true;
                        model.ended.insert(key.clone());
                    }
                    is_kept
                }
                ModelRecord::Entry(_) => true,
            });
        }
        Act::Disconnect => {
            // What was over by now was over while the source was still connected.
            segment.sweep(0, usize::MAX, now);
            model.expire();
            segment.disconnect();
            segment.forget_source(&mut Position::default(), usize::MAX);
            model.complete = None;
            model.ended.clear();
            model.records.retain(|_, record| match record {
                ModelRecord::Entry(entry) => {
                    (entry.imported, entry.at_source) = (false, false);
                    true
                }
                ModelRecord::Tombstone { .. } => false,
            });
        }
    }
}

/// A copy that knows nothing but the effects.
fn follow(segment: &mut Segment, copy: &mut BTreeMap<Vec<u8>, EffectEntry>, newest: &mut Stamp) {
    for effect in segment.take_effects().effects {
        assert!(effect.stamp > *newest, "effects come in the order of stamps");
        *newest = effect.stamp;
        match effect {
            Effect { cause: Cause::Clear, .. } => copy.clear(),
            Effect { key, entry: Some(entry), .. } => {
                copy.insert(key.into(), entry);
            }
            Effect { key, entry: None, .. } => {
                copy.remove(&key[..]);
            }
        }
    }
}

/// Bytes of what is remembered of ended and evicted entries.
fn beside_table(segment: &Segment) -> usize {
    segment.ended.memory() + segment.evicted_imported.memory()
}

fn compare(segment: &Segment, model: &mut Model, copy: &BTreeMap<Vec<u8>, EffectEntry>) {
    let now = at(model.now);
    model.expire();
    let mut seen = BTreeMap::new();
    walk::shown(segment, now, |entry| {
        seen.insert(entry.key().to_vec(), entry.value().bytes().to_vec());
        let copied = &copy[entry.key()];
        assert_eq!(&copied.value[..], entry.value().bytes());
        assert_eq!(copied.metadata.version, entry.version());
    });
    let expected: BTreeMap<_, _> = model
        .records
        .iter()
        .filter_map(|(key, record)| match record {
            ModelRecord::Entry(entry) if !model.is_over(entry) => {
                Some((key.clone(), entry.value.clone()))
            }
            ModelRecord::Entry(_) | ModelRecord::Tombstone { .. } => None,
        })
        .collect();
    assert_eq!(seen, expected);
    for (key, record) in &model.records {
        let standing = segment.inspect(key, now);
        let agrees = match record {
            ModelRecord::Tombstone { .. } => matches!(standing, Standing::Tombstone),
            ModelRecord::Entry(entry) if model.is_over(entry) => {
                matches!(standing, Standing::Overdue(_))
            }
            ModelRecord::Entry(entry) if entry.imported => {
                matches!(standing, Standing::Imported(_))
            }
            ModelRecord::Entry(_) => matches!(standing, Standing::Local(_)),
        };
        assert!(agrees, "{key:?}: {standing:?} against {record:?}");
    }
    // Every count, recomputed from scratch.
    let records: Vec<&Record> = segment.table.iter().collect();
    let bytes: usize = records.iter().map(|record| record.memory()).sum();
    let (table, filters) = (segment.table.allocation_size(), beside_table(segment));
    assert_eq!(segment.memory(), (bytes + table + filters) as u64);
    let tombstones = records.iter().filter(|record| record.is_tombstone());
    let fixed = tombstones.map(|record| record.memory()).sum::<usize>();
    let fixed = (fixed + table) as u64;
    let usage = segment.account.usage();
    let reported = (usage.bytes(), usage.entries(), usage.fixed());
    assert_eq!(reported, ((bytes + table) as u64, segment.len(), fixed));
    let count = |of: fn(&Record) -> bool| records.iter().filter(|record| of(record)).count() as u64;
    assert_eq!(segment.balance(), records.iter().map(|record| record.balance()).sum::<i64>());
    assert_eq!(segment.tombstones(), count(Record::is_tombstone));
    assert_eq!(segment.adopted, count(Record::is_adopted));
    assert_eq!(segment.mortal(), count(Record::is_mortal));
    assert_eq!(segment.len() - segment.local_len(), count(Record::is_imported));
    assert_eq!(segment.len(), count(|record| !record.is_tombstone()));
}
