//! How much memory there is.

use std::fs;

/// Files in which a control group says how much its processes may have, in both versions.
const LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Bytes of memory that this process can have: what its control group allows, or what the machine has.
pub(crate) fn total() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    let group = LIMITS
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| text.trim().parse::<u64>().ok());
    match (machine, group) {
        (Some(machine), Some(group)) => machine.min(group),
        (machine, group) => machine.or(group).unwrap_or(u64::MAX),
    }
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    //! The line that counts.

    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read_from_its_line() {
        let text = "MemFree: 1 kB\nMemTotal:       24592744 kB\n";
        assert_eq!(mem_total(text), Some(24_592_744 * 1024));
        assert_eq!(mem_total("MemTotal: lots"), None);
        assert!(total() > 1024 * 1024);
    }
}
