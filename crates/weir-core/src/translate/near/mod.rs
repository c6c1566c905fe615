//! Providers whose dialect is nearly the canonical one: Mistral, AI21, Databricks, and Workers AI by its REST route.
//!
//! Stage 6. Decides nothing itself: requests differ from provider to provider and have a file each; answers and streams
//! differ in what is missing or misspelt, and one reader with all tolerances reads them ([`answer`], [`stream`]). The
//! Servers that only claim to speak the canonical dialect are another matter: theirs is mended ([`mend`]). Source: `providers.md` 9 to 13.

mod ai21;
pub(super) mod answer;
mod databricks;
pub mod mend;
mod mistral;
pub(super) mod stream;

use super::{Answer, Ask, Notes, Provider, Refusal, Stream, Translated};
use crate::snapshot::{Dialect, Task};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;

/// One of these dialects.
pub(super) struct Near(pub(super) Dialect);

impl Provider for Near {
    fn completes(&self) -> bool {
        self.0 == Dialect::Databricks
    }

    fn texts_max(&self, _model: &str) -> Option<usize> {
        (self.0 == Dialect::WorkersAi).then_some(super::workers_ai::request::TEXTS_MAX)
    }

    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
        let translate: fn(&Ask<'_>, &mut Notes) -> Result<Translated, WireError> = match self.0 {
            Dialect::Mistral => mistral::request,
            Dialect::Ai21 => ai21::request,
            Dialect::Databricks => databricks::request,
            Dialect::WorkersAi
            | Dialect::WorkersAiNative
            | Dialect::Bedrock
            | Dialect::Anthropic
            | Dialect::VertexAnthropic
            | Dialect::Cohere
            | Dialect::Gemini
            | Dialect::Vertex => as_it_is,
        };
        translate(ask, notes)
    }

    fn answer<'a>(&self, task: Task, body: Raw<'a>) -> Option<Answer<'a>> {
        answer::read(self.0, task, body)
    }

    fn stream(&self) -> Box<dyn Stream> {
        stream::open(self.0)
    }

    /// 422 is Mistral's and AI21's word for 400; the faults stand in a list (`providers.md`, 9 and 10).
    fn refusal(&self, status: u16, _kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        if self.0 == Dialect::WorkersAi {
            return super::workers_ai::refusal(status, body);
        }
        let common = Refusal::common(status, body);
        let fault = || {
            let message = body?.get("detail")?.items().next()?.get("msg")?;
            let body = Object::new().raw("message", message.as_str()).end();
            Refusal::common(status, Some(Raw::trusted(&body))).message
        };
        let message = common.message.clone().or_else(fault);
        Refusal { message, ..common.with_status(if status == 422 { 400 } else { status }) }
    }
}

/// The path of a task's route.
pub(super) const fn path(task: Task) -> &'static str {
    match task {
        Task::Chat => "/v1/chat/completions",
        Task::Completions => "/v1/completions",
        Task::Embeddings => "/v1/embeddings",
    }
}

/// The canonical body as it is, with the provider's own name for the model.
#[expect(clippy::unnecessary_wraps, reason = "all requests have one form")]
fn as_it_is(ask: &Ask<'_>, _notes: &mut Notes) -> Result<Translated, WireError> {
    let mut out = Object::new().text("model", ask.model);
    for (name, value) in ask.body.members() {
        // Vectors are asked for as numbers, which every server gives, and encoded here.
        if !matches!(&*name, "model" | "encoding_format") {
            out.put(&name, value.as_str());
        }
    }
    Ok(call(ask.task, out))
}

fn call(task: Task, body: Object) -> Translated {
    Translated { path: path(task).to_owned(), body: body.end() }
}

/// A message of these members of `message`, with `role`.
fn message(role: &str, message: Raw<'_>, members: &[&str]) -> Object {
    let mut out = Object::new().text("role", role);
    for name in members {
        out.put_some(name, message.get(name));
    }
    out
}

/// The messages with `system` for `developer`, which models of these providers do not know.
pub(super) fn with_known_roles(list: Raw<'_>) -> String {
    let mut out = Array::default();
    for message in list.items() {
        if !message.get("role").is_some_and(|role| role.is("developer")) {
            out.put(message.as_str());
            continue;
        }
        let mut item = Object::new().text("role", "system");
        for (name, value) in message.members().filter(|(name, _)| name != "role") {
            item.put(&name, value.as_str());
        }
        out.put(&item.end());
    }
    out.end()
}

/// The role as a provider without `developer` calls it.
fn role_word(role: super::chat::Role) -> &'static str {
    match role {
        super::chat::Role::System => "system",
        super::chat::Role::User => "user",
        super::chat::Role::Assistant => "assistant",
        super::chat::Role::Tool => "tool",
    }
}

/// `{"type":"function","function":{…}}` with these members of the function.
fn function(tool: &super::chat::Tool<'_>, strict: bool) -> String {
    let mut inner = Object::new().raw("name", tool.name.as_str());
    inner.put_some("description", tool.description);
    inner.put_some("parameters", tool.parameters);
    inner.put_some("strict", tool.strict.filter(|_| strict));
    Object::new().text("type", "function").raw("function", &inner.end()).end()
}
