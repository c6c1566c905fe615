//! What is fuzzed: one function for each decoder, over any bytes. They assert what must hold beyond not panicking.
//!
//! Used by the fuzz targets beside this file (`cargo xtask fuzz`) and, over their seeds and bounded mutations of them, by
//! the native tests (`tests/it/fuzz.rs`).

use serde::de::IgnoredAny;
use weir_core::snapshot::{Dialect, Task};
use weir_core::sorted::SortedMap;
use weir_core::translate::caller::{self, CallerDialect, Heard};
use weir_core::translate::near::mend::{self, Mender};
use weir_core::translate::{self, Ask, Decoder, Form, Notes};
use weir_core::wire::eventstream::EventStreamDecoder;
use weir_core::wire::raw::Raw;
use weir_core::wire::sse::SseDecoder;

/// Larger inputs find nothing new.
const BYTES_MAX: usize = 16 << 10;

/// Every dialect that is translated.
pub(crate) const DIALECTS: [Dialect; 11] = [
    Dialect::Anthropic,
    Dialect::VertexAnthropic,
    Dialect::Cohere,
    Dialect::Gemini,
    Dialect::Vertex,
    Dialect::Bedrock,
    Dialect::Mistral,
    Dialect::Ai21,
    Dialect::Databricks,
    Dialect::WorkersAi,
    Dialect::WorkersAiNative,
];

fn form() -> Form {
    Form { id: "weir-1".into(), created: 1_800_000_000, model: "m".into(), base64: true, input_tokens: 1 }
}

/// The first byte chooses, the rest is the input.
fn chosen(data: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = data.split_first()?;
    (rest.len() <= BYTES_MAX).then_some((*first, rest))
}

/// `bytes` in two pieces.
fn halves(at: u8, bytes: &[u8]) -> [&[u8]; 2] {
    let (head, tail) = bytes.split_at(bytes.len() * usize::from(at) / 256);
    [head, tail]
}

/// Server-sent events: a cut changes nothing.
pub(crate) fn sse(data: &[u8]) {
    let Some((at, bytes)) = chosen(data) else { return };
    let read = |pieces: &[&[u8]]| {
        let mut decoder = SseDecoder::new(1024);
        let mut events = Vec::new();
        let mut failed = None;
        for piece in pieces {
            failed = decoder.push(piece).err();
            while let Some(event) = decoder.next_event() {
                events.push(event);
            }
        }
        (events, failed, failed.is_none() && decoder.is_inside_event())
    };
    assert_eq!(read(&[bytes]), read(&halves(at, bytes)));
}

/// Amazon's messages: a cut changes nothing.
pub(crate) fn eventstream(data: &[u8]) {
    let Some((at, bytes)) = chosen(data) else { return };
    let read = |pieces: &[&[u8]]| {
        let mut decoder = EventStreamDecoder::new(4096);
        let mut messages = Vec::new();
        let mut failed = None;
        for piece in pieces {
            failed = decoder.push(piece).err();
            while let Some(message) = decoder.next_message() {
                messages.push(message);
            }
        }
        (messages, failed, decoder.is_inside_message())
    };
    assert_eq!(read(&[bytes]), read(&halves(at, bytes)));
}

/// Streams of every dialect: what comes out are whole events of JSON, and a cut changes nothing.
pub(crate) fn streams(data: &[u8]) {
    let Some((at, bytes)) = chosen(data) else { return };
    for dialect in DIALECTS {
        let provider = translate::provider(dialect);
        for task in [Task::Chat, Task::Completions] {
            let read = |pieces: &[&[u8]]| {
                let mut decoder = Decoder::new(provider, task, form());
                let mut out = Vec::new();
                for piece in pieces {
                    out.extend(decoder.push(piece));
                }
                out.extend(decoder.end());
                (out, decoder.is_broken())
            };
            let (out, broken) = read(&[bytes]);
            assert_eq!((&out, broken), (&read(&halves(at, bytes)).0, read(&halves(at, bytes)).1));
            events(&out);
        }
    }
}

/// Whole answers and errors of every dialect, and answers that nearly are canonical: JSON comes out.
pub(crate) fn answers(data: &[u8]) {
    let Some((first, bytes)) = chosen(data) else { return };
    for dialect in DIALECTS {
        let provider = translate::provider(dialect);
        for task in [Task::Chat, Task::Completions, Task::Embeddings] {
            if let Some(text) = translate::answer(provider, task, &form(), bytes) {
                json(&text);
            }
        }
        json(&provider.refusal(400 + u16::from(first % 200), None, Raw::object(bytes)).body());
    }
    let Some(raw) = Raw::object(bytes) else { return };
    if mend::is_odd(raw) {
        let text = mend::answer(raw, first % 2 == 0, &form());
        json(&text);
    }
    json(&Mender::new(form()).event(raw));
}

/// Requests to every dialect: refused, or JSON comes out.
pub(crate) fn requests(data: &[u8]) {
    let Some((first, bytes)) = chosen(data) else { return };
    let Some(body) = Raw::object(bytes) else { return };
    for dialect in DIALECTS {
        let provider = translate::provider(dialect);
        for task in [Task::Chat, Task::Completions, Task::Embeddings] {
            let place = SortedMap::new();
            let ask = Ask { task, model: "m", place: &place, stream: first % 2 == 0, body };
            if let Ok(translated) = translate::request(provider, &ask, &mut Notes::default()) {
                json(&translated.body);
            }
        }
    }
}

/// What callers of other dialects say is refused or becomes JSON, and whatever a canonical upstream answers or streams
/// is told to them in JSON, however its events come.
pub(crate) fn callers(data: &[u8]) {
    let Some((at, bytes)) = chosen(data) else { return };
    for dialect in [CallerDialect::Messages, CallerDialect::Responses] {
        if let Some(Ok(heard)) = Raw::object(bytes).map(|body| caller::hear(dialect, body)) {
            json(&heard.canonical);
            told(&heard, at, bytes);
        }
        let heard = match dialect {
            CallerDialect::Messages => r#"{"messages":[{"role":"user","content":"x"}]}"#,
            CallerDialect::Responses => r#"{"input":"x"}"#,
        };
        if let Ok(heard) = caller::hear(dialect, Raw::trusted(heard)) {
            told(&heard, at, bytes);
        }
    }
}

fn told(heard: &Heard, at: u8, bytes: &[u8]) {
    if let Some(body) = Raw::object(bytes) {
        json(&heard.teller(&form()).answer(body));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let events: Vec<&str> = text.split_inclusive("\n\n").collect();
    let read = |pieces: &[&[&str]]| {
        let mut teller = heard.teller(&form());
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(teller.push(piece.concat().as_bytes()));
        }
        String::from_utf8(out).expect("events are text")
    };
    let (first, last) = events.split_at(events.len() * usize::from(at) / 256);
    let out = read(&[&events]);
    assert_eq!(out, read(&[first, last]));
    for event in out.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').expect("a name and data");
        assert!(name.starts_with("event: "), "{event}");
        json(data.strip_prefix("data: ").expect("one data line"));
    }
}

fn json(text: &str) {
    // By its grammar only: numbers of any size and halves of surrogate pairs go on as they came.
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
}

fn events(out: &[u8]) {
    let text = std::str::from_utf8(out).expect("events are text");
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
    for event in text.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").expect("one data line");
        assert!(!data.contains('\n'), "{data}");
        if data != "[DONE]" {
            json(data);
        }
    }
}
