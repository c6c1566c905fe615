//! The compiler for wasm32: rustup's own toolchain with the target added, else one linked from Debian's packages.
//!
//! Decides which toolchain compiles for wasm32. The usual way first; where rustup can fetch nothing, `debian` builds
//! the library from packaged source. When the compiler is another than last time, old wasm32 artefacts go.
//! Stage: tooling.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{debian, stamp};
use crate::project::Project;
use crate::{run, terminal};

/// The target, as rustc names it.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// How long `rustup target add` may take; the library is some 25 MB.
const FETCH_PATIENCE: Duration = Duration::from_mins(2);

/// The name under which rustup knows the linked compiler.
const LINKED: &str = "weir-wasm";

/// A compiler for wasm32, by rustup's name.
pub(crate) struct Toolchain {
    name: Option<String>,
    /// What `rustc -vV` says of it.
    version: String,
}

impl Toolchain {
    /// Makes `command` use this compiler.
    pub(crate) fn select(&self, command: &mut Command) {
        match &self.name {
            Some(name) => command.env("RUSTUP_TOOLCHAIN", name),
            None => command,
        };
    }

    /// Whether it is the compiler of native builds too, so that clippy is there.
    pub(crate) fn is_native(&self) -> bool {
        self.name.is_none()
    }

    /// The compiler's exact version, for fingerprints.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn named(name: Option<&str>) -> Result<Self> {
        let mut toolchain = Self { name: name.map(str::to_owned), version: String::new() };
        toolchain.version = run::read(toolchain.rustc().arg("-vV"))?;
        Ok(toolchain)
    }

    fn rustc(&self) -> Command {
        let mut command = Command::new("rustc");
        self.select(&mut command);
        command
    }

    /// Whether the library for the target lies where this compiler looks for it.
    fn has_library(&self) -> bool {
        let folder = run::read(self.rustc().args(["--print", "target-libdir", "--target", TARGET]));
        folder.ok().and_then(|folder| fs::read_dir(folder).ok()).is_some_and(|files| {
            files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
    }
}

/// Finds or makes the compiler.
///
/// # Errors
/// When neither way works; says what to run.
pub(crate) fn ensure(project: &Project) -> Result<Toolchain> {
    let toolchain = find(project)?;
    let stamp = project.wasm_target().join("compiler");
    if !stamp::is_current(&stamp, toolchain.version()) {
        if stamp.exists() {
            terminal::say("    the compiler for wasm32 has changed: its old artefacts go");
            fs::remove_dir_all(project.wasm_target())?;
        }
        stamp::mark(&stamp, toolchain.version())?;
    }
    Ok(toolchain)
}

fn find(project: &Project) -> Result<Toolchain> {
    // For showing the second way where the first works too.
    let debian_wanted = std::env::var("WEIR_SETUP_WASM").is_ok_and(|way| way == "debian");
    let native = Toolchain::named(None)?;
    if !debian_wanted && native.has_library() {
        return Ok(native);
    }
    if let Ok(linked) = Toolchain::named(Some(LINKED))
        && linked.has_library()
    {
        return Ok(linked);
    }
    if !debian_wanted && fetch(project).is_ok() && native.has_library() {
        return Ok(native);
    }
    debian::install(project, LINKED).context(
        "no library for wasm32; run `rustup target add wasm32-unknown-unknown` where it can reach \
         https://static.rust-lang.org, then again",
    )?;
    Toolchain::named(Some(LINKED))
}

fn fetch(project: &Project) -> Result<()> {
    let added = terminal::step("rustup target add wasm32-unknown-unknown", || {
        run::logged(
            Command::new("rustup").args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1"),
            &project.log("rustup"),
            Some(FETCH_PATIENCE),
        )
    });
    if let Err(error) = &added {
        terminal::say(&format!("    not possible here: {error:#}"));
    }
    added
}
