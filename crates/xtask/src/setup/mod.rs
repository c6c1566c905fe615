//! Installs what a build needs, each thing once: the wasm32 library, worker-build, wasm-bindgen, npm's tools.
//!
//! Decides the order and how the tools are handed to other programs. Each part has its own file and says itself
//! whether it is already there, so a second run costs a few milliseconds. Stage: tooling.

mod cargo_tools;
mod debian;
mod npm;
mod stamp;
mod wasm_std;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

pub(crate) use npm::Packages;
pub(crate) use npm::ensure as install_packages;
pub(crate) use stamp::{fingerprint, is_current, mark};
pub(crate) use wasm_std::Toolchain;

use crate::project::Project;

/// What is installed, and where.
pub(crate) struct Tools {
    root: PathBuf,
    toolchain: Toolchain,
    wasm_target: PathBuf,
}

/// Makes sure that everything is there.
///
/// # Errors
/// One line that says what is missing and what to do.
pub(crate) fn ensure(project: &Project) -> Result<Tools> {
    npm::require_node()?;
    let toolchain = wasm_std::ensure(project)?;
    npm::ensure(project, &npm_tools(project))?;
    cargo_tools::ensure(project)?;
    Ok(Tools { root: project.tools(), toolchain, wasm_target: project.wasm_target() })
}

/// Makes sure only of npm's tools: enough to serve a Worker that is not compiled here.
///
/// # Errors
/// One line that says what is missing and what to do.
pub(crate) fn install_tools(project: &Project) -> Result<()> {
    npm::require_node()?;
    npm::ensure(project, &npm_tools(project))?;
    Ok(())
}

fn npm_tools(project: &Project) -> Packages {
    Packages {
        what: "wrangler, workerd, esbuild and wasm-opt from npm",
        manifest: project.path("crates/xtask/npm"),
        into: "npm",
    }
}

impl Tools {
    /// The toolchain that compiles for wasm32.
    pub(crate) fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    /// A program that cargo installed.
    pub(crate) fn cargo_bin(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// A program that npm installed.
    pub(crate) fn npm_bin(&self, name: &str) -> PathBuf {
        self.root.join("npm/node_modules/.bin").join(name)
    }

    /// A command that compiles for wasm32 finds its compiler, its own target folder and the tools.
    pub(crate) fn for_wasm(&self, command: &mut Command) {
        self.toolchain.select(command);
        command
            .env("CARGO_TARGET_DIR", &self.wasm_target)
            .env("WASM_BINDGEN_BIN", self.cargo_bin("wasm-bindgen"))
            .env("WASM_OPT_BIN", self.npm_bin("wasm-opt"))
            .env("ESBUILD_BIN", self.npm_bin("esbuild"))
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", self.cargo_bin("wasm-bindgen-test-runner"));
    }

    /// `wrangler` with the tools on its path; it sends no metrics and waits for no network.
    pub(crate) fn wrangler(&self, project: &Project) -> Command {
        let mut command = Command::new(self.npm_bin("wrangler"));
        command
            .current_dir(project.root())
            .env("PATH", self.path_with_tools())
            .env("WRANGLER_SEND_METRICS", "false")
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
        command
    }

    fn path_with_tools(&self) -> OsString {
        let mut path = OsString::from(self.root.join("bin"));
        path.push(":");
        path.push(self.root.join("npm/node_modules/.bin"));
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        path
    }
}
