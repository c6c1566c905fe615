//! Finds where an HTTP/1.1 message ends, from bytes that arrive in any pieces.
//!
//! Serves both ends of the bench: the mock upstream reads requests by it, the load generator answers. It knows
//! lengths and chunks (RFC 9112 section 6 and 7) and leaves every other header alone. It is not a parser for
//! hostile peers: both ends are ours.

use anyhow::{Context, Result, bail};

/// Longest head accepted, in bytes. workerd's heads are a few hundred.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where in a message the next byte belongs.
enum Place {
    Head,
    Length(u64),
    ChunkSize(u64),
    ChunkExtension(u64),
    Chunk(u64),
    ChunkEnd,
    Trailer { line_is_empty: bool },
    Done,
}

/// Which message is read; decides what a missing length means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Without a length there is no body.
    Request,
    /// Without a length the body would end with the connection, which no peer of the bench does.
    Response,
}

/// One message being read.
pub(super) struct Framing {
    side: Side,
    place: Place,
    head: Vec<u8>,
}

impl Framing {
    /// A message of which nothing has arrived.
    pub(super) fn new(side: Side) -> Self {
        Self { side, place: Place::Head, head: Vec::new() }
    }

    /// Forgets the message and keeps the room.
    pub(super) fn reset(&mut self) {
        self.place = Place::Head;
        self.head.clear();
    }

    /// The message has ended.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// The head, complete once body bytes have been given or the message is done.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The status of an answer, or an error when the head has none.
    pub(super) fn status(&self) -> Result<u16> {
        let text = self.head.get(9..12).context("short status line")?;
        Ok(std::str::from_utf8(text)?.parse()?)
    }

    /// Takes bytes of this message, gives its body bytes (without chunk framing) to `body`, and returns how many
    /// bytes belonged to it; fewer than given only when it is done.
    pub(super) fn push(&mut self, bytes: &[u8], body: &mut dyn FnMut(&[u8])) -> Result<usize> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            at += self.step(&bytes[at..], body)?;
        }
        Ok(at)
    }

    fn step(&mut self, rest: &[u8], body: &mut dyn FnMut(&[u8])) -> Result<usize> {
        match self.place {
            Place::Head => return self.take_head(rest),
            Place::Length(left) => {
                let here = part(rest, left);
                body(here);
                let left = left - here.len() as u64;
                self.place = if left == 0 { Place::Done } else { Place::Length(left) };
                return Ok(here.len());
            }
            Place::Chunk(left) => {
                let here = part(rest, left);
                body(here);
                let left = left - here.len() as u64;
                self.place = if left == 0 { Place::ChunkEnd } else { Place::Chunk(left) };
                return Ok(here.len());
            }
            Place::Done => return Ok(0),
            Place::ChunkSize(_) | Place::ChunkExtension(_) | Place::ChunkEnd | Place::Trailer { .. } => {}
        }
        self.take_framing_byte(rest[0])?;
        Ok(1)
    }

    fn take_framing_byte(&mut self, byte: u8) -> Result<()> {
        self.place = match (&self.place, byte) {
            (Place::ChunkSize(size) | Place::ChunkExtension(size), b'\n') => match size {
                0 => Place::Trailer { line_is_empty: true },
                size => Place::Chunk(*size),
            },
            (Place::ChunkSize(size), b'\r' | b';') | (Place::ChunkExtension(size), _) => {
                Place::ChunkExtension(*size)
            }
            (Place::ChunkSize(size), digit) => {
                let Some(digit) = char::from(digit).to_digit(16) else { bail!("bad chunk size") };
                Place::ChunkSize(size * 16 + u64::from(digit))
            }
            (Place::ChunkEnd, b'\n') => Place::ChunkSize(0),
            (Place::ChunkEnd, _) => Place::ChunkEnd,
            (Place::Trailer { line_is_empty: true }, b'\n') => Place::Done,
            (Place::Trailer { .. }, b'\n') => Place::Trailer { line_is_empty: true },
            (Place::Trailer { line_is_empty }, b'\r') => Place::Trailer { line_is_empty: *line_is_empty },
            (Place::Trailer { .. }, _) => Place::Trailer { line_is_empty: false },
            (Place::Head | Place::Length(_) | Place::Chunk(_) | Place::Done, _) => bail!("not framing"),
        };
        Ok(())
    }

    fn take_head(&mut self, rest: &[u8]) -> Result<usize> {
        let from = self.head.len().saturating_sub(3);
        let had = self.head.len();
        self.head.extend_from_slice(rest);
        let Some(end) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n").map(|found| from + found + 4)
        else {
            if self.head.len() > HEAD_BYTES_MAX {
                bail!("head longer than {HEAD_BYTES_MAX} bytes");
            }
            return Ok(rest.len());
        };
        self.head.truncate(end);
        self.place = self.body_form()?;
        Ok(end - had)
    }

    fn body_form(&self) -> Result<Place> {
        let head = std::str::from_utf8(&self.head)?;
        for line in head.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked")
            {
                return Ok(Place::ChunkSize(0));
            }
            if name.eq_ignore_ascii_case("content-length") {
                return Ok(match value.trim().parse()? {
                    0 => Place::Done,
                    length => Place::Length(length),
                });
            }
        }
        match self.side {
            Side::Request => Ok(Place::Done),
            Side::Response => bail!("an answer without a length:\n{head}"),
        }
    }
}

/// At most `limit` bytes from the front.
fn part(bytes: &[u8], limit: u64) -> &[u8] {
    let length = usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[..length]
}

/// The value of header `name` (any case) in a head.
pub(super) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let head = std::str::from_utf8(head).ok()?;
    let line = head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })?;
    Some(line.trim())
}

#[cfg(test)]
mod tests {
    use super::{Framing, Side, header};

    #[track_caller]
    fn check(side: Side, message: &str, body: &str, consumed: usize) {
        for piece in 1..=message.len() {
            let mut framing = Framing::new(side);
            let (mut got, mut taken) = (Vec::new(), 0);
            for bytes in message.as_bytes().chunks(piece) {
                taken += framing.push(bytes, &mut |part| got.extend_from_slice(part)).unwrap();
            }
            assert!(framing.is_done(), "{message:?} in pieces of {piece}");
            assert_eq!(std::str::from_utf8(&got).unwrap(), body, "{message:?} in pieces of {piece}");
            assert_eq!(taken, consumed, "{message:?} in pieces of {piece}");
        }
    }

    #[test]
    fn a_message_ends_where_its_framing_says_in_any_split() {
        check(Side::Request, "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "", 27);
        check(Side::Request, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "abc", 41);
        check(Side::Response, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", 38);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        check(Side::Response, chunked, "abc0123456789", chunked.len());
        let trailer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n";
        check(Side::Response, trailer, "a", trailer.len());
    }

    #[test]
    fn bytes_after_the_message_are_left() {
        let mut framing = Framing::new(Side::Response);
        let two = b"HTTP/1.1 404 Nope\r\ncontent-length: 1\r\n\r\naHTTP";
        assert_eq!(framing.push(two, &mut |_| {}).unwrap(), two.len() - 4);
        assert_eq!(framing.status().unwrap(), 404);
        assert_eq!(header(framing.head(), "Content-Length"), Some("1"));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        let mut framing = Framing::new(Side::Response);
        assert!(framing.push(b"HTTP/1.1 200 OK\r\n\r\n", &mut |_| {}).is_err());
    }
}
