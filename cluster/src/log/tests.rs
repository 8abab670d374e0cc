//! What was written is there after a restart, and damage is told.

use std::sync::Arc;

use config::{CacheConfig, CacheMode};

use super::*;
use crate::samples::{connection, name};

fn create(cache: &str) -> MetaCommand {
    let config = Arc::new(CacheConfig::new(CacheMode::Distributed));
    MetaCommand::CreateCache { cache: name(cache), config, volatile: false }
}

/// Opens the log, does something with it, and gives its metadata as a restart would find it.
fn with_log(directory: &Path, commands: &[MetaCommand]) -> Metadata {
    let (mut log, mut metadata) = Log::open(directory).unwrap();
    for command in commands {
        metadata.apply(command).unwrap();
        log.append(command).unwrap();
    }
    metadata
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let cache = name("orders");
    let connect =
        MetaCommand::Connect { cache: cache.clone(), connection: Box::new(connection(4)) };
    let mark = MetaCommand::Mark { cache };
    let before = with_log(directory.path(), &[create("orders"), connect, mark]);
    let after = with_log(directory.path(), &[create("more")]);
    assert_eq!(after.cache("orders"), before.cache("orders"));
    let last = with_log(directory.path(), &[]);
    assert_eq!(last, after, "also of a file that was written anew");
}

#[test]
fn zeros_behind_the_last_record_are_what_a_crash_has_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let first = with_log(directory.path(), &[create("one")]);
    let mut bytes = fs::read(&path).unwrap();
    for zeros in [1, 8, 4_096] {
        bytes.extend(std::iter::repeat_n(0, zeros));
        fs::write(&path, &bytes).unwrap();
        assert_eq!(with_log(directory.path(), &[]), first, "{zeros} zeros");
    }
}

#[test]
fn a_length_that_no_record_has_is_damage_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    with_log(directory.path(), &[create("one"), create("two")]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[MAGIC.len()..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = Log::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn one_process_at_a_time_uses_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _) = Log::open(directory.path()).unwrap();
    let second = Log::open(directory.path()).unwrap_err();
    assert!(matches!(second, LogError::Locked { .. }), "{second}");
    drop(first);
    Log::open(directory.path()).unwrap();
}

#[test]
fn a_crash_may_cut_off_the_last_record_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let first = with_log(directory.path(), &[create("one")]);
    let whole = fs::read(&path).unwrap().len();
    with_log(directory.path(), &[create("two")]);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > whole);
    for cut in whole..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(with_log(directory.path(), &[]), first, "cut at {cut}");
    }
    let mut torn = bytes;
    let last = torn.len() - 1;
    torn[last] ^= 1;
    fs::write(&path, &torn).unwrap();
    assert_eq!(with_log(directory.path(), &[]), first, "a torn last record");
}

#[test]
fn damage_in_the_middle_is_an_error_that_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    with_log(directory.path(), &[create("one"), create("two")]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[MAGIC.len() + 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Log::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged at byte 8"), "{error}");
    fs::write(&path, b"something else").unwrap();
    let error = Log::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Foreign { .. }), "{error}");
}

#[test]
fn nobody_else_may_read_the_passwords() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    with_log(directory.path(), &[create("one")]);
    let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
