//! `cargo xtask bench`: Weir, two JavaScript references and, if asked, a peer, on one `workerd` each.
//!
//! The machine is noisy, so figures are ratios to a yardstick in JavaScript: slices of some 100 ms are taken from
//! all variants in turn, each is divided by the yardstick's slice of the same cycle, and medians of those ratios are
//! shown. The yardstick runs twice; what its second process differs by is noise. This file decides what is run; the
//! modules below do it. Nothing here is part of the tests: they measure no time.

mod configure;
mod framing;
mod instructions;
mod load;
mod measure;
mod mock;
mod peer;
mod report;
mod scenario;
mod server;
mod statistics;
mod variant;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::args::Args;
use crate::project::Project;
use crate::{setup, terminal, worker};

use measure::Running;
use report::{Row, Sample, Section};
use scenario::{Budget, Compare, Figure, Scenario};
use server::{Server, Start};
use variant::Variant;

struct Options {
    quick: bool,
    rounds: u32,
    only: Option<String>,
    variants: Vec<Variant>,
}

/// Where things are.
struct Place<'a> {
    project: &'a Project,
    results: PathBuf,
    workerd: PathBuf,
}

/// Runs the bench; prints the table and writes `target/bench/latest.json`.
///
/// # Errors
/// When a tool or a variant cannot be made ready. A variant that fails under load is a line of the result.
pub(crate) fn run(project: &Project, mut args: Args) -> Result<()> {
    if args.flag("--instructions") {
        args.done()?;
        return instructions::run(project);
    }
    let options = Options::parse(args)?;
    let scenarios = options.scenarios()?;
    let place = Place::prepare(project, &options)?;
    let began = Instant::now();
    let upstream = mock::start()?;
    let mut sections = sections(&scenarios);
    // The first start of all reads the program from disk; it would count as the yardstick's.
    drop(place.start(Variant::Js, upstream)?);
    for round in 1..=options.rounds {
        terminal::step(&format!("round {round} of {}", options.rounds), || {
            round_of(&place, &options, &scenarios, upstream, &mut sections)
        })?;
    }
    let document = json!({
        "seconds": began.elapsed().as_secs(), "rounds": options.rounds, "quick": options.quick,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "sections": report::json(&sections, &options.variants),
    });
    let file = place.results.join("latest.json");
    fs::write(&file, serde_json::to_string_pretty(&document)?)?;
    terminal::say("\njs is the yardstick = 1.00. Medians of slices paired with its own, [quartiles].");
    terminal::say("js-again is the same Worker in another process: what it differs by is noise.");
    terminal::say(&report::table(&sections, &options.variants));
    terminal::say(&format!("{}; also in {}", terminal::seconds(began.elapsed()), file.display()));
    Ok(())
}

impl Options {
    fn parse(mut args: Args) -> Result<Self> {
        let mut variants = vec![Variant::Js, Variant::JsAgain, Variant::Metered, Variant::Weir];
        let quick = args.flag("--quick");
        let rounds = match args.value("--rounds")? {
            Some(text) => text.parse().with_context(|| format!("--rounds {text}: give a number"))?,
            None if quick => 1,
            None => 3,
        };
        let only = args.value("--only")?;
        match args.value("--peer")?.as_deref() {
            None => {}
            Some("portkey") => variants.push(Variant::Portkey),
            Some(other) => bail!("no peer `{other}`; there is portkey"),
        }
        while let Some(name) = args.value("--without")? {
            let before = variants.len();
            variants.retain(|variant| *variant == Variant::Js || variant.name() != name);
            if variants.len() == before {
                bail!("--without {name}: give js-again, metered, weir or portkey");
            }
        }
        args.done()?;
        Ok(Self { quick, rounds, only, variants })
    }

    /// The loads asked for.
    fn scenarios(&self) -> Result<Vec<Scenario>> {
        let mut all = scenario::all();
        let Some(only) = &self.only else { return Ok(all) };
        let names: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
        // A full name means that one, else all that contain the word.
        let exact = names.contains(&only.as_str());
        all.retain(|scenario| if exact { scenario.name == only } else { scenario.name.contains(only) });
        if all.is_empty() {
            bail!("no load is called {only}; there are {}", names.join(", "));
        }
        Ok(all)
    }
}

impl<'a> Place<'a> {
    /// Installs what is missing and builds the Worker.
    fn prepare(project: &'a Project, options: &Options) -> Result<Self> {
        if options.variants.contains(&Variant::Weir) {
            let tools = setup::ensure(project)?;
            worker::build(project, &tools)?;
        } else {
            setup::install_tools(project)?;
        }
        let results = project.path("target/bench");
        fs::create_dir_all(&results)?;
        let packages = project.tools().join("npm/node_modules");
        if options.variants.contains(&Variant::Portkey) {
            peer::prepare(&results.join("portkey"), &packages.join(".bin/wrangler"))?;
        }
        Ok(Self { project, results, workerd: workerd(&packages.join("@cloudflare"))? })
    }

    fn start(&self, variant: Variant, upstream: SocketAddr) -> Result<(Running, f64)> {
        let (objects, log) =
            (self.results.join(variant.name()), self.results.join(format!("{}.log", variant.name())));
        let base = format!("http://{upstream}/v1");
        let began = Instant::now();
        let server = Server::start(&Start {
            workerd: &self.workerd,
            config: &self.project.path(variant.config()),
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
        configure::wait_for(server.address, &first)?;
        let started = began.elapsed().as_secs_f64() * 1e3;
        if variant == Variant::Weir {
            configure::configure_weir(server.address, upstream)?;
            configure::wait_for(server.address, &chat)?;
        }
        Ok((Running { variant, server, upstream: base }, started))
    }
}

/// The program itself, not npm's wrapper: its processor time is what is measured.
fn workerd(packages: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(packages).with_context(|| packages.display().to_string())? {
        let program = entry?.path().join("bin/workerd");
        if program.exists() {
            return Ok(program);
        }
    }
    bail!("no workerd below {}; delete target/tools/npm and try again", packages.display())
}

/// One round: fresh processes, all loads, then what they hold in memory.
fn round_of(
    place: &Place<'_>,
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
        measure::warm(&running)?;
        servers.push(running);
    }
    let (process, loads) = sections.split_last_mut().context("no sections")?;
    for (scenario, section) in scenarios.iter().zip(loads) {
        terminal::say(&format!("    {}", scenario.title));
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
