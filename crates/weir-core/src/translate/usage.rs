//! Token counts: one table of where each provider writes them, and the canonical `usage` made of them.
//!
//! Stage 6. Decides what counts are parts of which (`providers.md`, 1.3): some providers count cached input beside the
//! input, some within it, and the same for reasoning; the canonical counts hold everything.

use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::string::String;
use alloc::vec::Vec;

/// A count above it is a fault of the provider and not read.
const COUNT_MAX: u64 = 1_000_000_000;

/// What a count is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Input.
    Input,
    /// Cached input that the provider does not count as input.
    CachedBeside,
    /// Input written to a cache that the provider does not count as input.
    WrittenBeside,
    /// Cached input, which is in the input as well.
    CachedWithin,
    /// Output.
    Output,
    /// Reasoning that the provider does not count as output.
    ReasoningBeside,
    /// Reasoning, which is in the output as well.
    ReasoningWithin,
}

/// Where a provider's `usage` has its counts: paths of member names.
pub type Row = &'static [(&'static str, Of)];

/// `providers.md`, 4.5.
pub const ANTHROPIC: Row = &[
    ("input_tokens", Of::Input),
    ("cache_read_input_tokens", Of::CachedBeside),
    ("cache_creation_input_tokens", Of::WrittenBeside),
    ("output_tokens", Of::Output),
    ("output_tokens_details.thinking_tokens", Of::ReasoningWithin),
];

/// `providers.md`, 5.2. What is billed is something else.
pub const COHERE: Row = &[
    ("tokens.input_tokens", Of::Input),
    ("tokens.output_tokens", Of::Output),
    ("cached_tokens", Of::CachedWithin),
];

/// `providers.md`, 5.4; of `meta`.
pub const COHERE_EMBEDDINGS: Row = &[("billed_units.input_tokens", Of::Input)];

/// `providers.md`, 6.6.
pub const GEMINI: Row = &[
    ("promptTokenCount", Of::Input),
    ("toolUsePromptTokenCount", Of::Input),
    ("cachedContentTokenCount", Of::CachedWithin),
    ("candidatesTokenCount", Of::Output),
    ("thoughtsTokenCount", Of::ReasoningBeside),
];

/// `providers.md`, 7; of one prediction.
pub const VERTEX_EMBEDDINGS: Row = &[("embeddings.statistics.token_count", Of::Input)];

/// `providers.md`, 8.3.
pub const BEDROCK: Row = &[
    ("inputTokens", Of::Input),
    ("cacheReadInputTokens", Of::CachedBeside),
    ("cacheWriteInputTokens", Of::WrittenBeside),
    ("outputTokens", Of::Output),
];

/// `providers.md`, 8.6; of the whole answer.
pub const TITAN: Row = &[("inputTextTokenCount", Of::Input)];

/// The canonical counts, and where Databricks has that of reasoning (`providers.md`, 9 to 12).
pub const NEAR: Row = &[
    ("prompt_tokens", Of::Input),
    ("prompt_tokens_details.cached_tokens", Of::CachedWithin),
    ("completion_tokens", Of::Output),
    ("completion_tokens_details.reasoning_tokens", Of::ReasoningWithin),
    ("reasoning_tokens", Of::ReasoningWithin),
];

/// The counts of an answer, or of a stream whose events tell them again and again: the last of each counts.
#[derive(Clone, Debug)]
pub struct Counts {
    row: Row,
    values: Vec<Option<u64>>,
}

impl Counts {
    /// None yet.
    pub fn new(row: Row) -> Self {
        Self { row, values: row.iter().map(|_| None).collect() }
    }

    /// The counts of one `usage`.
    pub fn of(row: Row, usage: Option<Raw<'_>>) -> Self {
        let mut counts = Self::new(row);
        if let Some(usage) = usage {
            counts.see(usage);
        }
        counts
    }

    /// Takes what `usage` tells.
    pub fn see(&mut self, usage: Raw<'_>) {
        for (value, (path, _)) in self.values.iter_mut().zip(self.row) {
            if let Some(count) = usage.at(path).and_then(|raw| raw.count(COUNT_MAX)) {
                *value = Some(count);
            }
        }
    }

    /// Adds what `usage`, of one of several parts, tells.
    pub fn add(&mut self, usage: Raw<'_>) {
        let more = Self::of(self.row, Some(usage));
        for (value, more) in self.values.iter_mut().zip(more.values) {
            let sum = value.unwrap_or(0).saturating_add(more.unwrap_or(0));
            *value = value.or(more).map(|_| sum);
        }
    }

    fn sum(&self, of: &[Of]) -> u64 {
        let counts = self.values.iter().zip(self.row).filter(|(_, (_, kind))| of.contains(kind));
        counts.filter_map(|(value, _)| *value).fold(0, u64::saturating_add)
    }

    /// The canonical `usage`; `None` if nothing was counted. `output`: whether there can be any.
    pub fn write(&self, output: bool) -> Option<String> {
        self.values.iter().flatten().next()?;
        let input = self.sum(&[Of::Input, Of::CachedBeside, Of::WrittenBeside]);
        let cached = self.sum(&[Of::CachedBeside, Of::CachedWithin]).min(input);
        let written = self.sum(&[Of::WrittenBeside]);
        let out = self.sum(&[Of::Output, Of::ReasoningBeside]);
        let reasoning = self.sum(&[Of::ReasoningBeside, Of::ReasoningWithin]).min(out);
        let mut usage = Object::new().number("prompt_tokens", input);
        if output {
            usage = usage.number("completion_tokens", out);
        }
        usage = usage.number("total_tokens", if output { input.saturating_add(out) } else { input });
        if cached > 0 || written > 0 {
            let mut details = Object::new().number("cached_tokens", cached);
            if written > 0 {
                details = details.number("cache_write_tokens", written);
            }
            usage.put("prompt_tokens_details", &details.end());
        }
        if reasoning > 0 && output {
            usage
                .put("completion_tokens_details", &Object::new().number("reasoning_tokens", reasoning).end());
        }
        Some(usage.end())
    }
}
