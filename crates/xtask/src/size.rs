//! `cargo xtask size`: what a deployed Worker weighs, compressed, against a budget and the committed number.
//!
//! Decides the budget and how much a change may add unseen. Stage: tooling.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::project::Project;
use crate::{setup, terminal, worker};

/// gzip bytes of script and Wasm together that a Worker may have.
const BUDGET_BYTES: u64 = 400 * 1024;

/// Growth over the committed number, in percent, that needs a look (`--update` says that it was looked at).
const GROWTH_PERCENT: u64 = 5;

/// `crates/xtask/size.json`.
#[derive(Serialize, Deserialize)]
struct Committed {
    /// gzip bytes of script and Wasm together.
    gzip_bytes: u64,
}

/// Builds, weighs, compares; `--update` commits the number to the file.
///
/// # Errors
/// When the budget is exceeded, or the growth is.
pub(crate) fn run(project: &Project, mut args: Args) -> Result<()> {
    let update = args.flag("--update");
    args.done()?;
    let tools = setup::ensure(project)?;
    let built = worker::build(project, &tools)?;
    let script = compressed(&built.script)?;
    let wasm = compressed(&built.wasm)?;
    let total = script + wasm;
    terminal::say(&format!(
        "script {} + Wasm {} = {} compressed (budget {})",
        kib(script),
        kib(wasm),
        kib(total),
        kib(BUDGET_BYTES)
    ));
    let file = project.path("crates/xtask/size.json");
    if update {
        let mut text = serde_json::to_string_pretty(&Committed { gzip_bytes: total })?;
        text.push('\n');
        fs::write(&file, text)?;
    }
    let committed = fs::read_to_string(&file)
        .with_context(|| format!("{} is missing; make it with --update", file.display()))?;
    let committed: Committed = serde_json::from_str(&committed)?;
    verdict(total, committed.gzip_bytes)
}

fn verdict(total: u64, committed: u64) -> Result<()> {
    if total > BUDGET_BYTES {
        bail!("{} is over the budget of {}", kib(total), kib(BUDGET_BYTES));
    }
    if total * 100 > committed * (100 + GROWTH_PERCENT) {
        bail!(
            "{} is over {GROWTH_PERCENT} % more than the committed {}; if that is meant, `cargo xtask size --update`",
            kib(total),
            kib(committed)
        );
    }
    Ok(())
}

fn compressed(file: &Path) -> Result<u64> {
    let mut content = Vec::new();
    File::open(file)
        .and_then(|mut file| file.read_to_end(&mut content))
        .with_context(|| format!("cannot read {}", file.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    Ok(u64::try_from(encoder.finish()?.len())?)
}

fn kib(bytes: u64) -> String {
    format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024)
}

#[cfg(test)]
mod tests {
    use super::{BUDGET_BYTES, kib, verdict};

    #[test]
    fn growth_and_budget_are_judged() {
        for (total, committed, fine) in [
            (100, 100, true),
            (105, 100, true),
            (106, 100, false),
            (50, 100, true),
            (BUDGET_BYTES, BUDGET_BYTES, true),
            (BUDGET_BYTES + 1, BUDGET_BYTES, false),
        ] {
            assert_eq!(verdict(total, committed).is_ok(), fine, "{total} {committed}");
        }
        assert_eq!(kib(1536), "1.5 KiB");
    }
}
