//! Instructions of core per exchange, counted by valgrind: a number that no other load on the machine changes.
//!
//! Decides which work is counted; `crates/weir-core/benches/instructions.rs` does it. Two runs of different length are
//! subtracted, so that making the isolate does not count. Stage: tooling.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::terminal;

/// Exchanges of the shorter run, and how many more the longer one has.
const TIMES: u64 = 500;
/// Deployments and keys.
const SIZES: [(u32, u32); 2] = [(10, 10), (100, 1_000)];

/// Counts and prints a table.
///
/// # Errors
/// When valgrind is missing, or the bench does not build.
pub(super) fn run(project: &Project) -> Result<()> {
    let found = Command::new("valgrind").arg("--version").output();
    if found.is_err() {
        bail!("valgrind is needed to count instructions (Debian: `apt-get install valgrind`)");
    }
    terminal::say("instructions per exchange, 1 KB body   10/10   100/1 000 deployments/keys");
    for what in ["decide", "exchange"] {
        let mut line = format!("{what:<38}");
        for (deployments, keys) in SIZES {
            let count = |times| counted(project, what, deployments, keys, times);
            let each = count(2 * TIMES)?.saturating_sub(count(TIMES)?) / TIMES;
            line = format!("{line}{each:>8}");
        }
        terminal::say(&line);
    }
    Ok(())
}

/// Instructions of one whole run.
fn counted(project: &Project, what: &str, deployments: u32, keys: u32, times: u64) -> Result<u64> {
    let runner = "valgrind --tool=callgrind --callgrind-out-file=/dev/null";
    let output = Command::new("cargo")
        .current_dir(project.root())
        .args(["bench", "--quiet", "-p", "weir-core", "--bench", "instructions", "--"])
        .args([what, &deployments.to_string(), &keys.to_string(), &times.to_string()])
        .arg("--quiet")
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    collected
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("valgrind counted nothing; it said:\n{said}"))
}
