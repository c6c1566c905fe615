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
    (Dialect::Cohere, "COMPLETE", Finish::Stop),
    (Dialect::Cohere, "STOP_SEQUENCE", Finish::Stop),
    (Dialect::Cohere, "MAX_TOKENS", Finish::Length),
    (Dialect::Cohere, "TOOL_CALL", Finish::ToolCalls),
    (Dialect::Cohere, "ERROR", Finish::Failed),
    (Dialect::Cohere, "TIMEOUT", Finish::Failed),
    (Dialect::Gemini, "STOP", Finish::Stop),
    (Dialect::Gemini, "MAX_TOKENS", Finish::Length),
    (Dialect::Gemini, "SAFETY", Finish::ContentFilter),
    (Dialect::Gemini, "RECITATION", Finish::ContentFilter),
    (Dialect::Gemini, "LANGUAGE", Finish::ContentFilter),
    (Dialect::Gemini, "BLOCKLIST", Finish::ContentFilter),
    (Dialect::Gemini, "PROHIBITED_CONTENT", Finish::ContentFilter),
    (Dialect::Gemini, "SPII", Finish::ContentFilter),
    (Dialect::Gemini, "IMAGE_SAFETY", Finish::ContentFilter),
    (Dialect::Gemini, "IMAGE_PROHIBITED_CONTENT", Finish::ContentFilter),
    (Dialect::Gemini, "IMAGE_RECITATION", Finish::ContentFilter),
    (Dialect::Gemini, "IMAGE_OTHER", Finish::ContentFilter),
    (Dialect::Gemini, "NO_IMAGE", Finish::ContentFilter),
    (Dialect::Gemini, "MODEL_ARMOR", Finish::ContentFilter),
    (Dialect::Gemini, "ESCALATION", Finish::ContentFilter),
    (Dialect::Gemini, "MALFORMED_FUNCTION_CALL", Finish::Failed),
    (Dialect::Gemini, "UNEXPECTED_TOOL_CALL", Finish::Failed),
    (Dialect::Gemini, "TOO_MANY_TOOL_CALLS", Finish::Failed),
    (Dialect::Gemini, "MISSING_THOUGHT_SIGNATURE", Finish::Failed),
    (Dialect::Gemini, "MALFORMED_RESPONSE", Finish::Failed),
    (Dialect::Gemini, "OTHER", Finish::Stop),
    (Dialect::Bedrock, "end_turn", Finish::Stop),
    (Dialect::Bedrock, "stop_sequence", Finish::Stop),
    (Dialect::Bedrock, "max_tokens", Finish::Length),
    (Dialect::Bedrock, "model_context_window_exceeded", Finish::Length),
    (Dialect::Bedrock, "tool_use", Finish::ToolCalls),
    (Dialect::Bedrock, "guardrail_intervened", Finish::ContentFilter),
    (Dialect::Bedrock, "content_filtered", Finish::ContentFilter),
    (Dialect::Bedrock, "malformed_model_output", Finish::Failed),
    (Dialect::Bedrock, "malformed_tool_use", Finish::Failed),
    (Dialect::Mistral, "model_length", Finish::Length),
    (Dialect::Mistral, "error", Finish::Failed),
];

/// The canonical words, which nearly canonical dialects have too. `eos` and the like mean a stop, as any other word.
const CANONICAL: &[(&str, Finish)] = &[
    ("length", Finish::Length),
    ("tool_calls", Finish::ToolCalls),
    ("function_call", Finish::ToolCalls),
    ("content_filter", Finish::ContentFilter),
];

/// What `word` means in `dialect`.
pub fn finish(dialect: Dialect, word: &str) -> Finish {
    let row = TABLE.iter().find(|(of, known, _)| *of == dialect && *known == word);
    let common = || CANONICAL.iter().find(|(known, _)| *known == word).map(|(_, finish)| *finish);
    row.map(|(_, _, finish)| *finish).or_else(common).unwrap_or_default()
}
