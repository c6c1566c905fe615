//! The end-to-end step: the vendors' clients against the Worker under wrangler.
//!
//! Decides how the clients are installed and what the suite is told: the address, the administrator's token, the
//! demo's key. The suite itself is `tests/e2e/run.py`. Stage: tooling.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::count::{self, Count};
use super::{Plan, counting};
use crate::project::Project;
use crate::setup::{self, Packages};
use crate::{dev, run, terminal, worker};

/// Serves the Worker on a free port with state that is thrown away, and runs the suite.
pub(super) fn run(plan: &Plan<'_>) -> Result<Count> {
    let project = plan.project;
    let suite = project.path("tests/e2e/run.py");
    let python = python(project)?;
    let packages = npm(project)?;
    worker::build(project, plan.tools)?;
    let port = dev::free_port()?;
    let (server, vars) = dev::serve(project, plan.tools, port, true)?;
    let mut command = Command::new(&python);
    command
        .current_dir(project.root())
        .arg(&suite)
        .args(plan.real_server.then_some("--real-server"))
        .env("WEIR_URL", format!("http://127.0.0.1:{port}"))
        .env("WEIR_ADMIN_TOKEN", vars.admin_token())
        .env("WEIR_KEY", dev::KEY)
        .env("WEIR_E2E_CACHE", project.tools().join("e2e-cache"))
        .env("WEIR_TOOLS", project.tools())
        .env("PYTHONUNBUFFERED", "1");
    if let Some(packages) = &packages {
        command.env("WEIR_E2E_NPM", packages).env("NODE_PATH", packages.join("node_modules"));
    }
    let count = counting(&mut command, count::closing_line);
    drop(server);
    count
}

/// A Python with the suite's packages, in an environment of its own.
fn python(project: &Project) -> Result<PathBuf> {
    let requirements = project.path("tests/e2e/requirements.txt");
    let folder = project.tools().join("e2e-venv");
    let python = folder.join("bin/python");
    let inputs = setup::fingerprint(std::slice::from_ref(&requirements))?;
    let stamp = folder.join("stamp");
    if setup::is_current(&stamp, &inputs) && python.exists() {
        return Ok(python);
    }
    terminal::step("installing the Python clients of the end-to-end tests", || {
        run::logged(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
            &project.log("e2e-venv"),
            None,
        )
        .context("Python 3 with its venv module is needed (Debian: `apt-get install python3-venv`)")?;
        run::logged(
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&requirements),
            &project.log("e2e-pip"),
            None,
        )
        .context("pip could not install them")?;
        setup::mark(&stamp, &inputs)
    })?;
    Ok(python)
}

/// The JavaScript clients' folder, if the suite has any.
fn npm(project: &Project) -> Result<Option<PathBuf>> {
    let manifest = project.path("tests/e2e");
    if !Path::exists(&manifest.join("package.json")) {
        return Ok(None);
    }
    let packages =
        Packages { what: "the JavaScript clients of the end-to-end tests", manifest, into: "e2e-npm" };
    setup::install_packages(project, &packages).map(Some)
}
