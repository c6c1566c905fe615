//! Tests of what one ledger object stores: exactly once, summed right, bounded.

use super::sums::{Rollup, Sums};
use super::testing::{Objects, record};
use super::{HOURS_KEPT, ISOLATES_KEPT, MINUTES_KEPT, RECORDS_KEPT, RECORDS_MAX, TABLE_BATCH, TABLE_HOUR};
use super::{TABLE_META, TABLE_MINUTE, TABLE_RECORD};
use crate::account::batch::{BatchAnswer, LedgerMessage, UsageBatches};
use crate::account::record::UsageRecord;
use crate::id::{AccountId, IsolateId};
use crate::object::CallOutcome;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use crate::units::Money;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

/// What may happen between an isolate and the ledger.
#[derive(Clone, Debug)]
enum Step {
    Record {
        who: u64,
        input: u64,
    },
    Wait(u64),
    /// The ledger gets the message with this number (of those on the way), any number of times, in any order.
    Deliver(usize),
    /// The isolate gets the reply with this number.
    Reply(usize),
    /// The isolate hears that the sending with this number failed, whether or not it arrives later.
    Fail(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u64, 0..1_000u64).prop_map(|(who, input)| Step::Record { who, input }),
        3 => (1..4_000u64).prop_map(Step::Wait),
        4 => any::<usize>().prop_map(Step::Deliver),
        2 => any::<usize>().prop_map(Step::Reply),
        1 => any::<usize>().prop_map(Step::Fail),
    ]
}

struct Net {
    objects: Objects,
    isolates: Vec<UsageBatches>,
    /// Every message ever sent, with its isolate: any of them may arrive at any time.
    sent: Vec<(usize, LedgerMessage)>,
    replies: Vec<(usize, u64, Vec<u8>)>,
    now: UnixMillis,
}

impl Net {
    fn new() -> Self {
        // Two isolates of the same shard.
        let isolates = [IsolateId(4), IsolateId(0xffff_ffff_ffff_fffc)].map(UsageBatches::new);
        let now = UnixMillis(1_782_864_000_000 - 3_000);
        Self {
            objects: Objects::default(),
            isolates: isolates.into(),
            sent: Vec::new(),
            replies: Vec::new(),
            now,
        }
    }

    fn send(&mut self) {
        for (index, isolate) in self.isolates.iter_mut().enumerate() {
            while let Some(message) = isolate.poll_message(self.now) {
                self.sent.push((index, message));
            }
        }
    }

    fn deliver(&mut self, which: usize) {
        let Some((isolate, message)) = self.sent.get(which % self.sent.len().max(1)).cloned() else { return };
        let reply = self.objects.call(self.now, &message.object, &message.body);
        self.replies.push((isolate, message.token, reply));
    }

    fn drain(&mut self) {
        while self.isolates.iter().any(|isolate| isolate.due(self.now).is_some()) {
            self.now = self.now.plus(Millis(20_000));
            let before = self.sent.len();
            self.send();
            for index in before..self.sent.len() {
                self.deliver(index);
                let (isolate, token, reply) = self.replies.pop().unwrap();
                self.isolates[isolate].answered(self.now, token, CallOutcome::Answered(&reply));
            }
        }
    }
}

fn summed(records: &[UsageRecord], unit: u64) -> SortedMap<(u64, String), Rollup> {
    let mut sums: SortedMap<_, Rollup> = SortedMap::new();
    for record in records {
        let rollup = sums.entry((record.at.0 / unit * unit, record.deployment.clone())).or_default();
        let currency = record.currency.clone().unwrap_or_default();
        let sum = rollup.0.entry(currency).or_default();
        sum.requests += 1;
        sum.input += record.usage.input;
        sum.cached_input += record.usage.cached_input;
        sum.output += record.usage.output;
        sum.reasoning += record.usage.reasoning;
        sum.cost = Money(sum.cost.0 + record.cost.map_or(0, |cost| cost.0));
        sum.input_cost = Money(sum.input_cost.0 + record.input_cost.map_or(0, |cost| cost.0));
    }
    sums
}

fn stored(objects: &Objects, table: &str) -> SortedMap<(u64, String), Rollup> {
    let rows = objects.rows("default/0", table).into_iter();
    rows.map(|(key, value)| {
        let (start, mut by) = super::sums::parse_key(&key).unwrap();
        let deployment = by.remove(&super::message::Dimension::Deployment).unwrap();
        ((start.0, deployment), serde_json::from_str::<Rollup>(&value).unwrap().used().unwrap())
    })
    .collect()
}

proptest! {
    #[test]
    fn lost_doubled_late_and_reordered_messages_leave_each_record_once(steps in proptest::collection::vec(step(), 1..120)) {
        let account = AccountId::default_account();
        let (mut net, mut records) = (Net::new(), Vec::new());
        for step in steps {
            match step {
                Step::Record { who, input } => {
                    let id = u128::try_from(records.len()).unwrap();
                    let record = record(id, net.now.0, who, input, input / 7);
                    let isolate = usize::try_from(input % 2).unwrap();
                    net.isolates[isolate].push(net.now, &account, &record);
                    records.push(record);
                }
                Step::Wait(millis) => net.now = net.now.plus(Millis(millis)),
                Step::Deliver(which) => net.deliver(which),
                Step::Reply(which) => {
                    let Some((isolate, token, reply)) = net.replies.get(which % net.replies.len().max(1)).cloned() else { continue };
                    net.isolates[isolate].answered(net.now, token, CallOutcome::Answered(&reply));
                }
                Step::Fail(which) => {
                    let Some((isolate, message)) = net.sent.get(which % net.sent.len().max(1)).cloned() else { continue };
                    net.isolates[isolate].answered(net.now, message.token, CallOutcome::Lost);
                }
            }
            net.send();
        }
        net.drain();
        // Everything that was ever sent arrives once more, last first.
        for which in (0..net.sent.len()).rev() {
            net.deliver(which);
        }
        let kept: Vec<UsageRecord> =
            net.objects.rows("default/0", TABLE_RECORD).values().map(|row| serde_json::from_str(row).unwrap()).collect();
        records.sort_by_key(|record| (record.at, record.id));
        prop_assert_eq!(&kept, &records);
        prop_assert_eq!(stored(&net.objects, TABLE_MINUTE), summed(&records, 60_000));
        prop_assert_eq!(stored(&net.objects, TABLE_HOUR), summed(&records, 3_600_000));
        let isolates = net.objects.rows("default/0", TABLE_BATCH);
        prop_assert!(isolates.len() <= 2 && isolates.values().all(|row| row.len() < 200), "{isolates:?}");
        prop_assert!(net.isolates.iter().all(|isolate| isolate.lost() == 0));
        if !records.is_empty() {
            let count = net.objects.rows("default/0", TABLE_META).get("records").cloned();
            prop_assert_eq!(count, Some(format!("{}", records.len())));
        }
    }
}

fn batch(isolate: u64, seq: u64, records: &[UsageRecord]) -> Vec<u8> {
    let records = serde_json::to_string(records).unwrap();
    format!(r#"{{"batch":{{"isolate":"{isolate:016x}","seq":{seq},"floor":{seq},"records":{records}}}}}"#)
        .into_bytes()
}

#[test]
fn a_time_on_an_edge_belongs_to_the_interval_that_it_begins() {
    let mut objects = Objects::default();
    let hour = 1_782_864_000_000;
    let records: Vec<_> = [hour - 1, hour, hour + 59_999, hour + 60_000, hour + 3_599_999, hour + 3_600_000]
        .into_iter()
        .zip(0u128..)
        .map(|(at, id)| record(id, at, 0, 1, 1))
        .collect();
    objects.call(UnixMillis(hour), "default/0", &batch(1, 1, &records));
    let counts = |table| -> Vec<(u64, u64)> {
        stored(&objects, table)
            .into_iter()
            .map(|((start, _), rollup)| (start, rollup.0[""].requests))
            .collect()
    };
    assert_eq!(
        counts(TABLE_MINUTE),
        [(hour - 60_000, 1), (hour, 2), (hour + 60_000, 1), (hour + 3_540_000, 1), (hour + 3_600_000, 1)]
    );
    assert_eq!(counts(TABLE_HOUR), [(hour - 3_600_000, 1), (hour, 4), (hour + 3_600_000, 1)]);
}

#[test]
fn sums_stay_at_the_largest_number_instead_of_wrapping() {
    let mut objects = Objects::default();
    let huge = record(1, u64::MAX, 1, u64::MAX, u64::MAX);
    for seq in 1..=3 {
        let reply = objects.call(UnixMillis(0), "default/0", &batch(1, seq, core::slice::from_ref(&huge)));
        assert_eq!(serde_json::from_slice::<BatchAnswer>(&reply).unwrap().ack, Some(seq));
    }
    let sums = stored(&objects, TABLE_HOUR).into_values().next().unwrap().0["USD"].clone();
    let most = Sums {
        requests: 3,
        input: u64::MAX,
        cached_input: u64::MAX,
        output: u64::MAX,
        reasoning: u64::MAX,
        cost: Money(u64::MAX),
        input_cost: Money(u64::MAX),
        ..Sums::default()
    };
    assert_eq!(Sums { calls: SortedMap::new(), ..sums }, most);
}

#[test]
fn what_cannot_be_read_is_refused_or_counted_and_never_stops_the_rest() {
    let mut objects = Objects::default();
    for body in [
        &b""[..],
        b"{}",
        b"[]",
        b"{\"batch\":{}}",
        b"\xff",
        br#"{"batch":{"isolate":"x","seq":1,"floor":1,"records":[]}}"#,
        br#"{"batch":{"isolate":"000000000000000~","seq":1,"floor":1,"records":[]}}"#,
        br#"{"batch":{"isolate":"0000000000000001","seq":-1,"floor":1,"records":[]}}"#,
        br#"{"usage":{"from":1}}"#,
        br#"{"drop":{}}"#,
    ] {
        let reply = objects.call(UnixMillis(0), "default/0", body);
        let answer: BatchAnswer = serde_json::from_slice(&reply).unwrap();
        assert!(answer.refused.is_some() && answer.ack.is_none(), "{body:?}");
    }
    assert!(objects.rows("default/0", TABLE_BATCH).is_empty());
    let good = serde_json::to_string(&record(1, 5, 1, 1, 1)).unwrap();
    let body = format!(
        r#"{{"batch":{{"isolate":"0000000000000001","seq":1,"floor":9,"records":[{{"id":1}},{good},7]}}}}"#
    );
    let reply = objects.call(UnixMillis(0), "default/0", body.as_bytes());
    assert_eq!(reply, br#"{"ack":1,"unreadable":2}"#);
    assert_eq!(objects.rows("default/0", TABLE_RECORD).len(), 1);
}

#[test]
fn old_rows_go_and_young_ones_stay() {
    let mut objects = Objects::default();
    let start = UnixMillis(1_782_864_000_000);
    let mut store = |now: UnixMillis, isolate, seq| {
        let records = [record(u128::from(now.0), now.0, 0, 1, 1)];
        objects.call(now, "default/0", &batch(isolate, seq, &records));
        [TABLE_BATCH, TABLE_RECORD, TABLE_MINUTE, TABLE_HOUR]
            .map(|table| objects.rows("default/0", table).len())
    };
    assert_eq!(store(start, 9, 1), [1, 1, 1, 1]);
    assert_eq!(store(start.plus(ISOLATES_KEPT), 1, 1), [2, 2, 2, 2]);
    let later = start.plus(MINUTES_KEPT).plus(Millis(3_600_000));
    assert_eq!(store(later, 1, 2), [1, 3, 2, 3], "the first isolate and the first minute are forgotten");
    let later = later.plus(RECORDS_KEPT).plus(Millis(3_600_000));
    assert_eq!(store(later, 1, 3), [1, 1, 1, 4]);
    assert_eq!(
        store(start.plus(HOURS_KEPT).plus(Millis(3_600_001)), 1, 4),
        [1, 1, 1, 4],
        "one came, one went"
    );
}

#[test]
fn only_so_many_records_are_kept_and_the_newest() {
    let mut objects = Objects::default();
    let start = UnixMillis(1_782_864_000_000);
    let mut id = 0u64;
    for seq in 0..RECORDS_MAX / 5_000 + 2 {
        let records: Vec<_> =
            (0..5_000).map(|n| record(u128::from(id + n), start.0 + id + n, 0, 1, 1)).collect();
        id += 5_000;
        objects.call(start, "default/0", &batch(1, seq, &records));
    }
    let rows = objects.rows("default/0", TABLE_RECORD);
    assert_eq!(u64::try_from(rows.len()).unwrap(), RECORDS_MAX);
    assert!(rows.keys().next().unwrap().starts_with(&super::stamp(UnixMillis(start.0 + id - RECORDS_MAX))));
}
