//! The local server: `wrangler dev` with its state, its log, and the wait until it answers.
//!
//! Decides how wrangler is called and when the Worker counts as up. wrangler's own output goes to a log; what it
//! says of errors also goes to the screen. Stage: tooling.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::children::{self, Running};
use crate::project::Project;
use crate::setup::Tools;
use crate::{http, terminal};

/// How long the Worker may take until it answers; wrangler's bundling is some seconds on a slow machine.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// How a server is to be started.
pub(crate) struct Start {
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// Whether its state is thrown away at the end.
    pub(crate) ephemeral: bool,
}

/// A running `wrangler dev`. Dropping it ends it, and its state if that is ephemeral.
pub(crate) struct Server {
    running: Running,
    state: State,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until `GET /healthz` answers 200.
    ///
    /// # Errors
    /// When it ends before, or does not answer in time; tells wrangler's last error.
    pub(crate) fn start(project: &Project, tools: &Tools, start: &Start) -> Result<Self> {
        let state = State::choose(project, start)?;
        fs::create_dir_all(project.path(".wrangler"))?;
        let log = match &state {
            State::Kept(_) => project.path(".wrangler/dev.log"),
            State::Thrown(_) => project.path(&format!(".wrangler/dev-{}.log", start.port)),
        };
        let mut command = tools.wrangler(project);
        command
            .args(["dev", "--local", "--ip", "127.0.0.1"])
            .args(["--port", &start.port.to_string()])
            // Any free port: two servers on one machine do not quarrel over the inspector's.
            .args(["--inspector-port", "0"])
            .arg("--show-interactive-dev-session=false")
            .arg("--persist-to")
            .arg(state.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = children::spawn(&mut command)?;
        let out = Arc::new(Mutex::new(
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?,
        ));
        if let Some(pipe) = running.child().stdout.take() {
            copy(pipe, Arc::clone(&out));
        }
        if let Some(pipe) = running.child().stderr.take() {
            copy(pipe, out);
        }
        let mut server = Self { running, state, log };
        server.wait_until_up(start.port)?;
        Ok(server)
    }

    /// Waits until wrangler ends.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.running.wait()
    }

    /// The folder with the Durable Objects' databases.
    pub(crate) fn state(&self) -> &Path {
        self.state.folder()
    }

    /// wrangler's output.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Where to read more, for error messages.
    pub(crate) fn log_hint(&self) -> String {
        format!("see {}", self.log.display())
    }

    fn wait_until_up(&mut self, port: u16) -> Result<()> {
        let start = Instant::now();
        let mut last = "nobody listens".to_owned();
        while start.elapsed() < START_PATIENCE {
            if let Some(status) = self.running.ended()? {
                bail!("wrangler ended ({status}); {}", self.log_hint());
            }
            match http::send(port, "GET", "/healthz", None, None) {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => last = format!("GET /healthz answers {}", answer.status),
                Err(_) => {}
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("no Worker on port {port} after {} s ({last}); {}", START_PATIENCE.as_secs(), self.log_hint());
    }
}

/// Where the Durable Objects' databases live.
enum State {
    /// Kept between runs.
    Kept(PathBuf),
    /// Removed at the end.
    Thrown(PathBuf),
}

impl State {
    fn choose(project: &Project, start: &Start) -> Result<Self> {
        if !start.ephemeral {
            return Ok(Self::Kept(project.path(".wrangler/state")));
        }
        let name = format!("weir-state-{}-{}", std::process::id(), start.port);
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        children::remove_at_end(&folder);
        Ok(Self::Thrown(folder))
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Kept(folder) | Self::Thrown(folder) => folder,
        }
    }
}

/// Fails unless `port` can be listened on.
///
/// # Errors
/// One line that says how to go on.
pub(crate) fn require_free(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(_) => {
            bail!("port {port} is taken: end what listens there, or choose another with --port")
        }
    }
}

/// A port on which nobody listens now.
///
/// # Errors
/// When the system has none.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Copies a pipe into the log, and what looks like an error to the screen as well.
fn copy(pipe: impl Read + Send + 'static, log: Arc<Mutex<File>>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let _full_disk = writeln!(log, "{line}");
            if is_error(&line) {
                terminal::warn(line.trim_end());
            }
        }
    });
}

fn is_error(line: &str) -> bool {
    line.contains("[ERROR]") || line.contains("✘") || line.starts_with("error")
}
