//! Whole exchanges as data: every row of `vectors/exchange/*.json` through an isolate, with its object calls answered
//! and its upstream scripted; what the caller gets and what the upstream was sent, compared member by member.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_core::exchange::{
    Action, Event, Failure, Isolate, Request, Send, Settings, StreamEnd, UpstreamHeaders,
};
use weir_core::id::IsolateId;
use weir_core::object::{CallOutcome, ObjectKind};
use weir_core::seal::{SealKey, key_hash, seal};
use weir_core::snapshot::Snapshot;
use weir_core::surface::{HEADER_COUNT, HEADERS, HeaderValues, classify, wanted};
use weir_core::time::UnixMillis;
use weir_core::wire::envelope::Edit;
use weir_tests::clock::Skew;
use weir_tests::object::Objects;

const SEAL: &str = "a passphrase that is long enough";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    source: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The row of the contract's tables that it shows (`contract`).
    #[serde(default, rename = "row")]
    _shows: String,
    /// The rule that the row shows.
    source: String,
    /// Method and address; a path stands for one of the host `weir.example`.
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A JSON value, or text as it is.
    #[serde(default)]
    body: Value,
    /// Members of the snapshot that are otherwise than usual.
    #[serde(default)]
    snapshot: BTreeMap<String, Value>,
    /// What the upstream answers.
    upstream: Option<Upstream>,
    /// What it answers from the second call of an exchange on, if that is something else.
    then: Option<Upstream>,
    /// How often the request is sent; the last answer counts.
    #[serde(default = "once")]
    times: u32,
    status: u16,
    /// Headers of the answer; null: it must not be there, "~": it must be.
    #[serde(default)]
    answer_headers: BTreeMap<String, Option<String>>,
    /// The answer's body; "~" stands for any text that is not empty.
    answer: Option<Value>,
    /// What the upstream was sent, as far as it is named: `url`, `body`, `headers`.
    sent: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    retry_after: Option<String>,
    content_type: Option<String>,
    #[serde(default)]
    body: Value,
    /// Instead of an answer: `timeout`, `unreachable`.
    failure: Option<String>,
}

impl Row {
    fn address(&self) -> (&str, String) {
        let (method, address) = self.request.split_once(' ').unwrap();
        let host = if address.starts_with('/') { "weir.example" } else { "" };
        (method, format!("https://{host}{address}"))
    }
}

/// A body as it is sent.
fn text(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const fn once() -> u32 {
    1
}

fn key(text: &str, only: Option<&str>, expires: Option<u64>) -> Value {
    let mut key = json!({"hash": key_hash(text), "id": text, "principal": text});
    if let Some(only) = only {
        key["deployments"] = json!([only]);
    }
    if let Some(expires) = expires {
        key["expires_at"] = json!(expires);
    }
    key
}

fn snapshot() -> Value {
    let seal_key = SealKey::parse(SEAL).unwrap();
    let sealed = |base: &str| seal(&seal_key, base, "sk-upstream", [7; 12]).unwrap();
    let base = "https://up.example/v1";
    let azure_base = "https://up.openai.azure.com";
    let open_ai = |base: &str| json!({"http": {"base": base, "paths": "open_ai", "auth": {"bearer": {"sealed": sealed(base)}}}});
    let azure = json!({"http": {"base": azure_base,
        "paths": {"azure_open_ai": {"deployment": "their-dep", "api_version": "2024-10-21"}},
        "auth": {"header": {"name": "api-key", "sealed": sealed(azure_base)}}}});
    let gemini_base = "https://gemini.example";
    let gemini = || {
        json!({"http": {"base": gemini_base, "paths": {"native": {}},
        "auth": {"header": {"name": "x-goog-api-key", "sealed": sealed(gemini_base)}}}})
    };
    let workspace_base = "https://ws.example";
    let workspace = json!({"http": {"base": workspace_base, "paths": {"native": {}},
        "auth": {"bearer": {"sealed": sealed(workspace_base)}}}});
    let simulator = || json!({"simulator": {}});
    let deployment = |name: &str, kind: &str, task: &str, provider: &str, target: Value, limits: Value| {
        json!({"name": name, "kind": kind, "task": task, "model": format!("model-of-{name}"),
            "publisher": "Contoso", "created_at": 1_764_000_000_000_u64, "limits": limits,
            "entities": [{"name": "e0", "provider": provider, "upstream_model": format!("up-{name}"),
                "weight": 100, "target": target}]})
    };
    let chat = "llm/v1/chat";
    let limit = |meter: &str, amount: u64| json!([{"meter": meter, "scope": "deployment", "amount": amount, "per": 60_000, "burst": amount}]);
    let with = |mut deployment: Value, member: &str, value: Value| {
        deployment[member] = value;
        deployment
    };
    let gone = json!({"region": "eastus2", "suspended": true});
    let mut account_key = key("wk_default_account", None, None);
    account_key["id"] = json!("key1");
    json!({"account": "default", "version": 1,
    "keys": [account_key, key("K1", None, None), key("embed-key", Some("sim-embed"), None), key("old-key", None, Some(1))],
    "deployments": [
        deployment("Sim-Chat", "account", chat, "simulator", simulator(), json!([])),
        deployment("sim-embed", "account", "llm/v1/embeddings", "simulator", simulator(), json!([])),
        deployment("up", "account", chat, "openai", open_ai(base), json!([])),
        deployment("up-text", "account", "llm/v1/completions", "openai", open_ai(base), json!([])),
        deployment("up-embed", "account", "llm/v1/embeddings", "openai", open_ai(base), json!([])),
        deployment("azure-up", "account", chat, "openai", azure, json!([])),
        deployment("gem", "serving_endpoint", chat, "palm", gemini(), json!([])),
        deployment("agent", "serving_endpoint", chat, "databricks-model-serving", workspace, json!([])),
        deployment("gem-few", "serving_endpoint", chat, "palm", gemini(), limit("tokens", 60)),
        with(deployment("gem-guarded", "account", chat, "palm", gemini(), json!([])), "content_policy",
            json!("Microsoft.DefaultV2")),
        deployment("llama", "serverless", chat, "openai", open_ai(base), json!([])),
        deployment("busy", "account", chat, "simulator", simulator(), limit("requests", 1)),
        deployment("small", "account", chat, "simulator", simulator(), limit("tokens", 10)),
        deployment("few", "account", chat, "simulator", simulator(), limit("tokens", 300)),
        with(deployment("guarded", "account", chat, "simulator", simulator(), json!([])), "content_policy",
            json!("Microsoft.DefaultV2")),
        with(deployment("watched", "account", chat, "openai", open_ai(base), json!([])), "content_policy",
            json!("Microsoft.DefaultV2")),
        with(with(with(deployment("logged", "account", chat, "openai", open_ai(base), json!([])), "payload_sampling",
            json!(1_000_000)), "usage_tracking", json!(true)), "payload_table", json!("main/serving/chats_payload")),
        with(with(deployment("logged-guarded", "account", chat, "openai", open_ai(base), json!([])), "payload_sampling",
            json!(1_000_000)), "content_policy", json!("Microsoft.DefaultV2")),
        with(deployment("tracked", "account", chat, "openai", open_ai(base), limit("requests", 2)), "usage_tracking",
            json!(true)),
        with(deployment("gone", "serverless", chat, "openai", open_ai(base), json!([])), "serverless", gone),
        with(deployment("ptu", "account", chat, "openai", open_ai(base), json!([])), "spillover", json!("up")),
        with(deployment("ptu-busy", "account", chat, "openai", open_ai(base), limit("requests", 1)), "spillover",
            json!("up")),
    ]})
}

/// The answer, and the last call of an upstream.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    sent: Option<Value>,
}

pub(crate) struct World {
    isolate: Isolate,
    pub(crate) objects: Objects,
    snapshot: Vec<u8>,
    pub(crate) now: UnixMillis,
}

impl World {
    pub(crate) fn new(row: &Row) -> Self {
        let settings = Settings { seal_key: Some(SealKey::parse(SEAL).unwrap()), ..Settings::default() };
        // The snapshot is legal: what the row asks is about the request alone.
        let mut snapshot = snapshot();
        for (member, value) in &row.snapshot {
            snapshot[member] = value.clone();
        }
        let text = snapshot.to_string();
        let _checked: Snapshot = serde_json::from_str(&text).unwrap();
        let objects = Objects::new(weir_core::control::Settings::default(), Skew::default());
        Self { isolate: Isolate::new(IsolateId(9), settings), objects, snapshot: text.into_bytes(), now: NOW }
    }

    /// Begins the exchange of a row.
    fn begin(&mut self, row: &Row) -> (u32, Action) {
        let (method, url) = row.address();
        let bits = wanted(&classify(method, &url));
        let mut slots = [None; HEADER_COUNT];
        for (at, name) in HEADERS.iter().enumerate() {
            if bits & (1 << at) != 0 {
                slots[at] = row.headers.get(*name).map(String::as_str);
            }
        }
        let body = text(&row.body);
        let headers = HeaderValues::new(slots);
        let request = Request {
            method,
            url: &url,
            headers,
            body: body.as_bytes(),
            length: body.len() as u64,
            all_headers: true,
        };
        self.isolate.begin(self.now, 7, &request)
    }

    pub(crate) fn exchange(&mut self, row: &Row) -> Outcome {
        let mut outcome = Outcome::default();
        let (handle, mut action) = self.begin(row);
        let (mut answer, mut whole, mut calls, mut unread) = (Vec::new(), 200, 0, true);
        for _ in 0..64 {
            let event = match action {
                Action::Reply(reply) => {
                    outcome.head(reply.status, &reply.headers);
                    outcome.body = reply.body.into();
                    return outcome;
                }
                Action::Deliver(head) | Action::HandThrough(head) => {
                    outcome.head(head.status, &head.headers);
                    outcome.body = answer;
                    return outcome;
                }
                Action::DeliverStream { head, bytes, again, .. } => {
                    outcome.head(head.status, &head.headers);
                    outcome.body = [bytes, self.stream(handle, again)].concat();
                    return outcome;
                }
                // An upstream's stream is one piece here, and then its end.
                Action::ReadPiece { .. } if core::mem::take(&mut unread) => Event::Piece(&answer),
                Action::ReadPiece { .. } => Event::Ended(StreamEnd::Closed),
                Action::Pause(_) => {
                    self.calls();
                    Event::Resumed
                }
                Action::Send(send) => {
                    outcome.sent = Some(sent(&send, row));
                    calls += 1;
                    match answer_of(&send, row, calls) {
                        Ok((status, headers, bytes)) => {
                            (answer, whole, unread) = (bytes, status, true);
                            let headers = UpstreamHeaders {
                                content_type: headers.0,
                                retry_after: headers.1,
                                ..UpstreamHeaders::default()
                            };
                            if send.head_first {
                                Event::Head { status, headers }
                            } else {
                                Event::Answer { status, headers, body: &answer }
                            }
                        }
                        Err(failure) => Event::Failed(failure),
                    }
                }
                Action::ReadWhole => {
                    Event::Answer { status: whole, headers: UpstreamHeaders::default(), body: &answer }
                }
                other => panic!("{}: {other:?}", row.source),
            };
            action = self.isolate.handle(self.now, 3, handle, event);
        }
        panic!("{}: no end", row.source);
    }

    /// What follows what a stream began with.
    fn stream(&mut self, handle: u32, again: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if again {
            match self.isolate.handle(self.now, 3, handle, Event::Resumed) {
                Action::PassInstead(bytes) => out = bytes,
                Action::Close(bytes) | Action::Abort(bytes) => return bytes,
                other => panic!("{other:?}"),
            }
        }
        match self.isolate.handle(self.now, 3, handle, Event::Ended(StreamEnd::Closed)) {
            Action::Close(bytes) | Action::Abort(bytes) => [out, bytes].concat(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn calls(&mut self) {
        // Whatever an exchange waits for is there at the next look.
        self.now = self.now.plus(weir_core::time::Millis(300));
        while let Some(call) = self.isolate.poll_call(self.now) {
            let reply = match call.kind {
                ObjectKind::Registry => Some(self.snapshot.clone()),
                kind => self.objects.message(
                    (self.now.0 - NOW.0) * 1_000,
                    kind,
                    &call.name,
                    &call.body,
                    [0; 32],
                    false,
                ),
            };
            let outcome = reply.as_deref().map_or(CallOutcome::Lost, CallOutcome::Answered);
            self.isolate.called(self.now, call.id, outcome);
        }
    }
}

impl Outcome {
    fn head(&mut self, status: u16, headers: &[(&'static str, String)]) {
        self.status = status;
        self.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    }
}

#[expect(clippy::type_complexity, reason = "an answer's parts, used once")]
fn answer_of<'r>(
    send: &Send,
    row: &'r Row,
    call: u32,
) -> Result<(u16, (Option<&'r str>, Option<&'r str>), Vec<u8>), Failure> {
    if let Some(script) = &send.script {
        let stream = script.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let kind = if stream { "text/event-stream" } else { "application/json" };
        return Ok((script.status, (Some(kind), None), script.body()));
    }
    let upstream = row.then.as_ref().filter(|_| call > 1).or(row.upstream.as_ref());
    let upstream = upstream.unwrap_or_else(|| panic!("{}: no upstream", row.source));
    match upstream.failure.as_deref() {
        Some("timeout") => Err(Failure::TimedOut),
        Some(_) => Err(Failure::Unreachable),
        None => {
            let body = text(&upstream.body);
            let events = body.starts_with("data:") || body.starts_with("event:");
            let kind = if events { "text/event-stream" } else { "application/json" };
            let kind = upstream.content_type.as_deref().unwrap_or(kind);
            let status = if upstream.status == 0 { 200 } else { upstream.status };
            Ok((status, (Some(kind), upstream.retry_after.as_deref()), body.into_bytes()))
        }
    }
}

fn sent(send: &Send, row: &Row) -> Value {
    let (method, _) = row.address();
    let bytes = Edit::apply(text(&row.body).as_bytes(), &send.edits);
    let text = String::from_utf8(bytes).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let headers: BTreeMap<_, _> = send.headers.iter().cloned().collect();
    json!({"method": method, "url": send.url, "headers": headers, "body": body})
}

/// Where `got` is not as `want` says.
fn differs(want: &Value, got: &Value, part: bool) -> bool {
    match (want, got) {
        (Value::String(mark), Value::String(text)) if mark == "~" => text.is_empty(),
        (Value::Object(want), Value::Object(got)) => {
            (!part && want.len() != got.len())
                || want.iter().any(|(name, value)| got.get(name).is_none_or(|got| differs(value, got, part)))
        }
        (Value::Array(want), Value::Array(got)) => {
            want.len() != got.len() || want.iter().zip(got).any(|(want, got)| differs(want, got, part))
        }
        (want, got) => want != got,
    }
}

fn faults(row: &Row) -> Vec<String> {
    let mut world = World::new(row);
    let mut outcome = world.exchange(row);
    for _ in 1..row.times {
        outcome = world.exchange(row);
    }
    let mut faults = Vec::new();
    let text = String::from_utf8_lossy(&outcome.body).into_owned();
    let mut fault = |what: String| faults.push(format!("{}: {}: {what}", row.source, row.request));
    if outcome.status != row.status {
        fault(format!("{} instead of {}: {text}", outcome.status, row.status));
    }
    if let Some(want) = &row.answer {
        let got = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if differs(want, &got, false) {
            fault(format!("\n  want {want}\n  got  {got}"));
        }
    }
    for (name, want) in &row.answer_headers {
        let got = outcome.headers.get(name);
        let good = match want.as_deref() {
            Some("~") => got.is_some_and(|value| !value.is_empty()),
            want => got.map(String::as_str) == want,
        };
        if !good {
            fault(format!("header {name} is {got:?}, not {want:?}"));
        }
    }
    match (&row.sent, &outcome.sent) {
        (Some(want), Some(got)) if !differs(want, got, true) => {}
        (None, _) => {}
        (Some(want), got) => fault(format!("\n  want sent {want}\n  got       {got:?}")),
    }
    faults
}

#[test]
fn each_row_is_answered_as_the_contract_says() {
    let files = [
        include_str!("../vectors/exchange/model_inference.json"),
        include_str!("../vectors/exchange/serverless.json"),
        include_str!("../vectors/exchange/azure_openai.json"),
        include_str!("../vectors/exchange/passed.json"),
        include_str!("../vectors/exchange/databricks.json"),
        include_str!("../vectors/exchange/gemini.json"),
    ];
    let (mut faulty, mut rows) = (Vec::new(), 0);
    for file in files {
        let vectors: Vectors = serde_json::from_str(file).unwrap();
        assert!(!vectors.source.is_empty());
        for row in &vectors.rows {
            faulty.extend(faults(row));
            rows += 1;
        }
    }
    assert!(faulty.is_empty(), "{} faults in {rows} rows:\n{}", faulty.len(), faulty.join("\n"));
    assert!(rows > 60, "the tables are there");
}
