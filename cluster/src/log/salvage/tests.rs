//! What is left of a damaged file, and what is said of the rest.

use std::fs;

use super::*;
use crate::{
    log::{Log, load},
    samples::{connect, create, name, story},
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A file to which these commands were appended, one byte after the other, and where its records begin.
fn file(commands: &[MetaCommand]) -> (Vec<u8>, Vec<usize>) {
    let id = FileId(7);
    let mut bytes = format::file(id, &[], NOW);
    let mut begins = Vec::new();
    for (number, command) in (0..).zip(commands) {
        begins.push(bytes.len());
        bytes.extend(format::record(
            id,
            number,
            Kind::Command,
            NOW,
            &wire::encode(command).unwrap(),
        ));
    }
    begins.push(bytes.len());
    bytes.extend(format::record(id, commands.len() as u64, Kind::Close, NOW, &[]));
    (bytes, begins)
}

fn findings(bytes: &[u8]) -> (Survey, Vec<Finding>) {
    let mut findings = Vec::new();
    let survey = survey(bytes, |finding| findings.push(finding.clone())).unwrap();
    (survey, findings)
}

#[test]
fn a_whole_file_is_listed_command_by_command_without_passwords() {
    let (bytes, begins) = file(&story());
    let (survey, findings) = findings(&bytes);
    assert!(survey.is_complete());
    assert_eq!(findings.len(), story().len());
    let line = findings[3].to_string();
    let expected = format!(
        "byte {}: record 3, 2023-11-14T22:13:20.000Z: connect cache orders to 127.0.0.1:11222 since \
         1970-01-01T00:00:01.000Z (0 of 4 segments complete)",
        begins[3]
    );
    assert_eq!(line, expected);
    let text = survey.to_string();
    let end = "20 commands can be used, the last of 2023-11-14T22:13:20.000Z; it ends with a closing mark";
    assert!(text.contains("cache orders: Distributed, before that to 127.0.0.1:11222"), "{text}");
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_record_may_say_any_number() {
    let body = wire::encode(&create("a")).unwrap();
    let mut bytes = format::file(FileId(7), &[], NOW);
    bytes.push(0);
    for _ in 0..2 {
        bytes.extend(format::record(FileId(7), u64::MAX, Kind::Command, NOW, &body));
    }
    let (survey, findings) = findings(&bytes);
    assert_eq!((survey.commands, survey.unusable), (1, 1), "{findings:?}");
}

#[test]
fn of_a_file_with_one_damaged_byte_all_other_records_are_found() {
    let (bytes, begins) = file(&story());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let (survey, findings) = findings(&damaged);
        let lost: Vec<_> =
            findings.iter().filter(|finding| matches!(finding, Finding::Lost { .. })).collect();
        let [Finding::Lost { from, to, records, .. }] = lost[..] else {
            panic!("byte {at}: {lost:?}")
        };
        assert!(!survey.is_complete());
        let record = begins.iter().rposition(|begin| *begin <= at);
        match record {
            // The file's header is damaged: no record is.
            None => assert_eq!((*from, *to, *records), (0, begins[0] as u64, Some(0)), "byte {at}"),
            Some(record) if record == story().len() => assert_eq!(*records, None, "byte {at}"),
            Some(record) => {
                let range = (begins[record] as u64, begins[record + 1] as u64, Some(1));
                assert_eq!((*from, *to, *records), range, "byte {at}");
            }
        }
        let readable = survey.commands + survey.unusable;
        let missing = u64::from(record.is_some_and(|record| record < story().len()));
        assert_eq!(readable, story().len() as u64 - missing, "byte {at}");
    }
}

#[test]
fn of_an_old_file_with_a_damaged_length_all_other_records_are_found() {
    let mut old = b"GDWTMD\x00\x01".to_vec();
    let mut begins = Vec::new();
    for command in &story() {
        begins.push(old.len());
        let body = wire::encode(command).unwrap();
        old.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        old.extend(crc32fast::hash(&body).to_le_bytes());
        old.extend(body);
    }
    old[begins[6]] ^= 0x40;
    let (survey, findings) = findings(&old);
    assert_eq!(survey.commands + survey.unusable, story().len() as u64 - 1);
    let lost = format!("bytes {} to {}: LOST: ", begins[6], begins[7]);
    assert!(findings[6].to_string().starts_with(&lost), "{}", findings[6]);
}

#[test]
fn what_is_salvaged_starts_and_its_sources_wait_for_their_operator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let commands =
        [create("one"), create("two"), connect("one", 4), create("three"), connect("three", 4)];
    let (mut bytes, begins) = file(&commands);
    bytes[begins[3] + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(Log::open(folder.path()).unwrap_err().is_damage());

    let mut findings = Vec::new();
    let each = |finding: &Finding| findings.push(finding.to_string());
    let (survey, output) = salvage(folder.path(), None, NOW, each).unwrap();
    assert_eq!((survey.commands, survey.unusable, survey.lost), (3, 1, 1));
    assert!(
        findings[3].contains("LOST") && findings[3].contains("one record is missing"),
        "{findings:?}"
    );
    assert!(findings[4].contains("NOT USABLE: connect cache three"), "{findings:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "the damaged file is left as it is");
    let again = salvage(&path, None, NOW, |_| ()).unwrap_err();
    assert!(again.to_string().contains("metadata.log.salvaged"), "nothing is overwritten: {again}");

    let loaded = load(File::open(&output).unwrap()).unwrap();
    assert_eq!(loaded.ending, Ending::Closed { at: NOW });
    fs::rename(output, &path).unwrap();
    let (_, metadata) = Log::open(folder.path()).unwrap();
    let caches: Vec<_> = metadata.caches().map(|(name, _)| name.clone()).collect();
    assert_eq!(caches, [name("one"), name("two")]);
    assert!(metadata.cache("one").unwrap().connection.as_ref().unwrap().marked);
}

#[test]
fn a_file_that_was_cut_off_while_it_was_written_is_salvaged_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    let (bytes, begins) = file(&[create("one"), connect("one", 4), create("two")]);
    fs::write(&path, &bytes[..begins[2] + 9]).unwrap();
    let output = folder.path().join("output");
    let (survey, _) = salvage(&path, Some(&output), NOW, |_| ()).unwrap();
    assert!(survey.is_complete(), "{survey}");
    let metadata = load(File::open(&output).unwrap()).unwrap().metadata;
    assert!(!metadata.cache("one").unwrap().connection.as_ref().unwrap().marked);
    assert_eq!(metadata, survey.metadata);
}

#[test]
fn nothing_is_written_where_nothing_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    for bytes in [&b""[..], b"GODWITM", b"something else that is long enough to hold a header"] {
        fs::write(&path, bytes).unwrap();
        let error = salvage(&path, None, NOW, |_| ()).unwrap_err();
        assert!(matches!(error, LogError::Nothing { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
