//! The CPU time and memory of processes, from `/proc`.

use std::fs;
use std::time::Duration;

/// The kernel's unit of CPU time in `/proc`, on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Returns the CPU time that a process has used; zero if it has ended.
pub fn cpu_time(process: u32) -> Duration {
    ticks(&process.to_string()).map_or(Duration::ZERO, |(_, ticks)| duration(ticks))
}

/// Returns the CPU time that PostgreSQL's processes have used, on the whole machine.
pub fn postgres_cpu_time() -> Duration {
    let Ok(processes) = fs::read_dir("/proc") else { return Duration::ZERO };
    let names = processes.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let postgres = names.filter_map(|name| ticks(&name)).filter(|(command, _)| command == "postgres");
    duration(postgres.map(|(_, ticks)| ticks).sum())
}

/// Returns the largest amount of memory that a process has had resident so far, in bytes.
pub fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kilobytes| kilobytes * 1024)
}

/// Returns the command of a process, and the CPU time of its threads and of the children that have ended.
fn ticks(process: &str) -> Option<(String, u64)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command may contain spaces and parentheses.
    let (before, after) = stat.rsplit_once(')')?;
    let (_, command) = before.split_once('(')?;
    let fields: Vec<u64> = after.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    Some((command.to_owned(), fields.iter().sum()))
}

fn duration(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}
