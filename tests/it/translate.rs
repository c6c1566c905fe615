//! Translations as data: every row of `vectors/translate/*/*.json`, and what holds for all decoders.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use weir_core::snapshot::{Dialect, Task};
use weir_core::sorted::SortedMap;
use weir_core::translate::{self, Ask, Decoder, Form, Notes, Provider};
use weir_core::wire::WireError;
use weir_core::wire::eventstream::crc32;
use weir_core::wire::raw::Raw;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    source: String,
    rows: Vec<Row>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of a row of its own")]
pub(crate) struct Row {
    /// The rule that the row shows.
    source: String,
    pub(crate) task: Option<Task>,
    pub(crate) stream: bool,
    pub(crate) request: Option<Value>,
    path: Option<String>,
    pub(crate) sent: Option<Value>,
    dropped: Vec<String>,
    adjusted: Vec<String>,
    refused: Option<String>,
    pub(crate) answer: Option<Value>,
    pub(crate) canonical: Value,
    base64: bool,
    status: u16,
    /// The head's word for an error's kind.
    kind: Option<String>,
    pub(crate) refusal: Option<Value>,
    means: Value,
    pub(crate) events: Option<Vec<Value>>,
    pub(crate) chunks: Vec<Value>,
    broken: bool,
    /// The status that a broken stream's own word stands for.
    failure: Option<u16>,
    /// A terminal `[DONE]` follows the events.
    pub(crate) done: bool,
}

const DIALECTS: [(&str, Dialect); 11] = [
    ("anthropic", Dialect::Anthropic),
    ("vertex_anthropic", Dialect::VertexAnthropic),
    ("cohere", Dialect::Cohere),
    ("gemini", Dialect::Gemini),
    ("vertex", Dialect::Vertex),
    ("bedrock", Dialect::Bedrock),
    ("mistral", Dialect::Mistral),
    ("ai21", Dialect::Ai21),
    ("databricks", Dialect::Databricks),
    ("workers_ai", Dialect::WorkersAi),
    ("workers_ai_native", Dialect::WorkersAiNative),
];

pub(crate) fn form() -> Form {
    Form {
        id: "weir-1".into(),
        created: 1_800_000_000,
        model: "up-model".into(),
        base64: false,
        input_tokens: 9,
    }
}

fn provider_of(folder: &Path) -> &'static dyn Provider {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let (_, dialect) = DIALECTS.iter().find(|(known, _)| *known == name).expect("a dialect's folder");
    translate::provider(*dialect)
}

/// All rows with what they are of.
pub(crate) fn rows() -> Vec<(String, &'static dyn Provider, Row)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/translate");
    let mut rows = Vec::new();
    for folder in
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read_to_string(&file).unwrap();
            let vectors: Vectors =
                serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
            assert!(vectors.source.contains("20"), "{} has no source with its day", file.display());
            for row in vectors.rows {
                let name = format!("{} {}", file.display(), row.source);
                rows.push((name, provider_of(&folder), row));
            }
        }
    }
    rows
}

fn request(
    provider: &dyn Provider,
    row: &Row,
    body: &Value,
) -> (Result<translate::Translated, WireError>, Notes) {
    let (text, mut notes) = (body.to_string(), Notes::default());
    let task = row.task.unwrap_or(Task::Chat);
    let place = SortedMap::from([
        ("project_id".to_owned(), "proj".to_owned()),
        ("region".to_owned(), "eu".to_owned()),
    ]);
    let ask =
        Ask { task, model: "up-model", place: &place, stream: row.stream, body: Raw::parse(&text).unwrap() };
    (translate::request(provider, &ask, &mut notes), notes)
}

/// The bytes of a stream: Amazon's messages where an event is a `frame`, else server-sent events.
pub(crate) fn bytes_of(events: &[Value], done: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        if let Some(frame) = event["frame"].as_str() {
            bytes.extend(message(frame, event["exception"] == true, &event["payload"]));
            continue;
        }
        if let Some(kind) = event["type"].as_str() {
            bytes.extend_from_slice(format!("event: {kind}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("data: {event}\r\n\r\n").as_bytes());
    }
    if done {
        bytes.extend_from_slice(b"data: [DONE]\n\n");
    }
    bytes
}

/// One message of Amazon's event stream.
fn message(name: &str, exception: bool, payload: &Value) -> Vec<u8> {
    let kind = if exception { "exception" } else { "event" };
    let mut headers = Vec::new();
    for (header, value) in [(format!(":{kind}-type"), name), (":message-type".into(), kind)] {
        headers.push(u8::try_from(header.len()).unwrap());
        headers.extend(header.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let payload = payload.to_string();
    let mut bytes = Vec::new();
    bytes.extend(u32::try_from(16 + headers.len() + payload.len()).unwrap().to_be_bytes());
    bytes.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes.extend(headers);
    bytes.extend(payload.as_bytes());
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

/// What a stream, cut at `cuts`, becomes; and whether it is broken.
fn decoded(provider: &dyn Provider, task: Task, bytes: &[u8], cuts: &[usize]) -> (String, bool) {
    let mut decoder = Decoder::new(provider, task, form());
    read_all(&mut decoder, bytes, cuts)
}

fn read_all(decoder: &mut Decoder, bytes: &[u8], cuts: &[usize]) -> (String, bool) {
    let (mut out, mut start) = (Vec::new(), 0);
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let cut = cut.clamp(start, bytes.len());
        out.extend(decoder.push(&bytes[start..cut]));
        start = cut;
    }
    out.extend(decoder.end());
    let text = String::from_utf8(out).expect("chunks are text");
    let whole = text.ends_with("data: [DONE]\n\n");
    (text, decoder.is_broken() || !whole)
}

fn chunks_of(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

fn check_request(name: &str, provider: &dyn Provider, row: &Row, body: &Value) {
    let (outcome, notes) = request(provider, row, body);
    match (outcome, &row.refused) {
        (Err(WireError::NotSupported { member, .. }), Some(refused)) => {
            assert_eq!(&member, refused, "{name}");
        }
        (Err(error), _) => panic!("{name}: {error}"),
        (Ok(_), Some(refused)) => panic!("{name}: {refused} is not refused"),
        (Ok(translated), None) => {
            let sent: Value = serde_json::from_str(&translated.body).unwrap();
            assert_eq!(Some(&sent), row.sent.as_ref(), "{name}");
            assert_eq!(Some(&translated.path), row.path.as_ref(), "{name}");
            assert_eq!(
                (&notes.dropped, &notes.adjusted),
                (&leaked(&row.dropped), &leaked(&row.adjusted)),
                "{name}"
            );
        }
    }
}

fn leaked(names: &[String]) -> Vec<&'static str> {
    names.iter().map(|name| &*Box::leak(name.clone().into_boxed_str())).collect()
}

/// Each dialect has rows for what is asked, what is answered whole, what is streamed, and how it refuses.
#[test]
fn every_dialect_has_vectors_in_every_direction() {
    let (rows, mut missing) = (rows(), Vec::new());
    for (folder, _) in DIALECTS {
        let own =
            || rows.iter().filter(|(name, ..)| name.contains(&format!("/{folder}/"))).map(|(.., row)| row);
        for (what, there) in [
            ("requests", own().any(|row| row.request.is_some())),
            ("answers", own().any(|row| row.answer.is_some())),
            ("streams", own().any(|row| row.events.is_some() && !row.broken)),
            ("broken streams", own().any(|row| row.broken)),
            ("refusals", own().any(|row| row.refusal.is_some())),
        ] {
            if !there {
                missing.push(format!("{folder} has no {what}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_vector_holds() {
    assert!(rows().len() > 30, "vectors are missing");
    for (name, provider, row) in rows() {
        let task = row.task.unwrap_or(Task::Chat);
        if let Some(body) = &row.request {
            check_request(&name, provider, &row, body);
        }
        if let Some(answer) = &row.answer {
            let form = Form { base64: row.base64, ..form() };
            let written = translate::answer(provider, task, &form, answer.to_string().as_bytes());
            let written = written.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
            assert_eq!(written, row.canonical, "{name}");
        }
        if let Some(refusal) = &row.refusal {
            let text = refusal.to_string();
            let means = provider.refusal(row.status, row.kind.as_deref(), Raw::parse(&text));
            let got = json!({"status": means.status, "wait_ms": means.wait_ms, "should_retry": means.should_retry, "message": means.message});
            assert_eq!(got, row.means, "{name}");
        }
        if let Some(events) = &row.events {
            let mut decoder = Decoder::new(provider, task, form());
            let (text, broken) = read_all(&mut decoder, &bytes_of(events, row.done), &[]);
            assert_eq!(chunks_of(&text), row.chunks, "{name}");
            assert_eq!((broken, decoder.failure()), (row.broken, row.failure), "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a stream is cut, and wherever it ends, the same comes out, and only a whole one is whole (where it ends
    /// without a word, its counts may be missing).
    #[test]
    fn cuts_change_nothing(mut cuts in prop::collection::vec(0usize..4_000, 0..6), end in 0usize..4_000) {
        cuts.sort_unstable();
        for (name, provider, row) in rows() {
            let Some(events) = &row.events else { continue };
            let task = row.task.unwrap_or(Task::Chat);
            let bytes = bytes_of(events, row.done);
            let (whole, broken) = decoded(provider, task, &bytes, &[]);
            let (cut, cut_broken) = decoded(provider, task, &bytes, &cuts);
            prop_assert_eq!((&whole, broken), (&cut, cut_broken), "{}", name);
            let (part, part_broken) = decoded(provider, task, &bytes[..end.min(bytes.len())], &cuts);
            let said = |text: &str| chunks_of(text).into_iter().filter(|chunk| chunk["usage"].is_null()).collect::<Vec<_>>();
            prop_assert!(part_broken || said(&part) == said(&whole), "{}", name);
        }
    }

    /// Arbitrary bytes are survived by every decoder, the same however they are cut.
    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            Just(b"data: {\"type\":\"".to_vec()), Just(b"\"}\n\n".to_vec()), Just(b"\n\n".to_vec()),
            Just(b"{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}".to_vec()),
            Just(b"data: ".to_vec()), Just(b"null".to_vec()),
        ], 0..12),
        cuts in prop::collection::vec(0usize..300, 0..5),
    ) {
        let bytes = pieces.concat();
        let mut cuts = cuts;
        cuts.sort_unstable();
        for (_, dialect) in DIALECTS {
            let provider = translate::provider(dialect);
            for task in [Task::Chat, Task::Completions] {
                prop_assert_eq!(decoded(provider, task, &bytes, &[]), decoded(provider, task, &bytes, &cuts));
            }
            for task in [Task::Chat, Task::Embeddings] {
                let _ = translate::answer(provider, task, &form(), &bytes);
            }
        }
    }

    /// Requests and answers with members of any kind are translated or refused, and what comes out is JSON.
    #[test]
    fn damaged_bodies_are_survived(at in 0usize..2_000, by in prop_oneof![Just("null"), Just("7"), Just("\"x\""), Just("[]"), Just("{}"), Just("[{}]")]) {
        for (name, provider, row) in rows() {
            let task = row.task.unwrap_or(Task::Chat);
            let damaged = |body: &Value| damage(body, at, by);
            if let Some(body) = row.request.as_ref().map(damaged)
                && let (Ok(translated), _) = request(provider, &row, &body)
            {
                prop_assert!(serde_json::from_str::<Value>(&translated.body).is_ok(), "{} {}", name, translated.body);
            }
            if let Some(body) = row.answer.as_ref().map(damaged) {
                let written = translate::answer(provider, task, &form(), body.to_string().as_bytes());
                prop_assert!(written.is_none_or(|text| serde_json::from_str::<Value>(&text).is_ok()), "{}", name);
            }
            if let Some(events) = &row.events {
                let events: Vec<Value> = events.iter().map(damaged).collect();
                let (text, _) = decoded(provider, task, &bytes_of(&events, row.done), &[]);
                let _ = chunks_of(&text);
            }
        }
    }
}

/// `body` with the value at the place `at` (counted over all values, modulo their number) replaced by `by`.
fn damage(body: &Value, at: usize, by: &str) -> Value {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum::<usize>(),
            Value::Object(members) => members.values().map(count).sum(),
            _ => 0,
        }
    }
    fn replace(value: &mut Value, at: &mut usize, by: &Value) {
        if *at == 0 {
            *value = by.clone();
        }
        *at = at.wrapping_sub(1);
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, at, by)),
            Value::Object(members) => members.values_mut().for_each(|member| replace(member, at, by)),
            _ => {}
        }
    }
    let (mut body, by) = (body.clone(), serde_json::from_str(by).unwrap());
    let mut at = 1 + at % count(&body);
    replace(&mut body, &mut at, &by);
    body
}
