//! The project's own commands: `cargo xtask dev`, `test`, `check`, `build`, `bench`, `fuzz`, `size`, `tidy`, `deploy`.
//!
//! This file decides which command runs and how a failure is told: one line on stderr and exit code 1. It does
//! not know how any command works. Stage: tooling, outside the pipeline.

mod args;
mod bench;
mod check;
mod children;
mod deploy;
mod dev;
mod fuzz;
mod http;
mod project;
mod run;
mod setup;
mod size;
mod terminal;
mod test;
mod tidy;
mod worker;

use std::process::ExitCode;

use args::Args;
use project::Project;

/// What `cargo xtask` prints without a command or with an unknown one.
const USAGE: &str = "\
cargo xtask <command>

  dev [--port 8787] [--ephemeral]        install what is missing, build, serve locally with the demo deployments
  test [--only STEP] [--real-server]     everything: check, native, Wasm, driver and end-to-end tests
  check                                  the quick part: format, clippy, core for wasm32, tidy
  build                                  the Worker, as wrangler's [build] command calls it
  setup                                  only install what is missing
  bench [--quick] [--peer portkey] [--only LOAD] [--without VARIANT] [--rounds N]; bench --instructions
                                         speed against two references in JavaScript, on workerd
  fuzz [--seconds 60] [--only TARGET]    search core's decoders for inputs that break them
  size [--update]                        compressed size of the Worker against the committed number
  tidy                                   the project's own rules about files and dependencies
  deploy [--dry-run]                     wrangler deploy";

fn main() -> ExitCode {
    if let Err(error) = children::end_with_signals() {
        return failed(&error);
    }
    let result = run_command();
    children::end_all();
    match result {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn run_command() -> anyhow::Result<ExitCode> {
    let mut args = Args::new(std::env::args().skip(1));
    let project = Project::find()?;
    let command = args.command();
    match command.as_deref() {
        Some("dev") => dev::run(&project, args)?,
        Some("test") => return test::run(&project, args),
        Some("check") => {
            args.done()?;
            check::run(&project)?;
        }
        Some("build") => {
            args.done()?;
            let tools = setup::ensure(&project)?;
            worker::build(&project, &tools)?;
        }
        Some("setup") => {
            args.done()?;
            setup::ensure(&project)?;
        }
        Some("bench") => bench::run(&project, args)?,
        Some("fuzz") => fuzz::run(&project, args)?,
        Some("size") => size::run(&project, args)?,
        Some("tidy") => {
            args.done()?;
            tidy::run(&project)?;
        }
        Some("deploy") => deploy::run(&project, args)?,
        Some("help" | "--help" | "-h") | None => terminal::say(USAGE),
        Some(other) => anyhow::bail!("unknown command `{other}`; `cargo xtask help` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

/// One line, with the causes behind it.
fn failed(error: &anyhow::Error) -> ExitCode {
    terminal::warn(&format!("error: {error:#}"));
    ExitCode::FAILURE
}
