//! `cargo xtask test`: everything that can be wrong, in steps, with one count at the end.
//!
//! Decides the steps and what their outputs count. A failed step does not hide the others; a step that fails without
//! counting a failed test (it did not compile, say) counts as one. Stage: tooling.

mod count;
mod e2e;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, bail};

use count::Count;

use crate::args::Args;
use crate::check::{CHECKS, cargo, wasm_cargo};
use crate::project::Project;
use crate::setup::{self, Tools};
use crate::{run, terminal};

/// What the steps need to know.
struct Plan<'a> {
    project: &'a Project,
    tools: &'a Tools,
    real_server: bool,
}

/// A step that counts tests: its name and what it does.
struct Step {
    name: &'static str,
    run: fn(&Plan<'_>) -> Result<Count>,
}

/// The steps after the checks.
const STEPS: [Step; 4] = [
    Step { name: "native", run: native },
    Step { name: "worker", run: worker },
    Step { name: "driver", run: driver },
    Step { name: "e2e", run: e2e::run },
];

/// Runs all steps, or the one that `--only` names.
///
/// # Errors
/// When the tools cannot be installed or the step is unknown; failed tests are the exit code.
pub(crate) fn run(project: &Project, mut args: Args) -> Result<ExitCode> {
    let only = args.value("--only")?;
    let real_server = args.flag("--real-server");
    args.done()?;
    let names = || {
        let checks = CHECKS.iter().map(|check| check.name);
        checks.chain(STEPS.iter().map(|step| step.name))
    };
    if let Some(only) = only.as_deref()
        && !names().any(|name| name == only)
    {
        let known: Vec<&str> = names().collect();
        bail!("no step `{only}`; there are {}", known.join(", "));
    }
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let tools = setup::ensure(project)?;
    let plan = Plan { project, tools: &tools, real_server };
    let mut total = Count::default();
    for check in CHECKS.iter().filter(|check| wanted(check.name)) {
        total += counted(check.name, || (check.run)(project, &tools).map(|()| Count::default()));
    }
    for step in STEPS.iter().filter(|step| wanted(step.name)) {
        total += counted(step.name, || (step.run)(&plan));
    }
    terminal::say(&format!("{} passed, {} failed", total.passed, total.failed));
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one step and tells its name, count and duration.
fn counted(name: &str, work: impl FnOnce() -> Result<Count>) -> Count {
    terminal::say(&format!("==> {name}"));
    let start = Instant::now();
    let count = work().unwrap_or_else(|error| {
        terminal::warn(&format!("error: {name}: {error:#}"));
        Count { passed: 0, failed: 1 }
    });
    terminal::say(&format!(
        "    {name}: {} passed, {} failed in {}",
        count.passed,
        count.failed,
        terminal::seconds(start.elapsed())
    ));
    count
}

/// Runs a command that prints counts in `form`.
fn counting(command: &mut Command, form: fn(&str) -> Count) -> Result<Count> {
    let (text, success) = run::watched(command)?;
    let mut count = form(&text);
    if !success && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

fn native(plan: &Plan<'_>) -> Result<Count> {
    counting(cargo(plan.project).args(["test", "--workspace", "--exclude", "weir-worker"]), count::libtest)
}

fn worker(plan: &Plan<'_>) -> Result<Count> {
    let mut command = wasm_cargo(plan.project, plan.tools);
    command.args(["test", "-p", "weir-worker", "--tests"]).args(["--target", "wasm32-unknown-unknown"]);
    counting(&mut command, count::libtest)
}

/// The JavaScript beside the Wasm module: the driver and the entry, under Node's own runner.
fn driver(plan: &Plan<'_>) -> Result<Count> {
    let folder = plan.project.path("worker/tests");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    if files.is_empty() {
        return Ok(Count::default());
    }
    files.sort();
    let mut command = Command::new("node");
    command.current_dir(plan.project.root()).args(["--test", "--test-reporter=spec"]).args(files);
    counting(&mut command, count::node)
}
