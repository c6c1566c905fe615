//! The ledger: what every exchange of an account used, stored once, summed by minute and by hour, and asked for.
//!
//! Decides what one ledger object stores and answers, and how the answers of an account's objects make the
//! answers of `GET /api/weir/v1/usage` and `GET /api/weir/v1/requests`. Not how records get here
//! (`account::batch`), who may ask (`auth`), or how rows are kept (the drivers). Sources: `design.md`
//! sections 3, 6 (promise 2) and 8 ("Metering", "Requests").
//!
//! An object is stateless between messages. The driver makes a [`Plan`] of each message, gives it the rows that
//! it asks for, stores the writes in one transaction and only then sends the reply. Between reading and writing
//! no other message may be handled.

pub mod answer;
pub mod calendar;
mod calls;
pub mod cost;
mod message;
mod params;
mod payloads;
mod read;
pub(crate) mod render;
mod store;
mod sums;
mod totals;

pub mod endpoint;
pub mod metrics;
pub mod outgoing;
pub mod query;
pub mod requests;
pub mod scrape;
pub(crate) mod tables;

pub mod question;

use crate::object::{Handled, Read, Row};
use crate::time::{Millis, UnixMillis};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use message::{BodiesAsk, Message, Refusal, RequestsAsk, UsageAsk};

/// Which batches of which isolate are stored: one row per isolate.
pub const TABLE_BATCH: &str = "batch";
/// Single values: how many records are kept.
pub const TABLE_META: &str = "meta";
/// The records of single exchanges, by time.
pub const TABLE_RECORD: &str = "record";
/// Sums by minute, by who used what.
pub const TABLE_MINUTE: &str = "minute";
/// Sums by hour, by who used what.
pub const TABLE_HOUR: &str = "hour";
/// Counts since the ledger began, by deployment and model.
pub const TABLE_TOTAL: &str = "total";
/// The records of exchanges whose bodies are logged, by time.
pub const TABLE_PAYLOAD: &str = "payload";
/// The callers' bodies, under the same keys.
pub const TABLE_REQUEST_BODY: &str = "request_body";
/// The answers, under the same keys.
pub const TABLE_RESPONSE_BODY: &str = "response_body";
/// The objects that wait to be put into a bucket, by the time since when.
pub const TABLE_OUTGOING: &str = "outgoing";
/// Every table that the driver must have; each is `key TEXT PRIMARY KEY, value TEXT`.
pub const TABLES: [&str; 10] = [
    TABLE_BATCH,
    TABLE_META,
    TABLE_RECORD,
    TABLE_MINUTE,
    TABLE_HOUR,
    TABLE_TOTAL,
    TABLE_PAYLOAD,
    TABLE_REQUEST_BODY,
    TABLE_RESPONSE_BODY,
    TABLE_OUTGOING,
];

/// How long sums by minute are kept.
pub const MINUTES_KEPT: Millis = Millis::from_secs(7 * 86_400);
/// How long sums by hour are kept.
pub const HOURS_KEPT: Millis = Millis::from_secs(400 * 86_400);
/// How long single records are kept, if they are not too many.
pub const RECORDS_KEPT: Millis = Millis::from_secs(30 * 86_400);
/// How many single records an object keeps (about 60 MB of the 10 GB that an object may have).
pub const RECORDS_MAX: u64 = 100_000;
/// How many logged exchanges an object keeps, with bodies of up to 1 MiB.
pub const PAYLOADS_MAX: u64 = 1_000;
/// How long an isolate that is no longer heard of is remembered. An isolate sends again at least every
/// `account::batch::DELAY_MAX` while it runs, so that nothing of it arrives after this.
pub const ISOLATES_KEPT: Millis = Millis::from_secs(7 * 86_400);

/// One message to a ledger object, understood: what it must be given, and then what it does.
#[derive(Debug)]
pub struct Plan {
    work: Work,
    reads: Vec<Read>,
}

#[derive(Debug)]
enum Work {
    Store(store::Intake),
    Usage(UsageAsk),
    Requests(RequestsAsk),
    Totals,
    Bodies(BodiesAsk),
    Refuse(String),
}

impl Plan {
    /// Understands `message`: a batch of records, or a question of [`query`] or [`requests`]. What cannot be
    /// understood is answered with `{"refused": why}` and changes nothing. `bucket`: logged exchanges are to be put into
    /// one as well ([`outgoing`]).
    pub fn new(now: UnixMillis, message: &[u8], bucket: bool) -> Self {
        let work = match serde_json::from_slice(message) {
            Ok(Message::Batch(batch)) => match store::Intake::new(now, &batch, bucket) {
                Ok(intake) => Work::Store(intake),
                Err(reason) => Work::Refuse(reason.to_string()),
            },
            Ok(Message::Usage(ask)) => Work::Usage(ask),
            Ok(Message::Requests(ask)) => Work::Requests(ask),
            Ok(Message::Totals(_)) => Work::Totals,
            Ok(Message::Bodies(ask)) => Work::Bodies(ask),
            Err(error) => Work::Refuse(error.to_string()),
        };
        let reads = match &work {
            Work::Store(intake) => intake.reads(),
            Work::Usage(ask) => read::usage_reads(ask),
            Work::Requests(ask) => read::requests_reads(ask),
            Work::Totals => read::totals_reads(),
            Work::Bodies(ask) => read::bodies_reads(ask),
            Work::Refuse(_) => Vec::new(),
        };
        Self { work, reads }
    }

    /// The rows that [`handle`](Self::handle) must be given.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// Acts on the message. `rows` has the rows of each of [`reads`](Self::reads), in the same order.
    pub fn handle(self, rows: &[Vec<Row>]) -> Handled {
        match self.work {
            Work::Store(intake) => intake.handle(rows),
            Work::Usage(ask) => read::usage(&ask, rows),
            Work::Requests(ask) => read::requests(&ask, rows),
            Work::Totals => read::totals(rows),
            Work::Bodies(ask) => read::bodies(&ask, rows),
            Work::Refuse(refused) => {
                Handled { reply: message::json(&Refusal { refused }), writes: Vec::new() }
            }
        }
    }
}

/// A refusal in the form of Azure Resource Manager.
fn arm_error(status: u16, code: &str, message: &str) -> answer::Answer {
    let body = serde_json::json!({"error": {"code": code, "message": message}});
    answer::Answer::new(status, "application/json", alloc::format!("{body}"))
}

/// A time as keys have it: milliseconds, 16 digits, so that text order is time order. Later times than these
/// digits hold (the year 318 857) count as the last.
fn stamp(at: UnixMillis) -> String {
    const LAST: u64 = 9_999_999_999_999_999;
    alloc::format!("{:016}", at.0.min(LAST))
}

#[cfg(test)]
mod extension_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
