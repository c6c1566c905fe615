//! `cargo xtask dev`: from nothing to a Worker that answers on this machine with the demo deployments.
//!
//! Decides the order, and what the developer is told. Each part has its own file. Stage: tooling.

mod demo;
mod server;
mod vars;

use anyhow::{Result, bail};

pub(crate) use server::{Server, Start, free_port};
pub(crate) use vars::Vars;

use crate::args::Args;
use crate::project::Project;
use crate::setup::{self, Tools};
use crate::{terminal, worker};

pub(crate) use demo::KEY;

/// The port without `--port`.
const PORT: u16 = 8787;

/// Serves until the process is ended.
///
/// # Errors
/// One line that says what to do: a taken port, something missing, a build or a server that fails.
pub(crate) fn run(project: &Project, mut args: Args) -> Result<()> {
    let port = args.port("--port")?.unwrap_or(PORT);
    let ephemeral = args.flag("--ephemeral");
    args.done()?;
    server::require_free(port)?;
    let tools = setup::ensure(project)?;
    worker::build(project, &tools)?;
    let (mut wrangler, vars) = serve(project, &tools, port, ephemeral)?;
    terminal::say(&greeting(port, &vars, &wrangler));
    let status = wrangler.wait()?;
    bail!("wrangler has ended ({status}); {}", wrangler.log_hint());
}

/// Starts the Worker and creates the demo. What `dev` and the end-to-end tests share.
///
/// # Errors
/// When the server does not start, or the demo cannot be created.
pub(crate) fn serve(project: &Project, tools: &Tools, port: u16, ephemeral: bool) -> Result<(Server, Vars)> {
    let vars = Vars::ensure(&project.path(".dev.vars"))?;
    let server = terminal::step("starting wrangler dev", || {
        Server::start(project, tools, &Start { port, ephemeral })
    })?;
    terminal::step("creating the demo deployments", || demo::create(port, vars.admin_token()))?;
    Ok((server, vars))
}

fn greeting(port: u16, vars: &Vars, server: &Server) -> String {
    let url = format!("http://127.0.0.1:{port}");
    let curl = |path: &str, body: &str| {
        format!(
            "curl {url}{path} -H 'authorization: Bearer {KEY}' -H 'content-type: application/json' -d '{body}'"
        )
    };
    let question = r#""messages":[{"role":"user","content":"Hello"}]"#;
    format!(
        "\naddress      {url}\nadmin token  {}\ndata key     {KEY}\nstate        {}\nlog          {}\n\n\
         {}\n\n{}\n\n{}\n\nweir is ready on {url}",
        vars.admin_token(),
        server.state().display(),
        server.log().display(),
        curl("/v1/chat/completions", &format!(r#"{{"model":"demo-chat",{question}}}"#)),
        curl("/v1/chat/completions", &format!(r#"{{"model":"demo-chat","stream":true,{question}}}"#))
            .replacen("curl", "curl -N", 1),
        curl("/v1/embeddings", r#"{"model":"demo-embed","input":"Hello"}"#),
    )
}
