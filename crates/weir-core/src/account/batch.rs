//! The usage records that an isolate has not yet handed to the ledger: batched, sent, kept until acknowledged.
//!
//! Stage 7. Decides when records leave, under which number, and when they are sent again (`design.md` section 6,
//! promise 2); not what the ledger does with them (`ledger`) and not how a message travels. Every record is sent
//! until the ledger has said that it is stored; the ledger knows a batch by (isolate, seq), so that a batch that
//! arrives twice counts once. What cannot be kept is counted in [`UsageBatches::lost`], never dropped unseen.

use super::record::UsageRecord;
use crate::id::{AccountId, IsolateId};
use crate::object::CallOutcome;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Ledger objects per account. An isolate always writes to the same one.
pub const SHARDS: u64 = 4;
/// How long a record waits for others: the bound on what a killed isolate takes with it, with the journey.
pub const WAIT_MAX: Millis = Millis(50);
/// How long counts of failures wait when no record comes that they could travel with: a flood of refused requests makes
/// one call a second.
pub const FAILED_WAIT_MAX: Millis = Millis(1_000);
/// A batch of so many records leaves at once.
pub const BATCH_RECORDS_MAX: u64 = 200;
/// A batch of so many bytes leaves at once.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// How many records an isolate keeps while the ledger cannot be reached.
pub const HELD_RECORDS_MAX: u64 = 20_000;
/// How many bytes of records an isolate keeps (of its 128 MiB).
pub const HELD_BYTES_MAX: usize = 16 << 20;
/// How long the first answer to a batch may take; each further one twice as long, up to [`DELAY_MAX`].
pub const ANSWER_TIMEOUT: Millis = Millis(2_000);
/// How soon a batch is sent again when its call failed; doubles up to [`DELAY_MAX`].
pub const RETRY_DELAY: Millis = Millis(250);
/// The longest wait before a batch is sent again.
pub const DELAY_MAX: Millis = Millis(16_000);

/// So many records of failed exchanges a batch takes: a flood of refused requests does not fill the ledger.
const FAILURES_MAX: u64 = 20;

/// Batches of one account that are on their way at once; others wait and fill meanwhile.
const ACTIVE: usize = 4;

/// A call to the ledger that is to be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerMessage {
    /// Names this sending; hand it back with the outcome.
    pub token: u64,
    /// The ledger object's name.
    pub object: String,
    /// The message, JSON.
    pub body: Vec<u8>,
}

/// What the ledger answers to a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// The batch with this number is stored (now or earlier).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<u64>,
    /// So many of its records could not be read and are not stored.
    #[serde(default)]
    pub unreadable: u64,
    /// The batch could not be read at all and never will be: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The name of the ledger object of `account` with number `shard` (0..[`SHARDS`]).
pub fn object_name(account: &AccountId, shard: u64) -> String {
    format!("{account}/{shard}")
}

/// Counts by two texts.
type Counts = SortedMap<String, SortedMap<String, u64>>;

/// Counts of exchanges without an answer, among the records of a batch.
#[derive(Serialize)]
struct Unanswered<'a> {
    failed: &'a SortedMap<String, SortedMap<&'static str, u64>>,
    /// By `record::model_key` and `record::CallKind`.
    calls: &'a Counts,
    /// By `record::model_key`, and what a content policy found, the surface before it.
    harms: &'a Counts,
}

/// All records of one isolate that the ledger has not acknowledged.
///
/// Call [`push`](Self::push) with each record, then [`poll_message`](Self::poll_message) until `None`, hand each
/// outcome to [`answered`](Self::answered), and come back at [`due`](Self::due).
#[derive(Debug)]
pub struct UsageBatches {
    isolate: IsolateId,
    next_seq: u64,
    lanes: SortedMap<AccountId, Lane>,
    /// When each lane next has something to send, soonest first.
    wakes: BTreeSet<(UnixMillis, AccountId)>,
    /// Whose each sealed batch is, oldest first.
    owners: SortedMap<u64, AccountId>,
    held: u64,
    held_bytes: usize,
    lost: u64,
}

/// One account's records.
#[derive(Debug, Default)]
struct Lane {
    open: Option<Open>,
    sealed: VecDeque<Batch>,
    wake: Option<UnixMillis>,
}

/// A batch that still fills.
#[derive(Debug)]
struct Open {
    since: UnixMillis,
    records: Vec<u8>,
    count: u64,
    /// Of these, records of failed exchanges.
    failures: u64,
    /// By deployment and word of the error.
    failed: SortedMap<String, SortedMap<&'static str, u64>>,
    calls: Counts,
    harms: Counts,
}

impl Open {
    const fn new(since: UnixMillis) -> Self {
        Self {
            since,
            records: Vec::new(),
            count: 0,
            failures: 0,
            failed: SortedMap::new(),
            calls: SortedMap::new(),
            harms: SortedMap::new(),
        }
    }
}

/// A batch whose content is settled, until it is acknowledged.
#[derive(Debug)]
struct Batch {
    seq: u64,
    records: Vec<u8>,
    count: u64,
    /// How often it was sent.
    tries: u16,
    /// When it is to be sent (again).
    next: UnixMillis,
}

impl UsageBatches {
    /// No records yet.
    pub const fn new(isolate: IsolateId) -> Self {
        Self {
            isolate,
            next_seq: 1,
            lanes: SortedMap::new(),
            wakes: BTreeSet::new(),
            owners: SortedMap::new(),
            held: 0,
            held_bytes: 0,
            lost: 0,
        }
    }

    /// Takes the record of an exchange that is over. If too much is held already, the oldest batch is given up
    /// and counted in [`lost`](Self::lost).
    pub fn push(&mut self, now: UnixMillis, account: &AccountId, record: &UsageRecord) {
        match serde_json::to_vec(record) {
            Ok(text) => self.push_text(now, account, &text),
            Err(_) => self.lost = self.lost.saturating_add(1),
        }
    }

    /// Takes the record of a tracked exchange that failed, if the batch that fills has not too many; all of them are
    /// counted ([`Self::failed`]).
    pub fn push_failure(&mut self, now: UnixMillis, account: &AccountId, record: &UsageRecord) {
        if record.tracked.is_none() {
            return;
        }
        let open = self.lanes.get(account).and_then(|lane| lane.open.as_ref());
        if open.is_some_and(|open| open.failures >= FAILURES_MAX) {
            return;
        }
        self.push(now, account, record);
        if let Some(open) = self.lanes.get_mut(account).and_then(|lane| lane.open.as_mut()) {
            open.failures = open.failures.saturating_add(1);
        }
    }

    /// Takes something else that the ledger stores: its JSON.
    pub fn push_text(&mut self, now: UnixMillis, account: &AccountId, text: &[u8]) {
        while self.held >= HELD_RECORDS_MAX || self.held_bytes.saturating_add(text.len()) > HELD_BYTES_MAX {
            if !self.give_up_oldest() {
                break;
            }
        }
        self.held = self.held.saturating_add(1);
        self.held_bytes = self.held_bytes.saturating_add(text.len()).saturating_add(1);
        let lane = self.lanes.entry(account.clone()).or_default();
        let open = lane.open.get_or_insert_with(|| Open::new(now));
        if open.count == 0 {
            open.since = now;
        }
        open.records.extend_from_slice(text);
        open.records.push(b',');
        open.count = open.count.saturating_add(1);
        if open.count >= BATCH_RECORDS_MAX || open.records.len() >= BATCH_BYTES_MAX {
            self.seal(account, now);
        }
        self.rewake(account);
    }

    /// Counts an exchange of `deployment` that has no answer from a model, under the word of its error. Counts travel
    /// with the records, and are lost with them.
    pub fn failed(&mut self, now: UnixMillis, account: &AccountId, deployment: &str, word: &'static str) {
        let lane = self.lanes.entry(account.clone()).or_default();
        let open = lane.open.get_or_insert_with(|| Open::new(now));
        let of = match open.failed.get_mut(deployment) {
            Some(of) => of,
            None => open.failed.entry(String::from(deployment)).or_default(),
        };
        let count = of.entry(word).or_default();
        *count = count.saturating_add(1);
        self.rewake(account);
    }

    /// Says more of an exchange that [`Self::failed`] has counted: deployment and model, its call
    /// (`record::CallKind`), and what a content policy found, each with the surface before it.
    pub fn unanswered(&mut self, account: &AccountId, model: &str, call: String, harms: Vec<String>) {
        let Some(open) = self.lanes.get_mut(account).and_then(|lane| lane.open.as_mut()) else { return };
        let mut count = |counts: fn(&mut Open) -> &mut Counts, what: String| {
            let counts = counts(open);
            let of = match counts.get_mut(model) {
                Some(of) => of,
                None => counts.entry(String::from(model)).or_default(),
            };
            let many = of.entry(what).or_default();
            *many = many.saturating_add(1);
        };
        count(|open| &mut open.calls, call);
        for harm in harms {
            count(|open| &mut open.harms, harm);
        }
    }

    /// The next batch that is due, or `None`. Drain it after each event.
    pub fn poll_message(&mut self, now: UnixMillis) -> Option<LedgerMessage> {
        let (at, account) = self.wakes.first()?;
        if *at > now {
            return None;
        }
        let account = account.clone();
        let open_is_due =
            self.lanes.get(&account).is_some_and(|lane| lane.open_due().is_some_and(|at| at <= now));
        if open_is_due {
            self.seal(&account, now);
        }
        let shard = self.isolate.0.checked_rem(SHARDS).unwrap_or(0);
        let isolate = self.isolate;
        let message = self.lanes.get_mut(&account).and_then(|lane| {
            let floor = lane.sealed.front()?.seq;
            let batch = lane.sealed.iter_mut().take(ACTIVE).find(|batch| batch.next <= now)?;
            batch.tries = batch.tries.saturating_add(1);
            batch.next = now.plus(doubled(ANSWER_TIMEOUT, batch.tries));
            Some(LedgerMessage {
                token: token(batch.seq, batch.tries),
                object: object_name(&account, shard),
                body: batch.message(isolate, floor),
            })
        });
        self.rewake(&account);
        message
    }

    /// What became of a message. Late answers count as well; an unknown token is ignored.
    pub fn answered(&mut self, now: UnixMillis, sent: u64, outcome: CallOutcome<'_>) {
        let seq = sent >> TRIES_BITS;
        let Some(account) = self.owners.get(&seq).cloned() else { return };
        let answer = match outcome {
            CallOutcome::Answered(body) => serde_json::from_slice::<BatchAnswer>(body).unwrap_or_default(),
            CallOutcome::Lost => BatchAnswer::default(),
        };
        if answer.ack == Some(seq) {
            self.remove(&account, seq);
            self.lost = self.lost.saturating_add(answer.unreadable);
        } else if answer.refused.is_some() {
            let count = self.remove(&account, seq);
            self.lost = self.lost.saturating_add(count);
        } else if let Some(lane) = self.lanes.get_mut(&account) {
            let batch = lane.sealed.iter_mut().find(|batch| token(batch.seq, batch.tries) == sent);
            if let Some(batch) = batch {
                batch.next = now.plus(doubled(RETRY_DELAY, batch.tries));
            }
        }
        self.rewake(&account);
    }

    /// When [`poll_message`](Self::poll_message) next has something: `now` or later. `None`: all is acknowledged.
    pub fn due(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.wakes.first().map(|(at, _)| now.max(*at))
    }

    /// Records that are not acknowledged.
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// Records given up since the isolate began, because too many were held or the ledger refused them. Some of
    /// them may have been stored: it is a bound, never too low.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Settles the content of the batch that fills, and numbers it.
    fn seal(&mut self, account: &AccountId, now: UnixMillis) {
        let Some(lane) = self.lanes.get_mut(account) else { return };
        let Some(mut open) = lane.open.take() else { return };
        if !open.failed.is_empty() {
            let counts = serde_json::to_vec(&Unanswered {
                failed: &open.failed,
                calls: &open.calls,
                harms: &open.harms,
            })
            .unwrap_or_default();
            self.held_bytes = self.held_bytes.saturating_add(counts.len()).saturating_add(1);
            open.records.extend_from_slice(&counts);
            open.records.push(b',');
        }
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        self.owners.insert(seq, account.clone());
        lane.sealed.push_back(Batch { seq, records: open.records, count: open.count, tries: 0, next: now });
    }

    /// Forgets a batch; how many records it had.
    fn remove(&mut self, account: &AccountId, seq: u64) -> u64 {
        self.owners.remove(&seq);
        let Some(lane) = self.lanes.get_mut(account) else { return 0 };
        let Some(at) = lane.sealed.iter().position(|batch| batch.seq == seq) else { return 0 };
        let Some(batch) = lane.sealed.remove(at) else { return 0 };
        self.held = self.held.saturating_sub(batch.count);
        self.held_bytes = self.held_bytes.saturating_sub(batch.records.len());
        batch.count
    }

    /// Gives up the oldest batch; whether there was one.
    fn give_up_oldest(&mut self) -> bool {
        if self.owners.is_empty() {
            let Some((at, account)) = self.wakes.first().cloned() else { return false };
            self.seal(&account, at);
        }
        let Some((&seq, account)) = self.owners.first_key_value() else { return false };
        let account = account.clone();
        let count = self.remove(&account, seq);
        self.lost = self.lost.saturating_add(count);
        self.rewake(&account);
        count > 0
    }

    /// Notes anew when the account's lane has something to send; forgets a lane that is empty.
    fn rewake(&mut self, account: &AccountId) {
        let Some(lane) = self.lanes.get_mut(account) else { return };
        let wake = lane.next();
        if wake == lane.wake && wake.is_some() {
            return;
        }
        if let Some(old) = core::mem::replace(&mut lane.wake, wake) {
            self.wakes.remove(&(old, account.clone()));
        }
        match wake {
            Some(at) => {
                self.wakes.insert((at, account.clone()));
            }
            None => {
                self.lanes.remove(account);
            }
        }
    }
}

impl Lane {
    /// When the batch that fills is to be sealed; `None` while enough others are on their way.
    fn open_due(&self) -> Option<UnixMillis> {
        let open = self.open.as_ref().filter(|_| self.sealed.len() < ACTIVE)?;
        Some(open.since.plus(if open.count == 0 { FAILED_WAIT_MAX } else { WAIT_MAX }))
    }

    fn next(&self) -> Option<UnixMillis> {
        self.sealed.iter().take(ACTIVE).map(|batch| batch.next).chain(self.open_due()).min()
    }
}

impl Batch {
    /// The message: the same records each time. `floor`: every lower number of this account is acknowledged or
    /// given up, so that the ledger may forget them.
    fn message(&self, isolate: IsolateId, floor: u64) -> Vec<u8> {
        let head = format!(
            r#"{{"batch":{{"isolate":"{:016x}","seq":{},"floor":{floor},"records":["#,
            isolate.0, self.seq
        );
        let records = self.records.strip_suffix(b",").unwrap_or(&self.records);
        [head.as_bytes(), records, b"]}}"].concat()
    }
}

/// Bits of a token that count the sendings of one batch.
const TRIES_BITS: u32 = 16;

fn token(seq: u64, tries: u16) -> u64 {
    (seq << TRIES_BITS) | u64::from(tries)
}

/// `first`, doubled for each try after the first, up to [`DELAY_MAX`].
fn doubled(first: Millis, tries: u16) -> Millis {
    let factor = 1u64 << u32::from(tries).saturating_sub(1).min(16);
    Millis(first.0.saturating_mul(factor).min(DELAY_MAX.0))
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
