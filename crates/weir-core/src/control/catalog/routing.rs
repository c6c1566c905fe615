//! `routing` of a catalog entry: how the backends of a model share its traffic, and how long their parts may take.
//!
//! Decides the members and their ranges:
//! `{"affinity":bool,"retry_percent":0..=100,"deadlines":{"first_token_ms","plain_ms","idle_ms","total_ms"},
//! "hedge":{"after_ms" | "after_percentile":50..=99,"max_percent":1..=100}}`, each with the default of `design.md`,
//! section 8; a `hedge` that is not there is none, one without a delay has the 95th percentile, and 2 % are its cap. What they mean is `route::select`'s and `attempt`'s.

use super::super::document::{Faults, Members};
use crate::snapshot::Deadlines;
use crate::snapshot::routing::{Hedge, Routing};
use crate::time::Millis;
use alloc::borrow::ToOwned;
use alloc::format;

/// The longest that any part of an exchange may take: 15 minutes, as long as an isolate remembers it.
const LONGEST_MS: u64 = 900_000;

/// Reads the members; every fault is noted.
pub(super) fn read(entry: &Members<'_>, faults: &mut Faults) -> (Routing, Deadlines) {
    let (mut routing, mut deadlines) = (Routing::default(), Deadlines::default());
    let Some(members) = entry.members("routing", faults) else { return (routing, deadlines) };
    if let Some(affinity) = members.boolean("affinity", faults) {
        routing.affinity = affinity;
    }
    if let Some(percent) = within(&members, "retry_percent", 0, 100, faults) {
        routing.retry_percent = u32::try_from(percent).unwrap_or(100);
    }
    if let Some(given) = members.members("deadlines", faults) {
        let parts = [
            ("first_token_ms", &mut deadlines.first_event),
            ("plain_ms", &mut deadlines.plain),
            ("idle_ms", &mut deadlines.idle),
            ("total_ms", &mut deadlines.total),
        ];
        for (name, part) in parts {
            if let Some(ms) = within(&given, name, 1, LONGEST_MS, faults) {
                *part = Millis(ms);
            }
        }
    }
    routing.hedge = hedge(&members, faults);
    (routing, deadlines)
}

fn hedge(routing: &Members<'_>, faults: &mut Faults) -> Option<Hedge> {
    let members = routing.members("hedge", faults)?;
    let after_ms = within(&members, "after_ms", 20, LONGEST_MS, faults);
    let given = within(&members, "after_percentile", 50, 99, faults);
    if after_ms.is_some() && given.is_some() {
        faults.note(&members.path("after_percentile"), "must not stand beside after_ms".to_owned());
    }
    let percent =
        |given: Option<u64>, default| given.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
    let max_percent = within(&members, "max_percent", 1, 100, faults);
    Some(Hedge { after_ms, after_percentile: percent(given, 95), max_percent: percent(max_percent, 2) })
}

fn within(members: &Members<'_>, name: &str, least: u64, most: u64, faults: &mut Faults) -> Option<u64> {
    let value = members.integer(name, faults)?;
    if !(least..=most).contains(&value) {
        faults.note(&members.path(name), format!("must be {least} to {most}"));
        return None;
    }
    Some(value)
}
