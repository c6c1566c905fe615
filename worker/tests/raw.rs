//! The raw exports as the driver uses them: numbers and texts in, words of a flat plan out of the same memory.
//!
//! Decides nothing about exchanges, which `weir-core` tests; here is shown that what the driver writes and reads is
//! what core gets and says, by the driver's own constants. Stage: shell.
#![expect(unsafe_code, reason = "the driver writes to and reads from the module's memory by address")]
#![expect(clippy::expect_used, reason = "a test's own data")]

use core::slice;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wasm_bindgen_test::wasm_bindgen_test;
use weir_core::exchange::flat::{Kind, WORDS};
use weir_worker::raw;

const NOW: f64 = 1_800_000_000_000.0;
const CHAT: &str = "https://weir.example/v1/chat/completions";
const MEMORY_JS: &str = include_str!("../src/memory.js");

/// A constant of the driver: `NAME = number` in `memory.js`.
fn js(name: &str) -> u32 {
    let constants = MEMORY_JS.lines().filter_map(|line| line.strip_prefix("export const "));
    let mut pairs = constants
        .flat_map(|line| line.trim_end_matches(';').split(", "))
        .filter_map(|pair| pair.split_once(" = "));
    let (_, number) = pairs.find(|(found, _)| *found == name).expect("a constant of memory.js");
    number.parse().expect("a number")
}

fn bytes(at: u32, length: u32) -> Vec<u8> {
    // SAFETY: the address and the length are those that an export just answered.
    unsafe { slice::from_raw_parts(at as usize as *const u8, length as usize) }.to_vec()
}

fn words<const N: usize>(at: u32) -> [u32; N] {
    assert_eq!(at % 4, 0, "the driver reads words through a Uint32Array");
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(bytes(at, u32::try_from(N * 4).unwrap_or(0)).chunks_exact(4)) {
        *word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    words
}

/// Writes into the room as `write()` in `memory.js` does. Answers both lengths.
fn write(text: &str, body: &[u8]) -> (u32, u32) {
    let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let at = raw::weir_room(length(text.len() * 3 + body.len()));
    // SAFETY: the room has at least so many bytes, and nothing else runs until they are used.
    let room = unsafe { slice::from_raw_parts_mut(at as usize as *mut u8, text.len() + body.len()) };
    room[..text.len()].copy_from_slice(text.as_bytes());
    room[text.len()..].copy_from_slice(body);
    (length(text.len()), length(body.len()))
}

struct Plan {
    at: u32,
    word: [u32; WORDS],
}

impl Plan {
    fn read(at: u32) -> Self {
        assert_ne!(at, 0, "no plan");
        Self { at, word: words(at) }
    }

    fn span(&self, word: usize) -> Vec<u8> {
        bytes(self.at + self.word[word], self.word[word + 1])
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.span(4)).expect("text").split('\n').map(str::to_owned).collect()
    }

    fn error(&self) -> Value {
        serde_json::from_slice::<Value>(&self.span(6)).expect("JSON")["error"].clone()
    }
}

fn configure() {
    let (text, _) = write("admin\n\n", &[7; 32]);
    raw::weir_configure(text);
}

fn classify(method: &str, url: &str) -> i32 {
    raw::weir_classify(write(&format!("{method}\n{url}"), b"").0)
}

fn begin(url: &str, authorization: &str, body: &[u8]) -> Plan {
    let values = "\n".repeat(header_names().len() - 1);
    let (text, length) = write(&format!("POST\n{url}\n{authorization}{values}"), body);
    Plan::read(raw::weir_begin(NOW, text, length, length))
}

fn event(handle: u32, name: &str, code: u32, headers: &str, body: &[u8]) -> Plan {
    let (text, length) = write(headers, body);
    Plan::read(raw::weir_event(NOW + 5.0, handle, js(name), code, text, length))
}

fn header_names() -> Vec<String> {
    let [at, length] = words(raw::weir_header_names());
    let names = String::from_utf8(bytes(at, length)).expect("text");
    let (asked, heads) = names.split_once("\n\n").expect("two lists");
    assert_eq!(heads.lines().next(), Some("content-type"));
    asked.split('\n').map(str::to_owned).collect()
}

/// Answers the one object call that is ready: the Registry's.
fn give_snapshot(snapshot: &Value) {
    let at = raw::weir_call(NOW);
    let [id, kind, name_at, name_length, body_at, body_length] = words(at);
    assert_eq!(kind, 0, "the driver's first namespace is REGISTRY");
    assert_eq!(bytes(at + name_at, name_length), b"default");
    assert_eq!(bytes(at + body_at, body_length), br#"{"snapshot":{"known":null}}"#);
    assert_eq!(raw::weir_call(NOW), 0, "one call only");
    let (_, length) = write("", snapshot.to_string().as_bytes());
    raw::weir_called(NOW + 4.0, id, 1, length);
}

fn snapshot(target: &Value) -> Value {
    snapshot_of("openai", "up", target)
}

fn snapshot_of(provider: &str, model: &str, target: &Value) -> Value {
    let hash = format!("{:x}", Sha256::digest(b"secret"));
    let entity =
        json!({"name": "e", "provider": provider, "upstream_model": model, "weight": 100, "target": target});
    let deployment = json!({"name": "m", "kind": "serving_endpoint", "task": "llm/v1/chat", "model": "up", "entities": [entity]});
    let key = json!({"hash": hash, "id": "k1", "principal": "p1"});
    json!({"account": "default", "version": 3, "keys": [key], "deployments": [deployment]})
}

#[wasm_bindgen_test]
fn the_drivers_constants_are_cores() {
    for (name, kind) in [
        ("REPLY", Kind::Reply),
        ("SEND", Kind::Send),
        ("CALLS", Kind::Calls),
        ("WAIT", Kind::Wait),
        ("DELIVER", Kind::Deliver),
        ("DELIVER_STREAM", Kind::DeliverStream),
        ("READ_WHOLE", Kind::ReadWhole),
        ("READ_PIECE", Kind::ReadPiece),
        ("READ_HEADERS", Kind::ReadHeaders),
        ("PASS", Kind::PassPiece),
        ("INSTEAD", Kind::PassInstead),
        ("CLOSE", Kind::Close),
        ("ABORT", Kind::Abort),
    ] {
        assert_eq!(js(name), kind as u32, "{name}");
    }
}

#[wasm_bindgen_test]
fn a_route_is_the_data_paths_with_the_headers_it_needs_or_not() {
    configure();
    let names = header_names();
    let wanted = |mask: i32| -> Vec<&str> {
        let bits = names.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0);
        bits.map(|(_, name)| name.as_str()).collect()
    };
    // An isolate that has seen no snapshot yet does not know whether a network rule asks for the address.
    let keys = ["authorization", "api-key", "cf-connecting-ip"];
    assert_eq!(wanted(classify("POST", CHAT)), keys);
    assert_eq!(wanted(classify("POST", "https://h/serving-endpoints/m/invocations")), keys);
    assert!(
        wanted(classify("POST", "https://h/models/chat/completions?api-version=2024-05-01-preview"))
            .contains(&"extra-parameters")
    );
    assert!(
        classify("POST", "https://h/no/such/route") >= 0,
        "refused on the data path, in its surface's form"
    );
    for (method, path) in
        [("GET", "/healthz"), ("GET", "/api/weir/v1/keys"), ("GET", "/api/2.0/serving-endpoints")]
    {
        assert_eq!(classify(method, &format!("https://h{path}")), -1, "{path}");
    }
}

#[wasm_bindgen_test]
fn a_request_without_a_key_waits_for_the_snapshot_and_is_refused() {
    configure();
    let plan = begin(CHAT, "", br#"{"model":"m","messages":[]}"#);
    assert_eq!(plan.word[0], js("CALLS"));
    give_snapshot(&json!({"account": "default", "version": 0, "keys": [], "deployments": []}));
    let reply = event(plan.word[13], "RESUMED", 0, "", b"");
    assert_eq!((reply.word[0], reply.word[1]), (js("REPLY"), 401));
    assert!(reply.lines().contains(&"application/json".to_owned()), "{:?}", reply.lines());
    assert!(reply.error()["message"].as_str().is_some_and(|text| !text.is_empty()));
}

#[wasm_bindgen_test]
fn a_plain_call_is_sent_with_edits_and_delivered() {
    configure();
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let plan = begin(CHAT, "Bearer secret", body);
    give_snapshot(&snapshot(
        &json!({"http": {"base": "https://up.example/v1", "paths": "open_ai", "auth": "none"}}),
    ));
    let send = event(plan.word[13], "RESUMED", 0, "", b"");
    assert_eq!((send.word[0], send.word[3]), (js("SEND"), 0));
    assert_eq!(send.lines()[0], "https://up.example/v1/chat/completions");
    assert!(send.word[2] > 0, "a call has a time limit");
    let [start, end, offset, length] = words(send.at + send.word[8]);
    assert_eq!(send.word[9], 1);
    assert_eq!(&body[start as usize..end as usize], br#""m""#);
    assert_eq!(bytes(send.at + offset, length), br#""up""#);
    let answer =
        br#"{"id":"1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let deliver = event(plan.word[13], "ANSWER", 200, "application/json", answer);
    assert_eq!((deliver.word[0], deliver.word[1]), (js("DELIVER"), 200));
    assert_ne!(deliver.word[14], 0, "usage is to be reported");
}

#[wasm_bindgen_test]
fn a_simulated_model_is_a_script() {
    configure();
    let plan = begin(CHAT, "Bearer secret", br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    give_snapshot(&snapshot(&json!({"simulator": {}})));
    let send = event(plan.word[13], "RESUMED", 0, "", b"");
    assert_eq!((send.word[0], send.word[3] & js("SCRIPT"), send.word[1]), (js("SEND"), js("SCRIPT"), 200));
    let [_, _, offset, length] = words(send.at + send.word[10]);
    let chunk: Value = serde_json::from_slice(&bytes(send.at + offset, length)).expect("JSON");
    assert_eq!(chunk["object"], "chat.completion");
}

#[wasm_bindgen_test]
fn a_model_of_the_platform_is_named_without_an_address() {
    configure();
    let plan = begin(CHAT, "Bearer secret", br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    let target = json!({"http": {"base": "", "paths": {"native": {}}, "auth": "none", "organization": null}});
    give_snapshot(&snapshot_of("workers-ai", "@cf/meta/llama", &target));
    let send = event(plan.word[13], "RESUMED", 0, "", b"");
    assert_eq!((send.word[0], send.word[3] & js("MODEL")), (js("SEND"), js("MODEL")));
    assert_eq!(send.lines()[0], "@cf/meta/llama");
}

#[wasm_bindgen_test]
fn an_event_of_an_unknown_exchange_breaks_it_off() {
    configure();
    let plan = begin(CHAT, "", b"{}");
    let aborted = event(plan.word[13].wrapping_add(1), "ENDED", js("CLOSED"), "", b"");
    assert_eq!((aborted.word[0], aborted.word[7]), (js("ABORT"), 0));
}

#[wasm_bindgen_test]
fn a_body_that_is_larger_than_it_may_be_is_refused_unread() {
    configure();
    let (text, _) = write(&format!("POST\n{CHAT}\nBearer secret"), b"");
    let reply = Plan::read(raw::weir_begin(NOW, text, 0, raw::weir_body_bytes_max() + 1));
    assert_eq!((reply.word[0], reply.word[1]), (js("REPLY"), 413));
}
