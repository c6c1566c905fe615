//! `cargo xtask tidy`: the project's own rules as code.
//!
//! Decides which files are looked at (what git knows or would take) and gathers what is wrong, all of it at once.
//! Stage: tooling. Source: ARCHITECTURE.md, "Invariants".

mod layers;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::{run, terminal};

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

/// Applies every rule to every file.
///
/// # Errors
/// When a rule is broken; each breach is a line on stderr before.
pub(crate) fn run(project: &Project) -> Result<()> {
    let sources = sources(project)?;
    let mut breaches: Vec<String> = Vec::new();
    for source in &sources {
        breaches.extend(text::breaches(source));
        breaches.extend(layers::breaches(source));
    }
    let manifest = fs::read_to_string(project.path("crates/weir-core/Cargo.toml"))?;
    breaches.extend(layers::dependency_breaches(&manifest));
    let served = fs::read_to_string(project.path("tests/bench/weir.capnp"))?;
    breaches.extend(unserved(&sources, &served));
    for breach in &breaches {
        terminal::warn(breach);
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the project's rules", breaches.len());
    }
    Ok(())
}

/// Modules of the driver that the bench's configuration does not name: workerd would not find them.
fn unserved(sources: &[Source], served: &str) -> Vec<String> {
    let driver = sources.iter().filter(|source| source.path.starts_with("worker/src/"));
    let imported = driver.flat_map(|source| source.text.lines()).filter_map(|line| {
        let (_, module) = line.split_once(" from './")?;
        module.split_once('\'').map(|(name, _)| name)
    });
    let missing: BTreeSet<&str> =
        imported.filter(|name| !served.contains(&format!("\"src/{name}\""))).collect();
    missing
        .into_iter()
        .map(|name| format!("tests/bench/weir.capnp does not name worker/src/{name}"))
        .collect()
}

fn sources(project: &Project) -> Result<Vec<Source>> {
    let listed = run::read(Command::new("git").current_dir(project.root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))
    .context("tidy asks git which files there are")?;
    let mut sources = Vec::new();
    for path in listed.lines().filter(|path| text::is_source(path)) {
        // A file that is deleted but not yet committed so is still listed.
        if let Ok(text) = fs::read_to_string(project.path(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}
