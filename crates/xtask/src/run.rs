//! Running a program to its end, in the three ways the commands need: logged, shown, read.
//!
//! Decides where output goes and how a failure becomes one line. Stage: tooling.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{children, terminal};

/// Runs `command` with its output in `log`.
///
/// # Errors
/// When it fails or takes longer than `limit`; the message is the log's most telling line and the log's path.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Option<Duration>) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    let mut running = children::spawn(command)?;
    let status = match limit {
        None => Some(running.wait()?),
        Some(limit) => running.wait_at_most(limit)?,
    };
    let Some(status) = status else {
        bail!("no end after {} s", limit.unwrap_or_default().as_secs());
    };
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    bail!("{} (see {})", telling_line(&text), log.display());
}

/// Runs `command` with its output on the screen.
///
/// # Errors
/// When it fails.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let status = children::spawn(command.stdin(Stdio::null()))?.wait()?;
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed ({status})", brief(command));
}

/// Runs `command` with its output on the screen and gives its standard output back too, with whether it succeeded.
///
/// # Errors
/// When it cannot be started or read.
pub(crate) fn watched(command: &mut Command) -> Result<(String, bool)> {
    let mut running = children::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let pipe = running.child().stdout.take().context("no output")?;
    let mut text = String::new();
    for line in BufReader::new(pipe).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        terminal::say(&line);
        text.push_str(&line);
        text.push('\n');
    }
    Ok((text, running.wait()?.success()))
}

/// What `command` prints, trimmed.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{}` cannot be started", brief(command)))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", brief(command), telling_line(&text));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The program and its first argument, for messages.
fn brief(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().take(2).map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// The line of a log that says most: the first that begins with an error, else the last that is not empty.
fn telling_line(log: &str) -> String {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["error", "e:", "npm error", "✘"].iter().any(|start| line.starts_with(start))
    };
    lines().find(is_error).or_else(|| lines().next_back()).unwrap_or("it printed nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::telling_line;

    #[test]
    fn a_failed_log_is_told_by_its_first_error() {
        for (log, line) in [
            ("Updating\nerror: no such crate\nhelp: x", "error: no such crate"),
            ("Reading\nE: Unable to fetch", "E: Unable to fetch"),
            ("one\ntwo\n\n", "two"),
            ("", "it printed nothing"),
        ] {
            assert_eq!(telling_line(log), line);
        }
    }
}
