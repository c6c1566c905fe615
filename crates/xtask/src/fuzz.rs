//! `cargo xtask fuzz`: searches core's decoders for inputs that break them, guided by coverage.
//!
//! Decides how the targets of `crates/weir-core/fuzz` are built and for how long each runs. libFuzzer's own driver and
//! counters are used, on the stable compiler: what `cargo fuzz` needs nightly for is the address sanitizer, and core has
//! no unsafe code to sanitize. The seeds are the translations' vectors, written by the native tests, which also run each
//! entry on them and near them on every `cargo xtask test`. Stage: tooling.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::check::cargo;
use crate::project::Project;
use crate::{run, terminal};

/// The targets, which are also the entries' names.
const TARGETS: [&str; 6] = ["sse", "eventstream", "streams", "answers", "requests", "callers"];

/// Seconds that each target runs unless told otherwise.
const SECONDS: u64 = 60;

/// Coverage counters and comparisons for libFuzzer.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// Builds the targets and runs them one after the other, or the one that `--only` names.
///
/// # Errors
/// When they cannot be built, or one found an input that breaks it; the error names the file that has it.
pub(crate) fn run(project: &Project, mut args: Args) -> Result<()> {
    let only = args.value("--only")?;
    let seconds = match args.value("--seconds")? {
        Some(text) => text.parse().context("--seconds must be a number")?,
        None => SECONDS,
    };
    args.done()?;
    if let Some(only) = only.as_deref()
        && !TARGETS.contains(&only)
    {
        bail!("no target `{only}`; there are {}", TARGETS.join(", "));
    }
    let (target, corpus) = (project.path("target/fuzz"), project.path("target/fuzz/corpus"));
    terminal::step("building the fuzz targets", || {
        let mut command = Command::new("cargo");
        command
            .current_dir(project.path("crates/weir-core/fuzz"))
            .args(["build", "--release", "--target", HOST, "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", FLAGS);
        run::logged(&mut command, &project.log("fuzz"), None)
            .context("a C++ compiler is needed for libFuzzer")
    })?;
    terminal::step("writing seeds", || {
        let mut command = cargo(project);
        command.args(["test", "-p", "weir-tests", "seeds_are_written"]).env("WEIR_FUZZ_SEEDS", &corpus);
        run::logged(&mut command, &project.log("fuzz-seeds"), None)
    })?;
    for name in TARGETS.iter().filter(|name| only.as_deref().is_none_or(|only| only == **name)) {
        terminal::say(&format!("==> {name}, {seconds} s"));
        let found = target.join(format!("found-{name}-"));
        fs::create_dir_all(corpus.join(name))?;
        let mut command = Command::new(target.join(HOST).join("release").join(name));
        command
            .arg(corpus.join(name))
            .arg(format!("-max_total_time={seconds}"))
            .arg("-max_len=8192")
            .arg(format!("-artifact_prefix={}", found.display()));
        let log = project.log(&format!("fuzz-{name}"));
        run::logged(&mut command, &log, None).with_context(|| {
            format!("{name} broke; the input is {}*, the report {}", found.display(), log.display())
        })?;
    }
    Ok(())
}

/// The platform that the targets are built for: flags for one are not flags of build scripts then.
const HOST: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
