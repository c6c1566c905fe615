//! What the commands print: plain lines, named steps with their duration.
//!
//! The only file that writes to stdout and stderr. Stage: tooling.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::children;

/// Prints one line (or several) to stdout at once. A closed stdout is not an error.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints one line to stderr.
pub(crate) fn warn(text: &str) {
    let mut out = std::io::stderr().lock();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Runs `work` as a step: its name before, its duration after.
///
/// # Errors
/// Those of `work`, after a line that says which step failed.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("==> {name}"));
    let start = Instant::now();
    let result = work();
    children::stop_here_if_ending();
    let verdict = if result.is_ok() { "done" } else { "FAILED" };
    say(&format!("    {verdict} in {}", seconds(start.elapsed())));
    result
}

/// A duration for people: `0.4 s`, `73 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    if secs < 10.0 { format!("{secs:.1} s") } else { format!("{secs:.0} s") }
}
