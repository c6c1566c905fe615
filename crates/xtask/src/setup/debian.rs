//! The library for wasm32 where rustup can fetch nothing: built from Debian's packaged compiler and its source.
//!
//! Decides the packages, the way to build, and where the result goes: into the sysroot of Debian's own compiler in
//! `/usr`, which rustup's toolchains never see, linked to rustup under a name. Needs root, or sudo without a
//! password, for those two folders. Stage: tooling.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::wasm_std::TARGET;
use crate::project::Project;
use crate::{run, terminal};

/// Compiler, cargo and library source of one version, and a linker of its LLVM's version.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// The packaged linker; Debian's default one is too old for this compiler's objects.
const LINKER: &str = "/usr/bin/lld-22";

/// Builds the library and links the toolchain as `name`.
///
/// # Errors
/// When this is no Debian, when root is needed and not to be had, or when a step fails.
pub(super) fn install(project: &Project, name: &str) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this system has no Debian packages to build it from");
    }
    let root = Root::find()?;
    if !Path::new("/usr/bin/rustc").exists() || !Path::new(LINKER).exists() {
        install_packages(project, &root)?;
    }
    terminal::step("building the wasm32 library from Debian's source", || {
        let built = build(project)?;
        place(project, &root, &built)
    })?;
    terminal::step("linking the compiler for wasm32 to rustup", || {
        run::logged(
            Command::new("rustup").args(["toolchain", "link", name, "/usr"]),
            &project.log("rustup-link"),
            None,
        )
    })
}

/// How commands that change `/usr` are run.
struct Root {
    sudo: bool,
}

impl Root {
    fn find() -> Result<Self> {
        if rustix::process::geteuid().is_root() {
            return Ok(Self { sudo: false });
        }
        if run::read(Command::new("sudo").args(["-n", "true"])).is_ok() {
            return Ok(Self { sudo: true });
        }
        bail!(
            "neither root nor sudo without a password: run `sudo -v` first, or `sudo apt-get install -y \
             --no-install-recommends {}` and this command as root once",
            PACKAGES.join(" ")
        );
    }

    fn command(&self, program: &str) -> Command {
        if self.sudo {
            let mut command = Command::new("sudo");
            command.args(["-n", program]);
            command
        } else {
            Command::new(program)
        }
    }
}

fn install_packages(project: &Project, root: &Root) -> Result<()> {
    terminal::step("installing Debian's compiler for wasm32 (apt)", || {
        run::logged(root.command("apt-get").arg("update"), &project.log("apt-update"), None)?;
        run::logged(
            root.command("apt-get").args(["install", "-y", "--no-install-recommends"]).args(PACKAGES),
            &project.log("apt-install"),
            None,
        )
    })
}

/// Builds an empty crate with the library's source; gives the folder with the library's files.
fn build(project: &Project) -> Result<PathBuf> {
    let folder = project.tools().join("wasm-std");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"dummy\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.release]\nopt-level = 3\npanic = \"abort\"\n",
    )?;
    run::logged(
        Command::new("/usr/bin/cargo")
            .current_dir(&folder)
            .args(["build", "--release", "--target", TARGET])
            .arg("-Zbuild-std=std,panic_abort,test")
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("RUSTFLAGS")
            // Without bitcode, link-time optimisation cannot use the library.
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Cembed-bitcode=yes")
            .env("CARGO_TARGET_DIR", folder.join("target")),
        &project.log("wasm-std"),
        None,
    )?;
    Ok(folder.join("target").join(TARGET).join("release/deps"))
}

/// Copies the library into the compiler's sysroot, and the linker to where the compiler looks for it.
fn place(project: &Project, root: &Root, built: &Path) -> Result<()> {
    let sysroot = PathBuf::from(run::read(
        Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).env_remove("RUSTUP_TOOLCHAIN"),
    )?)
    .join("lib/rustlib");
    let library = sysroot.join(TARGET).join("lib");
    let host = run::read(Command::new("/usr/bin/rustc").arg("-vV").env_remove("RUSTUP_TOOLCHAIN"))?;
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not name its host")?;
    let linkers = sysroot.join(host).join("bin");
    let files: Vec<PathBuf> =
        fs::read_dir(built)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let library_files = files.iter().filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".rlib") && !name.starts_with("libdummy")
    });
    let log = project.log("wasm-std-place");
    run::logged(root.command("rm").arg("-rf").arg(&library), &log, None)?;
    run::logged(root.command("mkdir").arg("-p").arg(&library).arg(&linkers), &log, None)?;
    run::logged(root.command("cp").args(library_files).arg(&library), &log, None)?;
    run::logged(root.command("ln").args(["-sfn", LINKER]).arg(linkers.join("rust-lld")), &log, None)
}
