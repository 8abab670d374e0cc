//! What survives a restart, a disk that fails, and a loss of power.

mod simulated;

use std::fs;

use self::simulated::{Fault, Left, Simulated};
use super::*;
use crate::samples::{connect, create, name, story};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Growth after which a file on a simulated disk is written anew.
const GROWTH: u64 = 600;

/// A log, and the metadata that its owner keeps.
struct Owner<D: Disk> {
    log: Log<D>,
    metadata: Metadata,
}

impl Owner<Directory> {
    fn open(directory: &Path) -> Self {
        let (log, metadata) = Log::open(directory).unwrap();
        Self { log, metadata }
    }
}

impl Owner<Simulated> {
    fn on(disk: &Simulated) -> Result<Self, LogError> {
        let (mut log, metadata) = Log::open_on(disk.clone(), Path::new("data"))?;
        log.least_growth = GROWTH;
        Ok(Self { log, metadata })
    }
}

impl<D: Disk> Owner<D> {
    fn carry_out(&mut self, command: &MetaCommand) -> Result<(), LogError> {
        let mut changed = self.metadata.clone();
        changed.apply(command).unwrap();
        self.log.append(command, &self.metadata, NOW)?;
        self.metadata = changed;
        Ok(())
    }

    fn with(mut self, commands: &[MetaCommand]) -> Self {
        commands.iter().for_each(|command| self.carry_out(command).unwrap());
        self
    }

    fn close(mut self) -> Metadata {
        self.log.close(&self.metadata, NOW).unwrap();
        self.metadata
    }

    fn is_whole(&self) -> bool {
        matches!(self.log.state, State::Standing(Standing::Whole))
    }
}

fn restarted(metadata: &Metadata) -> Metadata {
    let mut metadata = metadata.clone();
    metadata.restart();
    metadata
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before = Owner::open(directory.path()).with(&story()).close();
    let after = Owner::open(directory.path());
    assert!(after.is_whole());
    assert_eq!(after.metadata, restarted(&before));
    let more = after.with(&[create("more")]).close();
    let again = Owner::open(directory.path());
    assert_eq!(again.metadata, restarted(&more), "also of a file that was written anew");
}

#[test]
fn a_start_that_changes_nothing_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    Owner::open(directory.path()).with(&story()).close();
    let path = directory.path().join(FILE);
    let bytes = fs::read(&path).unwrap();
    Owner::open(directory.path()).close();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the file and the lock");
}

#[test]
fn a_file_without_a_closing_mark_is_kept_aside_until_there_are_too_many() {
    let directory = tempfile::tempdir().unwrap();
    drop(Owner::open(directory.path()).with(&[create("one")]));
    let path = directory.path().join(FILE);
    let kept = |number: u64| directory.path().join(format!("{FILE}.kept-{number}"));
    for _ in 0..3 {
        let bytes = fs::read(&path).unwrap();
        let owner = Owner::open(directory.path());
        assert!(!owner.is_whole() && owner.metadata.cache("one").is_some());
        assert_eq!(fs::read(kept(1)).unwrap(), bytes, "at once, and once only");
        assert!(!kept(2).exists());
    }
    let bytes = fs::read(&path).unwrap();
    for number in 2..=12 {
        let torn = &bytes[..bytes.len() - usize::try_from(number).unwrap()];
        fs::write(&path, torn).unwrap();
        drop(Owner::open(directory.path()).with(&[create("two")]));
        assert_eq!(fs::read(kept(number)).unwrap(), torn, "as it was found");
    }
    let there: Vec<u64> = (1..=20).filter(|number| kept(*number).exists()).collect();
    assert_eq!(there, (5..=12).collect::<Vec<_>>());
    Owner::open(directory.path()).close();
    assert!(Owner::open(directory.path()).is_whole(), "after a clean stop all is well");
}

#[test]
fn an_old_file_is_taken_over_and_kept_aside() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = b"GDWTMD\x00\x01".to_vec();
    for command in [create("one"), connect("one", 4)] {
        let body = wire::encode(&command).unwrap();
        old.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        old.extend(crc32fast::hash(&body).to_le_bytes());
        old.extend(body);
    }
    fs::write(directory.path().join(FILE), &old).unwrap();
    let before = Owner::open(directory.path()).close();
    assert!(before.cache("one").unwrap().connection.is_some());
    let after = Owner::open(directory.path());
    assert!(after.is_whole());
    assert_eq!(after.metadata, before);
    assert_eq!(fs::read(directory.path().join("metadata.log.kept-1")).unwrap(), old);
}

#[test]
fn damage_prevents_the_start_and_the_error_says_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    Owner::open(directory.path()).with(&[create("one"), create("two")]).close();
    let good = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    damaged[40] ^= 1;
    let foreign = b"something else".to_vec();
    for (bytes, part) in [
        (damaged, "is damaged at byte 28: the header of a record is not as it was written"),
        (foreign, "does not begin (byte 0) like a metadata file"),
        (vec![], "is damaged at byte 0: it is empty"),
        (good[..20].to_vec(), "is damaged at byte 20: it ends within its header"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let error = Log::open(directory.path()).unwrap_err();
        assert!(error.is_damage());
        let error = error.to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        assert!(error.contains(part) && error.contains("godwit metadata inspect"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it is");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_file_that_is_missing_is_no_first_start() {
    let directory = tempfile::tempdir().unwrap();
    Owner::open(directory.path()).close();
    Owner::open(directory.path()).with(&[create("one")]).close();
    fs::remove_file(directory.path().join(FILE)).unwrap();
    let error = Log::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Missing { .. }) && error.is_damage(), "{error}");
    fs::remove_file(directory.path().join(LOCK_FILE)).unwrap();
    assert_eq!(Owner::open(directory.path()).metadata, Metadata::default());
}

#[test]
fn one_process_at_a_time_uses_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = Owner::open(directory.path());
    let second = Log::open(directory.path()).unwrap_err();
    assert!(matches!(second, LogError::Locked { .. }), "{second}");
    // A lock file that is made anew is another file.
    fs::remove_file(directory.path().join(LOCK_FILE)).unwrap();
    let second = Log::open(directory.path()).unwrap_err();
    assert!(matches!(second, LogError::Locked { .. }), "{second}");
    drop(first);
    Owner::open(directory.path());
}

#[test]
fn nobody_else_may_read_the_passwords() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(NEW_FILE), b"left by a crash").unwrap();
    drop(Owner::open(directory.path()).with(&[create("one")]));
    drop(Owner::open(directory.path()));
    let output = salvage(directory.path(), None, NOW, |_| ()).unwrap().1;
    for file in
        [&directory.path().join(FILE), &directory.path().join("metadata.log.kept-1"), &output]
    {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn the_file_does_not_grow_for_ever_while_the_server_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut owner = Owner::open(directory.path()).with(&[create("one"), connect("one", 256)]);
    let volatile = MetaCommand::CreateCache {
        cache: name("scratch"),
        config: std::sync::Arc::new(config::CacheConfig::new(config::CacheMode::Local)),
        volatile: true,
    };
    owner.metadata.apply(&volatile).unwrap();
    let mut longest = 0;
    for round in 0..1_000 {
        let cache = name("one");
        let identity = crate::SourceIdentity(vec![crate::SourceProcess {
            server: format!("host-{round}:11222"),
            ..crate::SourceProcess::default()
        }]);
        let lost = crate::LostServers::default();
        owner.carry_out(&MetaCommand::AcceptSource { cache, identity, lost }).unwrap();
        longest = longest.max(fs::metadata(&path).unwrap().len());
    }
    assert!(longest < 2 * LEAST_GROWTH, "{longest}");
    let before = owner.metadata.clone();
    drop(owner);
    let after = Owner::open(directory.path());
    assert_eq!(after.metadata, restarted(&before));
    assert!(after.metadata.cache("scratch").is_none());
}

#[test]
fn after_the_end_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut owner = Owner::open(directory.path()).with(&[create("one")]);
    owner.log.close(&owner.metadata, NOW).unwrap();
    let error = owner.carry_out(&create("two")).unwrap_err();
    assert!(matches!(error, LogError::Closed { .. }), "{error}");
    owner.log.close(&owner.metadata, NOW).unwrap();
    drop(owner);
    assert!(Owner::open(directory.path()).is_whole());
}

/// Commands whose effects a restart keeps apart, enough of them that the file is written anew on the way.
fn long_story() -> Vec<MetaCommand> {
    let mut commands = vec![create("base"), connect("base", 4)];
    for number in 0..6 {
        let cache = format!("{}-{number}", "x".repeat(200));
        commands.push(create(&cache));
        if number % 2 == 0 {
            commands.push(MetaCommand::RemoveCache { cache: name(&cache) });
        }
    }
    commands.push(MetaCommand::Mark { cache: name("base") });
    commands
}

/// What a client was told of a run over a disk that fails at some step.
struct Run {
    /// What was acknowledged leads to this.
    acknowledged: Metadata,
    /// The same with a command of which nobody knows whether it is stored.
    in_doubt: Vec<Metadata>,
    /// Whether anything was refused.
    refused: bool,
}

fn run(disk: &Simulated, commands: &[MetaCommand]) -> Run {
    let mut owner = Owner::on(disk).unwrap();
    let (mut in_doubt, mut refused) = (Vec::new(), false);
    for command in commands {
        let mut changed = owner.metadata.clone();
        if changed.apply(command).is_err() {
            // It needed one that was refused.
            continue;
        }
        match owner.carry_out(command) {
            Ok(()) => in_doubt.clear(),
            Err(LogError::InDoubt { .. }) => {
                refused = true;
                in_doubt.push(restarted(&changed));
            }
            Err(_) => refused = true,
        }
    }
    Run { acknowledged: restarted(&owner.metadata), in_doubt, refused }
}

/// Steps that it takes to carry out commands on this disk.
fn steps(disk: &Simulated, commands: &[MetaCommand]) -> usize {
    let disk = disk.without_power(Left::All, true);
    disk.fail(usize::MAX, Fault::Once);
    assert!(!run(&disk, commands).refused);
    disk.steps()
}

/// Disks with nothing, with a file that was closed, and with one that was not.
fn disks() -> Vec<Simulated> {
    [0, 1, 2]
        .map(|kind| {
            let disk = Simulated::default();
            if kind > 0 {
                let owner = Owner::on(&disk).unwrap().with(&[create("first"), create("second")]);
                if kind == 1 { drop(owner.close()) } else { drop(owner) }
            }
            disk
        })
        .into()
}

#[test]
fn a_command_that_was_refused_never_comes_back_and_one_that_was_acknowledged_always_does() {
    let commands = long_story();
    for disk in disks() {
        for step in 0..steps(&disk, &commands) {
            for fault in [Fault::Once, Fault::Forever, Fault::Full] {
                let disk = disk.without_power(Left::All, true);
                disk.fail(step, fault);
                let told = run(&disk, &commands);
                let said = format!("{fault:?} at step {step}");
                // The process is started again, and the machine was not.
                disk.repair();
                let again = Owner::on(&disk).unwrap_or_else(|error| panic!("{said}: {error}"));
                let is =
                    |found: &Metadata| *found == told.acknowledged || told.in_doubt.contains(found);
                assert!(is(&again.metadata), "{said}");
                if fault != Fault::Forever {
                    assert_eq!(again.metadata, told.acknowledged, "{said}: nothing is in doubt");
                }
                // The machine was.
                for left in [Left::All, Left::None] {
                    for names in [true, false] {
                        let disk = disk.without_power(left, names);
                        let again = Owner::on(&disk);
                        let again =
                            again.unwrap_or_else(|error| panic!("{said} {left:?}: {error}"));
                        assert!(is(&again.metadata), "{said} {left:?} {names}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_loss_of_power_at_any_step_loses_nothing_that_was_acknowledged() {
    let commands = long_story();
    for disk in disks() {
        for step in 0..steps(&disk, &commands) {
            // The process ends at this step: what it was told afterwards does not count.
            let disk = disk.without_power(Left::All, true);
            disk.fail(step, Fault::Forever);
            let mut owner = Owner::on(&disk).unwrap();
            let cut = commands.iter().find(|command| owner.carry_out(command).is_err());
            let acknowledged = restarted(&owner.metadata);
            let mut with_cut = owner.metadata.clone();
            cut.into_iter().for_each(|command| with_cut.apply(command).unwrap());
            for left in [Left::All, Left::AllButOne, Left::None, Left::Zeros] {
                for names in [true, false] {
                    let again = Owner::on(&disk.without_power(left, names));
                    let again =
                        again.unwrap_or_else(|error| panic!("step {step} {left:?}: {error}"));
                    let found = &again.metadata;
                    let expected = *found == acknowledged || *found == restarted(&with_cut);
                    assert!(expected, "step {step} {left:?} {names}");
                }
            }
        }
    }
}

#[test]
fn a_full_disk_prevents_no_start_that_has_nothing_to_write() {
    for disk in disks() {
        let before = restarted(&Owner::on(&disk).unwrap().metadata);
        disk.fail(0, Fault::Full);
        let mut owner = Owner::on(&disk).unwrap();
        assert_eq!(owner.metadata, before);
        let error = owner.carry_out(&create("new")).unwrap_err();
        assert!(matches!(error, LogError::Io { .. }), "{error}");
        assert!(!disk.names().contains(&NEW_FILE.to_owned()), "{:?}", disk.names());
        // As soon as there is room, it is written.
        disk.repair();
        owner.carry_out(&create("new")).unwrap();
        let after = restarted(&owner.metadata);
        drop(owner);
        assert_eq!(Owner::on(&disk).unwrap().metadata, after);
    }
}

#[test]
fn a_file_that_cannot_be_shortened_grows_on() {
    let disk = Simulated::default();
    let mut owner = Owner::on(&disk).unwrap().with(&[create("one")]);
    let toggle = |owner: &mut Owner<Simulated>| {
        let there = owner.metadata.cache("other").is_some();
        let remove = MetaCommand::RemoveCache { cache: name("other") };
        owner.carry_out(&if there { remove } else { create("other") }).unwrap();
        disk.read(FILE).len() as u64
    };
    let due = |owner: &Owner<Simulated>| matches!(&owner.log.state, State::Open(open) if open.len > open.most);
    let mut steps = 0..100;
    while !due(&owner) {
        toggle(&mut owner);
        steps.next().unwrap();
    }
    // A new file cannot be created, and the old one can be appended to.
    disk.fail(0, Fault::Once);
    let long = toggle(&mut owner);
    assert!(long > GROWTH && !due(&owner), "{long}");
    let shortest = (0..20).map(|_| toggle(&mut owner)).min();
    assert!(shortest < Some(long / 2), "tried again: {long} {shortest:?}");
    assert!(disk.read(FILE).len() as u64 <= 2 * long);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let disk = Simulated::default();
    drop(Owner::on(&disk).unwrap().with(&story()).close());
    let file = disk.read(FILE);
    let bodies = story().iter().map(|command| wire::encode(command).unwrap()).collect::<Vec<_>>();
    // The first byte says how long the bodies are that the rest is cut into.
    let corpus = bodies.iter().map(|body| [&[255][..], body].concat()).chain([file]);
    for bytes in corpus {
        crate::fuzz::metadata(&bytes);
        for _ in 0..300 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + next() % 4 {
                let [byte, ..] = next().to_be_bytes();
                let place = usize::try_from(next()).unwrap_or(0) % bytes.len();
                match next() % 4 {
                    0 => bytes.truncate(place.max(1)),
                    1 => bytes.insert(place, byte),
                    2 => bytes[place] = 0xFF,
                    _ => bytes[place] = byte,
                }
            }
            crate::fuzz::metadata(&bytes);
        }
    }
    crate::fuzz::metadata(b"");
}
