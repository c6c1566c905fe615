//! Why a model stopped: one table of every provider's words.
//!
//! Stage 6. Decides the canonical `finish_reason`; clients take it for a closed set, so no other word ever leaves.
//! Sources: `providers.md` 4.3, 5.2, 6.3, 8.3, 9, 10.

use crate::snapshot::Dialect;

/// Why a choice ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or met a stop sequence.
    #[default]
    Stop,
    /// The tokens allowed, or the context, were used up.
    Length,
    /// It wants tools called.
    ToolCalls,
    /// The provider's own filter ended it.
    ContentFilter,
    /// The provider failed: there is no good answer.
    Failed,
}

impl Finish {
    /// The canonical word. A failure never is an answer; where it must be called something it is a stop.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop | Self::Failed => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// A provider's word and its meaning. Words that are not here mean a stop.
const TABLE: &[(Dialect, &str, Finish)] = &[
    (Dialect::Anthropic, "end_turn", Finish::Stop),
    (Dialect::Anthropic, "stop_sequence", Finish::Stop),
    (Dialect::Anthropic, "pause_turn", Finish::Stop),
    (Dialect::Anthropic, "max_tokens", Finish::Length),
    (Dialect::Anthropic, "model_context_window_exceeded", Finish::Length),
    (Dialect::Anthropic, "tool_use", Finish::ToolCalls),
    (Dialect::Anthropic, "refusal", Finish::ContentFilter),
];

/// What `word` means in `dialect`.
pub fn finish(dialect: Dialect, word: &str) -> Finish {
    let row = TABLE.iter().find(|(of, known, _)| *of == dialect && *known == word);
    row.map_or(Finish::Stop, |(_, _, finish)| *finish)
}
