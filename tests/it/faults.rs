//! The fault matrix: every way in which an upstream fails × every surface × plain, streamed before and streamed after
//! the first content, with nobody to stand in and with another entity. Each cell says what the caller sees, how many
//! calls were made and what is metered; the table is `docs/faults.md`.
//!
//! `WEIR_WRITE_DOCS=1 cargo test -p weir-tests faults` writes the table anew.

mod words;

use serde_json::{Value, json};
use std::fmt::Write as _;
use weir_core::exchange::{Failure, Settings, StreamEnd};
use weir_core::seal::{digest, key_hash};
use weir_tests::lone::{Lone, Reply, Seen};
use words::Asked;

/// Surface, address, and what is asked for there.
const SURFACES: [(&str, &str, Asked); 13] = [
    ("Azure AI model inference", "/models/chat/completions?api-version=2024-05-01-preview", Asked::Chat),
    ("Azure serverless", "/serverless/NAME/v1/chat/completions", Asked::Chat),
    ("Azure OpenAI, dated", "/openai/deployments/NAME/chat/completions?api-version=2024-10-21", Asked::Chat),
    ("Azure OpenAI, v1", "/openai/v1/chat/completions", Asked::Chat),
    ("OpenAI", "/v1/chat/completions", Asked::Chat),
    ("OpenAI, text completions", "/v1/completions", Asked::Text),
    ("OpenAI, responses passed to their upstream", "/v1/responses", Asked::Responses),
    ("OpenAI, responses of an upstream that has chats only", "/v1/responses", Asked::Told),
    ("Anthropic Messages", "/v1/messages", Asked::Messages),
    ("Databricks, invocations", "/serving-endpoints/NAME/invocations", Asked::Chat),
    ("Databricks, by the model's name", "/serving-endpoints/chat/completions", Asked::Chat),
    (
        "Databricks, Gemini's API",
        "/serving-endpoints/gemini/v1beta/models/NAME:generateContent",
        Asked::Gemini,
    ),
    (MLFLOW, "/gateway/NAME/invocations", Asked::Chat),
];
/// The one surface whose streams have no terminal event.
const MLFLOW: &str = "MLflow's gateway";

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Plain,
    Before,
    After,
}

/// What an upstream says that nobody else may read.
const CANARY: &str = "https://bad.example/secret sk-upstream-secret";

fn status(status: u16, retry_after: Option<&'static str>) -> Reply {
    let body = json!({"error": {"message": format!("no {CANARY}"), "type": "t", "code": null}}).to_string();
    Reply::Answer { status, kind: "application/json", retry_after, body: Ok(body.into_bytes()) }
}

fn page(kind: &'static str, body: &str) -> Reply {
    Reply::Answer { status: 200, kind, retry_after: None, body: Ok(body.as_bytes().to_vec()) }
}

fn broken(failure: Failure) -> Reply {
    Reply::Answer { status: 200, kind: "application/json", retry_after: None, body: Err(failure) }
}

/// A stream that begins well, says `BAD` if it is `After`, and then goes on as given.
fn stream(asked: Asked, when: When, rest: &[&str], end: (u64, StreamEnd)) -> Reply {
    let words = asked.words();
    let mut pieces = vec![(20, format!("{}\n\n", words.first).into_bytes())];
    if when == When::After {
        pieces.push((20, format!("{}\n\n", words.content.replace("GOOD", "BAD ")).into_bytes()));
    }
    pieces.extend(rest.iter().map(|text| (20, text.as_bytes().to_vec())));
    Reply::Stream(pieces, end)
}

/// What the upstream does; `None` where the fault cannot strike then.
fn reply(fault: &str, asked: Asked, when: When) -> Option<Reply> {
    let at_head = |reply: Reply| (when != When::After).then_some(reply);
    let on_the_way = |plain: Reply, rest: &[&str], end: (u64, StreamEnd)| {
        Some(if when == When::Plain { plain } else { stream(asked, when, rest, end) })
    };
    let (closed, words) = ((10, StreamEnd::Closed), asked.words());
    match fault {
        "refuses the connection" => at_head(Reply::Fail(5, Failure::Unreachable)),
        "never answers" => at_head(Reply::Fail(u64::MAX, Failure::TimedOut)),
        "answers 500" => at_head(status(500, None)),
        "answers 503 and says when to come again" => at_head(status(503, Some("20"))),
        "answers 429" => at_head(status(429, None)),
        "answers 429 and says when to come again" => at_head(status(429, Some("20"))),
        "answers 400: the caller's fault" => at_head(status(400, None)),
        "answers 401: refuses the gateway's key" => at_head(status(401, None)),
        "answers 302" => at_head(status(302, None)),
        "answers 200 with a page of HTML" => at_head(page("text/html", "<html>busy</html>")),
        "answers 200 with nothing" => {
            on_the_way(page("application/json", ""), &[], closed).filter(|_| when != When::After)
        }
        "resets the connection" => on_the_way(broken(Failure::Unreachable), &[], (10, StreamEnd::Broken)),
        "falls silent" => on_the_way(broken(Failure::TimedOut), &[], (u64::MAX, StreamEnd::TimedOut)),
        "closes without its terminal event" => {
            (when != When::Plain).then(|| stream(asked, when, &[], closed))
        }
        "breaks off inside an event" => on_the_way(
            page("application/json", &words.whole[..60]),
            &["data: {\"id\":\"c\",\"choices\":[{\"ind"],
            closed,
        ),
        "sends an error with 200" => on_the_way(
            page("application/json", &json!({"error": {"message": CANARY, "code": 500}}).to_string()),
            &[&format!("{}\n\n", words.error)],
            closed,
        ),
        "sends an error that says 429 with 200" => {
            (when != When::Plain).then(|| stream(asked, when, &[&format!("{}\n\n", words.slow_down)], closed))
        }
        "sends what is no JSON" => {
            on_the_way(page("application/json", "{\"id\":"), &["data: {\"id\": oops\n\n"], closed)
        }
        "sends a terminal event without any answer" => {
            (when == When::Before).then(|| stream(asked, when, &["data: [DONE]\n\n"], closed))
        }
        "sends keep-alives and nothing else" => (when == When::Before).then(|| {
            let pieces = (0..40).map(|_| (2_000, b": keep-alive\n\n".to_vec())).collect();
            Reply::Stream(pieces, (2_000, StreamEnd::Broken))
        }),
        "sends more than may be held" => {
            on_the_way(broken(Failure::TooLarge), &[&format!("data: \"{}", "x".repeat(2 << 20))], closed)
        }
        other => panic!("{other}"),
    }
}

const FAULTS: [&str; 21] = [
    "refuses the connection",
    "never answers",
    "answers 500",
    "answers 503 and says when to come again",
    "answers 429",
    "answers 429 and says when to come again",
    "answers 400: the caller's fault",
    "answers 401: refuses the gateway's key",
    "answers 302",
    "answers 200 with a page of HTML",
    "answers 200 with nothing",
    "resets the connection",
    "falls silent",
    "closes without its terminal event",
    "breaks off inside an event",
    "sends an error with 200",
    "sends an error that says 429 with 200",
    "sends what is no JSON",
    "sends a terminal event without any answer",
    "sends keep-alives and nothing else",
    "sends more than may be held",
];

fn snapshot(serverless: bool, asked: Asked) -> String {
    let task = if asked == Asked::Text { "llm/v1/completions" } else { "llm/v1/chat" };
    let (provider, paths) = match asked {
        Asked::Told => ("custom", json!("open_ai")),
        Asked::Gemini => ("palm", json!({"native": {}})),
        Asked::Chat | Asked::Text | Asked::Messages | Asked::Responses => ("openai", json!("open_ai")),
    };
    let entity = |name: &str, priority: u32| {
        json!({"name": name, "provider": provider, "upstream_model": "m", "weight": 0, "priority": priority,
            "target": {"http": {"base": format!("https://{name}.example/v1"), "paths": paths, "auth": "none"}}})
    };
    let deployment = |name: &str, entities: Value| {
        json!({"name": name, "kind": if serverless { "serverless" } else { "account" }, "task": task,
            "model": "m", "entities": entities})
    };
    json!({"account": "default", "version": 1,
    "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}],
    "deployments": [
        deployment("one", json!([entity("bad", 0)])),
        deployment("two", json!([entity("bad", 0), entity("good", 1)])),
    ]})
    .to_string()
}

/// An upstream that works.
fn good(asked: Asked, when: When) -> Reply {
    let words = asked.words();
    if when == When::Plain {
        return page("application/json", words.whole);
    }
    let events = [words.first, words.content].into_iter().chain(words.rest.iter().copied());
    let pieces = events.map(|event| (20, format!("{event}\n\n").into_bytes())).collect();
    Reply::Stream(pieces, (1, StreamEnd::Closed))
}

fn question(asked: Asked, name: &str, when: When) -> Value {
    let mut body = json!({"model": name, "max_tokens": 9, "stream": when != When::Plain});
    match asked {
        Asked::Chat | Asked::Messages => body["messages"] = json!([{"role": "user", "content": "hello"}]),
        Asked::Text => body["prompt"] = json!("hello"),
        Asked::Responses | Asked::Told => {
            body = json!({"model": name, "input": "hello", "stream": when != When::Plain});
        }
        Asked::Gemini => body = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
    }
    body
}

/// One cell: the exchange, its text for the table, and what is wrong with it.
fn cell(surface: (&str, &str, Asked), fault: &str, when: When, name: &str) -> Option<(String, Vec<String>)> {
    let (title, address, asked) = surface;
    let reply = reply(fault, asked, when)?;
    let settings = Settings { admin_token_hash: Some(digest(b"admin")), ..Settings::default() };
    let mut lone = Lone::new(settings, &snapshot(title == "Azure serverless", asked));
    lone.upstream("bad.example", &[reply]);
    lone.upstream("good.example", &[good(asked, when)]);
    let mut url = format!("https://weir.example{}", address.replace("NAME", name));
    if asked == Asked::Gemini && when != When::Plain {
        url = url.replace(":generateContent", ":streamGenerateContent?alt=sse");
    }
    let body = question(asked, name, when);
    let seen = lone.exchange(&url, &[("authorization", "Bearer K")], &body.to_string());
    let records = lone.records();
    let tokens: u64 = records.iter().map(|record| record.usage.total()).sum();
    let text = String::from_utf8_lossy(&seen.body).into_owned();
    let mut wrong = promises(surface, &seen, &text, when);
    let answered = (200..300).contains(&seen.status);
    // What a passed stream used is known only when it says so: it names no prompt that could be counted.
    let counted = tokens > 0 || (asked == Asked::Responses && seen.cut);
    if records.len() != usize::from(answered) || (answered && !counted) {
        wrong.push(format!("{} records of {tokens} tokens", records.len()));
    }
    if records.iter().any(|record| record.complete == seen.cut) {
        wrong.push("the record tells another end".to_owned());
    }
    let answer = match (answered, seen.cut) {
        (true, true) => "**cut**".to_owned(),
        (true, false) => "whole".to_owned(),
        (false, _) => seen.status.to_string(),
    };
    let calls = seen.calls.len();
    let metered = if tokens > 0 { format!(", {tokens} tokens") } else { String::new() };
    Some((format!("{answer}, {calls} call{}{metered}", if calls == 1 { "" } else { "s" }), wrong))
}

/// Whether a stream came to the end that its clients wait for.
fn is_whole((title, _, asked): (&str, &str, Asked), text: &str) -> bool {
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    match asked {
        Asked::Chat if title == MLFLOW => last.contains(r#""finish_reason":"stop""#),
        Asked::Chat | Asked::Text => last == "data: [DONE]",
        Asked::Messages => last.starts_with("event: message_stop\n"),
        Asked::Responses | Asked::Told => last.starts_with("event: response.completed\n"),
        Asked::Gemini => last.contains(r#""finishReason":"STOP""#),
    }
}

/// What must be true of every cell.
fn promises(surface: (&str, &str, Asked), seen: &Seen, text: &str, when: When) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |good: bool, what: &str| {
        if !good {
            wrong.push(format!("{what}: {text}"));
        }
    };
    must(!text.contains("bad.example") && !text.contains("sk-upstream"), "an address or a key is told");
    must(seen.calls.len() <= 3, "too many calls");
    let told = seen.headers.values().any(|value| value.contains("bad.example"));
    must(!told, "a header of a failed attempt is told");
    if !(200..300).contains(&seen.status) {
        must(serde_json::from_str::<Value>(text).is_ok(), "an error is JSON");
        must(!seen.cut, "an error is whole");
        return wrong;
    }
    must(!(text.contains("BAD") && text.contains("GOOD")), "two answers in one");
    if when == When::Plain {
        must(text.contains("GOOD") && !seen.cut, "a plain answer is whole");
        return wrong;
    }
    must(is_whole(surface, text) != seen.cut, "a stream's end is its terminal event, or it is cut");
    if seen.cut {
        must(text.contains("\"error\""), "a cut stream says so");
        must(text.contains("BAD"), "what is cut had begun");
    } else {
        // The events that end an item of a response tell it once more, by design of that API.
        let said = if surface.2 == Asked::Told { r#""delta":"GOOD""# } else { "GOOD" };
        must(text.matches(said).count() == 1, "the content is there once");
    }
    wrong
}

const HEAD: &str = "# What a caller sees when an upstream fails

Generated by `WEIR_WRITE_DOCS=1 cargo test -p weir-tests faults` and compared by every run of the tests. For each way in
which an upstream fails: what the caller sees, how many upstream calls were made, and what is metered (nothing, where no
tokens are named). *Alone*: the deployment has one entity. *Another*: a second entity stands in, and works. A number is
the HTTP status of an error in the surface's own form; *whole* is a regular answer; **cut** is a stream that ends with an
error event in the form that the surface's clients notice, and a broken connection, never with the terminal event.

Before the first content nothing of a stream has reached the caller: it fails over, or is an honest status. After it
there is no other attempt: what came is metered, and the stream is cut.
";

fn table() -> (String, Vec<String>) {
    let (mut out, mut wrong) = (HEAD.to_owned(), Vec::new());
    for surface in SURFACES {
        let _ = write!(
            out,
            "\n## {}\n\n| the upstream | plain, alone | plain, another | stream before content, alone | \
             stream before content, another | stream after content |\n|---|---|---|---|---|---|\n",
            surface.0
        );
        for fault in FAULTS {
            let _ = write!(out, "| {fault} |");
            let columns = [
                (When::Plain, "one"),
                (When::Plain, "two"),
                (When::Before, "one"),
                (When::Before, "two"),
                (When::After, "two"),
            ];
            for (when, name) in columns {
                let cell = cell(surface, fault, when, name);
                let (text, faults) = cell.unwrap_or_else(|| (String::new(), Vec::new()));
                let place = format!("{}, {fault}, {when:?}, {name}", surface.0);
                wrong.extend(faults.into_iter().map(|what| format!("{place}: {what}")));
                let _ = write!(out, " {text} |");
            }
            out.push('\n');
        }
    }
    (out, wrong)
}

#[test]
fn faults_never_lie_and_the_documented_table_is_what_happens() {
    let (table, wrong) = table();
    assert!(wrong.is_empty(), "{} broken promises:\n{}", wrong.len(), wrong.join("\n"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
    if std::env::var_os("WEIR_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        std::fs::write(path, &table).unwrap();
    }
    let documented = std::fs::read_to_string(path).unwrap_or_default();
    let differs = table.lines().zip(documented.lines()).find(|(new, old)| new != old);
    assert!(table == documented, "docs/faults.md differs, first in {differs:?}; write it anew");
}

#[test]
fn what_one_entity_cannot_the_next_one_does_and_the_explanation_says_so() {
    let settings = Settings { admin_token_hash: Some(digest(b"admin")), ..Settings::default() };
    let mut lone = Lone::new(settings, &snapshot(false, Asked::Chat));
    lone.upstream("bad.example", &[status(429, Some("20"))]);
    lone.upstream("good.example", &[good(Asked::Chat, When::Plain)]);
    let body = json!({"model": "two", "messages": [{"role": "user", "content": "hello"}]}).to_string();
    let ask = |lone: &mut Lone, key: &str| {
        let headers = [("authorization", key), ("x-weir-explain", "1")];
        lone.exchange("https://weir.example/v1/chat/completions", &headers, &body)
    };
    let other = ask(&mut lone, "Bearer K");
    assert!(!other.headers.contains_key("x-weir-explain"), "only the administrator is told");
    assert_eq!(other.calls, ["bad.example", "good.example"]);
    let seen = ask(&mut lone, "Bearer admin");
    assert_eq!(seen.calls, ["good.example"], "it asked for 20 seconds, and gets them");
    let told: Value = serde_json::from_str(&seen.headers["x-weir-explain"]).unwrap();
    assert_eq!(told["answered_by"], "good");
    let last = &told["order"][1];
    assert_eq!((&last["entity"], &last["why"]), (&json!("bad"), &json!("out")), "{told}");
    let kept = lone.records();
    let failed: Value = serde_json::from_str(kept[0].explanation.as_deref().unwrap()).unwrap();
    assert_eq!(failed["failed"][0]["outcome"], "status 429", "{failed}");
    assert_eq!(kept[0].attempts, 2);
}

#[test]
fn a_session_of_the_body_stays_with_one_entity_where_the_deployment_says_so() {
    let mut document: Value = serde_json::from_str(&snapshot(false, Asked::Chat)).unwrap();
    let entities = &mut document["deployments"][1]["entities"];
    entities[1]["priority"] = json!(0);
    document["deployments"][1]["routing"] = json!({"affinity": true});
    let mut lone = Lone::new(Settings::default(), &document.to_string());
    for host in ["bad.example", "good.example"] {
        lone.upstream(host, &[good(Asked::Chat, When::Plain)]);
    }
    let mut calls = |members: Value| {
        let mut body = question(Asked::Chat, "two", When::Plain);
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let ask = |_| {
            let headers = [("authorization", "Bearer K")];
            lone.exchange("https://weir.example/v1/chat/completions", &headers, &body.to_string()).calls
        };
        (0..16).flat_map(ask).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(calls(json!({})), 2, "without a session both are asked");
    assert_eq!(calls(json!({"prompt_cache_key": "k1", "user": "u"})), 1);
    assert_eq!(calls(json!({"user": "u1"})), 1);
}
