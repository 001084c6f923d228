//! What the benchmarks share.

use std::time::Duration;

use anyhow::Context;

/// A size from the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads its size from the environment"
)]
pub fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The time that `percent` of the times do not exceed.
pub fn percentile(times: &mut [Duration], percent: usize) -> anyhow::Result<Duration> {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = last.saturating_mul(percent) / 100;
    times.get(at).copied().context("nothing was measured")
}

/// Resident memory of a process in KiB.
pub fn memory_kib(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no VmRSS")?.parse()?)
}

/// Processor time that a process took so far. Steadier than any rate on a machine that is shared.
pub fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: utime and stime, in hundredths of a second.
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let times: Vec<u64> = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(times.iter().sum::<u64>() * 10))
}
