//! Runs the loads: one process per variant, slices taken in turn, processes restarted between rounds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::load::{Client, Expect, Length, Slice};
use super::scenario::{self, Figure, Scenario};
use super::server::Server;
use super::variant::{self, Variant};

/// Work that a gateway puts off (usage batches, drained streams) is done after this.
const DEFERRED: Duration = Duration::from_millis(400);

/// Load on a fresh process before anything is measured: V8 compiles what is called often meanwhile, in the background,
/// and that would be counted as the exchanges' processor time. The budgets are those of a warm isolate.
const TIERING: Duration = Duration::from_secs(3);

/// One variant's server in this round.
pub(super) struct Running {
    /// Which it is.
    pub(super) variant: Variant,
    /// Its process.
    pub(super) server: Server,
    /// The upstream's base address, for callers that have to name it.
    pub(super) upstream: String,
}

/// The figures of one slice, by [`Figure`].
#[derive(Clone, Copy, Default)]
pub(super) struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    first: f64,
}

impl Figures {
    /// The value of a figure, in its unit.
    pub(super) fn get(&self, figure: Figure) -> f64 {
        match figure {
            Figure::Rate => self.rate,
            Figure::P50 => self.p50,
            Figure::P99 => self.p99,
            Figure::Cpu => self.cpu,
            Figure::First => self.first,
        }
    }

    fn of(slice: &Slice) -> Self {
        Self {
            rate: slice.rate,
            p50: percentile(&slice.total, 50) / 1e3,
            p99: percentile(&slice.total, 99) / 1e3,
            cpu: 0.0,
            first: percentile(&slice.first, 50) / 1e3,
        }
    }
}

/// A value of sorted ones; NaN when there is none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// The slices taken one after the other, one of each variant.
pub(super) type Cycle = BTreeMap<&'static str, Figures>;

/// A scenario's variant under load.
struct Lane<'a> {
    running: &'a Running,
    client: Client,
    request: Rc<[u8]>,
    /// A slice whose processor time is not closed yet: its cycle, exchanges, and the time at its start.
    open: Option<(usize, u64, Duration)>,
}

/// What a scenario gave in one round.
#[derive(Default)]
pub(super) struct Outcome {
    /// Its cycles.
    pub(super) cycles: Vec<Cycle>,
    /// Variants that could not do it, and why.
    pub(super) failures: Vec<(&'static str, String)>,
    /// Exchanges per second without a gateway.
    pub(super) ceiling: Option<f64>,
}

/// Runs one scenario over all variants. A variant that fails is left out of it from then on.
pub(super) fn scenario(
    scenario: &Scenario,
    servers: &[Running],
    upstream: SocketAddr,
    quick: bool,
) -> Result<Outcome> {
    let mut outcome = Outcome { ceiling: ceiling(scenario, upstream)?, ..Outcome::default() };
    let mut lanes = Vec::new();
    for running in servers {
        let body = match running.variant {
            Variant::Weir => scenario.body.replacen(variant::DEPLOYMENT, scenario.of_weir, 1),
            _ => scenario.body.clone(),
        };
        let request = running.variant.request(&running.upstream, &body);
        let client = Client::new(running.server.address, scenario.connections)?;
        lanes.push(Lane { running, client, request: Rc::from(request), open: None });
    }
    let warm = Length::Time(Duration::from_millis(if quick { 150 } else { 300 }));
    if matches!(scenario.length, Length::Time(_)) {
        lanes =
            outcome.each(lanes, |lane, _| lane.client.run(&lane.request, scenario.expect, warm).map(drop));
    }
    let cycles = if quick { scenario.cycles.1 } else { scenario.cycles.0 };
    for cycle in 0..usize::try_from(cycles)? {
        outcome.cycles.push(Cycle::new());
        // Neither the place in the cycle nor the variant before is always the same.
        let count = lanes.len().max(1);
        lanes.rotate_left(cycle % count);
        if cycle % 2 == 1 {
            lanes.reverse();
        }
        lanes = outcome.each(lanes, |lane, cycles| lane.slice(scenario, cycle, cycles));
    }
    sleep(DEFERRED);
    for lane in &mut lanes {
        lane.close(&mut outcome.cycles)?;
    }
    Ok(outcome)
}

/// Makes a fresh process compile what every exchange runs.
pub(super) fn warm(running: &Running) -> Result<()> {
    let request = running.variant.request(&running.upstream, &scenario::smallest());
    let mut client = Client::new(running.server.address, 8)?;
    client.run(&Rc::from(request), Expect::Json, Length::Time(TIERING)).map(drop)
}

/// What the load generator and the mock do without a gateway between them: no variant can be faster.
fn ceiling(scenario: &Scenario, upstream: SocketAddr) -> Result<Option<f64>> {
    if matches!(scenario.length, Length::Each(_)) {
        return Ok(None);
    }
    let request = Rc::from(variant::direct_request(&scenario.body));
    let mut client = Client::new(upstream, scenario.connections)?;
    Ok(Some(client.run(&request, scenario.expect, scenario.length)?.rate))
}

impl Outcome {
    /// Does one thing with each lane and drops those that fail.
    fn each<'a>(
        &mut self,
        lanes: Vec<Lane<'a>>,
        mut work: impl FnMut(&mut Lane<'a>, &mut [Cycle]) -> Result<()>,
    ) -> Vec<Lane<'a>> {
        let mut kept = Vec::new();
        for mut lane in lanes {
            match work(&mut lane, &mut self.cycles) {
                Ok(()) => kept.push(lane),
                Err(error) => self.failures.push((lane.running.variant.name(), format!("{error:#}"))),
            }
        }
        kept
    }
}

impl Lane<'_> {
    fn slice(&mut self, scenario: &Scenario, cycle: usize, cycles: &mut [Cycle]) -> Result<()> {
        let mut before = self.close(cycles)?;
        if matches!(scenario.length, Length::Each(_)) {
            // Slices by time leave out their first moments; these have none to leave out, so one exchange goes
            // ahead: a gateway that was idle while the others had their turn is not in its steady state.
            let plain = self.running.variant.request(&self.running.upstream, &scenario::smallest());
            self.client.run(&Rc::from(plain), Expect::Json, Length::Each(1))?;
            before = self.running.server.processor_time()?;
        }
        let slice = self.client.run(&self.request, scenario.expect, scenario.length)?;
        self.open = Some((cycle, slice.exchanges, before));
        cycles[cycle].insert(self.running.variant.name(), Figures::of(&slice));
        Ok(())
    }

    /// Charges the last slice with all processor time until now, so with what was put off; returns the time now.
    fn close(&mut self, cycles: &mut [Cycle]) -> Result<Duration> {
        let now = self.running.server.processor_time()?;
        if let Some((cycle, exchanges, before)) = self.open.take() {
            let exchanges = f64::from(u32::try_from(exchanges)?);
            let figures =
                cycles[cycle].get_mut(self.running.variant.name()).context("a slice without figures")?;
            figures.cpu = now.saturating_sub(before).as_secs_f64() * 1e6 / exchanges;
        }
        Ok(now)
    }
}
