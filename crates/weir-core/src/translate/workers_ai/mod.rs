//! Workers AI's native form: what the `AI` binding and the `/ai/run` route take.
//!
//! Stage 6. Source: `providers.md` 12. Newer models answer in the canonical form even here, so every answer and every
//! event is looked at for `choices` first.

pub(super) mod request;
mod stream;

use super::near;
use super::stop::Finish;
use super::usage::{self, Counts};
use super::{Answer, Ask, Called, Choice, Notes, Provider, Refusal, Stream, Translated};
use crate::snapshot::{Dialect, Task};
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The native form.
pub(super) struct WorkersAi;

impl Provider for WorkersAi {
    fn texts_max(&self, _model: &str) -> Option<usize> {
        Some(request::TEXTS_MAX)
    }

    fn request(&self, ask: &Ask<'_>, notes: &mut Notes) -> Result<Translated, WireError> {
        request::translate(ask, notes)
    }

    fn answer<'a>(&self, task: Task, body: Raw<'a>) -> Option<Answer<'a>> {
        let body = body.get("result").filter(Raw::is_object).unwrap_or(body);
        if body.get("choices").is_some() {
            return near::answer::read(Dialect::WorkersAiNative, task, body);
        }
        read(task, body)
    }

    fn stream(&self) -> Box<dyn Stream> {
        stream::open()
    }

    fn refusal(&self, status: u16, _kind: Option<&str>, body: Option<Raw<'_>>) -> Refusal {
        refusal(status, body)
    }
}

fn read(task: Task, body: Raw<'_>) -> Option<Answer<'_>> {
    let mut answer = Answer {
        id: None,
        model: None,
        choices: Vec::new(),
        vectors: Vec::new(),
        counts: Counts::of(usage::NEAR, body.get("usage")),
        others: Vec::new(),
    };
    if task == Task::Embeddings {
        answer.vectors = body.get("data").filter(Raw::is_array)?.items().collect();
        return (!answer.vectors.is_empty()).then_some(answer);
    }
    let mut choice = Choice::default();
    let text = body.get("response");
    match text {
        // In JSON mode the answer is an object.
        Some(object) if object.is_object() || object.is_array() => choice.text.push(object.as_str()),
        other => other.into_iter().for_each(|text| choice.text.join(text)),
    }
    for call in body.get("tool_calls").into_iter().flat_map(|list| list.items()) {
        choice.calls.push(Called {
            id: call.text_at("id"),
            name: call.get("name").filter(Raw::is_text)?,
            arguments: near::answer::arguments(call).unwrap_or(Cow::Borrowed("{}")),
            extra: None,
        });
    }
    if text.is_none() && choice.calls.is_empty() {
        return None;
    }
    choice.finish = if choice.calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
    answer.choices.push(choice);
    Some(answer)
}

/// The binding throws a text that begins with a number, which the driver gives in the REST route's form; the REST route has it in its envelope. 3036: the day's free use
/// is gone; 3040: no room now; 5007: no such model; 10000: the token is wrong.
pub(super) fn refusal(status: u16, body: Option<Raw<'_>>) -> Refusal {
    let first = body.and_then(|body| body.get("errors")?.items().next());
    let text = first.and_then(|error| error.text_at("message")).unwrap_or_default();
    let behind = text.rsplit_once("Error: ").map_or(&*text, |(_, behind)| behind);
    let thrown = behind.split_once(": ").and_then(|(code, _)| code.trim().parse::<u64>().ok());
    let code = first.and_then(|error| error.get("code")?.count(99_999)).or(thrown);
    let common = match first {
        Some(error) => Refusal::common(status, Some(error)),
        None => Refusal::common(status, body),
    };
    match code {
        Some(3036) => Refusal { should_retry: Some(false), ..common.with_status(429) },
        Some(3040) => common.with_status(429),
        Some(5007) => common.with_status(404),
        Some(10000) => common.with_status(401),
        Some(3001..=3009 | 5004..=5006) => common.with_status(400),
        Some(_) | None => common,
    }
}
