//! Durable Objects with their storage. An object that restarts keeps its rows and nothing else; a message whose
//! writes were not stored has no answer.

use crate::clock::{Micros, Skew};
use weir_core::control::answer::{Answer, ManagementRequest};
use weir_core::control::probe::Probe;
use weir_core::control::{self, Context, Registry, Settings};
use weir_core::id::AccountId;
use weir_core::ledger::Plan;
use weir_core::ledger::outgoing::{self, Outgoing};
use weir_core::limit::limiter::{self, Limiter};
use weir_core::object::{ObjectKind, Read, Row, Write};
use weir_core::sorted::SortedMap;

/// An object's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    tables: SortedMap<&'static str, SortedMap<String, String>>,
}

impl Rows {
    /// The rows that core wants to see.
    pub fn read(&self, read: &Read) -> Vec<Row> {
        let Some(table) = self.tables.get(read.table).filter(|_| read.from < read.to) else {
            return Vec::new();
        };
        let range = table.range(read.from.clone()..read.to.clone());
        let row = |(key, value): (&String, &String)| Row { key: key.clone(), value: value.clone() };
        let limit = usize::try_from(read.limit).expect("32 bits");
        if read.descending {
            range.rev().take(limit).map(row).collect()
        } else {
            range.take(limit).map(row).collect()
        }
    }

    /// All rows of a table, in key order.
    pub fn all(&self, table: &str) -> Vec<Row> {
        let rows = self.tables.get(table).into_iter().flatten();
        rows.map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect()
    }

    /// Stores what core decided, in one transaction.
    pub fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            write.apply(&mut self.tables);
        }
    }
}

/// All objects of an installation with the one account `default`.
pub struct Objects {
    limiters: SortedMap<String, (Rows, Option<Limiter>)>,
    ledgers: SortedMap<String, Rows>,
    registry_rows: Rows,
    registry: Option<Registry>,
    settings: Settings,
    /// The clock of all objects.
    pub skew: Skew,
    /// The bucket of inference tables, if the installation has one: objects by their keys.
    pub bucket: Option<SortedMap<String, String>>,
}

/// What a management request led to.
pub struct Managed {
    /// The answer to the administrator.
    pub answer: Answer,
    /// To be performed, and reported back.
    pub probes: Vec<Probe>,
    /// Whether rows were written.
    pub wrote: bool,
}

impl Objects {
    /// Objects without rows.
    pub fn new(settings: Settings, skew: Skew) -> Self {
        Self {
            limiters: SortedMap::new(),
            ledgers: SortedMap::new(),
            registry_rows: Rows::default(),
            registry: None,
            settings,
            skew,
            bucket: None,
        }
    }

    /// One message of an isolate. With `crash` the object dies before its writes are stored: no answer.
    pub fn message(
        &mut self,
        at: Micros,
        kind: ObjectKind,
        name: &str,
        body: &[u8],
        random: [u8; 32],
        crash: bool,
    ) -> Option<Vec<u8>> {
        let now = self.skew.read(at);
        match kind {
            ObjectKind::Limiter => {
                let (rows, memory) = self.limiters.entry(name.to_owned()).or_default();
                let load = || Limiter::load(&rows.all(limiter::TABLE)).expect("a limiter reads its own rows");
                let mut limiter = memory.take().unwrap_or_else(load);
                let handled = limiter.handle(now, body);
                if crash {
                    return None;
                }
                rows.write(handled.writes);
                *memory = Some(limiter);
                Some(handled.reply)
            }
            ObjectKind::Ledger => {
                let rows = self.ledgers.entry(name.to_owned()).or_default();
                let plan = Plan::new(now, body, self.bucket.is_some());
                let read: Vec<Vec<Row>> = plan.reads().iter().map(|read| rows.read(read)).collect();
                let handled = plan.handle(&read);
                if crash {
                    return None;
                }
                let noted = outgoing::is_noted(&handled.writes);
                rows.write(handled.writes);
                if noted {
                    self.deliver(name);
                }
                Some(handled.reply)
            }
            ObjectKind::Registry => {
                let handled = self.registry(at, body, random);
                if crash {
                    self.registry = None;
                    return None;
                }
                self.registry_rows.write(handled.writes);
                Some(handled.reply)
            }
        }
    }

    /// Puts what waits in a ledger into the bucket, as its driver does after a batch.
    fn deliver(&mut self, name: &str) {
        let (Some(rows), Some(bucket)) = (self.ledgers.get_mut(name), &mut self.bucket) else { return };
        while let Some(row) = rows.read(&outgoing::oldest()).first() {
            let object = Outgoing::of(row);
            let read: Vec<Vec<Row>> = object.reads().iter().map(|read| rows.read(read)).collect();
            if let Some(body) = object.body(&read) {
                bucket.entry(object.key().to_owned()).or_insert(body);
            }
            rows.write(vec![object.done()]);
        }
    }

    /// A management request, or the outcome of probes, straight to the Registry.
    pub fn manage(&mut self, at: Micros, request: &ManagementRequest, random: [u8; 32]) -> Managed {
        let message = serde_json::json!({ "http": request }).to_string();
        let handled = self.registry(at, message.as_bytes(), random);
        let wrote = !handled.writes.is_empty();
        self.registry_rows.write(handled.writes);
        let answer = serde_json::from_slice(&handled.reply).expect("the Registry answers requests");
        Managed { answer, probes: handled.probes, wrote }
    }

    /// The outcome of probes.
    pub fn probed(&mut self, at: Micros, message: &[u8], random: [u8; 32]) {
        let handled = self.registry(at, message, random);
        self.registry_rows.write(handled.writes);
    }

    /// The Registry's version and what isolates would route by, read from its rows.
    pub fn configuration(&self) -> (u64, String) {
        let snapshot = self.load_registry().snapshot();
        (snapshot.version, serde_json::to_string(&snapshot).expect("a snapshot is JSON"))
    }

    /// The Registry's rows.
    pub const fn registry_rows(&self) -> &Rows {
        &self.registry_rows
    }

    /// Every Ledger object's rows.
    pub fn ledgers(&self) -> impl Iterator<Item = &Rows> {
        self.ledgers.values()
    }

    /// All objects of a kind restart.
    pub fn restart(&mut self, kind: ObjectKind) {
        match kind {
            ObjectKind::Limiter => self.limiters.values_mut().for_each(|(_, memory)| *memory = None),
            ObjectKind::Registry => self.registry = None,
            // A Ledger keeps nothing in memory.
            ObjectKind::Ledger => {}
        }
    }

    fn registry(&mut self, at: Micros, message: &[u8], random: [u8; 32]) -> control::Handled {
        let mut registry = self.registry.take().unwrap_or_else(|| self.load_registry());
        let context = Context { now: self.skew.read(at), random, settings: &self.settings };
        let handled = registry.handle(&context, message);
        self.registry = Some(registry);
        handled
    }

    fn load_registry(&self) -> Registry {
        let tables = control::TABLES.map(|table| (table, self.registry_rows.all(table)));
        Registry::load(AccountId::default_account(), tables).expect("the Registry reads its own rows")
    }
}
