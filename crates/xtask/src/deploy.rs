//! `cargo xtask deploy`: `wrangler deploy` with the project's wrangler, and a reminder of the secrets.
//!
//! Decides nothing that wrangler.toml does not say. Stage: tooling.

use anyhow::{Result, bail};

use crate::args::Args;
use crate::project::Project;
use crate::{setup, terminal, worker};

/// What a deployed Worker needs besides wrangler.toml.
const SECRETS: &str = "\
A deployed Worker needs two secrets, set once each:
  wrangler secret put WEIR_ADMIN_TOKEN   the administrator's token: long and random
  wrangler secret put WEIR_SEAL_KEY      seals upstream keys: `openssl rand -base64 32`, kept safe; without it
                                         stored upstream keys cannot be read";

/// Deploys, or with `--dry-run` only bundles.
///
/// # Errors
/// When something does not build or wrangler refuses.
pub(crate) fn run(project: &Project, mut args: Args) -> Result<()> {
    let dry_run = args.flag("--dry-run");
    args.done()?;
    let tools = setup::ensure(project)?;
    worker::build(project, &tools)?;
    terminal::say(SECRETS);
    terminal::say(&format!("(this project's wrangler: {})\n", tools.npm_bin("wrangler").display()));
    // wrangler may ask questions: it keeps the terminal.
    let status = tools.wrangler(project).arg("deploy").args(dry_run.then_some("--dry-run")).status()?;
    if !status.success() {
        bail!("wrangler deploy failed ({status})");
    }
    Ok(())
}
