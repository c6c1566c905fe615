//! Actions written flat, for a driver on the other side of Wasm's memory.
//!
//! Above the stages. Decides only the layout. One buffer: [`WORDS`] little-endian `u32` words, then the bytes
//! they point to (offsets count from the buffer's start).
//!
//! | word | meaning |
//! |--:|---|
//! | 0 | kind: see [`Kind`] |
//! | 1 | HTTP status of an answer, else 0 |
//! | 2 | milliseconds: timeout of a call, idle bound of a stream, length of a pause |
//! | 3 | flags: 1 the head first, 2 a script instead of a call, 4 the exchange is over, 8 the rest of the caller's body follows, 16 the head's quota is wanted, 32 core is to be told at once that the stream was begun, 64 the address is the name of a model of the platform's own |
//! | 4, 5 | text: offset, length. Lines: the address (calls only), then header name, header value, … |
//! | 6, 7 | bytes: offset, length: the body of a reply, what to pass on of a stream, what a stream begins with |
//! | 8, 9 | edits of the caller's body: offset, count. Each 4 words: start, end, offset and length of the bytes instead |
//! | 10, 11 | script: offset, count. Each 4 words: delay in ms, 0, offset, length |
//! | 12 | how the script ends: 0 complete, 1 broken, 2 never |
//! | 13 | the exchange's handle |
//! | 14 | object calls are to be made after so many ms (plus one), 0: none |
//! | 15 | script: milliseconds before its head; all ones: it never comes. A call: milliseconds (plus one) until a second one may be made beside it, 0: never |

use super::action::{Action, Head, Pause, Send};
use crate::simulate::{Script, ScriptEnd};
use crate::wire::envelope::Edit;
use alloc::string::String;
use alloc::vec::Vec;

/// Words in front of a flat plan.
pub const WORDS: usize = 16;

/// The word that names an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Answer with status, headers and bytes; over.
    Reply = 0,
    /// Call the address with headers and the caller's body after the edits.
    Send = 1,
    /// Make the object calls, then tell that it is done.
    Calls = 2,
    /// Wait, then tell that it is done.
    Wait = 3,
    /// Answer with status, headers and the upstream's body, which was read; over.
    Deliver = 4,
    /// Answer with status, headers, the bytes, and the rest of the upstream's stream.
    DeliverStream = 5,
    /// Read the answer whole.
    ReadWhole = 6,
    /// Pass the piece on.
    PassPiece = 7,
    /// Pass the bytes on instead of the piece.
    PassInstead = 8,
    /// Pass the bytes on, end regularly; over.
    Close = 9,
    /// Pass the bytes on, break the connection; over.
    Abort = 10,
    /// Answer with status, headers and the upstream's body as it comes; over.
    HandThrough = 11,
    /// Read more of the caller's body, then begin again.
    ReadMore = 12,
    /// Pass the bytes on, and make the call beside the stream.
    Ask = 13,
    /// Read the next bytes of the upstream's stream; nothing is passed on yet.
    ReadPiece = 14,
    /// Read all headers, then begin again.
    ReadHeaders = 15,
}

impl Kind {
    const fn word(self) -> u32 {
        match self {
            Self::Reply => 0,
            Self::Send => 1,
            Self::Calls => 2,
            Self::Wait => 3,
            Self::Deliver => 4,
            Self::DeliverStream => 5,
            Self::ReadWhole => 6,
            Self::PassPiece => 7,
            Self::PassInstead => 8,
            Self::Close => 9,
            Self::Abort => 10,
            Self::HandThrough => 11,
            Self::ReadMore => 12,
            Self::Ask => 13,
            Self::ReadPiece => 14,
            Self::ReadHeaders => 15,
        }
    }
}

const HEAD_FIRST: u32 = 1;
const SCRIPT: u32 = 2;
const OVER: u32 = 4;
const REST: u32 = 8;
const QUOTA: u32 = 16;
const AGAIN: u32 = 32;
const MODEL: u32 = 64;

/// A buffer that is used again for every plan.
#[derive(Debug, Default)]
pub struct FlatPlan {
    words: [u32; WORDS],
    bytes: Vec<u8>,
}

impl FlatPlan {
    /// Writes `action` of the exchange `handle`. `calls_after` is the delay in milliseconds after which object
    /// calls are to be made beside it, if any. Answers the buffer, valid until the next call.
    pub fn write(&mut self, handle: u32, action: &Action, calls_after: Option<u64>) -> &[u8] {
        self.words = [0; WORDS];
        self.bytes.clear();
        self.bytes.resize(WORDS.saturating_mul(4), 0);
        self.set(13, handle);
        self.set(14, calls_after.map_or(0, |ms| word(ms).saturating_add(1)));
        match action {
            Action::Reply(reply) => {
                self.kind(Kind::Reply, OVER);
                self.set(1, u32::from(reply.status));
                self.text(None, reply.headers.iter().map(|(name, value)| (*name, value.as_str())));
                self.span(6, reply.body.as_bytes());
            }
            Action::Send(send) => self.send(Kind::Send, send),
            Action::Ask { pass, send } => {
                self.send(Kind::Ask, send);
                self.span(6, pass);
            }
            Action::Pause(Pause::Calls) => self.kind(Kind::Calls, 0),
            Action::Pause(Pause::For(span)) => {
                self.kind(Kind::Wait, 0);
                self.set(2, word(span.0));
            }
            Action::Deliver(head) => self.head(Kind::Deliver, OVER, head),
            Action::ReadPiece { timeout } => {
                self.kind(Kind::ReadPiece, 0);
                self.set(2, word(timeout.0));
            }
            Action::DeliverStream { head, idle, bytes, again } => {
                self.head(Kind::DeliverStream, if *again { AGAIN } else { 0 }, head);
                self.set(2, word(idle.0));
                self.span(6, bytes);
            }
            Action::HandThrough(head) => self.head(Kind::HandThrough, OVER, head),
            Action::ReadMore => self.kind(Kind::ReadMore, OVER),
            Action::ReadHeaders => self.kind(Kind::ReadHeaders, OVER),
            Action::ReadWhole => self.kind(Kind::ReadWhole, 0),
            Action::PassPiece => self.kind(Kind::PassPiece, 0),
            Action::PassInstead(bytes) => self.pass(Kind::PassInstead, 0, bytes),
            Action::Close(bytes) => self.pass(Kind::Close, OVER, bytes),
            Action::Abort(bytes) => self.pass(Kind::Abort, OVER, bytes),
        }
        for (chunk, word) in self.bytes.chunks_exact_mut(4).zip(self.words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        &self.bytes
    }

    fn send(&mut self, kind: Kind, send: &Send) {
        let head_first = if send.head_first { HEAD_FIRST } else { 0 };
        let script = if send.script.is_some() { SCRIPT } else { 0 };
        let rest = if send.rest { REST } else { 0 };
        let quota = if send.quota { QUOTA } else { 0 };
        let model = send.model();
        let bound = if model.is_some() { MODEL } else { 0 };
        self.kind(kind, head_first | script | rest | quota | bound);
        self.set(2, word(send.timeout.0));
        self.text(
            Some(model.unwrap_or(&send.url)),
            send.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        );
        self.edits(&send.edits);
        match &send.script {
            Some(script) => self.script(script),
            None => self.set(15, send.hedge.map_or(0, |after| word(after.0).saturating_add(1))),
        }
    }

    fn edits(&mut self, edits: &[Edit]) {
        let mut entries = Vec::with_capacity(edits.len());
        for edit in edits {
            let (offset, length) = self.append(&edit.with);
            entries.push([edit.start, edit.end, offset, length]);
        }
        let (offset, _) = self.append_words(entries.iter().flatten().copied());
        self.set(8, offset);
        self.set(9, word(u64::try_from(edits.len()).unwrap_or(u64::MAX)));
    }

    /// The script's status and content type stand where a head's would.
    fn script(&mut self, script: &Script) {
        self.set(1, u32::from(script.status));
        let mut entries = Vec::with_capacity(script.chunks.len());
        self.set(15, word(script.first_delay.0));
        for chunk in &script.chunks {
            let (offset, length) = self.append(&chunk.bytes);
            entries.push([word(chunk.delay.0), 0, offset, length]);
        }
        let count = word(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        let (offset, _) = self.append_words(entries.iter().flatten().copied());
        self.set(10, offset);
        self.set(11, count);
        self.set(
            12,
            match script.end {
                ScriptEnd::Complete => 0,
                ScriptEnd::Broken => 1,
                ScriptEnd::Never => 2,
            },
        );
        // A script is not sent anywhere: the text holds its answer's headers instead of a request's.
        self.text(None, script.headers.iter().map(|(name, value)| (*name, value.as_str())));
    }

    fn head(&mut self, kind: Kind, flags: u32, head: &Head) {
        self.kind(kind, flags);
        self.set(1, u32::from(head.status));
        self.text(None, head.headers.iter().map(|(name, value)| (*name, value.as_str())));
    }

    fn pass(&mut self, kind: Kind, flags: u32, bytes: &[u8]) {
        self.kind(kind, flags);
        self.span(6, bytes);
    }

    fn text<'a>(&mut self, first: Option<&str>, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut text = String::with_capacity(256);
        text.push_str(first.unwrap_or_default());
        for (name, value) in pairs {
            text.push('\n');
            text.push_str(name);
            text.push('\n');
            text.push_str(value);
        }
        self.span(4, text.as_bytes());
    }

    fn kind(&mut self, kind: Kind, flags: u32) {
        self.set(0, kind.word());
        self.set(3, flags);
    }

    fn span(&mut self, at: usize, bytes: &[u8]) {
        let (offset, length) = self.append(bytes);
        self.set(at, offset);
        self.set(at.saturating_add(1), length);
    }

    fn append(&mut self, bytes: &[u8]) -> (u32, u32) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (word(offset), word(bytes.len()))
    }

    /// Appends words at the next multiple of four, so that the driver may look at them as an array of `u32`.
    fn append_words(&mut self, words: impl Iterator<Item = u32>) -> (u32, u32) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        self.append(&bytes)
    }

    fn set(&mut self, at: usize, value: u32) {
        if let Some(word) = self.words.get_mut(at) {
            *word = value;
        }
    }
}

/// A number as a word; too large a one becomes the largest.
fn word(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
