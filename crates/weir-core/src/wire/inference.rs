//! The request schema of Azure's model inference API: which members it knows, and what each may be.
//!
//! Stage 1. Decides which members are extra (the header `extra-parameters` says what becomes of them) and which
//! value is refused with 422. Source: `azure.md` A5 (chat, and its list of what is no part of the schema), A7
//! (embeddings), A10 (text completions). `stream_options` is accepted although the documents are silent about it.

use super::envelope::{Envelope, unquote};
use super::error::WireError;
use super::rules::{Part, Path, Rule, may, must};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Which body the schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// `/chat/completions`.
    Chat,
    /// `/completions`.
    Completions,
    /// `/embeddings`.
    Embeddings,
    /// `/images/embeddings`.
    ImageEmbeddings,
}

/// What becomes of members that the schema does not know (A4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// The request is refused. What an absent header means.
    Refuse,
    /// They are taken out.
    Drop,
    /// They are passed on.
    PassThrough,
}

impl Extra {
    /// Reads the header `extra-parameters`.
    ///
    /// # Errors
    /// [`WireError::ExtraParameters`] for any other word; the words compare without case.
    pub fn parse(header: Option<&str>) -> Result<Self, WireError> {
        let known = [("error", Self::Refuse), ("drop", Self::Drop), ("pass-through", Self::PassThrough)];
        let Some(word) = header else { return Ok(Self::Refuse) };
        let found = known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, extra)| *extra).ok_or(WireError::ExtraParameters)
    }
}

const FUNCTION: Rule = Rule::Object(&[must("name", &Rule::Name)]);
const TOOL: Rule = Rule::Kind("type", &[("function", &[must("function", &FUNCTION)])]);
const CALLED: Rule = Rule::Object(&[must("name", &Rule::Text), must("arguments", &Rule::Text)]);
const TOOL_CALL: Rule =
    Rule::Kind("type", &[("function", &[must("id", &Rule::Text), must("function", &CALLED)])]);
const TOOL_CHOICE: Rule = Rule::Either(&Rule::Word(&["auto", "none", "required"]), &TOOL);
const JSON_SCHEMA: Rule = Rule::Object(&[
    must("name", &Rule::Name),
    must("schema", &Rule::Map),
    may("description", &Rule::Text),
    may("strict", &Rule::Boolean),
]);
const RESPONSE_FORMAT: Rule = Rule::Kind(
    "type",
    &[("text", &[]), ("json_object", &[]), ("json_schema", &[must("json_schema", &JSON_SCHEMA)])],
);
const IMAGE_URL: Rule =
    Rule::Object(&[must("url", &Rule::Text), may("detail", &Rule::Word(&["auto", "low", "high"]))]);
const AUDIO: Rule = Rule::Object(&[must("data", &Rule::Text), must("format", &Rule::Word(&["wav", "mp3"]))]);
const URL: Rule = Rule::Object(&[must("url", &Rule::Text)]);
const CONTENT_PART: Rule = Rule::Kind(
    "type",
    &[
        ("text", &[must("text", &Rule::Text)]),
        ("image_url", &[must("image_url", &IMAGE_URL)]),
        ("input_audio", &[must("input_audio", &AUDIO)]),
        ("audio_url", &[must("audio_url", &URL)]),
    ],
);
const MESSAGE: Rule = Rule::Kind(
    "role",
    &[
        ("system", &[must("content", &Rule::Text)]),
        ("developer", &[must("content", &Rule::Text)]),
        ("user", &[must("content", &Rule::Either(&Rule::Text, &Rule::List(&CONTENT_PART)))]),
        ("assistant", &[may("content", &Rule::Text), may("tool_calls", &Rule::List(&TOOL_CALL))]),
        ("tool", &[may("content", &Rule::Text), must("tool_call_id", &Rule::Text)]),
    ],
);
const TEXTS: Rule = Rule::Either(&Rule::Text, &Rule::List(&Rule::Text));
const PENALTY: Rule = Rule::Number(-2, 2);

/// A5. The sources disagree on `temperature` (0..1, 0..2): the wider range, and the model's own limit beyond it.
const CHAT: &[Part] = &[
    must("messages", &Rule::List(&MESSAGE)),
    may("model", &Rule::Text),
    may("frequency_penalty", &PENALTY),
    may("presence_penalty", &PENALTY),
    may("temperature", &Rule::Number(0, 2)),
    may("top_p", &Rule::Number(0, 1)),
    may("max_tokens", &Rule::Any),
    may("stream", &Rule::Any),
    may("stream_options", &Rule::Any),
    may("stop", &TEXTS),
    may("seed", &Rule::Integer),
    may("tools", &Rule::List(&TOOL)),
    may("tool_choice", &TOOL_CHOICE),
    may("response_format", &RESPONSE_FORMAT),
    may("modalities", &Rule::List(&Rule::Word(&["text", "audio"]))),
];

/// A10.
const COMPLETIONS: &[Part] = &[
    must("prompt", &TEXTS),
    may("model", &Rule::Text),
    may("stream", &Rule::Any),
    may("stream_options", &Rule::Any),
    may("max_tokens", &Rule::Any),
    may("top_p", &Rule::Number(0, 1)),
    may("temperature", &Rule::Number(0, 2)),
    may("n", &Rule::Any),
    may("stop", &TEXTS),
    may("best_of", &Rule::Any),
    may("logprobs", &Rule::Integer),
    may("presence_penalty", &PENALTY),
    may("frequency_penalty", &PENALTY),
    may("seed", &Rule::Integer),
    may("ignore_eos", &Rule::Boolean),
    may("use_beam_search", &Rule::Boolean),
    may("stop_token_ids", &Rule::List(&Rule::Integer)),
    may("skip_special_tokens", &Rule::Boolean),
];

const FORMATS: Rule = Rule::Word(&["float", "base64", "binary", "int8", "ubinary", "uint8"]);
const INPUT_TYPES: Rule = Rule::Word(&["text", "query", "document"]);

const EMBEDDINGS: &[Part] = &[
    must("input", &TEXTS),
    may("model", &Rule::Text),
    may("dimensions", &Rule::Count),
    may("encoding_format", &FORMATS),
    may("input_type", &INPUT_TYPES),
];

const IMAGE: Rule = Rule::Object(&[must("image", &Rule::Text), may("text", &Rule::Text)]);
const IMAGE_EMBEDDINGS: &[Part] = &[
    must("input", &Rule::List(&IMAGE)),
    may("model", &Rule::Text),
    may("dimensions", &Rule::Count),
    may("encoding_format", &FORMATS),
    may("input_type", &INPUT_TYPES),
];

impl Schema {
    const fn parts(self) -> &'static [Part] {
        match self {
            Self::Chat => CHAT,
            Self::Completions => COMPLETIONS,
            Self::Embeddings => EMBEDDINGS,
            Self::ImageEmbeddings => IMAGE_EMBEDDINGS,
        }
    }

    /// Whether the body is what the API takes. Answers the names of the members to take out: none, unless
    /// `extra` says so. Null stands for absence.
    ///
    /// # Errors
    /// [`WireError::ExtraMembers`] with the names, bounded; [`WireError::NotSupported`] for the first value that
    /// is not what it may be; [`WireError::MissingMember`] for a required member that is null.
    pub fn check(self, envelope: &Envelope<'_>, extra: Extra) -> Result<Vec<String>, WireError> {
        let mut extras: Vec<Cow<'_, str>> = Vec::new();
        for member in &envelope.members {
            let Some(name) = unquote(member.name) else { continue };
            let Some(part) = self.parts().iter().find(|part| part.name == name) else {
                extras.push(name);
                continue;
            };
            if member.value != "null" {
                part.rule.check(member.value, &Path::top(part.name))?;
            } else if part.required {
                return Err(WireError::MissingMember { member: part.name });
            }
        }
        let there = |name: &str| {
            envelope.members.iter().any(|member| unquote(member.name).is_some_and(|known| known == name))
        };
        if let Some(part) = self.parts().iter().find(|part| part.required && !there(part.name)) {
            return Err(WireError::MissingMember { member: part.name });
        }
        match extra {
            _ if extras.is_empty() => Ok(Vec::new()),
            Extra::PassThrough => Ok(Vec::new()),
            Extra::Drop => Ok(extras.into_iter().map(Cow::into_owned).collect()),
            Extra::Refuse => {
                let names: Vec<&str> = extras.iter().map(AsRef::as_ref).collect();
                Err(WireError::ExtraMembers { names: super::error::echo(&names.join(", ")) })
            }
        }
    }
}

#[cfg(test)]
mod tests;
