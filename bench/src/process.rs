//! Processor time and memory of a process, read from Linux's `/proc`.

use std::{fs, io, time::Duration};

/// Resource usage of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time of all its threads, including ended ones, in user and kernel mode.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub rss: u64,
}

impl Usage {
    /// Reads the usage of the process with this id.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        Self::read(&pid.to_string())
    }

    /// Reads the usage of this process.
    pub(crate) fn own() -> io::Result<Self> {
        Self::read("self")
    }

    fn read(process: &str) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        parse(&stat, &status, rustix::param::clock_ticks_per_second())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc cannot be read"))
    }
}

fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Usage> {
    // The program's name is in parentheses and may itself contain spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let micros = user.checked_add(system)?.checked_mul(1_000_000)?.checked_div(ticks_per_second)?;
    // A process that is ending has no memory.
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Usage { cpu: Duration::from_micros(micros), rss: kib.checked_mul(1024)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_found_whatever_the_program_is_called() {
        let stat =
            "42 (a (b) c) S 1 42 42 0 -1 4194560 9 0 0 0 250 50 7 8 20 0 5 0 99 1 1 18446744";
        let status = "Name:\ta (b) c\nVmHWM:\t  9000 kB\nVmRSS:\t    2048 kB\nThreads:\t5\n";
        let usage = Usage { cpu: Duration::from_secs(3), rss: 2 << 20 };
        assert_eq!(parse(stat, status, 100), Some(usage));
        assert_eq!(parse("", status, 100), None);
        assert_eq!(parse(stat, "", 100), None);
    }

    #[test]
    fn this_process_has_memory_and_no_process_has_none() {
        assert!(Usage::own().unwrap().rss > 0);
        assert_eq!(Usage::own().unwrap().rss > 0, Usage::of(std::process::id()).unwrap().rss > 0);
        assert!(Usage::of(u32::MAX).is_err());
    }
}
