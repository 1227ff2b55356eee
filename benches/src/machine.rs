//! What the machine is that a load test runs on.

use std::fs;
use std::thread;

use crate::result::Machine;

/// This machine, as far as it says.
pub fn here() -> Machine {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        system: format!("{} {}", std::env::consts::OS, release.trim())
            .trim()
            .to_owned(),
        processor: read("/proc/cpuinfo")
            .and_then(|text| value(&text, "model name").map(str::to_owned))
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: thread::available_parallelism().map_or(0, usize::from),
        memory: read("/proc/meminfo")
            .and_then(|text| kibibytes(value(&text, "MemTotal")?))
            .unwrap_or_default(),
    }
}

/// What follows `key` and a colon at the start of a line of a file below `/proc`.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Bytes, of a number of `kB` there.
pub(crate) fn kibibytes(value: &str) -> Option<u64> {
    let number: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_key() {
        let text = "MemTotal:       24 kB\nMemFree: 1 kB\n";
        assert_eq!(value(text, "MemTotal").and_then(kibibytes), Some(24 * 1024));
        assert_eq!(value(text, "Mem"), None);
        assert_eq!(kibibytes("24"), None);
        assert!(here().cores > 0);
    }
}
