//! Node and the packages that npm installs, by committed lock files.
//!
//! Decides the least Node version and where packages go: a folder of `target/tools`, never the checkout.
//! Stage: tooling.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::stamp;
use crate::project::Project;
use crate::{run, terminal};

/// wrangler and its workerd need it.
const NODE_LEAST: u32 = 20;

/// A set of packages: a folder with `package.json` and `package-lock.json`, and the folder they go into.
pub(crate) struct Packages {
    /// For the step's name.
    pub(crate) what: &'static str,
    /// The folder with the manifest and its lock.
    pub(crate) manifest: PathBuf,
    /// The folder's name below `target/tools`.
    pub(crate) into: &'static str,
}

/// Checks that Node is there and recent enough.
///
/// # Errors
/// One line that says what to install.
pub(crate) fn require_node() -> Result<()> {
    let advice = "install Node 20 or newer with npm (https://nodejs.org), then run this again";
    let version = run::read(Command::new("node").arg("--version"))
        .ok()
        .with_context(|| format!("Node is missing: {advice}"))?;
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok())
        .unwrap_or(0);
    if major < NODE_LEAST {
        bail!("Node {version} is too old: {advice}");
    }
    Ok(())
}

/// Installs `packages` unless they are there as locked.
///
/// # Errors
/// When npm is missing or fails; names the log.
pub(crate) fn ensure(project: &Project, packages: &Packages) -> Result<PathBuf> {
    let folder = project.tools().join(packages.into);
    let inputs = stamp::fingerprint(&[
        packages.manifest.join("package.json"),
        packages.manifest.join("package-lock.json"),
    ])?;
    let stamp = folder.join("stamp");
    if stamp::is_current(&stamp, &inputs) {
        return Ok(folder);
    }
    terminal::step(&format!("installing {}", packages.what), || {
        fs::create_dir_all(&folder)?;
        for name in ["package.json", "package-lock.json"] {
            let from = packages.manifest.join(name);
            fs::copy(&from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        run::logged(
            Command::new("npm").current_dir(&folder).args([
                "ci",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ]),
            &project.log(packages.into),
            None,
        )
        .context("npm could not install them")?;
        stamp::mark(&stamp, &inputs)
    })?;
    Ok(folder)
}
