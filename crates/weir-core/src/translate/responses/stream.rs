//! A canonical stream as the events of the Responses API.
//!
//! Stage 6. Source: `providers.md`, 2.5, the other way round. Items are opened and closed as the kind of what is said
//! changes; calls stay open until the end, because their arguments may come in turns. It is fed with whole canonical
//! events, and its last event comes of the last canonical one: a stream that breaks off has none.

use super::{Frame, Status, annotations, call, message, part, reasoning, sealed, summary_part, whole};
use crate::translate::Form;
use crate::translate::course::{Course, datas};
use crate::wire::object::{Array, Object, Text};
use crate::wire::quote;
use crate::wire::raw::Raw;
use crate::wire::sse;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Calls of one answer that are told; an upstream that makes more is at fault.
const CALLS_MAX: usize = 1_024;

/// The item that is being said.
#[derive(Debug)]
struct Open {
    place: u32,
    id: String,
    kind: Kind,
    /// What was said of its open part.
    text: Text,
}

#[derive(Debug)]
enum Kind {
    Reasoning,
    Message {
        /// Its parts that are over, and how many.
        parts: Array,
        count: u32,
        /// Whether the open part is a refusal.
        refuses: bool,
        logprobs: Array,
        /// What its open part refers to, and how often.
        cited: (Array, u32),
    },
}

/// A call whose arguments may still come.
#[derive(Debug)]
struct Call {
    /// The canonical index.
    index: u64,
    place: u32,
    id: String,
    /// What its result is told by, and the function's name: JSON.
    named: (String, String),
    arguments: Text,
    extra: Option<String>,
}

/// A response on its way to a caller.
#[derive(Debug)]
pub struct Encoder {
    frame: Frame,
    /// JSON.
    model: String,
    /// The number of the next event.
    number: u64,
    begun: bool,
    /// Items so far.
    items: u32,
    open: Option<Open>,
    calls: Vec<Call>,
    /// The items that are over, with their places.
    done: Vec<(u32, String)>,
    course: Course,
    /// Whether the last event was told: nothing follows it.
    over: bool,
    out: Vec<u8>,
}

impl Encoder {
    /// Nothing told yet. `form` has what the response's ids are made of, its time and its model; `echo` what it repeats
    /// of its request, a JSON object.
    pub fn new(form: &Form, echo: String) -> Self {
        Self {
            frame: Frame::new(form, echo),
            model: quote::json(&form.model),
            number: 0,
            begun: false,
            items: 0,
            open: None,
            calls: Vec::new(),
            done: Vec::new(),
            course: Course::new(form.input_tokens),
            over: false,
            out: Vec::new(),
        }
    }

    /// The response that `body`, a whole canonical chat completion, is.
    pub fn answer(&self, body: Raw<'_>) -> String {
        whole::answer(&self.frame, body, self.course.input)
    }

    /// The number of the next event.
    pub const fn next_number(&self) -> u64 {
        self.number
    }

    /// Takes whole canonical events, each one line of data; gives the events that tell the same.
    pub fn push(&mut self, events: &[u8]) -> Vec<u8> {
        for data in datas(events) {
            if self.over {
                break;
            }
            if data == "[DONE]" {
                self.end();
            } else if let Some(chunk) = Raw::parse(data) {
                self.chunk(chunk);
            }
        }
        core::mem::take(&mut self.out)
    }

    fn chunk(&mut self, chunk: Raw<'_>) {
        let Some(choice) = self.course.see(chunk) else { return };
        if let Some(model) = chunk.get("model").filter(|model| !self.begun && model.is_text()) {
            model.as_str().clone_into(&mut self.model);
        }
        self.begin();
        if let Some(delta) = choice.get("delta") {
            self.delta(delta, choice.at("logprobs.content"));
        }
    }

    fn begin(&mut self) {
        if core::mem::replace(&mut self.begun, true) {
            return;
        }
        let response = self.frame.response(Status::InProgress, &self.model, "[]", None);
        self.event("response.created", Object::new().raw("response", &response));
        self.event("response.in_progress", Object::new().raw("response", &response));
    }

    fn delta(&mut self, delta: Raw<'_>, logprobs: Option<Raw<'_>>) {
        let said = |name: &str| delta.get(name).filter(|text| text.is_text() && text.as_str() != "\"\"");
        if let Some(thought) = said("reasoning_content") {
            self.think(thought);
        }
        for block in delta.get("thinking_blocks").into_iter().flat_map(|list| list.items()) {
            self.thought(block);
        }
        if let Some(text) = said("content") {
            self.say(false, text, logprobs);
        }
        if let Some(text) = said("refusal") {
            self.say(true, text, None);
        }
        if let Some(list) = delta.get("annotations") {
            self.cite(list);
        }
        for call in delta.get("tool_calls").into_iter().flat_map(|list| list.items()) {
            self.call(call);
        }
    }

    fn think(&mut self, thought: Raw<'_>) {
        if !self.open.as_ref().is_some_and(|open| matches!(open.kind, Kind::Reasoning)) {
            self.close(Status::Completed, None);
            let (place, id) = self.add("rs", |id| reasoning(id, "\"\"", None));
            let at = Object::new().text("item_id", &id).number("output_index", place);
            let part = at.number("summary_index", 0u32).raw("part", &summary_part("\"\""));
            self.event("response.reasoning_summary_part.added", part);
            self.open = Some(Open { place, id, kind: Kind::Reasoning, text: Text::default() });
        }
        let Some(open) = &mut self.open else { return };
        open.text.join(thought);
        let at = open.at().number("summary_index", 0u32);
        self.event("response.reasoning_summary_text.delta", at.raw("delta", thought.as_str()));
    }

    /// A whole block of thinking: its text came before; or one that has none.
    fn thought(&mut self, block: Raw<'_>) {
        let opaque = sealed(block.as_str());
        if self.open.as_ref().is_some_and(|open| matches!(open.kind, Kind::Reasoning)) {
            return self.close(Status::Completed, Some(&opaque));
        }
        self.close(Status::Completed, None);
        let text = block.get("thinking").filter(Raw::is_text).map_or("\"\"", |text| text.as_str());
        let (place, id) = self.add("rs", |id| reasoning(id, "\"\"", None));
        self.over(place, reasoning(&id, text, Some(&opaque)));
    }

    fn say(&mut self, refusal: bool, text: Raw<'_>, told: Option<Raw<'_>>) {
        if !self.open.as_ref().is_some_and(|open| matches!(open.kind, Kind::Message { .. })) {
            self.close(Status::Completed, None);
            let (place, id) = self.add("msg", |id| message(id, Status::InProgress, "[]"));
            let kind = Kind::Message {
                parts: Array::default(),
                count: 0,
                refuses: refusal,
                logprobs: Array::default(),
                cited: (Array::default(), 0),
            };
            self.open = Some(Open { place, id, kind, text: Text::default() });
            self.part_added();
        } else if self.open.as_ref().is_some_and(|open| open.refuses() != refusal) {
            self.part_done();
            if let Some(Open { kind: Kind::Message { refuses, .. }, .. }) = &mut self.open {
                *refuses = refusal;
            }
            self.part_added();
        }
        let Some(open) = &mut self.open else { return };
        open.text.join(text);
        let told = told.filter(Raw::is_array);
        if let Kind::Message { logprobs, .. } = &mut open.kind {
            told.into_iter().flat_map(|list| list.items()).for_each(|one| logprobs.put(one.as_str()));
        }
        let delta = open.at_part().raw("delta", text.as_str());
        if refusal {
            self.event("response.refusal.delta", delta);
        } else {
            let logprobs = told.map_or("[]", |list| list.as_str());
            self.event("response.output_text.delta", delta.raw("logprobs", logprobs));
        }
    }

    /// What the text refers to.
    fn cite(&mut self, list: Raw<'_>) {
        for one in annotations(list) {
            let Some(open) = self.open.as_mut().filter(|open| !open.refuses()) else { return };
            let at = open.at_part();
            let Kind::Message { cited: (told, count), .. } = &mut open.kind else { return };
            let event = at.number("annotation_index", *count).raw("annotation", &one);
            told.put(&one);
            *count = count.saturating_add(1);
            self.event("response.output_text.annotation.added", event);
        }
    }

    fn part_added(&mut self) {
        let Some(open) = &self.open else { return };
        let added = open.at_part().raw("part", &part(open.refuses(), "\"\"", "[]", "[]"));
        self.event("response.content_part.added", added);
    }

    /// The open part of a message is over.
    fn part_done(&mut self) {
        let Some(open) = &mut self.open else { return };
        let (at, again) = (open.at_part(), open.at_part());
        let Kind::Message { parts, count, refuses, logprobs, cited } = &mut open.kind else { return };
        let text = core::mem::take(&mut open.text).end();
        let (refuses, logprobs) = (*refuses, core::mem::take(logprobs).end());
        let whole = part(refuses, &text, &logprobs, &core::mem::take(cited).0.end());
        parts.put(&whole);
        *count = count.saturating_add(1);
        if refuses {
            self.event("response.refusal.done", at.raw("refusal", &text));
        } else {
            self.event("response.output_text.done", at.raw("text", &text).raw("logprobs", &logprobs));
        }
        self.event("response.content_part.done", again.raw("part", &whole));
    }

    /// What is being said is over; the calls are not.
    fn close(&mut self, status: Status, opaque: Option<&str>) {
        self.part_done();
        let Some(open) = self.open.take() else { return };
        let item = match open.kind {
            Kind::Message { ref parts, .. } => message(&open.id, status, &parts.clone().end()),
            Kind::Reasoning => {
                let text = open.text.clone().end();
                let at = || open.at().number("summary_index", 0u32);
                self.event("response.reasoning_summary_text.done", at().raw("text", &text));
                let part = at().raw("part", &summary_part(&text));
                self.event("response.reasoning_summary_part.done", part);
                reasoning(&open.id, &text, opaque)
            }
        };
        self.over(open.place, item);
    }

    fn call(&mut self, told: Raw<'_>) {
        let index = told.get("index").and_then(|index| index.count(1 << 20)).unwrap_or(0);
        if !self.calls.iter().any(|call| call.index == index) {
            if self.calls.len() >= CALLS_MAX {
                return;
            }
            self.close(Status::Completed, None);
            let call_id = whole::call_id(&self.frame, told, self.items);
            let name = told.at("function.name").map_or("\"\"", |name| name.as_str()).to_owned();
            let extra = told.get("extra_content").map(|extra| extra.as_str().to_owned());
            let (place, id) = self
                .add("fc", |id| call(id, Status::InProgress, (&call_id, &name), "\"\"", extra.as_deref()));
            let (named, arguments) = ((call_id, name), Text::default());
            self.calls.push(Call { index, place, id, named, arguments, extra });
        }
        let piece = told.at("function.arguments").filter(|text| text.is_text() && text.as_str() != "\"\"");
        let known = self.calls.iter_mut().find(|call| call.index == index);
        if let Some((call, piece)) = known.zip(piece) {
            call.arguments.join(piece);
            let at = Object::new().text("item_id", &call.id).number("output_index", call.place);
            self.event("response.function_call_arguments.delta", at.raw("delta", piece.as_str()));
        }
    }

    /// A new item, told as `item` says it with its id.
    fn add(&mut self, kind: &str, item: impl FnOnce(&str) -> String) -> (u32, String) {
        let place = self.items;
        self.items = place.saturating_add(1);
        let id = self.frame.item_id(kind, place);
        let added = Object::new().number("output_index", place).raw("item", &item(&id));
        self.event("response.output_item.added", added);
        (place, id)
    }

    /// An item is over.
    fn over(&mut self, place: u32, item: String) {
        let done = Object::new().number("output_index", place).raw("item", &item);
        self.event("response.output_item.done", done);
        self.done.push((place, item));
    }

    fn end(&mut self) {
        self.over = true;
        self.begin();
        let status = Status::of(&self.course.finish);
        self.close(status, None);
        for one in core::mem::take(&mut self.calls) {
            let text = if one.arguments.is_empty() { "\"{}\"".to_owned() } else { one.arguments.end() };
            let at = Object::new().text("item_id", &one.id).number("output_index", one.place);
            let done = at.raw("name", &one.named.1).raw("arguments", &text);
            self.event("response.function_call_arguments.done", done);
            let item = call(&one.id, status, (&one.named.0, &one.named.1), &text, one.extra.as_deref());
            self.over(one.place, item);
        }
        self.done.sort_by_key(|(place, _)| *place);
        let mut output = Array::default();
        for (_, item) in core::mem::take(&mut self.done) {
            output.put(&item);
        }
        let response = self.frame.response(status, &self.model, &output.end(), Some(&self.course));
        self.event(&format!("response.{}", status.word()), Object::new().raw("response", &response));
    }

    fn event(&mut self, name: &str, body: Object) {
        let head = Object::new().text("type", name).number("sequence_number", self.number).end();
        self.number = self.number.saturating_add(1);
        let (head, body) = (head.strip_suffix('}').unwrap_or(&head), body.end());
        let data = format!("{head},{}", body.get(1..).unwrap_or("}"));
        sse::encode_named(&mut self.out, name, data.as_bytes());
    }
}

impl Open {
    /// Where it is.
    fn at(&self) -> Object {
        Object::new().text("item_id", &self.id).number("output_index", self.place)
    }

    /// Where its open part is.
    fn at_part(&self) -> Object {
        let count = if let Kind::Message { count, .. } = &self.kind { *count } else { 0 };
        self.at().number("content_index", count)
    }

    const fn refuses(&self) -> bool {
        matches!(self.kind, Kind::Message { refuses: true, .. })
    }
}
