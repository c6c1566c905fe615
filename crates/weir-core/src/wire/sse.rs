//! Server-sent events: bytes to events, and events to bytes.
//!
//! Stage 1. Decides where an event begins and ends; not what its data means. The decoder follows the WHATWG
//! HTML standard, section "Server-sent events" (2025), as `providers.md` 1.6 asks: LF, CRLF or CR end a line, a
//! byte order mark may start the stream, lines that start with a colon are comments. Members `id` and `retry`
//! are dropped: no dialect here uses them. The encoder writes the strict subset that every client accepts
//! (`azure.md` A11): LF only, a space after the colon, no comments, one data line and one blank line an event.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// The terminal event of the OpenAI dialect, as it is sent.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// Largest event, in bytes of its lines, that a decoder takes unless told otherwise: 1 MiB. A chunk of a chat
/// stream has some hundred bytes; an image in one event has some hundred KiB.
pub const EVENT_BYTES_MAX: u32 = 1 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` member; empty if there was none.
    pub name: String,
    /// The `data` lines, joined by LF.
    pub data: String,
}

/// Why a stream of bytes is not a stream of events. The decoder takes nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event has more bytes than the decoder's limit.
    #[error("an event is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u32,
    },
    /// An event's data or name is not UTF-8.
    #[error("an event is not UTF-8")]
    NotUtf8,
}

/// Makes events from bytes that arrive in any pieces: how they are split never changes the events.
#[derive(Clone, Debug)]
pub struct SseDecoder {
    limit_bytes: u32,
    /// Bytes of the current event that were taken so far, comments included.
    event_bytes: u64,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line has ended yet: a byte order mark may still be removed.
    at_start: bool,
    ready: VecDeque<SseEvent>,
    failed: Option<SseError>,
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new(EVENT_BYTES_MAX)
    }
}

impl SseDecoder {
    /// A decoder that refuses events of more than `limit_bytes` bytes (comments and field names included).
    pub fn new(limit_bytes: u32) -> Self {
        Self {
            limit_bytes,
            event_bytes: 0,
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            ready: VecDeque::new(),
            failed: None,
        }
    }

    /// Takes the next bytes. Events that they complete are given by [`Self::next_event`].
    ///
    /// # Errors
    /// [`SseError`], now and at every later call; events that were complete before it are still given.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.take(bytes).inspect_err(|error| self.failed = Some(*error)),
        }
    }

    /// The next complete event; `None` until more bytes come.
    pub fn next_event(&mut self) -> Option<SseEvent> {
        self.ready.pop_front()
    }

    /// Whether an event has begun and not ended: at the end of the bytes this means that it was cut off.
    pub fn is_inside_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (head, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            self.count(head)?;
            self.end_line(head)?;
            rest = match tail {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => &[],
            };
        }
        self.count(rest)?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Adds `piece` to the size of the current event.
    fn count(&mut self, piece: &[u8]) -> Result<(), SseError> {
        let more = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.event_bytes = self.event_bytes.saturating_add(more);
        if self.event_bytes > u64::from(self.limit_bytes) {
            return Err(SseError::TooLarge { limit_bytes: self.limit_bytes });
        }
        Ok(())
    }

    /// A line ends: its beginning may be kept from earlier pieces, `tail` is its last part.
    fn end_line(&mut self, tail: &[u8]) -> Result<(), SseError> {
        if self.line.is_empty() {
            return self.line(tail);
        }
        let mut whole = mem::take(&mut self.line);
        whole.extend_from_slice(tail);
        let result = self.line(&whole);
        whole.clear();
        self.line = whole;
        result
    }

    fn line(&mut self, line: &[u8]) -> Result<(), SseError> {
        let line = if mem::take(&mut self.at_start) {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match memchr::memchr(b':', line).and_then(|at| line.split_at_checked(at)) {
            Some((field, [b':', b' ', value @ ..] | [b':', value @ ..])) => (field, value),
            Some(_) | None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// An empty line: the event is whole. Without a data line it is none.
    fn dispatch(&mut self) -> Result<(), SseError> {
        self.event_bytes = 0;
        let name = mem::take(&mut self.name);
        let data = mem::take(&mut self.data);
        if mem::take(&mut self.has_data) {
            let name = String::from_utf8(name).map_err(|_| SseError::NotUtf8)?;
            let data = String::from_utf8(data).map_err(|_| SseError::NotUtf8)?;
            self.ready.push_back(SseEvent { name, data });
        }
        Ok(())
    }
}

/// Adds one event without a name to `out`: `data: `, the text, a blank line. JSON without line breaks gives
/// the one line that strict clients ask for; a text with line breaks gives one `data` line for each of its lines.
pub fn encode_data(out: &mut Vec<u8>, data: &[u8]) {
    out.reserve(data.len().saturating_add(8));
    let mut rest = data;
    while let Some((line, tail)) =
        memchr::memchr2(b'\n', b'\r', rest).and_then(|end| rest.split_at_checked(end))
    {
        encode_line(out, b"data: ", line);
        rest = match tail {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
            [] => &[],
        };
    }
    encode_line(out, b"data: ", rest);
    out.push(b'\n');
}

/// Adds one event with a name to `out`, as dialects with named events have it (Anthropic, Responses). Of a name
/// with line breaks only the first line is sent, so that a name can never forge another member.
pub fn encode_named(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let first = name.split(['\n', '\r']).next().unwrap_or_default();
    encode_line(out, b"event: ", first.as_bytes());
    encode_data(out, data);
}

fn encode_line(out: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    out.extend_from_slice(field);
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.to_string(), data: data.to_string() }
    }

    /// All events of `pieces`, and the error that ended them.
    fn decode<'a>(
        limit: u32,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<SseEvent>, Option<SseError>) {
        let mut decoder = SseDecoder::new(limit);
        let mut events = Vec::new();
        let mut error = None;
        for piece in pieces {
            error = decoder.push(piece).err();
            while let Some(event) = decoder.next_event() {
                events.push(event);
            }
        }
        (events, error)
    }

    #[test]
    fn lines_fields_and_comments_are_read_as_the_standard_says() {
        let rows: [(&str, &[SseEvent]); 15] = [
            ("data: a\n\n", &[event("", "a")]),
            ("data: a\r\n\r\n", &[event("", "a")]),
            ("data: a\r\r", &[event("", "a")]),
            ("data: a\r\n\rdata: b\n\n", &[event("", "a"), event("", "b")]),
            ("\u{feff}data: a\n\n", &[event("", "a")]),
            ("data: a\n\n\u{feff}data: b\n\n", &[event("", "a")]),
            (": ping\n\n:\ndata: a\n\n", &[event("", "a")]),
            ("data:a\ndata:  b\ndata\n\n", &[event("", "a\n b\n")]),
            ("event: x\ndata: a\nid: 7\nretry: 9\n\ndata: b\n\n", &[event("x", "a"), event("", "b")]),
            ("event: x\n\ndata: a\n\n", &[event("", "a")]),
            ("data\n\n", &[event("", "")]),
            ("data: a\n", &[]),
            ("data : a\n\nDATA: a\n\n", &[]),
            ("\n\n\n", &[]),
            (
                "data: {\"a\":\"\\n\"}\n\ndata: [DONE]\n\n",
                &[event("", "{\"a\":\"\\n\"}"), event("", "[DONE]")],
            ),
        ];
        for (text, wanted) in rows {
            let (events, error) = decode(100, [text.as_bytes()]);
            assert_eq!((events.as_slice(), error), (wanted, None), "{text:?}");
        }
    }

    #[test]
    fn an_event_beyond_the_limit_or_not_utf8_ends_the_stream_after_what_was_whole() {
        let rows: [(&[u8], usize, SseError); 5] = [
            (b"data: a\n\ndata: 0123456789", 1, SseError::TooLarge { limit_bytes: 12 }),
            (b"data: 0\ndata: 1\n\n", 0, SseError::TooLarge { limit_bytes: 12 }),
            (b":0123456789abc\n", 0, SseError::TooLarge { limit_bytes: 12 }),
            (b"data: a\n\ndata: \xff\n\ndata: b\n\n", 1, SseError::NotUtf8),
            (b"event:\xff\ndata:\n\n", 0, SseError::NotUtf8),
        ];
        for (bytes, whole, wanted) in rows {
            let (events, error) = decode(12, [bytes]);
            assert_eq!((events.len(), error), (whole, Some(wanted)), "{bytes:?}");
            let (events, error) = decode(12, bytes.chunks(1));
            assert_eq!((events.len(), error), (whole, Some(wanted)), "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn a_cut_event_is_seen() {
        for (text, inside) in [("data: a\n\n", false), ("data: a\n", true), ("dat", true), ("", false)] {
            let mut decoder = SseDecoder::default();
            decoder.push(text.as_bytes()).unwrap();
            assert_eq!(decoder.is_inside_event(), inside, "{text:?}");
        }
    }

    #[test]
    fn the_encoder_writes_the_strict_grammar() {
        let mut out = Vec::new();
        encode_data(&mut out, b"{}");
        encode_data(&mut out, b"a\r\nb");
        encode_named(&mut out, "x\ndata: forged", b"c");
        assert_eq!(out, b"data: {}\n\ndata: a\ndata: b\n\nevent: x\ndata: c\n\n");
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(
            text in "(data: ?|event:|:|\u{feff}|[a-zé]|\r|\n|\r\n|\n\n){0,40}",
            cuts in proptest::collection::vec(0usize..60, 0..12),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let mut pieces = Vec::new();
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(decode(30, pieces), decode(30, [bytes]));
            prop_assert_eq!(decode(30, bytes.chunks(1)), decode(30, [bytes]));
        }

        #[test]
        fn what_is_encoded_is_decoded_again(
            events in proptest::collection::vec(("[a-z]{0,5}", "[^\r]{0,40}"), 0..5),
        ) {
            let mut out = Vec::new();
            let mut wanted = Vec::new();
            for (name, data) in &events {
                if name.is_empty() { encode_data(&mut out, data.as_bytes()) }
                else { encode_named(&mut out, name, data.as_bytes()) }
                wanted.push(event(name, data));
            }
            prop_assert_eq!(decode(EVENT_BYTES_MAX, [out.as_slice()]), (wanted, None));
        }
    }
}
