//! Amazon's binary event stream: bytes to messages.
//!
//! Stage 1. Decides where a message begins and ends and that its checksums hold; not what it means. Layout of one
//! message, big endian: length of the whole (4 bytes), length of the headers (4), CRC-32 of these 8 bytes (4), headers,
//! payload, CRC-32 of all before it (4). Source: `providers.md` 8.4, from botocore 1.44.5 `eventstream.py`.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// Largest message, in bytes, that a decoder takes unless told otherwise: that of `sse::EVENT_BYTES_MAX`.
pub const MESSAGE_BYTES_MAX: u32 = super::sse::EVENT_BYTES_MAX;

/// Most bytes of headers in one message (botocore's limit).
const HEADERS_BYTES_MAX: usize = 128 << 10;
/// Bytes before the headers: two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// Bytes of a message beside headers and payload: the prelude and the last checksum.
const FRAMING_BYTES: usize = 16;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The headers whose value is a string, in their order. Others are checked and left out: no protocol here uses them.
    pub headers: Vec<(String, String)>,
    /// The payload as it came.
    pub payload: Vec<u8>,
}

impl Message {
    /// The value of the first header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why bytes are not a stream of messages. The decoder takes nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventStreamError {
    /// The lengths do not fit each other, or are beyond the limits.
    #[error("a message has impossible lengths")]
    Length,
    /// A checksum does not hold.
    #[error("a message is damaged")]
    Checksum,
    /// The headers are not headers.
    #[error("a message has malformed headers")]
    Headers,
}

/// Makes messages from bytes that arrive in any pieces: how they are split never changes the messages.
#[derive(Clone, Debug)]
pub struct EventStreamDecoder {
    limit_bytes: u32,
    /// The beginning of a message that is not whole yet.
    held: Vec<u8>,
    /// The prelude of the held message was found good.
    prelude_checked: bool,
    ready: VecDeque<Message>,
    failed: Option<EventStreamError>,
}

impl Default for EventStreamDecoder {
    fn default() -> Self {
        Self::new(MESSAGE_BYTES_MAX)
    }
}

impl EventStreamDecoder {
    /// A decoder that refuses messages of more than `limit_bytes` bytes.
    pub const fn new(limit_bytes: u32) -> Self {
        Self { limit_bytes, held: Vec::new(), prelude_checked: false, ready: VecDeque::new(), failed: None }
    }

    /// Takes the next bytes. Messages that they complete are given by [`Self::next_message`].
    ///
    /// # Errors
    /// [`EventStreamError`], now and at every later call; messages that were complete before it are still given.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), EventStreamError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.take(bytes).inspect_err(|error| {
                self.failed = Some(*error);
                self.held = Vec::new();
            }),
        }
    }

    /// The next complete message; `None` until more bytes come.
    pub fn next_message(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// Whether a message has begun and not ended: at the end of the bytes this means that it was cut off.
    pub const fn is_inside_message(&self) -> bool {
        !self.held.is_empty()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), EventStreamError> {
        self.held.extend_from_slice(bytes);
        let held = mem::take(&mut self.held);
        let mut rest: &[u8] = &held;
        while let Some((prelude, _)) = rest.split_first_chunk::<PRELUDE_BYTES>() {
            let (total, headers) = lengths(prelude, self.limit_bytes, self.prelude_checked)?;
            let Some((message, after)) = rest.split_at_checked(total) else {
                self.prelude_checked = true;
                break;
            };
            self.prelude_checked = false;
            self.ready.push_back(read(message, headers)?);
            rest = after;
        }
        self.held = rest.to_vec();
        Ok(())
    }
}

/// The lengths of a message and of its headers; a prelude that is not `trusted` yet is checked before its lengths are
/// believed, so that garbage is never waited for.
fn lengths(
    prelude: &[u8; PRELUDE_BYTES],
    limit_bytes: u32,
    trusted: bool,
) -> Result<(usize, usize), EventStreamError> {
    let [t0, t1, t2, t3, h0, h1, h2, h3, c0, c1, c2, c3] = *prelude;
    if !trusted && crc32(&[t0, t1, t2, t3, h0, h1, h2, h3]) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err(EventStreamError::Checksum);
    }
    let total = u32::from_be_bytes([t0, t1, t2, t3]);
    let headers = usize::try_from(u32::from_be_bytes([h0, h1, h2, h3])).unwrap_or(usize::MAX);
    let whole = usize::try_from(total).unwrap_or(usize::MAX);
    let fits = headers.checked_add(FRAMING_BYTES).is_some_and(|least| least <= whole);
    if !fits || total > limit_bytes || headers > HEADERS_BYTES_MAX {
        return Err(EventStreamError::Length);
    }
    Ok((whole, headers))
}

/// A whole message whose lengths fit.
fn read(message: &[u8], headers: usize) -> Result<Message, EventStreamError> {
    let (inside, checksum) = message.split_last_chunk::<4>().ok_or(EventStreamError::Length)?;
    if crc32(inside) != u32::from_be_bytes(*checksum) {
        return Err(EventStreamError::Checksum);
    }
    let behind = inside.get(PRELUDE_BYTES..).and_then(|rest| rest.split_at_checked(headers));
    let (headers, payload) = behind.ok_or(EventStreamError::Length)?;
    Ok(Message { headers: read_headers(headers)?, payload: payload.to_vec() })
}

/// The string headers. Each header: length of the name (1 byte), name, type (1), value.
fn read_headers(mut rest: &[u8]) -> Result<Vec<(String, String)>, EventStreamError> {
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let header = read_header(rest).ok_or(EventStreamError::Headers)?;
        if let Some(value) = header.text {
            headers.push((header.name, value));
        }
        rest = header.after;
    }
    Ok(headers)
}

struct Header<'a> {
    name: String,
    text: Option<String>,
    after: &'a [u8],
}

fn read_header(bytes: &[u8]) -> Option<Header<'_>> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length)).filter(|(name, _)| !name.is_empty())?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        6 | 7 => rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length), rest))?,
        9 => (16, rest),
        _ => return None,
    };
    let (value, after) = rest.split_at_checked(usize::from(length))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let value = if *kind == 7 { Some(text(value)?) } else { None };
    Some(Header { name: text(name)?, text: value, after })
}

/// CRC-32 as in IEEE 802.3 (polynomial 0xEDB88320 reflected), by half bytes: a table of 16 words instead of 256, since
/// the events of a chat are small and the script's size is what counts.
pub fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    let look = |crc: u32| {
        let at = usize::try_from(crc & 0xf).unwrap_or(0);
        TABLE.get(at).copied().unwrap_or(0) ^ (crc >> 4)
    };
    !bytes.iter().fold(!0u32, |crc, byte| look(look(crc ^ u32::from(*byte))))
}

const fn table() -> [u32; 16] {
    [
        0x0000_0000,
        0x1db7_1064,
        0x3b6e_20c8,
        0x26d9_30ac,
        0x76dc_4190,
        0x6b6b_51f4,
        0x4db2_6158,
        0x5005_713c,
        0xedb8_8320,
        0xf00f_9344,
        0xd6d6_a3e8,
        0xcb61_b38c,
        0x9b64_c2b0,
        0x86d3_d2d4,
        0xa00a_e278,
        0xbdbd_f21c,
    ]
}

#[cfg(test)]
#[path = "eventstream/tests.rs"]
mod tests;
