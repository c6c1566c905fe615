//! `cargo xtask check`: the quick part, before a commit.
//!
//! Decides what must hold before any test runs: format, clippy without a warning on every crate, core for wasm32,
//! the project's own rules. Stage: tooling.

use std::process::Command;

use anyhow::Result;

use crate::project::Project;
use crate::setup::{self, Tools};
use crate::{run, terminal, tidy};

/// The target of the Worker.
const WASM: [&str; 2] = ["--target", "wasm32-unknown-unknown"];

/// One check, by name.
pub(crate) struct Check {
    /// What it is called on the screen and by `--only`.
    pub(crate) name: &'static str,
    /// Performs it.
    pub(crate) run: fn(&Project, &Tools) -> Result<()>,
}

/// All checks, the quickest first.
pub(crate) const CHECKS: [Check; 5] = [
    Check { name: "tidy", run: |project, _| tidy::run(project) },
    Check { name: "format", run: format },
    Check { name: "clippy", run: clippy_native },
    Check { name: "clippy-worker", run: clippy_worker },
    Check { name: "core-wasm", run: core_for_wasm },
];

/// Runs all checks and stops at the first that fails.
///
/// # Errors
/// That check's.
pub(crate) fn run(project: &Project) -> Result<()> {
    let tools = setup::ensure(project)?;
    for check in &CHECKS {
        terminal::step(check.name, || (check.run)(project, &tools))?;
    }
    Ok(())
}

/// cargo for wasm32, in the checkout. Its dependencies are not optimised: they are compiled more often than they run.
pub(crate) fn wasm_cargo(project: &Project, tools: &Tools) -> Command {
    let mut command = cargo(project);
    tools.for_wasm(&mut command);
    command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    command
}

/// cargo, in the checkout.
pub(crate) fn cargo(project: &Project) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(project.root());
    command
}

fn format(project: &Project, _: &Tools) -> Result<()> {
    run::shown(cargo(project).args(["fmt", "--all", "--check"]))
}

fn clippy_native(project: &Project, _: &Tools) -> Result<()> {
    run::shown(cargo(project).args(["clippy", "--quiet", "--workspace", "--exclude", "weir-worker"]).args([
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn clippy_worker(project: &Project, tools: &Tools) -> Result<()> {
    // A compiler linked from packages has no clippy; the same code is then checked for this machine.
    let for_wasm = tools.toolchain().is_native();
    let mut command = if for_wasm { wasm_cargo(project, tools) } else { cargo(project) };
    command
        .args(["clippy", "--quiet", "-p", "weir-worker", "--all-targets"])
        .args(WASM.iter().filter(|_| for_wasm));
    run::shown(command.args(["--", "-D", "warnings"]))
}

fn core_for_wasm(project: &Project, tools: &Tools) -> Result<()> {
    let mut command = wasm_cargo(project, tools);
    run::shown(command.args(["check", "--quiet", "-p", "weir-core"]).args(WASM))
}
