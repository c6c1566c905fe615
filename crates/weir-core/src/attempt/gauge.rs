//! The numbers of one served entity.
//!
//! Stage 5. Time is measured as models spend it: to the first token, and for each token after it. A failure measures
//! nothing, so that an upstream that is quick to say no draws no traffic; it costs: for a while the entity is never
//! expected to be quicker than [`PENALTY`], and the expected time grows with the share of failures. [`IN_A_ROW`]
//! failures set an entity aside, for [`ASIDE_MIN`] at first and twice as long each time, up to [`ASIDE_MAX`]. After
//! that one call finds out; if it is good the entity's traffic grows from little to all within [`SLOW_START`]. An
//! upstream that says when it wants to be called again is not called before.

use crate::route::select::{FULL, Fitness};
use crate::time::{Millis, UnixMillis};

/// Failures in a row that set an entity aside.
const IN_A_ROW: u32 = 3;
/// As many do, if it was never heard to answer.
const IN_A_ROW_UNKNOWN: u32 = 2;
/// How long an entity is set aside at first.
const ASIDE_MIN: Millis = Millis(2_000);
/// No entity is set aside for longer, whatever it asks for.
pub(super) const ASIDE_MAX: Millis = Millis(60_000);
/// From the first good answer to all of its traffic.
const SLOW_START: Millis = Millis(10_000);
/// One that went well for so long after it came back is as good as new.
const FORGIVEN_AFTER: Millis = Millis(60_000);
/// A call that finds out whether an entity is back has so long before another may.
const PROBE_LOST_AFTER: Millis = Millis(30_000);
/// How long it takes until others have heard what one found out.
const HEARD_AFTER: Millis = Millis(4_000);
/// How long a failure is held against an entity as time, each further one in a row twice as long; the share of failures
/// halves as often.
const PENALTY_FOR: Millis = Millis(10_000);
/// The least time that an entity is expected to take after a failure, in microseconds.
const PENALTY: u64 = 5_000_000;
/// What was measured longer ago is no longer known.
const STALE_AFTER: Millis = Millis(60_000);
/// Tokens of the answer that an expected time is of.
const TOKENS: u64 = 100;
/// Tokens that cost about as much as the first does, where only whole answers were seen.
const FIRST_AS_TOKENS: u64 = 20;
/// So many calls under way double what the next one is expected to take.
const CALM: u64 = 8;
/// All calls fail.
const ALWAYS: u32 = 1_024;

/// One entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge {
    /// Expected microseconds to the first token.
    first: Option<u64>,
    /// Expected microseconds for each token after it.
    per_token: Option<u64>,
    /// When either was measured last, here.
    sampled_at: UnixMillis,
    /// When either was told by others.
    told_at: UnixMillis,
    /// The share of failures, of [`ALWAYS`], as of `failed_at`.
    failures: u32,
    in_a_row: u32,
    failed_at: UnixMillis,
    /// Calls under way; those of them that have not spoken yet, and since when there were some.
    pending: u32,
    silent: u32,
    silent_since: UnixMillis,
    /// Until when it is set aside; after that, somebody must find out.
    aside_until: Option<UnixMillis>,
    /// When somebody set out to find out.
    probed_at: Option<UnixMillis>,
    /// How often it was set aside lately.
    times: u32,
    /// When it came back.
    back_at: Option<UnixMillis>,
    /// It asked not to be called before.
    rest_until: UnixMillis,
    /// Others set it aside until then; after that, somebody must find out.
    told_until: Option<UnixMillis>,
}

/// What one isolate tells others of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Microseconds to the first token.
    pub(super) first: u64,
    /// Microseconds for each further token.
    pub(super) per_token: u64,
    /// It is not to be called for so long.
    pub(super) out: Millis,
}

impl Gauge {
    pub(super) fn fitness(&self, now: UnixMillis) -> Fitness {
        let asking = self.probed_at.is_some_and(|at| now.since(at) < PROBE_LOST_AFTER);
        let until = self.until();
        let aside = until.is_some_and(|until| now < until || asking);
        let out = aside || now < self.rest_until;
        let probe = until.is_some() && !out;
        let ramp = self.back_at.map_or(FULL, |back| {
            let grown = now.since(back).0.saturating_mul(u64::from(FULL)).checked_div(SLOW_START.0);
            // Something from the start, or nothing would ever be learnt.
            u32::try_from(grown.unwrap_or(0)).unwrap_or(FULL).clamp(8, FULL)
        });
        Fitness { load: self.load(now), pending: self.pending, out, probe, ramp }
    }

    /// Until when it is set aside, by whomever.
    fn until(&self) -> Option<UnixMillis> {
        self.aside_until.max(self.told_until)
    }

    /// Expected microseconds of an answer, with what is under way; `None` if nothing was measured lately.
    fn load(&self, now: UnixMillis) -> Option<u64> {
        let fresh = now.since(self.sampled_at.max(self.told_at)) < STALE_AFTER;
        let measured = self
            .first
            .filter(|_| fresh)
            .map(|first| first.saturating_add(self.per_token.unwrap_or(0).saturating_mul(TOKENS)));
        // A call that has been silent for long is a measurement already.
        let silence = if self.silent > 0 { micros(now.since(self.silent_since)) } else { 0 };
        let span = PENALTY_FOR.0 << self.in_a_row.saturating_sub(1).min(3);
        let penalised = self.in_a_row > 0 && now.since(self.failed_at).0 < span;
        let base = match measured {
            Some(measured) => measured.max(silence),
            None if silence > 1_000_000 => silence,
            None if penalised => PENALTY,
            None => return None,
        };
        // Providers answer many at once: what is under way there slows the next one only so much.
        let busy = base.saturating_mul(u64::from(self.pending).saturating_add(CALM)) / CALM;
        let good = u64::from(ALWAYS.saturating_sub(self.failing(now)).max(64));
        let all = u64::from(ALWAYS);
        let scaled = |load: u64| load.saturating_mul(all).checked_div(good).unwrap_or(load);
        let load = scaled(scaled(busy));
        Some(if penalised { load.max(PENALTY) } else { load })
    }

    /// The share of failures by now: it halves with time.
    fn failing(&self, now: UnixMillis) -> u32 {
        let halvings = now.since(self.failed_at).0.checked_div(PENALTY_FOR.0).unwrap_or(0).min(31);
        self.failures >> halvings
    }

    pub(super) fn began(&mut self, now: UnixMillis) {
        if self.until().is_some() {
            self.probed_at = Some(now);
        }
        if self.silent == 0 {
            self.silent_since = now;
        }
        self.pending = self.pending.saturating_add(1);
        self.silent = self.silent.saturating_add(1);
    }

    pub(super) fn spoke(&mut self, now: UnixMillis, took: Millis) {
        self.heard(now);
        self.first = Some(blend(self.first, micros(took)));
        self.good(now);
    }

    pub(super) fn streamed(&mut self, span: Millis, tokens: u64) {
        self.pending = self.pending.saturating_sub(1);
        // A few tokens tell more of the network than of the model.
        if tokens >= 8
            && let Some(each) = micros(span).checked_div(tokens)
        {
            self.per_token = Some(blend(self.per_token, each));
        }
    }

    pub(super) fn answered(&mut self, now: UnixMillis, took: Millis, tokens: u64) {
        self.heard(now);
        self.pending = self.pending.saturating_sub(1);
        self.whole(micros(took), tokens);
        self.good(now);
    }

    pub(super) fn released(&mut self, now: UnixMillis, spoke: bool) {
        if !spoke {
            self.heard(now);
        }
        self.pending = self.pending.saturating_sub(1);
        self.probed_at = None;
    }

    /// Nobody knows how long it would have taken; twice as long is a guess that keeps traffic away.
    pub(super) fn overtaken(&mut self, now: UnixMillis, took: Millis) {
        self.first = Some(blend(self.first, micros(took).saturating_mul(2)));
        self.sampled_at = now;
        self.released(now, false);
    }

    pub(super) fn failed(&mut self, now: UnixMillis, spoke: bool) {
        if !spoke {
            self.heard(now);
        }
        self.pending = self.pending.saturating_sub(1);
        let failing = self.failing(now);
        self.failures = failing.saturating_add(ALWAYS.saturating_sub(failing) / 4);
        self.failed_at = now;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let probed = match self.until() {
            // Calls that began before it was set aside tell nothing new.
            Some(until) if now < until => return,
            Some(_) => true,
            None => false,
        };
        let enough = if self.first.is_none() { IN_A_ROW_UNKNOWN } else { IN_A_ROW };
        if probed || self.in_a_row >= enough {
            let span = ASIDE_MIN.0.saturating_mul(1u64 << self.times.min(16)).min(ASIDE_MAX.0);
            self.times = self.times.saturating_add(1);
            self.aside_until = Some(now.plus(Millis(span)));
            (self.probed_at, self.back_at, self.told_until) = (None, None, None);
        }
    }

    pub(super) fn rest(&mut self, until: UnixMillis) {
        self.rest_until = self.rest_until.max(until);
    }

    pub(super) fn is_idle(&self, now: UnixMillis, span: Millis) -> bool {
        let last = self.sampled_at.max(self.failed_at).max(self.silent_since);
        now.since(last) >= span
    }

    /// What others may know, if something was learnt since `since`.
    pub(super) fn report(&self, now: UnixMillis, since: UnixMillis) -> Option<Report> {
        let news = self.sampled_at.max(self.failed_at) >= since;
        let aside = self.aside_until.unwrap_or_default().max(self.rest_until);
        let (first, per_token) = (self.first.unwrap_or(0), self.per_token.unwrap_or(0));
        let report = Report { first, per_token, out: aside.since(now) };
        (news || report.out.0 > 0).then_some(report)
    }

    /// What others know. It stands where no good answer came here since `since`.
    pub(super) fn adopt(&mut self, now: UnixMillis, since: UnixMillis, report: Report) {
        if self.sampled_at < since && report.first > 0 {
            self.first = Some(report.first);
            self.per_token = Some(report.per_token).filter(|each| *each > 0).or(self.per_token);
            self.told_at = now;
        }
        if report.out.0 > 0 && self.sampled_at < since {
            let until = now.plus(report.out.min(ASIDE_MAX));
            // Who set it aside finds out; the others hear of it, and go there themselves only if they do not.
            if until > self.aside_until.unwrap_or_default() {
                self.told_until = self.told_until.max(Some(until.plus(HEARD_AFTER)));
            }
        }
    }

    /// One of the silent calls is not silent any more.
    fn heard(&mut self, now: UnixMillis) {
        self.silent = self.silent.saturating_sub(1);
        self.silent_since = now;
    }

    fn good(&mut self, now: UnixMillis) {
        self.sampled_at = now;
        self.in_a_row = 0;
        self.failures = self.failing(now);
        self.failures = self.failures.saturating_sub(self.failures.div_ceil(8));
        self.failed_at = self.failed_at.max(now.minus(PENALTY_FOR));
        match self.until() {
            // One that began before it was set aside.
            Some(until) if now < until => {}
            Some(_) => {
                (self.aside_until, self.told_until, self.probed_at) = (None, None, None);
                self.back_at = Some(now);
            }
            None => {}
        }
        if self.back_at.is_some_and(|back| now.since(back) >= FORGIVEN_AFTER) {
            (self.back_at, self.times) = (None, 0);
        }
    }

    /// Splits the time of a whole answer as the time of others was split.
    fn whole(&mut self, took: u64, tokens: u64) {
        let (first, each) = match (self.first, self.per_token) {
            (Some(first), Some(each)) if first.saturating_add(each) > 0 => (first, each),
            _ => (FIRST_AS_TOKENS, 1),
        };
        let expected = first.saturating_add(each.saturating_mul(tokens)).max(1);
        let part = |of: u64| of.saturating_mul(took).checked_div(expected).unwrap_or(0);
        self.first = Some(blend(self.first, part(first)));
        self.per_token = Some(blend(self.per_token, part(each)));
    }
}

/// The moving average with one more sample: quick to rise, slow to fall.
fn blend(old: Option<u64>, sample: u64) -> u64 {
    let Some(old) = old else { return sample };
    if sample > old {
        old.saturating_add(sample) / 2
    } else {
        old.saturating_mul(3).saturating_add(sample) / 4
    }
}

const fn micros(span: Millis) -> u64 {
    span.0.saturating_mul(1_000)
}
