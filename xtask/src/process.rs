//! Child processes that do not outlive the task runner.
//!
//! Each child leads a process group. On an interrupt, the whole group gets SIGTERM, and SIGKILL after
//! [`TERM_TIMEOUT`]. Other processes are stopped when they are dropped.

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

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const TERM_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes Ctrl-C and SIGTERM end the current step and run the destructors.
pub fn catch_interrupts() -> anyhow::Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch signals")?;
    }
    LazyLock::force(&STARTED);
    Ok(())
}

/// Returns whether the task runner was interrupted.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Prints the name of the next step, and the elapsed time.
pub fn step(name: &str) {
    eprintln!("[{:6.1} s] {name}", STARTED.elapsed().as_secs_f32());
}

/// Runs a command and waits for it. Fails if the command does, or on an interrupt.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = Group::spawn(command)?.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", name(command));
    }
    Ok(())
}

/// Runs two tasks in parallel, and waits for both.
pub fn both<A: Send, B>(
    one: impl FnOnce() -> anyhow::Result<A> + Send,
    other: impl FnOnce() -> anyhow::Result<B>,
) -> anyhow::Result<(A, B)> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        let one = one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((one?, other?))
    })
}

/// A child process with all its descendants.
pub struct Group {
    child: Child,
    name: String,
}

impl Group {
    /// Starts a command in a new process group, without standard input.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        let name = name(command);
        let child =
            command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// Waits for the child. Fails on an interrupt.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if interrupted() {
                bail!("interrupted during {}", self.name);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Returns the status of the child, if it has exited.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // An error means that the group has exited in the meantime.
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
        let deadline = Instant::now() + TERM_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Returns the program and its first arguments, for messages.
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
    fn an_error_contains_the_command_and_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("exit 3 is a failure");
        assert!(error.to_string().contains("sh -c") && error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn two_tasks_run_in_parallel() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let received = both(move || Ok(receiver.recv()?), || Ok(sender.send("hello")?));
        assert_eq!(received.expect("both succeed"), ("hello", ()));
    }

    #[test]
    fn dropping_a_group_ends_its_grandchildren() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait", file.display());
        let group = Group::spawn(Command::new("sh").args(["-c", &script])).expect("sh starts");
        let deadline = Instant::now() + TERM_TIMEOUT;
        let grandchild: i32 = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.trim().parse().expect("a process id");
            }
            assert!(Instant::now() < deadline, "the grandchild did not start");
            thread::sleep(POLL_INTERVAL);
        };
        drop(group);
        let gone = || {
            // An orphan that has not been reaped yet is still listed, as a zombie.
            std::fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(Instant::now() < deadline, "the grandchild outlived the group");
            thread::sleep(POLL_INTERVAL);
        }
    }
}
