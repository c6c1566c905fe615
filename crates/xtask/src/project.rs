//! Where things are: the checkout, the tools in it, the state of development.
//!
//! Decides paths and nothing else. Everything that is installed or built lies under `target/`, which git ignores.
//! Stage: tooling.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// One checkout of the project.
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// The checkout that `cargo xtask` was called in.
    ///
    /// # Errors
    /// When the manifest's folder is not two levels below a root.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .ancestors()
            .find(|folder| folder.join("wrangler.toml").is_file())
            .context("call `cargo xtask` inside a checkout of the project")?;
        Ok(Self { root: root.to_owned() })
    }

    /// A path below the root.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The root itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where tools are installed.
    pub(crate) fn tools(&self) -> PathBuf {
        self.path("target/tools")
    }

    /// Cargo's target folder for wasm32, apart from the native one: its compiler may be another.
    pub(crate) fn wasm_target(&self) -> PathBuf {
        self.path("target/wasm")
    }

    /// The log of one installation step.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.tools().join("logs").join(format!("{name}.log"))
    }
}
