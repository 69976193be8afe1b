//! Child processes that do not outlive us.
//!
//! Each child leads a process group. When we are interrupted, the whole group is
//! told to stop, and killed if it does not; what we started ourselves is undone by
//! `Drop` on the way out.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// From here on, Ctrl-C and SIGTERM end the current step instead of the driver.
pub fn catch_interrupts() -> anyhow::Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch signals")?;
    }
    LazyLock::force(&STARTED);
    Ok(())
}

/// Whether we were told to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Says what starts now, and when.
pub fn step(what: &str) {
    eprintln!("[{:6.1} s] {what}", STARTED.elapsed().as_secs_f32());
}

/// Runs a command to its end; an error when it fails or we are interrupted.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = Group::spawn(command)?.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", name(command));
    }
    Ok(())
}

/// A child and all that it starts.
pub struct Group {
    child: Child,
    name: String,
}

impl Group {
    /// Starts a command as the head of a group of its own, without standard input.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        let name = name(command);
        let child =
            command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// Waits for the child; an error when we are interrupted meanwhile.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if interrupted() {
                bail!("interrupted during {}", self.name);
            }
            thread::sleep(POLL);
        }
    }

    /// The status of a child that has ended by itself.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("lost sight of {}", self.name))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The group may have ended in this moment; that is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The program and its first arguments, as one would say it.
fn name(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments = command.get_args().take(2).map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("exit 3 is a failure");
        assert!(error.to_string().contains("sh -c") && error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn a_dropped_group_takes_its_grandchildren_along() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait", file.display());
        let group = Group::spawn(Command::new("sh").args(["-c", &script])).expect("sh starts");
        let deadline = Instant::now() + PATIENCE;
        let grandchild: i32 = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.trim().parse().expect("a process id");
            }
            assert!(Instant::now() < deadline, "the grandchild did not start");
            thread::sleep(POLL);
        };
        drop(group);
        let gone = || {
            // An orphan that nobody has reaped yet still has an entry; a zombie is gone enough.
            std::fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(Instant::now() < deadline, "the grandchild outlived the group");
            thread::sleep(POLL);
        }
    }
}
