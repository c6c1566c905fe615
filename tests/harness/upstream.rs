//! Upstreams as scripts on virtual time: what one call is answered, piece by piece.

use crate::clock::{MILLI, Micros};
use crate::random::Random;
use crate::world::judge::BAD;
use weir_core::exchange::{Failure, StreamEnd};

/// Something that an upstream does.
#[derive(Clone, Debug)]
pub enum Step {
    /// The head of a stream.
    Head,
    /// A whole answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// `retry-after-ms`.
        retry_after_ms: Option<String>,
        /// JSON.
        body: Vec<u8>,
    },
    /// No answer.
    Failed(Failure),
    /// Bytes of a stream.
    Piece(Vec<u8>),
    /// The end of a stream; also if the caller leaves.
    Ended(StreamEnd),
}

/// How an upstream behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Calls of a thousand that fail in one of the ways in which calls fail.
    pub failing: u64,
    /// Streams of a thousand that do not come to their end.
    pub breaking: u64,
    /// Longest time to the first byte.
    pub slowest: Micros,
}

/// What one call is answered: each step with the time after the one before it. `tokens` is the output that the
/// model would give, of which the upstream reports `prompt` more as input. `judged`: it says more, and something bad if
/// it is true.
pub fn script(
    random: &mut Random,
    manners: Manners,
    streamed: bool,
    prompt: u64,
    tokens: u64,
    judged: Option<bool>,
) -> Vec<(Micros, Step)> {
    let first = random.between(MILLI, manners.slowest);
    if random.permille(manners.failing) {
        return vec![(first, failure(random))];
    }
    if streamed {
        return stream(random, manners, first, prompt, tokens, judged);
    }
    let body = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{}}}"#,
        (0..tokens.min(8)).map(|at| said(at, 8, judged)).collect::<String>(),
        usage(prompt, tokens),
    );
    vec![(first, Step::Answer { status: 200, retry_after_ms: None, body: body.into_bytes() })]
}

/// The piece `at` of so many.
fn said(at: u64, of: u64, judged: Option<bool>) -> String {
    match judged {
        None => "word ".to_owned(),
        Some(bad) if bad && at == of / 2 => format!("word {BAD} "),
        Some(_) => "word ".repeat(20),
    }
}

/// Whether a stream comes to its regular end: the terminal event is in it.
pub fn is_whole(script: &[(Micros, Step)]) -> bool {
    script.iter().any(|(_, step)| matches!(step, Step::Piece(piece) if piece.ends_with(b"data: [DONE]\n\n")))
}

fn failure(random: &mut Random) -> Step {
    let error = |status, retry_after_ms: Option<&str>| Step::Answer {
        status,
        retry_after_ms: retry_after_ms.map(str::to_owned),
        body: br#"{"error":{"message":"no","type":"t","param":null,"code":null}}"#.to_vec(),
    };
    match random.between(0, 6) {
        0 => error(500, None),
        1 => error(503, Some("40")),
        2 => error(429, Some("300")),
        3 => error(400, None),
        4 => Step::Failed(Failure::Unreachable),
        5 => Step::Failed(Failure::TimedOut),
        _ => Step::Answer { status: 200, retry_after_ms: None, body: b"<html>".to_vec() },
    }
}

fn stream(
    random: &mut Random,
    manners: Manners,
    first: Micros,
    prompt: u64,
    tokens: u64,
    judged: Option<bool>,
) -> Vec<(Micros, Step)> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut steps = vec![(first, Step::Head)];
    let mut piece = |random: &mut Random, text: String| {
        steps.push((random.between(0, 20 * MILLI), Step::Piece(text.into_bytes())));
    };
    let events = tokens.min(6);
    let breaks = random.permille(manners.breaking);
    for at in 0..events {
        piece(random, chunk(&format!(r#"{{"content":"{}"}}"#, said(at, events, judged)), "null"));
    }
    let end = if breaks {
        random.choose(&[StreamEnd::Broken, StreamEnd::Closed, StreamEnd::TimedOut, StreamEnd::CallerLeft])
    } else {
        piece(random, chunk("{}", "\"stop\""));
        piece(
            random,
            format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{}}}\n\n",
                usage(prompt, tokens)
            ),
        );
        piece(random, "data: [DONE]\n\n".to_owned());
        StreamEnd::Closed
    };
    steps.push((random.between(0, 10 * MILLI), Step::Ended(end)));
    steps
}

fn usage(prompt: u64, tokens: u64) -> String {
    format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{tokens},"total_tokens":{}}}"#, prompt + tokens)
}
