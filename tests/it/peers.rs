//! What users of other gateways had to complain about, each as a test where no other one here shows it: the fault matrix
//! has streams that lie and fallbacks that stop at the first byte, the fleet has quick refusals that attract traffic.

use serde_json::{Value, json};
use weir_core::exchange::{Failure, Settings, StreamEnd};
use weir_core::seal::key_hash;
use weir_tests::lone::{Lone, Reply, Seen};

const ROLE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";

/// Two upstreams behind one name, the second for when the first fails; `members` of the deployment beside.
fn lone(members: &Value) -> Lone {
    let entity = |name: &str, priority: u32| {
        json!({"name": name, "provider": "openai", "upstream_model": "m", "weight": 0, "priority": priority,
            "target": {"http": {"base": format!("https://{name}.example/v1"), "paths": "open_ai", "auth": "none"}}})
    };
    let mut deployment = json!({"name": "two", "kind": "account", "task": "llm/v1/chat", "model": "m",
        "entities": [entity("bad", 0), entity("good", 1)]});
    deployment.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let document = json!({"account": "default", "version": 1, "deployments": [deployment],
        "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}]});
    Lone::new(Settings::default(), &document.to_string())
}

fn answer(status: u16, kind: &'static str, retry_after: Option<&'static str>, body: &str) -> Reply {
    Reply::Answer { status, kind, retry_after, body: Ok(body.as_bytes().to_vec()) }
}

fn ask(lone: &mut Lone, path: &str, body: &Value) -> Seen {
    lone.exchange(&format!("https://weir.example{path}"), &[("authorization", "Bearer K")], &body.to_string())
}

fn chat(stream: bool) -> Value {
    json!({"model": "two", "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

#[test]
fn fallback_that_is_off_is_off_at_every_point() {
    let faults = [
        Reply::Fail(5, Failure::Unreachable),
        answer(429, "application/json", None, "{}"),
        answer(500, "application/json", None, "{}"),
        Reply::Stream(vec![(5, ROLE.as_bytes().to_vec())], (5, StreamEnd::Broken)),
    ];
    for fault in faults {
        let mut lone = lone(&json!({"fallback": false}));
        lone.upstream("bad.example", &[fault]);
        let seen = ask(&mut lone, "/v1/chat/completions", &chat(true));
        assert!(seen.status >= 429 && seen.calls.iter().all(|host| host == "bad.example"), "{seen:?}");
    }
}

#[test]
fn calls_that_are_passed_on_fall_over_as_well() {
    let rows = [
        ("/v1/audio/speech", json!({"model": "two", "input": "x", "voice": "v"}), "audio/mpeg", "sound"),
        (
            "/v1/images/generations",
            json!({"model": "two", "prompt": "x"}),
            "application/json",
            "{\"data\":[]}",
        ),
        (
            "/v1/responses",
            json!({"model": "two", "input": "x"}),
            "application/json",
            "{\"object\":\"response\"}",
        ),
    ];
    for (path, body, kind, good) in rows {
        for status in [500, 502, 503, 429] {
            let mut lone = lone(&json!({}));
            lone.upstream("bad.example", &[answer(status, "application/json", Some("9"), "{}")]);
            lone.upstream("good.example", &[answer(200, kind, None, good)]);
            let seen = ask(&mut lone, path, &body);
            assert_eq!((seen.status, seen.calls.len()), (200, 2), "{path} {status}");
            assert_eq!(String::from_utf8(seen.body).unwrap(), good);
            assert!(
                !seen.headers.contains_key("retry-after"),
                "a failed attempt's headers are nobody's: {path}"
            );
        }
    }
}

#[test]
fn what_is_held_back_is_bounded() {
    for size in [ROLE.len(), 40_000] {
        let mut lone = lone(&json!({}));
        let piece = format!(": {}\n\n{ROLE}", "x".repeat(size - ROLE.len().min(size)));
        let pieces = (0..100).map(|_| (5, piece.as_bytes().to_vec())).collect();
        lone.upstream("bad.example", &[Reply::Stream(pieces, (5, StreamEnd::Broken))]);
        lone.upstream("good.example", &[answer(500, "application/json", None, "{}")]);
        let seen = ask(&mut lone, "/v1/chat/completions", &chat(true));
        assert_eq!(
            (seen.status, seen.cut, seen.calls.len()),
            (200, true, 1),
            "{size}: it is the answer by then"
        );
    }
}

/// A form of a file that is at hand whole: what the upstream cannot, the next one does.
#[test]
fn a_transcription_falls_over_as_well() {
    let part =
        |name: &str, rest: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{rest}\r\n");
    let form = [
        part("model", "\r\n\r\ntwo"),
        part("file", "; filename=\"a.wav\"\r\n\r\nRIFF"),
        "--b--\r\n".to_owned(),
    ]
    .concat();
    for status in [502, 503, 429] {
        let mut lone = lone(&json!({}));
        lone.upstream("bad.example", &[answer(status, "application/json", None, "{}")]);
        lone.upstream("good.example", &[answer(200, "application/json", None, "{\"text\":\"hi\"}")]);
        let headers = [("authorization", "Bearer K"), ("content-type", "multipart/form-data; boundary=b")];
        let seen = lone.exchange("https://weir.example/v1/audio/transcriptions", &headers, &form);
        assert_eq!(
            (seen.status, seen.calls.len()),
            (200, 2),
            "{status}: {}",
            String::from_utf8_lossy(&seen.body)
        );
        assert!(seen.sent[1].1.ends_with(b"RIFF\r\n--b--\r\n"), "the file is there again");
    }
}

/// Each deadline ends what it is of, at its time, and what came is an honest error or a cut stream.
#[test]
fn each_deadline_ends_what_it_is_of() {
    const SAID: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";
    let deadlines = json!({"first_event": 3_000, "plain": 4_000, "idle": 5_000, "total": 20_000});
    let never = || Reply::Fail(u64::MAX, Failure::TimedOut);
    let stream = |pieces: Vec<(u64, &str)>| {
        let pieces = pieces.into_iter().map(|(after, text)| (after, text.as_bytes().to_vec())).collect();
        Reply::Stream(pieces, (u64::MAX, StreamEnd::TimedOut))
    };
    let drips = (0..100).map(|_| (2_000, SAID)).collect();
    let rows = [
        ("no head of a stream", true, never(), (504, false), 3_000),
        ("a head and no content", true, stream(vec![(10, ROLE)]), (504, false), 3_000),
        ("no plain answer", false, never(), (504, false), 4_000),
        ("silence after content", true, stream(vec![(10, ROLE), (990, SAID)]), (200, true), 6_000),
        ("a stream without an end", true, stream(drips), (200, true), 20_000),
    ];
    for (what, streamed, reply, ends, took) in rows {
        let mut lone = lone(&json!({"fallback": false, "deadlines": deadlines}));
        lone.upstream("bad.example", &[reply]);
        let seen = ask(&mut lone, "/v1/chat/completions", &chat(streamed));
        assert_eq!((seen.status, seen.cut), ends, "{what}");
        // The isolate asks for its configuration first, which takes a millisecond.
        assert!(seen.took.0.abs_diff(took) <= 1, "{what}: {} ms", seen.took.0);
        assert_eq!(seen.calls.len(), 1, "{what}: the time is over");
        let records = lone.records();
        assert_eq!(records.len(), usize::from(seen.cut), "{what}");
        assert!(
            records.iter().all(|record| !record.complete && record.usage.output > 0),
            "{what}: what came counts"
        );
    }
}
