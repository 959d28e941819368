//! What the kernel knows of this process, read when somebody asks.

use std::fmt;
use std::sync::OnceLock;

use super::definitions as metric;
use super::page::Page;

/// Clock ticks of `/proc/self/stat` in a second: `USER_HZ`, 100 on every architecture that Linux still builds for.
const TICKS: f64 = 100.0;

/// Use of resources. What cannot be read is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Virtual memory in bytes.
    pub virtual_bytes: u64,
    /// Processor time in seconds, user and system.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Open files.
    pub open_files: u64,
    /// Most files that may be open.
    pub open_files_limit: u64,
    /// When the process started, in seconds of Unix time.
    pub start_time: f64,
    /// Seconds since then.
    pub uptime: f64,
}

impl Usage {
    /// As it is.
    #[must_use]
    pub fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let status = text("/proc/self/status");
        let stat = text("/proc/self/stat");
        let started = stat_field(&stat, 22).unwrap_or_default() / TICKS;
        let up = text("/proc/uptime");
        let up: f64 = up
            .split_whitespace()
            .next()
            .and_then(|up| up.parse().ok())
            .unwrap_or_default();
        let bytes = |name| {
            number_after(&status, name)
                .unwrap_or_default()
                .saturating_mul(1024)
        };
        Self {
            resident_bytes: bytes("VmRSS:"),
            virtual_bytes: bytes("VmSize:"),
            cpu_seconds: cpu(&stat).unwrap_or_default(),
            threads: number_after(&status, "Threads:").unwrap_or_default(),
            open_files: open_files(),
            open_files_limit: rlimit::Resource::NOFILE.get().map_or(0, |(limit, _)| limit),
            start_time: *START.get_or_init(|| booted() + started),
            uptime: (up - started).max(0.0),
        }
    }
}

/// When the process started. Kept, since the kernel reckons it anew whenever the machine's clock is set.
static START: OnceLock<f64> = OnceLock::new();

/// When the machine was started, in Unix time.
fn booted() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "seconds below 2^53")]
    let booted = number_after(&stat, "btime").unwrap_or_default() as f64;
    booted
}

/// The number behind the name that begins a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat`, counted from 1 as in its manual page; from the third on.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields
        .split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

fn cpu(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS)
}

/// Newer kernels tell the number as the folder's size; reading the folder takes long with many files.
fn open_files() -> u64 {
    const FOLDER: &str = "/proc/self/fd";
    let told = std::fs::metadata(FOLDER).map_or(0, |folder| folder.len());
    if told > 0 {
        return told;
    }
    let counted = std::fs::read_dir(FOLDER).map_or(0, Iterator::count);
    u64::try_from(counted).unwrap_or_default()
}

/// Writes what the process uses, and which program it is.
pub(super) fn write(page: &mut Page<'_>) -> fmt::Result {
    let usage = Usage::read();
    page.amount(&metric::RESIDENT_MEMORY, usage.resident_bytes)?;
    page.amount(&metric::VIRTUAL_MEMORY, usage.virtual_bytes)?;
    page.number(&metric::CPU_SECONDS, usage.cpu_seconds)?;
    page.amount(&metric::THREADS, usage.threads)?;
    page.amount(&metric::OPEN_FILES, usage.open_files)?;
    page.amount(&metric::OPEN_FILES_LIMIT, usage.open_files_limit)?;
    page.number(&metric::START_TIME, usage.start_time)?;
    page.number(&metric::UPTIME, usage.uptime)?;
    page.family(&metric::BUILD_INFO)?
        .level(&[env!("CARGO_PKG_VERSION")], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_understood() {
        let status = "Name:\tx\nVmSize:\t 9 kB\nVmRSS:\t    2048 kB\nThreads:\t12\n";
        assert_eq!(number_after(status, "VmRSS:"), Some(2048));
        assert_eq!(number_after(status, "Threads:"), Some(12));
        assert_eq!(number_after(status, "VmSwap:"), None);
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 77";
        assert_eq!(cpu(stat), Some(2.0));
        assert_eq!(stat_field(stat, 22), Some(77.0));
        assert_eq!(stat_field(stat, 23), None);
    }

    #[test]
    fn this_process_is_seen() {
        let usage = Usage::read();
        assert!(
            usage.resident_bytes > 0 && usage.virtual_bytes > usage.resident_bytes,
            "{usage:?}"
        );
        assert!(usage.threads > 0 && usage.open_files > 0, "{usage:?}");
        assert!(usage.open_files_limit > usage.open_files, "{usage:?}");
        assert!(usage.start_time > 1.6e9 && usage.uptime >= 0.0, "{usage:?}");
    }
}
