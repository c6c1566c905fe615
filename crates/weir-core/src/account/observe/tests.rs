//! What an observer sees, by tables; that neither splits nor the short way for like lines change it.

use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use proptest::prelude::*;

fn observe<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Observed {
    let mut observer = StreamObserver::new();
    for piece in pieces {
        observer.push(piece);
    }
    observer.finish()
}

/// The same without the template: every line is walked.
fn observe_slowly(bytes: &[u8]) -> Observed {
    let mut observer = StreamObserver::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        observer.template = Template::default();
        observer.push(line);
    }
    observer.template = Template::default();
    observer.finish()
}

fn delta(content: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1763760001,\"model\":\"m\",\
         \"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\
         \"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
}

fn finish(reason: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":{reason}}}]}}\n\n"
    )
}

const DONE: &str = "data: [DONE]\n\n";

#[test]
fn the_parts_of_a_stream_are_seen() {
    let seen = |chars, events| Observed { output_chars: chars, events, ..Observed::default() };
    let rows: [(&str, String, Observed); 16] = [
        ("empty", String::new(), seen(0, 0)),
        (
            "whole",
            [delta("Hello"), delta(" you"), finish("\"stop\""), DONE.into()].concat(),
            Observed { terminal: true, finished: true, ..seen(9, 3) },
        ),
        ("cut", [delta("Hello"), delta(" you")].concat(), seen(9, 2)),
        ("no end of line after the terminal", format!("{}data: [DONE]", finish("\"x\"")), Observed {
            terminal: true, finished: true, ..seen(0, 1) }),
        ("CRLF", [delta("é\\n\\u00e9\\\""), delta("b"), DONE.into()].concat().replace('\n', "\r\n"), Observed {
            terminal: true, ..seen(5, 2) }),
        ("CR", [delta("ab"), delta("b"), DONE.into()].concat().replace('\n', "\r"), Observed {
            terminal: true, ..seen(3, 2) }),
        ("comments, names, BOM", format!("\u{feff}: ping\n\nevent: x\nid: 1\n{}data:[DONE]\n", delta("a")),
            Observed { terminal: true, ..seen(1, 1) }),
        ("after the terminal", format!("{DONE}{}data: {{\"error\":1}}\n\n", delta("a")), Observed {
            terminal: true, ..seen(0, 0) }),
        ("error", "data: {\"error\":{\"message\":\"x\"}}\n\n".into(), Observed { error: true, ..seen(0, 1) }),
        ("no error", "data: {\"error\": null,\"x\":{\"error\":{}}}\n\n".into(), seen(0, 1)),
        ("content that looks like members",
            delta("{\\\"error\\\":{},\\\"usage\\\":{\\\"prompt_tokens\\\":1}} [DONE] \\\\"), seen(49, 1)),
        ("two choices, one finished",
            "data: { \"choices\" : [ {\"delta\": {\"content\": \"a\"}, \"index\": 1}, \
             {\"index\": 0, \"finish_reason\": \"length\", \"delta\": {}} ] }\n".into(), seen(1, 1)),
        ("tool call, reasoning, refusal, parts",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":7,\"function\":{\"name\":\"f\",\
             \"arguments\":\"{}\"}}],\"reasoning_content\":\"abc\",\"refusal\":null,\"content\":[{\"type\":\"text\",\
             \"text\":\"de\"}]},\"finish_reason\":\"tool_calls\",\"logprobs\":{\"content\":[{\"token\":\"x\"}]}}]}\n"
                .into(),
            Observed { finished: true, ..seen(7, 1) }),
        ("completions", "data: {\"choices\":[{\"text\":\"abc\",\"index\":0,\"finish_reason\":null}]}\n".into(),
            seen(3, 1)),
        ("garbage", "data: <html>\n\ndata: {\"a\":1\n\n".into(), Observed { garbage: true, ..seen(0, 2) }),
        ("filter results are no choices",
            "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0,\"text\":\"x\"}]}\n".into(),
            seen(0, 1)),
    ];
    for (name, stream, wanted) in rows {
        assert_eq!(observe([stream.as_bytes()]), wanted, "{name}");
        assert_eq!(observe(stream.as_bytes().chunks(1)), wanted, "{name}, byte by byte");
    }
}

#[test]
fn the_last_usage_counts() {
    let usage = |input, cached_input, output, reasoning| Usage {
        input,
        cached_input,
        output,
        reasoning,
        estimated: false,
    };
    let rows = [
        (r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}"#, Some(usage(9, 0, 2, 0))),
        (
            r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},
                "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":null}}"#,
            Some(usage(9, 4, 5, 3)),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":5,"reasoning_tokens":3,"prompt_tokens_details":null}"#,
            Some(usage(9, 0, 5, 3)),
        ),
        (r#"{"prompt_tokens":9}"#, Some(usage(9, 0, 0, 0))),
        (r#"{"prompt_tokens":-1}"#, None),
        (r#"{"prompt_tokens":"9"}"#, None),
        ("{}", None),
    ];
    for (text, wanted) in rows {
        let text = text.replace('\n', "");
        let stream = format!(
            "data: {{\"choices\":[],\"usage\":null}}\n\ndata: {{\"usage\":{{\"prompt_tokens\":1}},\"choices\":[]}}\n\n\
             data: {{\"choices\":[],\"usage\": {text} }}\n\ndata: {{\"usage\":null,\"choices\":[]}}\n\n{DONE}"
        );
        assert_eq!(observe([stream.as_bytes()]).usage, wanted, "{text}");
    }
}

#[test]
fn a_line_beyond_the_bound_is_counted_and_not_kept() {
    let long = |bytes: usize| format!("data: {{{}}}\n{DONE}", " ".repeat(bytes - 8));
    for (bytes, garbage) in [(LINE_BYTES_MAX, false), (LINE_BYTES_MAX + 1, true), (3 * LINE_BYTES_MAX, true)]
    {
        let stream = long(bytes);
        for pieces in [stream.len(), 70_000] {
            let mut observer = StreamObserver::new();
            for piece in stream.as_bytes().chunks(pieces) {
                observer.push(piece);
                assert!(observer.line.len() <= LINE_BYTES_MAX + 1);
            }
            let seen = observer.finish();
            let chars = if garbage { bytes as u64 } else { 0 };
            assert_eq!((seen.garbage, seen.terminal, seen.output_chars), (garbage, true, chars), "{bytes}");
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let text = "([a-c\"\\\\é{}:, ]|\\\\\"|\\\\\\\\|\\\\u0041|\r){0,6}";
    prop_oneof![
        6 => text.prop_map(|text| delta(&text)),
        2 => "[a-c é]{0,9}".prop_map(|text| delta(&text)),
        1 => Just(finish("\"stop\"")),
        1 => Just(finish("null")),
        1 => Just("data: {\"usage\":{\"prompt_tokens\":3},\"choices\":[]}\r\n\r\n".to_string()),
        1 => Just("data: {\"error\":{}}\n".to_string()),
        1 => "[a-z:\r\n\"]{0,9}",
        1 => "[a-z]{0,3}".prop_map(|text| delta("a").replace("finish", &text)),
        1 => Just(DONE.to_string()),
    ]
}

proptest! {
    #[test]
    fn neither_splits_nor_the_short_way_change_what_is_seen(
        lines in proptest::collection::vec(line(), 0..14),
        piece in 1usize..200,
    ) {
        let stream = lines.concat();
        let whole = observe([stream.as_bytes()]);
        prop_assert_eq!(&observe(stream.as_bytes().chunks(piece)), &whole);
        prop_assert_eq!(&observe(stream.as_bytes().chunks(1)), &whole);
        prop_assert_eq!(&observe_slowly(stream.as_bytes()), &whole);
    }

    #[test]
    fn characters_are_those_of_the_decoded_text(texts in proptest::collection::vec("[^\u{10000}-\u{10ffff}]{0,9}", 0..9)) {
        let mut stream = String::new();
        let mut wanted = 0;
        for text in &texts {
            let json = serde_json::to_string(text).unwrap();
            stream.push_str(&delta(&json[1..json.len() - 1]));
            wanted += text.chars().count() as u64;
        }
        let seen = observe([stream.as_bytes()]);
        prop_assert_eq!((seen.output_chars, seen.events), (wanted, texts.len() as u64));
    }
}
