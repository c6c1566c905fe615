//! The mock upstream: an OpenAI-compatible server on one thread that answers at once or paced.
//!
//! It answers what the bench needs and nothing else, from bytes made beforehand, so that it is never the
//! bottleneck. It refuses a request that did not come through the duties of a gateway: the upstream's own key and
//! model name must be there. `"user":"paced"` in the body makes a stream's events come every 5 ms; the last usage
//! event is sent only to those who ask (`"include_usage":true`), as its model does.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::terminal;

use super::framing::{Framing, Side, header};

/// The key that the upstream takes.
pub(super) const UPSTREAM_KEY: &str = "mock-upstream-key";
/// The model name that the upstream knows.
pub(super) const UPSTREAM_MODEL: &str = "mock-model";
/// Content events of a stream.
pub(super) const STREAM_EVENTS: usize = 200;
/// Time between two events of a paced stream.
pub(super) const PACE: Duration = Duration::from_millis(5);

/// How much of a body is kept to look for members: no gateway moves those the mock looks for behind a long text.
const KEPT_BYTES: usize = 32 * 1024;
const LISTENER: Token = Token(usize::MAX);

/// Starts the mock on a thread that lives as long as the process, and returns its address.
pub(super) fn start() -> Result<SocketAddr> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    std::thread::Builder::new().name("mock upstream".into()).spawn(move || {
        let mut mock = Mock {
            listener,
            poll,
            connections: Vec::new(),
            answers: Answers::new(),
            buffer: vec![0; 256 * 1024],
        };
        // The error is the end of the bench: every variant then fails to reach its upstream.
        if let Err(error) = mock.run() {
            terminal::warn(&format!("the mock upstream ended: {error:#}"));
        }
    })?;
    Ok(address)
}

/// Ready-made answers, heads included.
struct Answers {
    chat: Rc<[u8]>,
    embeddings: Rc<[u8]>,
    models: Rc<[u8]>,
    stream: Rc<[Rc<[u8]>]>,
    stream_with_usage: Rc<[Rc<[u8]>]>,
    unpaced: Rc<[u8]>,
    unpaced_with_usage: Rc<[u8]>,
}

const UPSTREAM_HEADERS: &str = "date: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: mock\r\n\
    x-request-id: req_0123456789abcdef\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n\
    x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 1999999\r\n";

fn json_answer(status: &str, body: &str) -> Rc<[u8]> {
    let length = body.len();
    Rc::from(
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             {UPSTREAM_HEADERS}\r\n{body}"
        )
        .into_bytes(),
    )
}

fn event(data: &str) -> String {
    let text = format!("data: {data}\n\n");
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn stream_parts(with_usage: bool) -> Vec<Rc<[u8]>> {
    const HEAD: &str = r#"{"id":"chatcmpl-9f3a","object":"chat.completion.chunk","created":1767225600,"model":"mock-model","system_fingerprint":"fp_mock","#;
    let mut parts: Vec<String> = (0..STREAM_EVENTS)
        .map(|index| {
            let delta = match index {
                0 => r#"{"role":"assistant","content":""}"#.into(),
                _ => format!(r#"{{"content":" word{index}"}}"#),
            };
            event(&format!(
                r#"{HEAD}"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]}}"#
            ))
        })
        .collect();
    parts[0].insert_str(
        0,
        &format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
             transfer-encoding: chunked\r\n{UPSTREAM_HEADERS}\r\n"
        ),
    );
    let mut end = event(&format!(
        r#"{HEAD}"choices":[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"stop"}}]}}"#
    ));
    if with_usage {
        end += &event(&format!(
            r#"{HEAD}"choices":[],"usage":{{"prompt_tokens":240,"completion_tokens":200,"total_tokens":440}}}}"#
        ));
    }
    end += &event("[DONE]");
    end += "0\r\n\r\n";
    parts.push(end);
    parts.into_iter().map(|part| Rc::from(part.into_bytes())).collect()
}

impl Answers {
    fn new() -> Self {
        let text = "The weir holds the water back and lets through what was measured. ".repeat(8);
        let chat = format!(
            r#"{{"id":"chatcmpl-9f3a","object":"chat.completion","created":1767225600,"model":"mock-model","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":240,"completion_tokens":120,"total_tokens":360,"prompt_tokens_details":{{"cached_tokens":0}}}},"system_fingerprint":"fp_mock"}}"#,
            text.trim_end()
        );
        let numbers = vec!["0.0125"; 256].join(",");
        let embeddings = format!(
            r#"{{"object":"list","model":"mock-model","data":[{{"object":"embedding","index":0,"embedding":[{numbers}]}}],"usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#
        );
        let stream: Rc<[Rc<[u8]>]> = stream_parts(false).into();
        let stream_with_usage: Rc<[Rc<[u8]>]> = stream_parts(true).into();
        Self {
            chat: json_answer("200 OK", &chat),
            embeddings: json_answer("200 OK", &embeddings),
            models: json_answer(
                "200 OK",
                r#"{"object":"list","data":[{"id":"mock-model","object":"model"}]}"#,
            ),
            unpaced: stream.concat().into(),
            unpaced_with_usage: stream_with_usage.concat().into(),
            stream,
            stream_with_usage,
        }
    }

    fn choose(&self, head: &[u8], body: &[u8]) -> Reply {
        if head.starts_with(b"GET ") {
            return Reply::Whole(Rc::clone(&self.models));
        }
        let has = |member: &str| memmem::find(body, member.as_bytes()).is_some();
        if header(head, "authorization").and_then(|value| value.strip_prefix("Bearer ")) != Some(UPSTREAM_KEY)
        {
            return refuse("401 Unauthorized", "the upstream's key is missing");
        }
        if !has(&format!(r#""model":"{UPSTREAM_MODEL}""#)) {
            return refuse("404 Not Found", "the model was not swapped");
        }
        if memmem::find(head, b"/embeddings").is_some() {
            return Reply::Whole(Rc::clone(&self.embeddings));
        }
        match (has(r#""stream":true"#), has(r#""user":"paced"#), has(r#""include_usage":true"#)) {
            (false, _, _) => Reply::Whole(Rc::clone(&self.chat)),
            (true, true, true) => Reply::Paced(Rc::clone(&self.stream_with_usage)),
            (true, true, false) => Reply::Paced(Rc::clone(&self.stream)),
            (true, false, true) => Reply::Whole(Rc::clone(&self.unpaced_with_usage)),
            (true, false, false) => Reply::Whole(Rc::clone(&self.unpaced)),
        }
    }
}

enum Reply {
    Whole(Rc<[u8]>),
    Paced(Rc<[Rc<[u8]>]>),
}

fn refuse(status: &str, message: &str) -> Reply {
    Reply::Whole(json_answer(status, &format!(r#"{{"error":{{"message":"mock upstream: {message}"}}}}"#)))
}

/// A stream that has events to come.
struct Pacing {
    parts: Rc<[Rc<[u8]>]>,
    next: usize,
    due: Instant,
}

struct Connection {
    stream: TcpStream,
    framing: Framing,
    body: Vec<u8>,
    out: VecDeque<Rc<[u8]>>,
    /// Bytes of the first of `out` that are written.
    written: usize,
    pacing: Option<Pacing>,
}

struct Mock {
    listener: TcpListener,
    poll: Poll,
    connections: Vec<Option<Connection>>,
    answers: Answers,
    buffer: Vec<u8>,
}

impl Mock {
    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let wait = self.pace();
            if let Err(error) = self.poll.poll(&mut events, wait) {
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                return Err(error).context("poll");
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => self.serve(index),
                }
            }
        }
    }

    /// Sends the events that are due; returns the time until the next, if any stream is paced.
    fn pace(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for slot in &mut self.connections {
            let Some(connection) = slot else { continue };
            let Some(pacing) = &mut connection.pacing else { continue };
            let mut due = Some(pacing.due);
            if pacing.due <= now {
                connection.out.push_back(Rc::clone(&pacing.parts[pacing.next]));
                pacing.next += 1;
                pacing.due += PACE;
                due = Some(pacing.due);
                if pacing.next == pacing.parts.len() {
                    connection.pacing = None;
                    due = None;
                }
                if connection.flush().is_err() {
                    *slot = None;
                    continue;
                }
            }
            next = match (next, due) {
                (Some(next), Some(due)) => Some(next.min(due)),
                (next, due) => next.or(due),
            };
        }
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            };
            stream.set_nodelay(true)?;
            let index = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
            if index == self.connections.len() {
                self.connections.push(None);
            }
            self.poll.registry().register(
                &mut stream,
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.connections[index] = Some(Connection {
                stream,
                framing: Framing::new(Side::Request),
                body: Vec::new(),
                out: VecDeque::new(),
                written: 0,
                pacing: None,
            });
        }
    }

    /// A connection that fails or ends is forgotten: the other side will say why.
    fn serve(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else { return };
        if connection.read(&mut self.buffer, &self.answers).and_then(|()| connection.flush()).is_err() {
            self.connections[index] = None;
        }
    }
}

impl Connection {
    fn read(&mut self, buffer: &mut [u8], answers: &Answers) -> Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => anyhow::bail!("closed"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let body = &mut self.body;
                let taken = self.framing.push(rest, &mut |part| {
                    let room = KEPT_BYTES.saturating_sub(body.len()).min(part.len());
                    body.extend_from_slice(&part[..room]);
                })?;
                rest = &rest[taken..];
                if self.framing.is_done() {
                    self.answer(answers);
                }
            }
        }
    }

    fn answer(&mut self, answers: &Answers) {
        match answers.choose(self.framing.head(), &self.body) {
            Reply::Whole(bytes) => self.out.push_back(bytes),
            Reply::Paced(parts) => {
                self.out.push_back(Rc::clone(&parts[0]));
                self.pacing = Some(Pacing { parts, next: 1, due: Instant::now() + PACE });
            }
        }
        self.body.clear();
        self.framing.reset();
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(first) = self.out.front() {
            match self.stream.write(&first[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if self.written == first.len() {
                self.out.pop_front();
                self.written = 0;
            }
        }
        Ok(())
    }
}
