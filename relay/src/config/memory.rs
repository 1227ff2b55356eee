//! How much memory this program may use.

use std::fs;

/// A quarter of the memory of this machine, or of the container that the program runs in; as much
/// as can be where that is not known.
pub(super) fn share() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total);
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    machine
        .into_iter()
        .chain(container)
        .min()
        .map_or(usize::MAX, |bytes| bytes / 4)
}

/// The line of the whole memory in `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        let text = "MemTotal:        2048 kB\nMemFree:         1024 kB\n";
        assert_eq!(total(text), Some(2 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }
}
