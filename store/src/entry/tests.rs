//! What goes into a packed entry comes out of it.

use proptest::prelude::*;

use super::*;

const VERSIONS: VersionKey = VersionKey::new(99);

fn draft<'a>(key: &'a [u8], value: Value<'a>, expiration: Expiration) -> Draft<'a> {
    Draft {
        key,
        value,
        number: Number::Stamp(Stamp::from_bits(7)),
        created: Timestamp::from_millis(1_000),
        last_used: Timestamp::from_millis(2_000),
        expiration,
        at_source: false,
    }
}

fn expirations() -> impl Strategy<Value = Expiration> {
    let lifetime = || proptest::option::of(any::<u64>().prop_map(Lifetime::from_millis));
    (lifetime(), lifetime()).prop_map(|(lifespan, max_idle)| Expiration { lifespan, max_idle })
}

proptest! {
    #[test]
    fn every_part_of_an_entry_is_read_back(
        key in proptest::collection::vec(any::<u8>(), 0..70_000),
        value in proptest::collection::vec(any::<u8>(), 0..300),
        expiration in expirations(),
        shared in any::<bool>(),
        foreign in any::<bool>(),
    ) {
        let arc: Arc<[u8]> = value.clone().into();
        let where_it_lies = if shared { Value::Shared(&arc) } else { Value::Inline(&value) };
        let mut draft = draft(&key, where_it_lies, expiration);
        if foreign {
            draft.number = Number::Source(Version(42));
        }
        let record = draft.record();
        prop_assert_eq!(record.memory(), draft.memory());
        let entry = record.entry(VERSIONS);
        prop_assert_eq!(entry.key(), &key[..]);
        prop_assert_eq!(entry.value().bytes(), &value[..]);
        let metadata = entry.metadata();
        prop_assert_eq!(metadata.expiration, expiration);
        prop_assert_eq!(metadata.created.is_some(), expiration.lifespan.is_some());
        prop_assert_eq!(metadata.last_used.is_some(), expiration.max_idle.is_some());
        let expected = if foreign { Version(42) } else { VERSIONS.version(Stamp::from_bits(7)) };
        prop_assert_eq!(metadata.version, expected);
        prop_assert_eq!(record.is_imported(), foreign);
        let taken = entry.take();
        prop_assert_eq!(taken.entry().key(), &key[..]);
        prop_assert_eq!(taken.entry().value().bytes(), &value[..]);
        prop_assert_eq!(taken.entry().metadata(), metadata);
    }

    #[test]
    fn a_replaced_entry_is_the_new_one_whatever_stood_there(
        old in (proptest::collection::vec(any::<u8>(), 0..40), expirations()),
        new in (proptest::collection::vec(any::<u8>(), 0..40), expirations()),
    ) {
        let mut record = draft(b"key", Value::Inline(&old.0), old.1).record();
        let next = draft(b"key", Value::Inline(&new.0), new.1);
        next.replace(&mut record);
        let fresh = next.record();
        prop_assert_eq!(record.entry(VERSIONS).metadata(), fresh.entry(VERSIONS).metadata());
        prop_assert_eq!(record.entry(VERSIONS).value().bytes(), &new.0[..]);
        prop_assert_eq!(record.key(), b"key");
    }
}

#[test]
fn a_small_immortal_entry_takes_128_bytes() {
    let record = draft(&[1; 16], Value::Inline(&[2; 100]), Expiration::NEVER).record();
    assert_eq!(record.memory(), 128);
}

#[test]
fn an_entry_ends_with_the_first_of_lifespan_and_idling() {
    let expiration = Expiration {
        lifespan: Some(Lifetime::from_millis(500)),
        max_idle: Some(Lifetime::from_millis(100)),
    };
    let mut record = draft(b"k", Value::Inline(b"v"), expiration).record();
    assert_eq!(
        record.entry(VERSIONS).metadata().ends(),
        Some(Timestamp::from_millis(1_500)),
        "created at 1,000, used at 2,000"
    );
    assert!(!record.is_expired(Timestamp::from_millis(1_499)));
    assert!(record.is_expired(Timestamp::from_millis(1_500)));

    let idle = Expiration { lifespan: None, ..expiration };
    record = draft(b"k", Value::Inline(b"v"), idle).record();
    assert!(!record.is_expired(Timestamp::from_millis(2_099)));
    assert!(record.is_expired(Timestamp::from_millis(2_100)));
    record.touch(Timestamp::from_millis(2_050));
    assert!(!record.is_expired(Timestamp::from_millis(2_149)));
    assert!(record.is_expired(Timestamp::from_millis(2_150)));
}

#[test]
fn three_uses_are_remembered_and_forgiven_one_by_one() {
    let mut record = draft(b"k", Value::Inline(b"v"), Expiration::NEVER).record();
    for _ in 0..5 {
        record.count_use();
    }
    let forgiven: Vec<bool> = (0..4).map(|_| record.forgive_use()).collect();
    assert_eq!(forgiven, [true, true, true, false]);
    assert_eq!(record.entry(VERSIONS).value().bytes(), b"v");
}

#[test]
fn the_last_use_at_the_source_is_known_whoever_uses_the_entry_here() {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    let idle = Expiration { lifespan: None, max_idle: Some(Lifetime::from_millis(100 * DAY)) };
    let at = Timestamp::from_millis;
    let imported = |last_used| {
        let number = Number::Source(Version(1));
        Draft { number, last_used, ..draft(b"k", Value::Inline(b"v"), idle) }.record()
    };
    let last = at(1_790_000_000_700);
    let mut record = imported(last);
    let seen = |record: &Record| {
        (seen_last(record), record.entry(VERSIONS).last_used_at_source().unwrap())
    };
    let there = at(1_790_000_000_000);
    assert_eq!(seen(&record), (last, there));
    // As its clock is not known exactly, it may have been used a little later there.
    for later in [-5_000, 0, 299, 86_400_000, 46 * 86_400_000] {
        let now = at(last.millis().saturating_add_signed(later));
        record.touch(now);
        assert_eq!(seen(&record), (now, there), "used here {later} ms later");
        assert!(!record.is_expired(at(now.millis() + 100 * DAY - 1)));
        assert!(record.is_expired(at(now.millis() + 100 * DAY)));
    }
    record.touch(at(last.millis() + 60 * DAY));
    assert!(seen(&record).1 > there, "it counts as used later, not earlier");
    record.forget_source();
    assert_eq!(record.entry(VERSIONS).last_used_at_source(), None);
    assert_eq!(seen_last(&record), at(last.millis() + 60 * DAY));
    let own = draft(b"k", Value::Inline(b"v"), idle).record();
    assert_eq!(own.entry(VERSIONS).last_used_at_source(), None);
    let mortal = Expiration { lifespan: idle.max_idle, max_idle: None };
    let number = Number::Source(Version(1));
    let mortal = Draft { number, ..draft(b"k", Value::Inline(b"v"), mortal) }.record();
    assert_eq!(mortal.entry(VERSIONS).last_used_at_source(), None);
}

fn seen_last(record: &Record) -> Timestamp {
    record.entry(VERSIONS).metadata().last_used.unwrap()
}
