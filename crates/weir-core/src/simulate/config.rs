//! The directives of a simulated model: how it answers, how slowly, and how it goes wrong.
//!
//! Decides what may be directed and in which ranges; not what the answers look like (its siblings). The table
//! of all directives is in [`super`].

use crate::time::{Millis, UnixMillis};
use alloc::string::String;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest reply template, in bytes.
pub const REPLY_BYTES_MAX: u32 = 65_536;
/// Longest delay of any kind: ten minutes, the longest that an exchange may take.
pub const DELAY_MS_MAX: u64 = 600_000;
/// Most tokens that one answer has, all its choices together: with more, each choice ends with `length`.
pub const OUTPUT_TOKENS_MAX: u32 = 16_384;
/// Most numbers of an embedding.
pub const DIMENSIONS_MAX: u32 = 4_096;

/// Directives of a simulated model. All have a default; when it is read, unknown ones and those outside their
/// range are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct SimulatorConfig {
    /// Text of the reply, with placeholders; 1..=65536 bytes. Absent: a text that repeats the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Makes every reply exactly this many tokens long, by repeating or cutting it; 1..=16384. `stop` and the
    /// caller's bound still hold. Not for tool calls and JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_tokens: Option<u32>,
    /// Tokens in one event of a stream; 1..=1000. Absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_tokens: Option<u32>,
    /// Which usage is told.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: UsageReport,
    /// Numbers of an embedding when the caller asks for no other number; 1..=4096. Absent: 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Tokens that a prompt may have; more are refused with `context_length_exceeded`. Absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Delay before the answer's head; 0..=600000 ms.
    #[serde(skip_serializing_if = "is_default")]
    pub first_token_ms: u64,
    /// Delay before each further event of a stream; a plain answer waits for the sum. 0..=600000 ms.
    #[serde(skip_serializing_if = "is_default")]
    pub token_ms: u64,
    /// How far each delay may lie from what is directed, by chance: up to so many percent above or below; 0..=100.
    #[serde(skip_serializing_if = "is_default")]
    pub jitter_percent: u32,
    /// Answers with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail: Option<Fail>,
    /// Answers that its rate limit is exceeded (429 `rate_limit_exceeded`); looked at before `fail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Breaks the connection off after so many events of a stream (at the latest before the terminal event), or
    /// after half of a plain answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_after_events: Option<u32>,
    /// Falls silent for ever, at the given point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang: Option<Hang>,
    /// Answers 200 with something that is neither JSON nor a stream of events.
    #[serde(skip_serializing_if = "is_default")]
    pub garbage: bool,
}

/// Which usage a simulated model tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// As the dialect has it: in a plain answer, and at the end of a stream if the caller asked for it.
    #[default]
    Report,
    /// Never: for trying what is done without it.
    Omit,
    /// In a stream on every event, cumulated, as foundation models of Databricks do (`databricks.md` 10.5).
    EveryEvent,
}

/// Where a simulated model falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hang {
    /// Nothing is ever answered, not even the head.
    BeforeAnswer,
    /// Everything comes but the end: the last events of a stream, the last byte of a plain answer.
    BeforeEnd,
}

/// When a fault strikes. Both conditions must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// By chance, in so many of hundred exchanges; 0..=100. Absent: in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// By chance, in one of so many exchanges; 1 or more. Absent: in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_in: Option<u32>,
    /// By the clock. Absent: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
}

/// A part of the time: the first `for_ms` of every `every_ms`, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Period; 1 or more ms.
    pub every_ms: u64,
    /// Length; 0..=`every_ms` ms.
    pub for_ms: u64,
}

/// An error that the simulated model answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// HTTP status; 400..=599.
    pub status: u16,
    /// Text of `error.message`, at most 1024 bytes. Absent: one that names the simulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Text of `error.code`, at most 64 bytes. Absent: null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Header `retry-after`, 0..=86400 s. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// When it fails. Absent: always.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when: When,
}

/// The answer of a model whose rate limit is exceeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Header `retry-after`, 0..=86400 s. Absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// When it is exceeded. Absent: always.
    #[serde(skip_serializing_if = "is_default")]
    pub when: When,
}

/// A directive outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member} must be {rule}")]
pub struct InvalidDirective {
    /// The directive, e.g. `fail.status`.
    pub member: &'static str,
    /// What it must be, e.g. `400..=599`.
    pub rule: &'static str,
}

// `remote = "Self"` makes the derived functions inherent ones, so that reading can check the ranges as well.
impl Serialize for SimulatorConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for SimulatorConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Self::deserialize(deserializer)?;
        config.check().map_err(D::Error::custom)?;
        Ok(config)
    }
}

impl SimulatorConfig {
    /// Checks all ranges; reading a configuration does it too.
    ///
    /// # Errors
    /// The first directive outside its range.
    pub fn check(&self) -> Result<(), InvalidDirective> {
        let wrong = |member, rule| Err(InvalidDirective { member, rule });
        let within = |value: Option<u32>, max: u32| value.is_none_or(|value| (1..=max).contains(&value));
        let text = |text: &Option<String>, max: u32| {
            text.as_ref().is_none_or(|text| u32::try_from(text.len()).is_ok_and(|length| length <= max))
        };
        if !text(&self.reply, REPLY_BYTES_MAX) || self.reply.as_ref().is_some_and(String::is_empty) {
            return wrong("reply", "1..=65536 bytes");
        }
        if !within(self.reply_tokens, OUTPUT_TOKENS_MAX) {
            return wrong("reply_tokens", "1..=16384");
        }
        if !within(self.chunk_tokens, 1000) {
            return wrong("chunk_tokens", "1..=1000");
        }
        if !within(self.dimensions, DIMENSIONS_MAX) {
            return wrong("dimensions", "1..=4096");
        }
        if self.first_token_ms > DELAY_MS_MAX {
            return wrong("first_token_ms", "0..=600000");
        }
        if self.token_ms > DELAY_MS_MAX {
            return wrong("token_ms", "0..=600000");
        }
        if self.jitter_percent > 100 {
            return wrong("jitter_percent", "0..=100");
        }
        if let Some(fail) = &self.fail {
            if !(400..=599).contains(&fail.status) {
                return wrong("fail.status", "400..=599");
            }
            if !text(&fail.message, 1024) {
                return wrong("fail.message", "at most 1024 bytes");
            }
            if !text(&fail.code, 64) {
                return wrong("fail.code", "at most 64 bytes");
            }
            if fail.retry_after_s.is_some_and(|seconds| seconds > 86_400) {
                return wrong("fail.retry_after_s", "0..=86400");
            }
        }
        if self
            .rate_limit
            .as_ref()
            .and_then(|limit| limit.retry_after_s)
            .is_some_and(|seconds| seconds > 86_400)
        {
            return wrong("rate_limit.retry_after_s", "0..=86400");
        }
        let whens =
            [self.fail.as_ref().map(|fail| fail.when), self.rate_limit.as_ref().map(|limit| limit.when)];
        whens.into_iter().flatten().try_for_each(When::check)
    }
}

impl When {
    fn check(self) -> Result<(), InvalidDirective> {
        let wrong = |member, rule| Err(InvalidDirective { member, rule });
        if self.percent.is_some_and(|percent| percent > 100) {
            return wrong("when.percent", "0..=100");
        }
        if self.one_in == Some(0) {
            return wrong("when.one_in", "1 or more");
        }
        if self.outage.is_some_and(|outage| outage.every_ms == 0 || outage.for_ms > outage.every_ms) {
            return wrong("when.outage", "for_ms within every_ms, and every_ms 1 or more");
        }
        Ok(())
    }

    /// Whether the fault strikes at `now`; `random` is the exchange's random word, mixed for this fault.
    pub(super) fn strikes(self, now: UnixMillis, random: u64) -> bool {
        let by_percent = self.percent.is_none_or(|percent| random % 100 < u64::from(percent));
        let by_count =
            self.one_in.is_none_or(|one_in| (random >> 32).checked_rem(u64::from(one_in)) == Some(0));
        let by_clock = self
            .outage
            .is_none_or(|outage| now.0.checked_rem(outage.every_ms).is_some_and(|into| into < outage.for_ms));
        by_percent && by_count && by_clock
    }
}

impl SimulatorConfig {
    /// Tokens in one event of a stream.
    pub(super) fn chunk_tokens(&self) -> u32 {
        self.chunk_tokens.unwrap_or(1).max(1)
    }

    /// `ms` with the directed jitter, never beyond the longest delay.
    pub(super) fn delay(&self, ms: u64, random: u64) -> Millis {
        let ms = ms.min(DELAY_MS_MAX);
        let spread = ms.saturating_mul(u64::from(self.jitter_percent.min(100))) / 100;
        let width = spread.saturating_mul(2).saturating_add(1);
        let offset = random.checked_rem(width).unwrap_or(0);
        Millis(ms.saturating_sub(spread).saturating_add(offset).min(DELAY_MS_MAX))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn directives_are_read_or_refused_with_the_member() {
        let rows: [(&str, Result<(), &str>); 14] = [
            ("{}", Ok(())),
            (r#"{"reply":"hi","reply_tokens":16384,"token_ms":600000,"usage":"every_event"}"#, Ok(())),
            (r#"{"fail":{"status":503,"when":{"percent":20,"outage":{"every_ms":9,"for_ms":9}}}}"#, Ok(())),
            (r#"{"rate_limit":{},"hang":"before_end","break_after_events":0,"garbage":true}"#, Ok(())),
            (r#"{"delay":1}"#, Err("unknown field `delay`")),
            (r#"{"fail":{"status":503,"every":2}}"#, Err("unknown field `every`")),
            (r#"{"fail":{}}"#, Err("missing field `status`")),
            (r#"{"reply":""}"#, Err("reply must be 1..=65536 bytes")),
            (r#"{"reply_tokens":0}"#, Err("reply_tokens must be 1..=16384")),
            (r#"{"dimensions":4097}"#, Err("dimensions must be 1..=4096")),
            (r#"{"jitter_percent":101}"#, Err("jitter_percent must be 0..=100")),
            (r#"{"fail":{"status":200}}"#, Err("fail.status must be 400..=599")),
            (r#"{"fail":{"status":500,"when":{"percent":101}}}"#, Err("when.percent must be 0..=100")),
            (r#"{"rate_limit":{"when":{"one_in":0}}}"#, Err("when.one_in must be 1 or more")),
        ];
        for (text, wanted) in rows {
            let got = serde_json::from_str::<SimulatorConfig>(text).map_err(|error| error.to_string());
            match wanted {
                Ok(()) => assert!(got.is_ok(), "{text}: {got:?}"),
                Err(part) => assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_configuration_survives_being_stored() {
        for text in
            ["{}", r#"{"reply":"x","fail":{"status":500,"when":{"one_in":3}},"hang":"before_answer"}"#]
        {
            let config: SimulatorConfig = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&config).unwrap(), text);
        }
    }

    #[test]
    fn faults_strike_by_chance_and_by_the_clock() {
        let outage = Some(Outage { every_ms: 100, for_ms: 10 });
        let rows = [
            (When::default(), 5, 0, true),
            (When { percent: Some(20), ..When::default() }, 5, 119, true),
            (When { percent: Some(20), ..When::default() }, 5, 120, false),
            (When { percent: Some(0), ..When::default() }, 5, 0, false),
            (When { one_in: Some(3), ..When::default() }, 5, 3 << 32, true),
            (When { one_in: Some(3), ..When::default() }, 5, 4 << 32, false),
            (When { outage, ..When::default() }, 309, 0, true),
            (When { outage, ..When::default() }, 310, 0, false),
        ];
        for (when, now, random, wanted) in rows {
            assert_eq!(when.strikes(UnixMillis(now), random), wanted, "{when:?} at {now}, {random}");
        }
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let config = SimulatorConfig { jitter_percent: 10, ..SimulatorConfig::default() };
        for (random, wanted) in [(0, 90), (10, 100), (20, 110), (21, 90)] {
            assert_eq!(config.delay(100, random), Millis(wanted));
        }
    }
}
