//! One `workerd` process: starting it, what it has used, and its end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

use crate::children::{self, Running};

/// What `workerd` writes to its control descriptor.
#[derive(Deserialize)]
struct Listening {
    event: String,
    port: Option<u16>,
}

/// A running `workerd`; it ends when this is dropped.
pub(super) struct Server {
    /// Ends the process when it is dropped.
    _child: Running,
    id: u32,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// What a server is started from.
pub(super) struct Start<'a> {
    /// The program.
    pub(super) workerd: &'a Path,
    /// The configuration, a capnp text.
    pub(super) config: &'a Path,
    /// Where the objects of this process keep their rows; empty at start. None when it has no objects.
    pub(super) objects: Option<&'a Path>,
    /// Where its messages go.
    pub(super) log: &'a Path,
    /// Variables that the configuration reads by `fromEnvironment`.
    pub(super) variables: &'a [(&'a str, String)],
}

impl Server {
    /// Starts a server and waits until it listens. `Err` names the log when it ends before.
    pub(super) fn start(start: &Start<'_>) -> Result<Self> {
        let mut command = Command::new(start.workerd);
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(start.config);
        if let Some(objects) = start.objects {
            if objects.exists() {
                fs::remove_dir_all(objects)?;
            }
            fs::create_dir_all(objects)?;
            command.arg(format!("--directory-path=objects={}", objects.display()));
        }
        for (name, value) in start.variables {
            command.env(name, value);
        }
        let log = File::create(start.log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = children::spawn(&mut command)?;
        match listening_port(child.child()) {
            Ok(port) => {
                let (id, address) = (child.child().id(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
                Ok(Self { _child: child, id, address })
            }
            Err(error) => {
                child.end();
                let said = fs::read_to_string(start.log).unwrap_or_default();
                Err(error.context(format!("workerd did not start; {} says:\n{said}", start.log.display())))
            }
        }
    }

    /// Processor time used so far by all its threads, user and kernel. Scheduler's nanoseconds where the kernel
    /// keeps them, else the clock ticks of `stat`, which are 10 ms.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        let mut nanos = 0u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.id))? {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { return self.ticks() };
            nanos += text.split(' ').next().context("empty schedstat")?.trim().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    fn ticks(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        let after_name = stat.rsplit(')').next().context("no name in stat")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11..13).context("short stat")?.iter().flat_map(|text| text.parse::<u64>()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The largest resident memory so far, in KiB.
    pub(super) fn memory_peak_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
        Ok(line.split_whitespace().nth(1).context("short VmHWM")?.parse()?)
    }
}

fn listening_port(child: &mut Child) -> Result<u16> {
    let control = child.stdout.take().context("no control descriptor")?;
    for line in BufReader::new(control).lines() {
        let line = line?;
        let message: Listening =
            serde_json::from_str(&line).map_err(|error| anyhow!("control message {line:?}: {error}"))?;
        if let ("listen", Some(port)) = (message.event.as_str(), message.port) {
            return Ok(port);
        }
    }
    bail!("it ended before it listened")
}
