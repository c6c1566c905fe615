//! One HTTP/1.1 exchange with a server on this machine, over a plain socket.
//!
//! Decides only what the commands need: a method, a path, a few headers, a JSON body; the answer is read to the
//! connection's end. Not a general client. Stage: tooling. Source: RFC 9112.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail};

/// How long connecting, and each read, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body, as text.
    pub(crate) body: String,
}

/// Sends one request to `127.0.0.1:port`.
///
/// # Errors
/// When nobody listens, or the answer is not HTTP.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: Option<&str>,
) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n");
    if let Some(token) = bearer {
        let _infallible = write!(request, "authorization: Bearer {token}\r\n");
    }
    if let Some(body) = body {
        let length = body.len();
        let _infallible = write!(request, "content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = socket.read(&mut piece)?;
        answer.extend_from_slice(piece.get(..length).unwrap_or_default());
        // A server may keep the connection open although it was asked not to.
        match parse(&answer, length == 0) {
            Some(answer) => return Ok(answer),
            None if length == 0 => bail!("the answer is not HTTP/1.1"),
            None => {}
        }
    }
}

/// The answer, once it is whole; without a length it is whole when the connection has `ended`.
fn parse(answer: &[u8], ended: bool) -> Option<Answer> {
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = answer.split_at_checked(split)?;
    let rest = rest.get(4..)?;
    let head = std::str::from_utf8(head).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let body = if let Some(length) = header("content-length") {
        rest.get(..length.parse().ok()?)?.to_vec()
    } else if header("transfer-encoding") == Some("chunked") {
        unchunk(rest)?
    } else if ended || status == 204 {
        rest.to_vec()
    } else {
        return None;
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Answer { status, body })
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(body.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let start = end.checked_add(2)?;
        let stop = start.checked_add(size)?;
        whole.extend_from_slice(body.get(start..stop)?);
        if size == 0 {
            return Some(whole);
        }
        body = body.get(stop.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, parse};

    #[test]
    fn reads_answers_of_known_and_of_unknown_length() {
        for (bytes, ended, status, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, 200, "ok"),
            ("HTTP/1.1 200 OK\r\n\r\nok", true, 200, "ok"),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, 204, ""),
            (
                "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                false,
                201,
                "abcde",
            ),
        ] {
            let body = body.to_owned();
            assert_eq!(parse(bytes.as_bytes(), ended), Some(Answer { status, body }));
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        for bytes in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            assert_eq!(parse(bytes.as_bytes(), true), None, "{bytes:?}");
        }
    }
}
