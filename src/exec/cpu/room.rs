//! How much memory there is for buffers.

use std::fs::read_to_string;

/// Bytes that can be taken without other programs being moved out of memory, where the system tells: on Linux what the kernel thinks
/// is available, or what a container's limit leaves, if that is less.
pub fn free() -> Option<u64> {
    let available = available(&read_to_string("/proc/meminfo").ok()?)?;
    let limit = read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let used = || read_to_string("/sys/fs/cgroup/memory.stat").ok().and_then(|text| anonymous(&text));
    let left = limit.and_then(|limit| Some(limit.saturating_sub(used()?)));
    Some(left.map_or(available, |left| left.min(available)))
}

/// Bytes of the line `MemAvailable: 123 kB`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

/// Bytes of the line `anon 123`: what programs hold that no file holds as well.
fn anonymous(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("anon "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_read() {
        let text = "MemTotal:       24000000 kB\nMemFree:          100 kB\nMemAvailable:   22000000 kB\n";
        assert_eq!(available(text), Some(22_000_000 * 1024));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
        assert_eq!(anonymous("file 12\nanon 4096\nanon_thp 7\n"), Some(4096));
        assert_eq!(anonymous("file 12\n"), None);
    }
}
