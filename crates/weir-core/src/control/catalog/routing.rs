//! `routing` of a catalog entry: how the backends of a model share its traffic, and how long their parts may take.
//!
//! Decides the members and their ranges:
//! `{"affinity":bool,"retry_percent":0..=100,"deadlines":{"first_token_ms","plain_ms","idle_ms","total_ms"}}`, each
//! with the default of `design.md`, section 8. What they mean is `route::select`'s and `attempt`'s.

use super::super::document::{Faults, Members};
use crate::snapshot::Deadlines;
use crate::snapshot::routing::Routing;
use crate::time::Millis;
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
    (routing, deadlines)
}

fn within(members: &Members<'_>, name: &str, least: u64, most: u64, faults: &mut Faults) -> Option<u64> {
    let value = members.integer(name, faults)?;
    if !(least..=most).contains(&value) {
        faults.note(&members.path(name), format!("must be {least} to {most}"));
        return None;
    }
    Some(value)
}
