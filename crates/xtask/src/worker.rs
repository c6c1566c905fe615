//! The Worker's build: worker-build with the project's tools, skipped when nothing it reads has changed.
//!
//! Decides what the Worker is made of. worker-build compiles, binds, optimises and bundles. Stage: tooling.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::project::Project;
use crate::setup::{self, Tools};
use crate::{run, terminal};

/// What a build leaves.
pub(crate) struct Built {
    /// The module with worker-build's classes and the bound driver.
    pub(crate) script: PathBuf,
    /// The Wasm module.
    pub(crate) wasm: PathBuf,
}

/// Builds the Worker in release form unless it is already built from the same sources with the same tools.
///
/// # Errors
/// When it does not compile; the compiler's words are on the screen.
pub(crate) fn build(project: &Project, tools: &Tools) -> Result<Built> {
    let built = Built {
        script: project.path("worker/build/index.js"),
        wasm: project.path("worker/build/index_bg.wasm"),
    };
    let inputs = inputs(project, tools)?;
    let stamp = project.path("worker/build/stamp");
    if setup::is_current(&stamp, &inputs) && built.script.is_file() && built.wasm.is_file() {
        return Ok(built);
    }
    terminal::step("building the Worker", || {
        let mut command = Command::new(tools.cargo_bin("worker-build"));
        tools.for_wasm(&mut command);
        run::shown(command.current_dir(project.path("worker")).args(["--release"]))
            .context("the Worker does not build; the lines above say why")?;
        strip(&built, tools)?;
        setup::mark(&stamp, &inputs)
    })?;
    Ok(built)
}

/// Takes the names of functions out of the module: they are for profilers, and callers would pay for them at each
/// start.
fn strip(built: &Built, tools: &Tools) -> Result<()> {
    let mut command = Command::new(tools.npm_bin("wasm-opt"));
    command.arg(&built.wasm).args(["--strip-debug", "-o"]).arg(&built.wasm);
    run::shown(&mut command).context("wasm-opt cannot strip the Worker's module")
}

/// Everything that the result depends on.
fn inputs(project: &Project, tools: &Tools) -> Result<String> {
    let sources = [
        "Cargo.toml",
        "Cargo.lock",
        "crates/weir-core/Cargo.toml",
        "crates/weir-core/src",
        "worker/Cargo.toml",
        "worker/src",
    ]
    .map(|path| project.path(path));
    let sources = setup::fingerprint(&sources)?;
    Ok(format!("{sources}\n{}\n", tools.toolchain().version()))
}
