//! Child processes: each in its own process group, all of them ended when this process ends.
//!
//! Decides how children are started and ended; what they are for is their caller's business. A signal that ends
//! `cargo xtask` ends every group first: ask (SIGTERM), wait, then insist (SIGKILL). Stage: tooling.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long a group may take to end after SIGTERM.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// The groups that run now.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Folders that go when this process ends.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Set when a signal is ending everything: from then on nothing is started and nobody is told about ends.
static ENDING: AtomicBool = AtomicBool::new(false);

/// A running child and its group. Dropping it ends the group.
pub(crate) struct Running {
    child: Child,
    group: Option<Pid>,
}

/// Starts `command` in a process group of its own.
///
/// # Errors
/// When the program cannot be started; the message names it.
pub(crate) fn spawn(command: &mut Command) -> Result<Running> {
    stop_here_if_ending();
    let child = command
        .process_group(0)
        .spawn()
        .with_context(|| format!("`{}` cannot be started", command.get_program().display()))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    groups(|all| all.extend(group));
    Ok(Running { child, group })
}

impl Running {
    /// The child itself, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait();
        stop_here_if_ending();
        status.context("waiting for a child process")
    }

    /// Waits for the end, at most for `limit`; `None` when the time is over (the group is ended then).
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.end();
        Ok(None)
    }

    /// The child's status if it has ended already.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait();
        stop_here_if_ending();
        status.context("asking for a child process")
    }

    /// Ends the whole group and waits for it.
    pub(crate) fn end(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        end_groups(&[group]);
        groups(|all| all.retain(|other| *other != group));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP end all children, then this process (exit code 128 + signal).
///
/// # Errors
/// When the handlers cannot be set.
pub(crate) fn end_with_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("setting signal handlers")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            ENDING.store(true, Ordering::SeqCst);
            end_all();
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Ends every child that runs, then removes the folders that were theirs.
pub(crate) fn end_all() {
    let all = groups(std::mem::take);
    end_groups(&all);
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    for folder in folders.drain(..) {
        let _gone = fs::remove_dir_all(folder);
    }
}

/// `folder` is removed once all children have ended.
pub(crate) fn remove_at_end(folder: &Path) {
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    folders.push(folder.to_owned());
}

/// Leaves the rest of this process's life to the thread that handles the signal.
pub(crate) fn stop_here_if_ending() {
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
}

fn groups<T>(change: impl FnOnce(&mut Vec<Pid>) -> T) -> T {
    change(&mut GROUPS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn end_groups(ending: &[Pid]) {
    for group in ending {
        let _gone = kill_process_group(*group, Signal::TERM);
    }
    let start = Instant::now();
    while ending.iter().any(|group| alive(*group)) {
        if start.elapsed() > END_PATIENCE {
            for group in ending {
                let _gone = kill_process_group(*group, Signal::KILL);
                let _reaped = waitpid(Some(*group), WaitOptions::NOHANG);
            }
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether anything of the group still runs. Reaps its leader, which would otherwise count as running.
fn alive(group: Pid) -> bool {
    let _not_ours_any_more = waitpid(Some(group), WaitOptions::NOHANG);
    test_kill_process_group(group).is_ok()
}
