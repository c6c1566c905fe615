//! Routes of the `OpenAI` API that go on to the upstream as they came: images, audio, responses, and the resources
//! that the API keeps on the server.
//!
//! Stage 0. Decides which these are, and that nothing in such a path leads elsewhere. Sources: `azure.md` B1 and B2,
//! `providers.md` 2.1, `design.md` 8 ("Tasks").

use super::{Asked, Asks, Disposition, OTHER, Surface};
use alloc::borrow::Cow;

/// Operation of images, as Azure's texts would name it.
pub const IMAGES: &str = "Images_Create";
/// Operation of speech and transcription.
pub const AUDIO: &str = "Audio_Create";
/// Operation of the Responses API.
pub const RESPONSES: &str = "Responses_Create";

/// What a passed call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Pictures, made or changed.
    Images,
    /// Speech, transcription, translation.
    Audio,
    /// A response: made, told, cancelled, deleted.
    Responses,
    /// Anything that is kept: files, batches, fine-tuning jobs, assistants, threads, vector stores and the like.
    Kept,
}

/// A call that goes on to the upstream as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage<'a> {
    /// Below the API's root, without a leading slash, e.g. `responses/resp_1/cancel`. Only letters, digits and
    /// `.`, `_`, `-`, `:`, `=`; no segment is empty, `.` or `..`.
    pub path: &'a str,
    /// As it was written, without the question mark.
    pub query: &'a str,
    /// What it is about.
    pub matter: Matter,
    /// Whether it makes something new: it has a body then, and costs.
    pub makes: bool,
    /// Whether its body may be a form with a file, which is not read whole.
    pub form: bool,
}

/// The passed call at `rest`, the segments of a path below the API's root; `None` if there is none there.
pub(super) fn passage<'a>(
    asked: &Asked<'a>,
    surface: Surface,
    rest: &[&'a str],
    name: Option<&'a str>,
) -> Option<Disposition<'a>> {
    const ALL: &str = "POST, GET, DELETE";
    let (matter, form, allowed) = match rest {
        ["images", "generations"] => (Matter::Images, false, "POST"),
        ["images", "edits" | "variations"] => (Matter::Images, true, "POST"),
        ["audio", "transcriptions" | "translations"] => (Matter::Audio, true, "POST"),
        ["audio", "speech"] => (Matter::Audio, false, "POST"),
        ["responses", ..] => (Matter::Responses, false, ALL),
        ["files"] | ["uploads", _, "parts"] | ["containers", _, "files"] => (Matter::Kept, true, ALL),
        [
            "files" | "uploads" | "batches" | "assistants" | "threads" | "vector_stores" | "conversations"
            | "containers",
            ..,
        ]
        | ["fine_tuning", _, ..]
        | ["chat", "completions", _, ..] => (Matter::Kept, false, ALL),
        _ => return None,
    };
    if !rest.iter().all(|segment| is_plain(segment)) {
        return Some(asked.unknown(surface));
    }
    if !allowed.split(", ").any(|method| method == asked.method) {
        return Some(asked.wrong_method(surface, OTHER, allowed));
    }
    let operation = match matter {
        Matter::Images => IMAGES,
        Matter::Audio => AUDIO,
        Matter::Responses => RESPONSES,
        Matter::Kept => OTHER,
    };
    // The segments stand at the end of the path, each with the slash before it.
    let length = rest.iter().fold(0usize, |sum, segment| sum.saturating_add(segment.len()).saturating_add(1));
    let from = asked.path.len().checked_sub(length)?.checked_add(1)?;
    let path = asked.path.get(from..)?;
    let makes = asked.method == "POST";
    let passage = Passage { path, query: asked.address.query, matter, makes, form: form && makes };
    Some(asked.named(surface, None, Asks::Pass(passage), operation, name))
}

/// Whether a segment can be part of an upstream's address as it is.
fn is_plain(segment: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:=".contains(&byte);
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(legal)
}

impl Passage<'_> {
    /// Whether Azure's dated API has the call under a deployment (`azure.md`, B1).
    pub const fn is_of_deployment(&self) -> bool {
        matches!(self.matter, Matter::Images | Matter::Audio)
    }

    /// Whether a model is asked for a response.
    pub fn responds(&self) -> bool {
        self.makes && self.matter == Matter::Responses && self.path == "responses"
    }

    /// Whether it is asked how many tokens the question for a response has.
    pub fn counts(&self) -> bool {
        self.makes && self.matter == Matter::Responses && self.path == "responses/input_tokens"
    }

    /// Whether a model is to be made from another: the body's `model` may be one of the upstream's own then.
    pub fn tunes(&self) -> bool {
        self.makes && self.path == "fine_tuning/jobs"
    }

    /// What it is, as a noun phrase for an error.
    pub fn what(&self) -> &'static str {
        match self.matter {
            Matter::Kept if self.path.starts_with("fine_tuning/") => "Fine-tuning",
            Matter::Images => "Image generation",
            Matter::Audio => "Speech and transcription",
            Matter::Responses => "The Responses API",
            Matter::Kept => "Keeping files, batches, assistants and the like",
        }
    }
}

/// The query without `api-version`, which belongs to the surface and not to the upstream.
pub fn query_without_version(query: &str) -> Cow<'_, str> {
    if !query.contains("api-version") {
        return Cow::Borrowed(query);
    }
    let mut kept = alloc::string::String::new();
    for pair in query.split('&').filter(|pair| !pair.starts_with("api-version=")) {
        if !kept.is_empty() {
            kept.push('&');
        }
        kept.push_str(pair);
    }
    Cow::Owned(kept)
}
