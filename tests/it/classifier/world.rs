//! An isolate whose upstreams are a model and a classifier: chats, responses and their streams on virtual time.

use serde_json::{Value, json};
use std::collections::VecDeque;
use weir_core::exchange::{
    Action, Event, Failure, Isolate, Request, Send, Settings, StreamEnd, UpstreamHeaders,
};
use weir_core::id::IsolateId;
use weir_core::object::{CallOutcome, ObjectKind};
use weir_core::seal::{SealKey, key_hash, seal};
use weir_core::surface::{Header, HeaderValues};
use weir_core::time::{Millis, UnixMillis};
use weir_core::wire::envelope::Edit;

const SEAL: &str = "a passphrase that is long enough";

pub(crate) fn snapshot(service: &str, failing: &str, mode: &str) -> Value {
    let seal_key = SealKey::parse(SEAL).unwrap();
    let sealed = |place: &str| seal(&seal_key, place, "sk-own", [7; 12]).unwrap();
    let deployment = |name: &str, policy: Option<&str>| {
        let base = format!("https://{name}.example/v1");
        let target = json!({"http": {"base": base, "paths": "open_ai", "auth": {"bearer": {"sealed": sealed(&base)}}}});
        json!({"name": name, "kind": "account", "task": "llm/v1/chat", "model": name, "publisher": "p",
            "created_at": 1, "limits": [], "content_policy": policy,
            "entities": [{"name": "e", "provider": "openai", "upstream_model": name, "weight": 100, "target": target}]})
    };
    let rule = |filter: &str| json!({"filter": filter, "threshold": "medium", "blocking": true});
    let place = match service {
        "deployment" => "guard",
        _ => "https://service.example",
    };
    let mut classifier = json!({"name": "c", "service": service, "place": place, "model": "m", "shield": true,
        "deadline": 2000, "open": failing == "open"});
    if service != "deployment" {
        classifier["sealed"] = json!(sealed(place));
    }
    json!({"account": "default", "version": 1,
        "keys": [{"hash": key_hash("K1"), "id": "K1", "principal": "K1"}],
        "deployments": [deployment("chat", Some("P")), deployment("guard", None)],
        "content": {"blocklists": [], "classifiers": [classifier], "policies": [{"name": "P", "mode": mode,
            "prompt": [rule("violence"), rule("jailbreak")], "completion": [rule("violence")], "classifier": "c"}]}})
}

pub(crate) struct World {
    isolate: Isolate,
    snapshot: Vec<u8>,
    pub(crate) now: UnixMillis,
    /// What the model says.
    pub(crate) says: Vec<String>,
    /// Bodies that the model was sent.
    pub(crate) sent: Vec<String>,
    /// Calls of the model, and of the classifier.
    pub(crate) calls: (u32, u32),
    /// Usage records that were written.
    pub(crate) records: Vec<Value>,
}

/// What the caller got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) broken: bool,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of a stream.
    pub(crate) fn said(&self) -> String {
        let events = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        let values = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let said = |event: Value| {
            let text = event["choices"][0]["delta"]["content"].as_str().or(event["delta"].as_str());
            text.map(str::to_owned)
        };
        values.filter_map(said).collect()
    }
}

impl World {
    pub(crate) fn new(service: &str, failing: &str, mode: &str) -> Self {
        Self::of(&snapshot(service, failing, mode))
    }

    pub(crate) fn of(snapshot: &Value) -> Self {
        let settings = Settings { seal_key: Some(SealKey::parse(SEAL).unwrap()), ..Settings::default() };
        Self {
            isolate: Isolate::new(IsolateId(9), settings),
            snapshot: snapshot.to_string().into_bytes(),
            now: UnixMillis(1_800_000_000_000),
            says: vec!["fine".into()],
            sent: Vec::new(),
            calls: (0, 0),
            records: Vec::new(),
        }
    }

    pub(crate) fn calls(&mut self) {
        self.now = self.now.plus(Millis(300));
        while let Some(call) = self.isolate.poll_call(self.now) {
            let outcome = match call.kind {
                ObjectKind::Registry => CallOutcome::Answered(&self.snapshot),
                ObjectKind::Ledger => {
                    let batch: Value = serde_json::from_slice(&call.body).unwrap();
                    self.records.push(batch);
                    CallOutcome::Lost
                }
                ObjectKind::Limiter => CallOutcome::Lost,
            };
            self.isolate.called(self.now, call.id, outcome);
        }
    }

    /// What a call is answered: status and body, or nothing.
    fn answer(&mut self, send: &Send, held: &[u8]) -> Option<(u16, String)> {
        let body = String::from_utf8(Edit::apply(held, &send.edits)).unwrap();
        let asked: Value = serde_json::from_str(&body).unwrap();
        let has = |name: &str, value: &str| send.headers.iter().any(|(n, v)| n == name && v == value);
        if send.url == "https://chat.example/v1/chat/completions" {
            self.calls.0 += 1;
            self.sent.push(body);
            let choice = |(at, text): (usize, &String)| json!({"index": at, "finish_reason": "stop", "message": {"role": "assistant", "content": text}});
            let choices: Vec<Value> = self.says.iter().enumerate().map(choice).collect();
            let usage = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
            return Some((200, json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}).to_string()));
        }
        self.calls.1 += 1;
        assert!(send.timeout <= Millis(2_000) && !send.head_first && !send.rest);
        if body.contains("BROKEN") {
            return None;
        }
        let (bad, attack) = (body.contains("BAD"), body.contains("ATTACK"));
        let answer = match send.url.as_str() {
            "https://service.example/contentsafety/text:analyze?api-version=2024-09-01" => {
                assert!(has("ocp-apim-subscription-key", "sk-own") && asked["text"].is_string());
                json!({"blocklistsMatch": [], "categoriesAnalysis": [{"category": "Violence", "severity": if bad { 6 } else { 0 }}]})
            }
            "https://service.example/contentsafety/text:shieldPrompt?api-version=2024-09-01" => {
                json!({"userPromptAnalysis": {"attackDetected": attack}, "documentsAnalysis": []})
            }
            "https://service.example/moderations" => {
                assert!(has("authorization", "Bearer sk-own") && asked["model"] == "m");
                json!({"results": [{"categories": {"violence": bad}, "category_scores": {"violence": if bad { 0.99 } else { 0.0 }}}]})
            }
            "https://guard.example/v1/chat/completions" => {
                assert!(has("authorization", "Bearer sk-own") && asked["model"] == "guard");
                let verdict = if bad { "unsafe\nS1" } else { "safe" };
                json!({"id": "g", "object": "chat.completion", "created": 1, "model": "guard",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": verdict}}],
                    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}})
            }
            other => panic!("{other} is called"),
        };
        Some((200, answer.to_string()))
    }

    /// One exchange on Azure's surface. `late` says how many pieces of a stream come before a verdict does.
    pub(crate) fn exchange(&mut self, prompt: &str, pieces: Option<&[&str]>, late: &[usize]) -> Got {
        let url = "https://weir.example/openai/deployments/chat/chat/completions?api-version=2024-10-21";
        self.exchange_at(url, prompt, pieces, late)
    }

    /// What the caller sends.
    fn asked(&self, url: &str, prompt: &str, stream: bool) -> String {
        if url == RESPONSES {
            return json!({"model": "chat", "input": prompt, "stream": stream}).to_string();
        }
        let messages = json!([{"role": "user", "content": prompt}]);
        json!({"messages": messages, "stream": stream, "n": self.says.len()}).to_string()
    }

    /// What the model gives piece by piece.
    fn given(&self, url: &str, pieces: Option<&[&str]>) -> VecDeque<String> {
        match pieces {
            Some(pieces) if url == RESPONSES => spoken(pieces),
            None if url == RESPONSES => VecDeque::from([response(&self.says[0])]),
            pieces => events(pieces.unwrap_or_default()),
        }
    }

    pub(crate) fn exchange_at(
        &mut self,
        url: &str,
        prompt: &str,
        pieces: Option<&[&str]>,
        late: &[usize],
    ) -> Got {
        let body = self.asked(url, prompt, pieces.is_some());
        let headers = Header::ALL.map(|header| (header == Header::Authorization).then_some("Bearer K1"));
        let request = Request {
            method: "POST",
            url,
            headers: HeaderValues::new(headers),
            body: body.as_bytes(),
            length: body.len() as u64,
            all_headers: true,
        };
        let (handle, mut action) = self.isolate.begin(self.now, 7, &request);
        let (mut whole, mut left) = (Vec::new(), self.given(url, pieces));
        let mut piece = String::new();
        for _ in 0..200 {
            let event = match action {
                Action::Reply(reply) => {
                    self.calls();
                    return Got { status: reply.status, body: reply.body, broken: false };
                }
                Action::Deliver(head) => {
                    self.calls();
                    return Got {
                        status: head.status,
                        body: String::from_utf8(whole).unwrap(),
                        broken: false,
                    };
                }
                Action::ReadPiece { .. } => {
                    piece.clone_from(&left.pop_front().expect("a stream says something"));
                    Event::Piece(piece.as_bytes())
                }
                Action::DeliverStream { bytes, again, .. } => {
                    assert!(again && bytes.is_empty(), "a policy reads what was held back");
                    let got = self.stream(handle, left, late);
                    self.calls();
                    return got;
                }
                Action::Pause(_) => {
                    self.calls();
                    Event::Resumed
                }
                Action::Send(send) if send.head_first => {
                    self.calls.0 += 1;
                    let headers = UpstreamHeaders {
                        content_type: Some(if pieces.is_some() {
                            "text/event-stream"
                        } else {
                            "application/json"
                        }),
                        ..UpstreamHeaders::default()
                    };
                    Event::Head { status: 200, headers }
                }
                Action::ReadWhole => {
                    whole = left.drain(..).collect::<String>().into_bytes();
                    Event::Answer { status: 200, headers: UpstreamHeaders::default(), body: &whole }
                }
                Action::Send(send) => match self.answer(&send, body.as_bytes()) {
                    Some((status, answer)) => {
                        whole = answer.into_bytes();
                        Event::Answer { status, headers: UpstreamHeaders::default(), body: &whole }
                    }
                    None => Event::Failed(Failure::TimedOut),
                },
                other => panic!("{other:?}"),
            };
            action = self.isolate.handle(self.now, 3, handle, event);
        }
        panic!("no end");
    }

    fn stream(&mut self, handle: u32, mut left: VecDeque<String>, late: &[usize]) -> Got {
        let (mut out, mut asked, mut over) = (String::new(), None::<(Send, usize)>, false);
        let mut begun = false;
        let mut late = late.iter().copied().cycle();
        loop {
            self.now = self.now.plus(Millis(5));
            let mut piece = String::new();
            let due = asked.as_ref().is_some_and(|(_, wait)| *wait == 0) || (over && asked.is_some());
            let action = if !std::mem::replace(&mut begun, true) {
                self.isolate.handle(self.now, 3, handle, Event::Resumed)
            } else if due {
                let (send, _) = asked.take().unwrap();
                let answer = self.answer(&send, b"");
                let (now, none) = (self.now, UpstreamHeaders::default());
                match &answer {
                    Some((status, body)) => {
                        let event = Event::Answer { status: *status, headers: none, body: body.as_bytes() };
                        self.isolate.handle(now, 3, handle, event)
                    }
                    None => self.isolate.handle(now, 3, handle, Event::Failed(Failure::TimedOut)),
                }
            } else if let Some(next) = left.pop_front() {
                if let Some((_, wait)) = &mut asked {
                    *wait -= 1;
                }
                piece = next;
                self.isolate.handle(self.now, 3, handle, Event::Piece(piece.as_bytes()))
            } else {
                assert!(!over, "the driver waits for nothing");
                over = true;
                self.isolate.handle(self.now, 3, handle, Event::Ended(StreamEnd::Closed))
            };
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            match action {
                Action::PassPiece => out.push_str(&piece),
                Action::PassInstead(bytes) => out.push_str(&text(bytes)),
                Action::Ask { pass, send } => {
                    assert!(asked.is_none(), "one question at a time");
                    out.push_str(&text(pass));
                    asked = Some((send, late.next().unwrap_or(0)));
                }
                Action::Close(bytes) => {
                    out.push_str(&text(bytes));
                    return Got { status: 200, body: out, broken: false };
                }
                Action::Abort(bytes) => {
                    out.push_str(&text(bytes));
                    return Got { status: 200, body: out, broken: true };
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) const RESPONSES: &str = "https://weir.example/openai/v1/responses";

/// A whole response that says this.
fn response(text: &str) -> String {
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    let message = json!({"type": "message", "id": "msg_abcdef", "role": "assistant", "content": [part]});
    json!({"id": "resp_abcdef", "object": "response", "status": "completed", "output": [message],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})
    .to_string()
}

/// The events of a response's stream that says these texts.
fn spoken(pieces: &[&str]) -> VecDeque<String> {
    let event = |kind: &str, member: &str, value: Value| {
        let data = json!({"type": kind, "output_index": 0, "content_index": 0, member: value});
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let whole = || serde_json::from_str::<Value>(&response(&pieces.concat())).unwrap();
    let mut begun = whole();
    (begun["output"], begun["usage"]) = (json!([]), Value::Null);
    let mut left = VecDeque::from([event("response.created", "response", begun)]);
    left.extend(pieces.iter().map(|text| event("response.output_text.delta", "delta", json!(text))));
    left.push_back(event("response.output_text.done", "text", json!(pieces.concat())));
    left.push_back(event("response.completed", "response", whole()));
    left
}

/// The events of a stream that says these texts, and its end.
fn events(pieces: &[&str]) -> VecDeque<String> {
    let event = |text: &str, finish: Value| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": finish});
        format!(
            "data: {}\n\n",
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
        )
    };
    let mut left: VecDeque<String> = pieces.iter().map(|text| event(text, Value::Null)).collect();
    left.push_back(event("", json!("stop")));
    left.push_back("data: [DONE]\n\n".to_owned());
    left
}
