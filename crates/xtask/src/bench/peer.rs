//! Portkey's gateway, made ready to be served by the same `workerd`.
//!
//! The npm package carries one file, the program for Node; the Worker's entry (`src/index.ts`) is not in it. Both
//! define the same application and differ at their ends: the Node program goes on to read its arguments and to
//! listen. So the file is cut there and its application exported, which gives the Worker's entry back; wrangler
//! bundles it as Portkey's own `deploy` script does.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{run, terminal};

/// The version compared with; the shape of its file is known.
const VERSION: &str = "1.15.2";
const COMPATIBILITY_DATE: &str = "2026-04-01";

/// Where the Node program's own end begins: it reads its arguments.
const NODE_END: &str = "=process.argv.slice(2)";
/// The route by which the application's name is found.
const ROUTE: &str = r#".post("/v1/chat/completions""#;

/// Installs and bundles Portkey into `folder` with this `wrangler`, unless that is done, and writes its
/// configuration.
pub(super) fn prepare(folder: &Path, wrangler: &Path) -> Result<()> {
    let config = folder.join("portkey.capnp");
    if config.exists() {
        return Ok(());
    }
    terminal::step(&format!("installing @portkey-ai/gateway {VERSION} from npm"), || {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("package.json"), r#"{"name":"bench-peer","private":true}"#)?;
        let package = format!("@portkey-ai/gateway@{VERSION}");
        let words = ["install", "--ignore-scripts", "--no-audit", "--no-fund", &package];
        run::logged(Command::new("npm").current_dir(folder).args(words), &folder.join("npm.log"), None)
    })?;
    terminal::step("bundling it as a Worker", || {
        let program = folder.join("node_modules/@portkey-ai/gateway/build/start-server.js");
        fs::write(folder.join("entry.mjs"), worker_entry(&fs::read_to_string(program)?)?)?;
        fs::write(folder.join("wrangler.toml"), SETTINGS.replace("COMPATIBILITY_DATE", COMPATIBILITY_DATE))?;
        let mut bundle = Command::new(wrangler);
        bundle.current_dir(folder).env("WRANGLER_SEND_METRICS", "false");
        bundle.args(["deploy", "--dry-run", "--minify", "--outdir=out"]);
        run::logged(&mut bundle, &folder.join("wrangler.log"), None)?;
        fs::rename(folder.join("out/entry.js"), folder.join("portkey.js"))?;
        fs::write(&config, CONFIG.replace("COMPATIBILITY_DATE", COMPATIBILITY_DATE))?;
        Ok(())
    })
}

/// Without settings of its own wrangler would take those of the folders above.
const SETTINGS: &str = r#"name = "portkey"
main = "entry.mjs"
compatibility_date = "COMPATIBILITY_DATE"
compatibility_flags = ["nodejs_compat"]
"#;

const CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const main :Workerd.Worker = (
  modules = [(name = "portkey.js", esModule = embed "portkey.js")],
  compatibilityDate = "COMPATIBILITY_DATE",
  compatibilityFlags = ["nodejs_compat"],
);
"#;

/// The application's part of the Node program, exported as a Worker.
fn worker_entry(program: &str) -> Result<String> {
    let end = program.find(NODE_END).context("Portkey's program has no longer the known end")?;
    let end = program[..end].rfind("const ").context("Portkey's program has no longer the known end")?;
    let route = program.find(ROUTE).context("Portkey's program has no longer the known route")?;
    let before = &program[..route];
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let name = &before[before.trim_end_matches(is_name).len()..];
    // The first line is for the shell.
    let module = program[..end].split_once('\n').map_or("", |(_, rest)| rest);
    if name.is_empty() || module.is_empty() {
        bail!("Portkey's program has no longer the known form");
    }
    Ok(format!("{module}\nexport default {name};\n"))
}

#[cfg(test)]
mod tests {
    use super::worker_entry;

    #[test]
    fn the_node_program_becomes_a_worker() {
        let program = "#!/usr/bin/env node\nimport a from\"a\";const $u=a();$u.get(\"/\",b),\
            $u.post(\"/v1/chat/completions\",c);const F=process.argv.slice(2),z=1;listen(z)";
        assert_eq!(
            worker_entry(program).unwrap(),
            "import a from\"a\";const $u=a();$u.get(\"/\",b),$u.post(\"/v1/chat/completions\",c);\n\
             export default $u;\n"
        );
        assert!(worker_entry("#!/usr/bin/env node\nlisten()").is_err());
    }
}
