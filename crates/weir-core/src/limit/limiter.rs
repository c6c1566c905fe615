//! The logic of a Limiter object: the limits of one scope, and the leases granted on them. Decides who is
//! granted what; not what is done with it (`lease`). Stage 4; the module's documentation has the proof.

use super::gcra::Decision;
use super::label;
use super::level::Level;
use super::message::{Answer, MeterAnswer, MeterQuestion, Question, Settled};
use super::quota::Quota;
use crate::object::{Handled, Row, Write};
use crate::snapshot::Meter;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The table with one row a meter.
pub const TABLE: &str = "limit";
/// Leases that may give cells back, a meter. The oldest are forgotten; what they had stays charged.
const LEASES_MAX: usize = 512;
/// How long after its maturity a lease may give cells back: longer than any exchange lasts.
const LEASE_AGE_MAX: Millis = Millis::from_secs(15 * 60);
/// A clock that went back by up to this much is waited for; by more, it is followed.
const CLOCK_STEP_MAX: Millis = Millis::from_secs(5);

/// One scope's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limiter {
    gauges: SortedMap<Meter, Gauge>,
}

/// One limit's state, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gauge {
    /// The numbers that `level` is reckoned in.
    quota: Quota,
    level: Level,
    /// Leases that may give cells back, oldest first.
    leases: VecDeque<Lease>,
    /// The last lease's name.
    last: u64,
}

/// A lease: its name, its maturity, and the cells that it may still give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease(u64, UnixMillis, u64);

/// A stored row that this version cannot read. Starting without it would admit what was used already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored limit {key:?} cannot be read")]
pub struct InvalidRow {
    /// Key of the row.
    pub key: String,
}

impl Limiter {
    /// The limiter that wrote `rows` of [`TABLE`].
    ///
    /// # Errors
    /// [`InvalidRow`] if a row is not this version's.
    pub fn load(rows: &[Row]) -> Result<Self, InvalidRow> {
        let mut gauges = SortedMap::new();
        for row in rows {
            let invalid = || InvalidRow { key: row.key.clone() };
            let meter = [Meter::Requests, Meter::Tokens]
                .into_iter()
                .find(|meter| label(*meter) == row.key)
                .ok_or_else(invalid)?;
            gauges.insert(meter, crate::json::read(&row.value).map_err(|_| invalid())?);
        }
        Ok(Self { gauges })
    }

    /// Answers one message of an isolate. A message that cannot be read changes nothing and is answered with
    /// `{"error":…}`, which the isolate takes for no answer.
    pub fn handle(&mut self, now: UnixMillis, message: &[u8]) -> Handled {
        let Ok(question) = serde_json::from_slice::<Question>(message) else {
            return Handled { reply: br#"{"error":"unreadable message"}"#.to_vec(), writes: Vec::new() };
        };
        let mut rooms = true;
        for ask in &question.meters {
            let gauge = self.gauge(now, ask.meter, ask.quota);
            gauge.settle(&ask.settled, ask.debit);
            rooms &= gauge.level.room(ask.quota, gauge.level.at()) >= ask.least;
        }
        let mut answer = Answer::default();
        let mut writes = Vec::new();
        for ask in &question.meters {
            let Some(gauge) = self.gauges.get_mut(&ask.meter) else { continue };
            let granted = if rooms { gauge.grant(ask) } else { 0 };
            answer.meters.push(MeterAnswer {
                meter: ask.meter,
                lease: gauge.last,
                granted,
                level: gauge.level.clone(),
            });
            writes.push(Write::Put {
                table: TABLE,
                key: label(ask.meter).to_owned(),
                value: serde_json::to_string(gauge).unwrap_or_default(),
            });
        }
        Handled { reply: serde_json::to_vec(&answer).unwrap_or_default(), writes }
    }

    /// The gauge of a meter, brought to `now` and to `quota`.
    fn gauge(&mut self, now: UnixMillis, meter: Meter, quota: Quota) -> &mut Gauge {
        let gauge = self.gauges.entry(meter).or_insert_with(|| Gauge {
            quota,
            level: Level::empty(now),
            leases: VecDeque::new(),
            last: 0,
        });
        gauge.advance(now);
        // While a limit is closed its bucket drains as before; nothing is admitted (`Level::room`).
        if quota != gauge.quota && !quota.is_closed() {
            gauge.level.requote(gauge.quota, quota);
            gauge.quota = quota;
        }
        gauge
    }
}

impl Gauge {
    /// Lets time pass. Leases that mature are added to the fill; what older ones may give back is eroded.
    fn advance(&mut self, now: UnixMillis) {
        let at = self.level.at();
        if at.since(now) > CLOCK_STEP_MAX {
            self.level = self.level.clone().rebased(now);
            for Lease(_, matures, _) in &mut self.leases {
                *matures = now.plus(matures.since(at)).minus(at.since(*matures));
            }
        }
        while let Some(matured) = self.level.mature(self.quota, now) {
            self.erode(matured.at, matured.older);
        }
        let oldest = now.minus(LEASE_AGE_MAX);
        while self.leases.front().is_some_and(|Lease(_, matures, _)| *matures < oldest)
            || self.leases.len() > LEASES_MAX
        {
            self.leases.pop_front();
        }
    }

    /// Forgets, oldest first, what leases that matured before `at` may give back beyond `most` cells.
    fn erode(&mut self, at: UnixMillis, most: u64) {
        let older = self.leases.iter().take_while(|Lease(_, matures, _)| *matures < at);
        let sum = older.fold(0u64, |sum, Lease(_, _, cells)| sum.saturating_add(*cells));
        let mut excess = sum.saturating_sub(most);
        while excess > 0
            && let Some(Lease(_, _, cells)) = self.leases.front_mut()
        {
            let gone = excess.min(*cells);
            *cells = cells.saturating_sub(gone);
            excess = excess.saturating_sub(gone);
            if *cells == 0 {
                self.leases.pop_front();
            }
        }
    }

    fn settle(&mut self, settled: &[Settled], debit: u64) {
        for Settled(lease, back, used) in settled {
            let Ok(at) = self.leases.binary_search_by_key(lease, |Lease(id, _, _)| *id) else { continue };
            let Some(Lease(_, matures, cells)) = self.leases.get_mut(at) else { continue };
            let credit = (*back).min(*cells);
            *cells = cells.saturating_sub(credit).saturating_sub(*used);
            self.level.credit(self.quota, *matures, credit);
            if *cells == 0 {
                self.leases.remove(at);
            }
        }
        if debit > 0 {
            self.level.debit(self.quota, debit);
        }
    }

    /// Grants as much as conforms of what is wanted.
    fn grant(&mut self, ask: &MeterQuestion) -> u64 {
        if ask.quota.is_closed() {
            return 0;
        }
        let cells = ask.want.max(ask.least).min(self.level.room(self.quota, self.level.at()));
        if cells == 0 || !matches!(self.level.decide(self.quota, cells), Decision::Conforms { .. }) {
            return 0;
        }
        let matures = self.level.lease(self.quota, cells);
        self.last = self.last.saturating_add(1);
        self.leases.push_back(Lease(self.last, matures, cells));
        cells
    }
}
