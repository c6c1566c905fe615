//! What shall be sent, and when: the answer of a simulated model as data.
//!
//! Decides how an answer is spread over time and where it breaks, by the directives; nothing here sleeps. Whoever
//! performs a script keeps to its delays and ends it as it says.

use super::config::{DELAY_MS_MAX, Hang, SimulatorConfig};
use super::random::mix;
use crate::time::Millis;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// An answer to perform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// From the request to status and headers; [`Script::NEVER`]: they never come.
    pub first_delay: Millis,
    /// The body, in order.
    pub chunks: Vec<Chunk>,
    /// What happens after the last chunk.
    pub end: ScriptEnd,
}

/// A part of a body that is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// From the chunk before, or from the head, to this one.
    pub delay: Millis,
    /// Its bytes; never empty. In a stream: exactly one event.
    pub bytes: Vec<u8>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// Regularly.
    Complete,
    /// The connection breaks.
    Broken,
    /// Not at all: nothing more comes, and nothing tells so.
    Never,
}

impl Script {
    /// A delay that does not end.
    pub const NEVER: Millis = Millis(u64::MAX);

    /// A JSON answer that comes at once.
    pub(super) fn json(status: u16, body: Vec<u8>) -> Self {
        let headers = Vec::from([("content-type", "application/json".to_string())]);
        let chunks = Vec::from([Chunk { delay: Millis(0), bytes: body }]);
        Self { status, headers, first_delay: Millis(0), chunks, end: ScriptEnd::Complete }
    }

    /// An answer whose head never comes.
    pub(super) const fn silence() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            first_delay: Self::NEVER,
            chunks: Vec::new(),
            end: ScriptEnd::Never,
        }
    }
}

/// An event of a stream, before time is added.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// As it is sent.
    pub(super) bytes: Vec<u8>,
    /// Whether the model takes time for it.
    pub(super) timed: bool,
    /// Whether it belongs to the end: finish reasons, usage, terminal event.
    pub(super) ending: bool,
}

/// A stream of `events`, the last of which is the terminal event.
pub(super) fn stream(config: &SimulatorConfig, mut events: Vec<Event>, random: u64) -> Script {
    let mut end = ScriptEnd::Complete;
    if let Some(after) = config.break_after_events {
        let all_but_last = events.len().saturating_sub(1);
        events.truncate(usize::try_from(after).map_or(all_but_last, |after| after.min(all_but_last)));
        end = ScriptEnd::Broken;
    }
    if config.hang == Some(Hang::BeforeEnd) {
        let endless = events.iter().take_while(|event| !event.ending).count();
        events.truncate(endless);
        end = ScriptEnd::Never;
    }
    let mut word = random;
    let mut chunks = Vec::with_capacity(events.len());
    for event in events {
        word = mix(word);
        let delay = if event.timed { config.delay(config.token_ms, word) } else { Millis(0) };
        chunks.push(Chunk { delay, bytes: event.bytes });
    }
    let headers = Vec::from([
        ("content-type", "text/event-stream; charset=utf-8".to_string()),
        ("cache-control", "no-cache".to_string()),
    ]);
    Script {
        status: 200,
        headers,
        first_delay: config.delay(config.first_token_ms, mix(!random)),
        chunks,
        end,
    }
}

/// A plain answer for which the model took `steps` steps of `token_ms` after the first.
pub(super) fn plain(config: &SimulatorConfig, body: Vec<u8>, steps: u64, random: u64) -> Script {
    let mut script = Script::json(200, body);
    let wait = config.first_token_ms.saturating_add(config.token_ms.saturating_mul(steps));
    script.first_delay = config.delay(wait.min(DELAY_MS_MAX), mix(!random));
    let length = script.chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
    let cut = if config.hang == Some(Hang::BeforeEnd) {
        Some((length.saturating_sub(1), ScriptEnd::Never))
    } else {
        config.break_after_events.map(|_| (length / 2, ScriptEnd::Broken))
    };
    if let Some((keep, end)) = cut {
        script.chunks.iter_mut().for_each(|chunk| chunk.bytes.truncate(keep));
        script.end = end;
    }
    script
}
