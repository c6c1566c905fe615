//! A canonical answer as a response.
//!
//! Stage 6. Source: `providers.md`, 2.5, the other way round. Reasoning stands before what was said, and that before
//! what was called, as streams have them.

use super::{Frame, Status, annotations, call, message, part, reasoning, sealed};
use crate::translate::course::Course;
use crate::wire::object::Array;
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::string::String;

/// The response that `body`, a canonical chat completion, is. `input` is what the input is taken for where nobody counted.
pub(super) fn answer(frame: &Frame, body: Raw<'_>, input: u64) -> String {
    let mut course = Course::new(input);
    let choice = course.see(body);
    let status = Status::of(&course.finish);
    let mut output = Output { frame, items: Array::default(), count: 0 };
    if let Some(choice) = choice {
        output.choice(choice, status);
    }
    let model = body.get("model").map_or("\"\"", |model| model.as_str());
    frame.response(status, model, &output.items.end(), Some(&course))
}

struct Output<'f> {
    frame: &'f Frame,
    items: Array,
    count: u32,
}

impl Output<'_> {
    fn put(&mut self, kind: &str, item: impl FnOnce(&str) -> String) {
        let id = self.frame.item_id(kind, self.count);
        self.count = self.count.saturating_add(1);
        self.items.put(&item(&id));
    }

    fn choice(&mut self, choice: Raw<'_>, status: Status) {
        let Some(said) = choice.get("message") else { return };
        let text = |name: &str| said.get(name).filter(|text| text.is_text() && text.as_str() != "\"\"");
        let blocks = said.get("thinking_blocks");
        for block in blocks.into_iter().flat_map(|list| list.items()) {
            let thought = block.get("thinking").filter(Raw::is_text).map_or("\"\"", |text| text.as_str());
            self.put("rs", |id| reasoning(id, thought, Some(&sealed(block.as_str()))));
        }
        if let (None, Some(thought)) = (blocks, text("reasoning_content")) {
            self.put("rs", |id| reasoning(id, thought.as_str(), None));
        }
        let mut parts = Array::default();
        if let Some(text) = text("content") {
            let logprobs =
                choice.at("logprobs.content").filter(Raw::is_array).map_or("[]", |list| list.as_str());
            let mut cited = Array::default();
            let list = said.get("annotations").into_iter().flat_map(annotations);
            list.for_each(|one| cited.put(&one));
            parts.put(&part(false, text.as_str(), logprobs, &cited.end()));
        }
        if let Some(refusal) = text("refusal") {
            parts.put(&part(true, refusal.as_str(), "[]", "[]"));
        }
        if !parts.is_empty() {
            let parts = parts.end();
            self.put("msg", |id| message(id, status, &parts));
        }
        for one in said.get("tool_calls").into_iter().flat_map(|list| list.items()) {
            let (name, arguments) = (one.at("function.name"), one.at("function.arguments"));
            let name = name.map_or("\"\"", |name| name.as_str());
            let arguments = arguments.filter(Raw::is_text).map_or("\"{}\"", |text| text.as_str());
            let extra = one.get("extra_content").map(|extra| extra.as_str());
            let own = call_id(self.frame, one, self.count);
            self.put("fc", |id| call(id, Status::Completed, (&own, name), arguments, extra));
        }
    }
}

/// The id of a call for its result, JSON; one without gets its own, because clients tell calls apart by it.
pub(super) fn call_id(frame: &Frame, call: Raw<'_>, place: u32) -> String {
    let given = call.get("id").filter(|id| id.is_text() && id.as_str() != "\"\"");
    given.map_or_else(|| quote::json(&frame.item_id("call", place)), |id| id.as_str().to_owned())
}
