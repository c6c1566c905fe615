//! Exchanges under a policy that names a classifier: three services, prompts, whole answers and streams, verdicts that
//! come late and verdicts that never come. A text with `BAD` in it is violent to every classifier, one with `ATTACK` is
//! an attack to the shield, and one with `BROKEN` breaks the classifier.

use proptest::prelude::*;
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
    now: UnixMillis,
    /// What the model says.
    pub(crate) says: Vec<String>,
    /// Bodies that the model was sent.
    pub(crate) sent: Vec<String>,
    /// Calls of the model, and of the classifier.
    calls: (u32, u32),
    /// Usage records that were written.
    records: Vec<Value>,
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
    fn new(service: &str, failing: &str, mode: &str) -> Self {
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

    fn calls(&mut self) {
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
    fn exchange(&mut self, prompt: &str, pieces: Option<&[&str]>, late: &[usize]) -> Got {
        let url = "https://weir.example/openai/deployments/chat/chat/completions?api-version=2024-10-21";
        self.exchange_at(url, prompt, pieces, late)
    }

    pub(crate) fn exchange_at(
        &mut self,
        url: &str,
        prompt: &str,
        pieces: Option<&[&str]>,
        late: &[usize],
    ) -> Got {
        let responds = url == RESPONSES;
        let body = if responds {
            json!({"model": "chat", "input": prompt, "stream": pieces.is_some()}).to_string()
        } else {
            json!({"messages": [{"role": "user", "content": prompt}], "stream": pieces.is_some(), "n": self.says.len()}).to_string()
        };
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
        let (mut whole, mut left) = (Vec::new(), events(pieces.unwrap_or_default()));
        if responds {
            left = pieces.map_or_else(|| VecDeque::from([response(&self.says[0])]), spoken);
        }
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

const SERVICES: [&str; 3] = ["content_safety", "moderation", "deployment"];

const RESPONSES: &str = "https://weir.example/openai/v1/responses";

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

#[test]
fn a_prompt_is_judged_before_the_model_is_asked() {
    for service in SERVICES {
        let mut world = World::new(service, "closed", "buffered");
        let got = world.exchange("something BAD", None, &[]);
        assert_eq!((got.status, world.calls.0), (400, 0), "{service}: {}", got.body);
        let result = &got.json()["error"]["innererror"]["content_filter_result"];
        assert_eq!(result["violence"], json!({"filtered": true, "severity": "high"}), "{service}");
        let got = world.exchange("something good", None, &[]);
        assert_eq!((got.status, world.calls.0), (200, 1), "{service}: {}", got.body);
        assert_eq!(got.json()["choices"][0]["message"]["content"], "fine");
        let told = &got.json()["choices"][0]["content_filter_results"];
        assert_eq!(told["violence"], json!({"filtered": false, "severity": "safe"}), "{service}");
    }
    let mut world = World::new("content_safety", "closed", "buffered");
    let got = world.exchange("an ATTACK", None, &[]);
    let result = &got.json()["error"]["innererror"]["content_filter_result"];
    assert_eq!(result["jailbreak"], json!({"filtered": true, "detected": true}));
    assert_eq!(world.calls, (0, 2));
}

#[test]
fn a_whole_answer_is_judged_choice_by_choice() {
    for service in SERVICES {
        let mut world = World::new(service, "closed", "buffered");
        world.says = vec!["good".into(), "it is BAD".into()];
        let got = world.exchange("hello", None, &[]).json();
        let choices = got["choices"].as_array().unwrap();
        assert_eq!(choices[0]["message"]["content"], "good", "{service}");
        assert_eq!(choices[1]["message"]["content"], "", "{service}");
        assert_eq!(choices[1]["finish_reason"], "content_filter");
        assert_eq!(choices[1]["content_filter_results"]["violence"]["severity"], "high");
    }
}

#[test]
fn a_classifier_that_fails_closes_or_opens_as_it_is_set() {
    for service in SERVICES {
        let mut closed = World::new(service, "closed", "buffered");
        let got = closed.exchange("BROKEN", None, &[]);
        assert_eq!((got.status, closed.calls.0), (503, 0), "{service}");
        assert_eq!(got.json()["error"]["code"], "content_filter_error", "{service}");
        closed.says = vec!["BROKEN".into()];
        let got = closed.exchange("hello", None, &[]);
        assert_eq!((got.status, closed.calls.0), (503, 1), "{service}");
        assert!(!got.body.contains("BROKEN") && !got.body.contains("example"), "{}", got.body);
        let got = closed.exchange("hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(got.broken && got.said().is_empty(), "{service}: {}", got.body);
        assert!(got.body.contains("content_filter_error"), "{service}: {}", got.body);

        let mut open = World::new(service, "open", "buffered");
        open.says = vec!["so BROKEN".into()];
        let got = open.exchange("BROKEN", None, &[]);
        assert_eq!((got.status, open.calls.0), (200, 1), "{service}: {}", got.body);
        let error = json!({"code": "content_filter_error", "message": "The contents are not filtered"});
        assert_eq!(got.json()["choices"][0]["content_filter_results"]["error"], error, "{service}");
        assert_eq!(got.json()["prompt_filter_results"][0]["content_filter_results"]["error"], error);
        let got = open.exchange("hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(!got.broken && got.said() == "so BROKEN it is", "{service}: {}", got.body);
    }
}

#[test]
fn a_response_that_passes_is_judged_like_a_chat() {
    for service in SERVICES {
        let mut world = World::new(service, "closed", "buffered");
        let got = world.exchange_at(RESPONSES, "something BAD", None, &[]);
        assert_eq!((got.status, world.calls.0), (400, 0), "{service}: {}", got.body);
        assert_eq!(got.json()["error"]["content_filters"][0]["blocked"], true);
        let got = world.exchange_at(RESPONSES, "hello", None, &[]).json();
        assert_eq!(got["output"][0]["content"][0]["text"], "fine", "{service}");
        assert_eq!(got["content_filters"][1]["blocked"], false);
        world.says = vec!["it is BAD".into()];
        let got = world.exchange_at(RESPONSES, "hello", None, &[]).json();
        assert_eq!(got["incomplete_details"]["reason"], "content_filter", "{service}: {got}");
        assert_eq!(got["output"][0]["content"][0]["text"], "");
        let filters = &got["content_filters"][1];
        assert_eq!(
            (&filters["blocked"], &filters["content_filter_results"]["violence"]["severity"]),
            (&json!(true), &json!("high"))
        );
        world.says = vec!["it is BROKEN".into()];
        let got = world.exchange_at(RESPONSES, "hello", None, &[]);
        assert_eq!(got.status, 503, "{service}: {}", got.body);
        let got = world.exchange_at(RESPONSES, "hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(
            got.broken && got.said().is_empty() && got.body.contains("content_filter_error"),
            "{service}"
        );
        let mut open = World::new(service, "open", "buffered");
        open.says = vec!["so BROKEN".into()];
        let got = open.exchange_at(RESPONSES, "hello", None, &[]).json();
        let error = &got["content_filters"][1]["content_filter_results"]["error"];
        assert_eq!(error["code"], "content_filter_error", "{service}: {got}");
        let got = open.exchange_at(RESPONSES, "hello", Some(&["so BROKEN", " it is"]), &[0]);
        assert!(!got.broken && got.said() == "so BROKEN it is" && got.body.contains("response.completed"));
    }
}

#[test]
fn what_a_passed_stream_used_is_recorded_whoever_ends_it() {
    for (text, whole) in [("fine words, ", true), ("BAD words, ", false)] {
        let mut world = World::new("moderation", "closed", "buffered");
        world.exchange_at(RESPONSES, "hello", Some(&[text; 60]), &[0]);
        world.now = world.now.plus(Millis(1_000));
        world.calls();
        let records = world.records.last().unwrap().to_string();
        assert_eq!(records.matches("\"deployment\":\"chat\"").count(), 1, "{records}");
        assert_eq!(records.contains("\"estimated\":false"), whole, "{records}");
        assert!(!records.contains("\"output\":0"), "what came before the end is counted: {records}");
    }
}

#[test]
fn a_deployment_that_judges_is_metered() {
    let mut world = World::new("deployment", "closed", "buffered");
    world.exchange("hello", None, &[]);
    world.now = world.now.plus(Millis(1_000));
    world.calls();
    let text = Value::from(world.records.clone()).to_string();
    assert!(text.contains("guard") && text.contains("chat"), "{text}");
    assert_eq!(world.calls, (1, 2), "one question about the prompt, one about the answer");
}

#[test]
fn a_stream_is_judged_in_windows() {
    for (mode, service) in
        [("buffered", "moderation"), ("asynchronous", "moderation"), ("buffered", "deployment")]
    {
        let mut world = World::new(service, "closed", mode);
        let words: Vec<String> = (0..100).map(|at| format!("word{at} ")).collect();
        let mut pieces: Vec<&str> = words.iter().map(String::as_str).collect();
        let got = world.exchange("hello", Some(&pieces), &[0, 3]);
        assert!(
            !got.broken && got.said() == words.concat() && got.body.ends_with("data: [DONE]\n\n"),
            "{mode}"
        );
        let asked = world.calls.1;
        assert!((3..9).contains(&asked), "{mode}: {asked} questions");
        pieces.insert(90, "BAD ");
        let got = world.exchange("hello", Some(&pieces), &[0, 3]);
        assert!(!got.broken && got.body.ends_with("data: [DONE]\n\n"), "{mode}: {}", got.body);
        assert!(got.body.contains("\"finish_reason\":\"content_filter\""), "{mode}");
        assert!(mode == "asynchronous" || !got.said().contains("BAD"), "{mode}");
        assert!(got.said().starts_with("word0 word1 "), "{mode}: what was judged before goes on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the text, and however late the verdicts: a clean stream comes whole, of one that is not nothing of the
    /// violation goes on.
    #[test]
    fn nothing_goes_on_unjudged(
        words in proptest::collection::vec(prop_oneof![6 => Just("river "), 4 => Just("a longer run of harmless words, "), 1 => Just("BAD "), 3 => Just("ünï 漢字 ")], 0..80),
        late in proptest::collection::vec(0usize..12, 1..5),
        passes: bool,
    ) {
        let mut world = World::new("moderation", "closed", "buffered");
        let whole = words.concat();
        let got = if passes { world.exchange_at(RESPONSES, "hello", Some(&words), &late) } else { world.exchange("hello", Some(&words), &late) };
        let ends = if passes { "response.completed" } else { "data: [DONE]\n\n" };
        prop_assert!(!got.broken && (got.body.contains(ends) || got.body.contains("response.incomplete")));
        if whole.contains("BAD") {
            prop_assert!(!got.body.contains("BAD ") && got.body.contains("content_filter\""));
            prop_assert!(whole.starts_with(&got.said()));
        } else {
            prop_assert_eq!(got.said(), whole);
        }
    }
}
