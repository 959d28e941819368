//! What the kernel knows of this process, read when somebody asks.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::metrics::{gauge, signed};

/// Clock ticks of `/proc/self/stat` in a second: `USER_HZ`, 100 on every architecture that Linux still builds for.
const TICKS: f64 = 100.0;

/// Use of resources. What cannot be read is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Processor time in seconds, user and system.
    pub cpu_seconds: f64,
    /// Open files.
    pub open_files: u64,
}

impl Usage {
    /// As it is.
    #[must_use]
    pub fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self {
            resident_bytes: resident(&text("/proc/self/status")).unwrap_or_default(),
            cpu_seconds: cpu(&text("/proc/self/stat")).unwrap_or_default(),
            open_files: u64::try_from(open_files).unwrap_or_default(),
        }
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn cpu(stat: &str) -> Option<f64> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Writes what the process uses, and which program it is.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let usage = Usage::read();
    encoder
        .encode_descriptor(
            "process_resident_memory_bytes",
            "Resident memory",
            None,
            MetricType::Gauge,
        )?
        .encode_gauge(&signed(usage.resident_bytes))?;
    encoder
        .encode_descriptor(
            "process_cpu_seconds",
            "Processor time used",
            None,
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, _, f64>(&usage.cpu_seconds, None)?;
    encoder
        .encode_descriptor("process_open_files", "Open files", None, MetricType::Gauge)?
        .encode_gauge(&signed(usage.open_files))?;
    let mut build = encoder.encode_descriptor("build_info", "This program", None, MetricType::Gauge)?;
    gauge(&mut build, &[("version", env!("CARGO_PKG_VERSION"))], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_understood() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2048 * 1024));
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0";
        assert_eq!(cpu(stat), Some(2.0));
        let usage = Usage::read();
        assert!(usage.resident_bytes > 0 && usage.open_files > 0, "{usage:?}");
    }
}
