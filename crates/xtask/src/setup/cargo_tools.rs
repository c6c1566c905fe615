//! The tools that cargo installs: worker-build, and wasm-bindgen of the version that the Worker links.
//!
//! Decides versions and how they are installed: into the project's folder, in the dev profile (they run for seconds,
//! and building them optimised takes minutes). Stage: tooling.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::stamp;
use crate::project::Project;
use crate::{run, terminal};

/// The worker-build of the `worker` crate in Cargo.lock.
const WORKER_BUILD: &str = "0.8.7";

struct Tool {
    package: &'static str,
    version: String,
    programs: &'static [&'static str],
}

/// Installs both unless they are there in the right version.
///
/// # Errors
/// When a download or a build fails; names the log.
pub(super) fn ensure(project: &Project) -> Result<()> {
    let tools = [
        Tool { package: "worker-build", version: WORKER_BUILD.to_owned(), programs: &["worker-build"] },
        Tool {
            package: "wasm-bindgen-cli",
            version: locked_version(&project.path("Cargo.lock"), "wasm-bindgen")?,
            programs: &["wasm-bindgen", "wasm-bindgen-test-runner"],
        },
    ];
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !is_there(project, tool)).collect();
    for tool in &missing {
        let what =
            format!("installing {} {} (built from source once, a minute or two)", tool.package, tool.version);
        terminal::step(&what, || install(project, tool))?;
    }
    let scratch = scratch(project);
    if !missing.is_empty() && scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    Ok(())
}

fn is_there(project: &Project, tool: &Tool) -> bool {
    let bin = project.tools().join("bin");
    stamp::is_current(&stamp_of(project, tool), &tool.version)
        && tool.programs.iter().all(|name| bin.join(name).is_file())
}

fn install(project: &Project, tool: &Tool) -> Result<()> {
    let attempt = |locked: bool| {
        let mut command = Command::new("cargo");
        command
            .current_dir(std::env::temp_dir())
            .args(["install", tool.package, "--version", &tool.version])
            .args(["--debug", "--force", "--root"])
            .arg(project.tools())
            .args(locked.then_some("--locked"))
            .env("CARGO_TARGET_DIR", scratch(project))
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        run::logged(&mut command, &project.log(tool.package), None)
    };
    // A registry's mirror may lag behind the versions that the tool's author locked.
    attempt(true)
        .or_else(|_| attempt(false))
        .with_context(|| format!("{} could not be installed", tool.package))?;
    stamp::mark(&stamp_of(project, tool), &tool.version)
}

fn stamp_of(project: &Project, tool: &Tool) -> std::path::PathBuf {
    project.tools().join(format!("{}.stamp", tool.package))
}

fn scratch(project: &Project) -> std::path::PathBuf {
    project.tools().join("scratch")
}

/// The version of `package` in a Cargo.lock.
fn locked_version(lock: &Path, package: &str) -> Result<String> {
    let text = fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    version_in(&text, package).with_context(|| format!("{} does not name {package}", lock.display()))
}

fn version_in(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| **line != name);
    let version = lines.nth(1)?;
    let version = version.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn finds_the_version_of_exactly_the_named_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.1\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(version_in(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(version_in(lock, "wasm"), None);
    }
}
