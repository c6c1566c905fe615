//! Routes of the Gemini API: a model's name and what is asked of it in one segment, `…/models/{name}:generateContent`.
//!
//! Stage 0. Decides which of its methods are passed through; the name is the deployment's. Sources: `databricks.md`
//! 1.2 (Q7), `providers.md` 6.1.

use super::{Asked, Asks, Disposition, GENERATE, Surface};
use crate::snapshot::Task;

/// What is asked of the Gemini API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeminiAsk {
    /// An answer.
    Generate,
    /// The same in pieces.
    Stream {
        /// Whether they come as events (`alt=sse`); else as the items of one list.
        events: bool,
    },
    /// How many tokens a prompt has.
    Count,
}

impl GeminiAsk {
    /// The method's name at the provider, with its query.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Generate => "generateContent",
            Self::Stream { events: true } => "streamGenerateContent?alt=sse",
            Self::Stream { events: false } => "streamGenerateContent",
            Self::Count => "countTokens",
        }
    }
}

/// Whether an API version is one that clients of Gemini name; the newest of Google's own by default. Upstreams are asked
/// by `v1beta`, which has all that the others have.
pub(super) fn is_version(version: &str) -> bool {
    matches!(version, "v1beta" | "v1" | "v1alpha")
}

/// What stands behind the version of `…/gemini/{version}/*` below a base of Databricks.
pub(super) fn versioned<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::Gemini;
    let ["models", called] = rest else { return asked.unknown(SURFACE) };
    let Some((name, method)) = called.rsplit_once(':') else { return asked.unknown(SURFACE) };
    let events = asked.address.query.split('&').any(|pair| pair == "alt=sse");
    let ask = match method {
        "generateContent" => GeminiAsk::Generate,
        "streamGenerateContent" => GeminiAsk::Stream { events },
        "countTokens" => GeminiAsk::Count,
        "embedContent" | "batchEmbedContents" => {
            return asked.unsupported(SURFACE, "POST", "Embedding by the Gemini API");
        }
        _ => return asked.unknown(SURFACE),
    };
    if asked.method != "POST" {
        return asked.wrong_method(SURFACE, GENERATE, "POST");
    }
    asked.named(SURFACE, Some(Task::Chat), Asks::Gemini(ask), GENERATE, Some(name))
}
