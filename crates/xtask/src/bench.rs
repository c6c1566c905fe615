//! `cargo xtask bench`: Weir, two JavaScript references and, if asked, a peer, on one `workerd` each.
//!
//! The machine is noisy, so figures are ratios to a yardstick in JavaScript: slices of some 100 ms are taken from
//! all variants in turn, each is divided by the yardstick's slice of the same cycle, and medians of those ratios are
//! shown. The yardstick runs twice; what its second process differs by is noise. This file decides what is run; the
//! modules below do it. Nothing here is part of the tests: they measure no time.

mod http;
mod load;
mod measure;
mod mock;
mod peer;
mod report;
mod scenario;
mod server;
mod setup;
mod statistics;
mod variant;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use measure::Running;
use report::{Row, Sample, Section};
use scenario::{Budget, Compare, Figure, Scenario};
use server::{Server, Start};
use variant::Variant;

/// Told to those who ask for something else.
const USAGE: &str =
    "cargo xtask bench [--peer portkey] [--quick] [--only NAME] [--rounds N] [--without VARIANT]";

struct Options {
    quick: bool,
    rounds: u32,
    only: Option<String>,
    variants: Vec<Variant>,
}

/// Where things are.
struct Place {
    root: PathBuf,
    results: PathBuf,
    workerd: PathBuf,
}

/// Runs the bench with the words after `bench`; prints the table and writes `target/bench/latest.json`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let began = Instant::now();
    let place = Place::find()?;
    let mut options = Options::parse(args)?;
    if options.variants.contains(&Variant::Weir) && !place.root.join("worker/build/index_bg.wasm").exists() {
        eprintln!(
            "bench: no built Worker in worker/build (cargo xtask build makes it); running without weir"
        );
        options.variants.retain(|variant| *variant != Variant::Weir);
    }
    if options.variants.contains(&Variant::Portkey) {
        peer::prepare(&place.results.join("portkey"), &place.tool("wrangler")?)?;
    }
    let scenarios: Vec<Scenario> = scenario::all()
        .into_iter()
        .filter(|scenario| options.only.as_deref().is_none_or(|only| scenario.name.contains(only)))
        .collect();
    if scenarios.is_empty() {
        let names: Vec<&str> = scenario::all().iter().map(|scenario| scenario.name).collect();
        bail!("no load has that name; there are {}", names.join(", "));
    }
    let upstream = mock::start()?;
    let mut sections = sections(&scenarios);
    // The first start of all reads the program from disk; it would count as the yardstick's.
    drop(place.start(Variant::Js, upstream)?);
    for round in 0..options.rounds {
        round_of(&place, &options, &scenarios, upstream, &mut sections)
            .with_context(|| format!("round {}", round + 1))?;
    }
    let seconds = began.elapsed().as_secs();
    let document = json!({
        "seconds": seconds, "rounds": options.rounds, "quick": options.quick,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "sections": report::json(&sections, &options.variants),
    });
    let file = place.results.join("latest.json");
    fs::write(&file, serde_json::to_string_pretty(&document)?)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "js is the yardstick = 1.00. Medians of slices paired with its own, [quartiles].")?;
    writeln!(out, "js-again is the same Worker in another process: what it differs by is noise.")?;
    write!(out, "{}", report::table(&sections, &options.variants))?;
    writeln!(out, "\n{} rounds, {seconds} s; also in {}", options.rounds, file.display())?;
    Ok(())
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut variants = vec![Variant::Js, Variant::JsAgain, Variant::Metered, Variant::Weir];
        let (mut quick, mut rounds, mut only) = (false, None, None);
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--quick" => quick = true,
                "--rounds" => rounds = Some(value()?.parse().context("--rounds takes a number")?),
                "--only" => only = Some(value()?.clone()),
                "--without" => {
                    let name = value()?;
                    variants.retain(|variant| *variant == Variant::Js || variant.name() != name);
                }
                "--peer" => match value()?.as_str() {
                    "portkey" => variants.push(Variant::Portkey),
                    other => bail!("no peer {other:?}; there is portkey"),
                },
                other => bail!("unknown word {other:?}\n{USAGE}"),
            }
        }
        Ok(Self { quick, rounds: rounds.unwrap_or(if quick { 1 } else { 3 }), only, variants })
    }
}

impl Place {
    fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no root")?.to_owned();
        let results = root.join("target/bench");
        fs::create_dir_all(&results)?;
        let mut place = Self { root, results, workerd: PathBuf::new() };
        place.workerd = place.workerd()?;
        Ok(place)
    }

    /// The program itself, not npm's wrapper: its processor time is what is measured.
    fn workerd(&self) -> Result<PathBuf> {
        let packages = self.modules().join("@cloudflare");
        for entry in fs::read_dir(&packages).with_context(|| packages.display().to_string())? {
            let program = entry?.path().join("bin/workerd");
            if program.exists() {
                return Ok(program);
            }
        }
        bail!("no workerd below {}; `cargo xtask setup` installs it", packages.display())
    }

    fn tool(&self, name: &str) -> Result<PathBuf> {
        let program = self.modules().join(".bin").join(name);
        if !program.exists() {
            bail!("no {name} at {}; `cargo xtask setup` installs it", program.display());
        }
        Ok(program)
    }

    /// Where npm's tools are.
    fn modules(&self) -> PathBuf {
        self.root.join("target/tools/npm/node_modules")
    }

    fn start(&self, variant: Variant, upstream: SocketAddr) -> Result<(Running, f64)> {
        let (objects, log) =
            (self.results.join(variant.name()), self.results.join(format!("{}.log", variant.name())));
        let base = format!("http://{upstream}/v1");
        let began = Instant::now();
        let server = Server::start(&Start {
            workerd: &self.workerd,
            config: &self.root.join(variant.config()),
            objects: variant.has_objects().then_some(objects.as_path()),
            log: &log,
            variables: &[("UPSTREAM", base.clone()), ("UPSTREAM_KEY", mock::UPSTREAM_KEY.to_owned())],
        })?;
        let chat = variant.request(&base, &scenario::smallest());
        let first = if variant == Variant::Weir {
            b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()
        } else {
            chat.clone()
        };
        setup::wait_for(server.address, &first)?;
        let started = began.elapsed().as_secs_f64() * 1e3;
        if variant == Variant::Weir {
            setup::configure_weir(server.address, upstream)?;
            setup::wait_for(server.address, &chat)?;
        }
        Ok((Running { variant, server, upstream: base }, started))
    }
}

/// One round: fresh processes, all loads, then what they hold in memory.
fn round_of(
    place: &Place,
    options: &Options,
    scenarios: &[Scenario],
    upstream: SocketAddr,
    sections: &mut [Section],
) -> Result<()> {
    let (mut servers, mut started) = (Vec::new(), Sample::new());
    for variant in &options.variants {
        let (running, milliseconds) =
            place.start(*variant, upstream).with_context(|| variant.name().to_owned())?;
        started.insert(variant.name(), milliseconds);
        servers.push(running);
    }
    let (process, loads) = sections.split_last_mut().context("no sections")?;
    for (scenario, section) in scenarios.iter().zip(loads) {
        eprintln!("bench: {}", scenario.title);
        let outcome = measure::scenario(scenario, &servers, upstream, options.quick)?;
        for (row, line) in section.rows.iter_mut().zip(&scenario.lines) {
            let value = |cycle: &measure::Cycle| {
                cycle.iter().map(|(name, figures)| (*name, figures.get(line.figure))).collect::<Sample>()
            };
            row.samples.extend(outcome.cycles.iter().map(value));
        }
        section.failures.extend(outcome.failures);
        section.ceilings.extend(outcome.ceiling);
    }
    let mut memory = Sample::new();
    for running in &servers {
        let kib = u32::try_from(running.server.memory_peak_kib()?)?;
        memory.insert(running.variant.name(), f64::from(kib) / 1024.0);
    }
    for (row, sample) in process.rows.iter_mut().zip([memory, started]) {
        row.samples.push(sample);
    }
    Ok(())
}

/// An empty section for each load, and one for the processes.
fn sections(scenarios: &[Scenario]) -> Vec<Section> {
    let row = |line: &scenario::Line| {
        let (label, unit) = match line.figure {
            Figure::Rate => ("requests", "/s"),
            Figure::P50 => ("answer complete, p50", "ms"),
            Figure::P99 => ("answer complete, p99", "ms"),
            Figure::Cpu => ("processor time", "µs"),
            Figure::First => ("first event, p50", "ms"),
        };
        let (compare, budget, budget_metered) = (line.compare, line.budget, line.budget_metered);
        Row { label, unit, compare, budget, budget_metered, samples: Vec::new() }
    };
    let mut sections: Vec<Section> = scenarios
        .iter()
        .map(|scenario| Section {
            name: scenario.name,
            title: scenario.title,
            rows: scenario.lines.iter().map(row).collect(),
            ceilings: Vec::new(),
            failures: Vec::new(),
        })
        .collect();
    let process = |label, unit, compare, limit| Row {
        label,
        unit,
        compare,
        budget: Some(Budget::AtMost(limit)),
        budget_metered: None,
        samples: Vec::new(),
    };
    sections.push(Section {
        name: "process",
        title: "the process, after all loads above",
        rows: vec![
            process("peak memory", "MiB", Compare::Ratio, 1.2),
            process("start to first answer", "ms", Compare::Difference, 50.0),
        ],
        ceilings: Vec::new(),
        failures: Vec::new(),
    });
    sections
}
