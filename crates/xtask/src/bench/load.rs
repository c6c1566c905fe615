//! The load generator: a closed loop over kept connections, on one thread.
//!
//! Each connection sends its next request when it has the whole answer of the last. Every answer is checked: status,
//! and for streams the terminal event; one bad answer ends the bench, since a fast wrong answer is no result.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::framing::{Framing, Side};

/// Left out at the front of a slice: the first requests after a pause are slow (collections, cold caches).
pub(super) const RAMP: Duration = Duration::from_millis(20);
/// Servers close connections that were idle for 5 s; those idle for longer than this are made anew.
const IDLE_MAX: Duration = Duration::from_secs(3);
/// An answer that takes longer than this ends the bench.
const PATIENCE: Duration = Duration::from_secs(20);
/// Kept of each answer to show what was wrong, and to find the terminal event.
const KEPT_BYTES: usize = 512;

/// How long a slice goes on.
#[derive(Clone, Copy)]
pub(super) enum Length {
    /// New requests are sent for this time; those within [`RAMP`] are not counted as results.
    Time(Duration),
    /// Each connection makes this many exchanges, and all count.
    Each(u32),
}

/// What the answers must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// A JSON document.
    Json,
    /// An event stream that ends with `[DONE]`.
    Stream,
}

/// What one slice showed. Times in microseconds, sorted.
#[derive(Default)]
pub(super) struct Slice {
    /// Every exchange, those of the ramp included: what the processor time was spent on.
    pub(super) exchanges: u64,
    /// Counted exchanges per second.
    pub(super) rate: f64,
    /// Time to the end of each counted answer.
    pub(super) total: Vec<f64>,
    /// Time to the first body byte of each counted answer.
    pub(super) first: Vec<f64>,
}

/// Kept connections to one server.
pub(super) struct Client {
    address: SocketAddr,
    /// When the last slice ended.
    idle_since: Instant,
    poll: Poll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    framing: Framing,
    /// Bytes of the request that are sent; `None` between exchanges.
    sent: Option<usize>,
    began: Instant,
    first: Option<Instant>,
    start: Vec<u8>,
    tail: Vec<u8>,
    made: u32,
}

struct Running {
    request: Rc<[u8]>,
    expect: Expect,
    began: Instant,
    length: Length,
    /// Exchanges that ended between the ramp and the slice's end: the rate.
    ended: u32,
    slice: Slice,
}

impl Client {
    /// Opens `count` connections.
    pub(super) fn new(address: SocketAddr, count: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        for index in 0..count {
            connections.push(Connection::open(&poll, index, address)?);
        }
        let idle_since = Instant::now();
        Ok(Self { address, idle_since, poll, connections, buffer: vec![0; 256 * 1024] })
    }

    /// Runs one slice and waits for its last answer.
    pub(super) fn run(&mut self, request: &Rc<[u8]>, expect: Expect, length: Length) -> Result<Slice> {
        if self.idle_since.elapsed() > IDLE_MAX {
            *self = Self::new(self.address, self.connections.len())?;
        }
        let request = Rc::clone(request);
        let mut running =
            Running { request, expect, began: Instant::now(), length, ended: 0, slice: Slice::default() };
        let mut open = 0;
        for connection in &mut self.connections {
            connection.made = 0;
            connection.begin(&running.request)?;
            open += 1;
        }
        let mut events = Events::with_capacity(64);
        while open > 0 {
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.is_empty() {
                bail!("no answer within {} s", PATIENCE.as_secs());
            }
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                if connection.sent.is_none() {
                    continue;
                }
                connection.send(&running.request)?;
                if !connection.receive(&mut self.buffer)? {
                    continue;
                }
                connection.finish(&mut running)?;
                if running.goes_on(connection.made) {
                    connection.begin(&running.request)?;
                } else {
                    open -= 1;
                }
            }
        }
        self.idle_since = Instant::now();
        Ok(running.close())
    }
}

impl Running {
    /// A connection that made `made` exchanges makes another.
    fn goes_on(&self, made: u32) -> bool {
        match self.length {
            Length::Time(time) => self.began.elapsed() < time,
            Length::Each(count) => made < count,
        }
    }

    /// From when on results count, and until when ends count for the rate.
    fn window(&self) -> (Instant, Option<Instant>) {
        match self.length {
            Length::Time(time) => (self.began + RAMP, Some(self.began + time)),
            Length::Each(_) => (self.began, None),
        }
    }

    fn count(&mut self, exchange_began: Instant, first: Instant, now: Instant) {
        let (from, until) = self.window();
        self.slice.exchanges += 1;
        if now >= from && until.is_none_or(|until| now <= until) {
            self.ended += 1;
        }
        if exchange_began >= from {
            let micros = |moment: Instant| (moment - exchange_began).as_secs_f64() * 1e6;
            self.slice.total.push(micros(now));
            self.slice.first.push(micros(first));
        }
    }

    fn close(mut self) -> Slice {
        let (from, until) = self.window();
        let seconds = (until.unwrap_or_else(Instant::now) - from).as_secs_f64();
        self.slice.rate = f64::from(self.ended) / seconds;
        self.slice.total.sort_by(f64::total_cmp);
        self.slice.first.sort_by(f64::total_cmp);
        self.slice
    }
}

impl Connection {
    fn open(poll: &Poll, index: usize, address: SocketAddr) -> Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            framing: Framing::new(Side::Response),
            sent: None,
            began: Instant::now(),
            first: None,
            start: Vec::new(),
            tail: Vec::new(),
            made: 0,
        })
    }

    fn begin(&mut self, request: &[u8]) -> Result<()> {
        self.framing.reset();
        self.sent = Some(0);
        self.first = None;
        self.start.clear();
        self.tail.clear();
        self.began = Instant::now();
        self.send(request)
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        let Some(mut sent) = self.sent else { return Ok(()) };
        while sent < request.len() {
            match self.stream.write(&request[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the server closed the connection"),
            }
        }
        self.sent = Some(sent);
        Ok(())
    }

    /// Reads what there is; true when the answer is complete.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection; it had answered {:?}", self.shown()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let (start, tail, first) = (&mut self.start, &mut self.tail, &mut self.first);
            let taken = self.framing.push(&buffer[..count], &mut |part| {
                first.get_or_insert_with(Instant::now);
                let room = KEPT_BYTES.saturating_sub(start.len()).min(part.len());
                start.extend_from_slice(&part[..room]);
                let from = part.len().saturating_sub(KEPT_BYTES);
                tail.extend_from_slice(&part[from..]);
                let excess = tail.len().saturating_sub(KEPT_BYTES);
                tail.drain(..excess);
            })?;
            if self.framing.is_done() {
                if taken != count {
                    bail!("bytes after the answer");
                }
                return Ok(true);
            }
        }
    }

    fn finish(&mut self, running: &mut Running) -> Result<()> {
        let now = Instant::now();
        self.sent = None;
        self.made += 1;
        let status = self.framing.status()?;
        if status != 200 {
            bail!("status {status}: {}", self.shown());
        }
        if running.expect == Expect::Stream && !self.tail.trim_ascii_end().ends_with(b"data: [DONE]") {
            bail!("the stream ended without [DONE]: {}", String::from_utf8_lossy(&self.tail));
        }
        if running.expect == Expect::Json && !self.tail.trim_ascii_end().ends_with(b"}") {
            bail!("not JSON: {}", self.shown());
        }
        running.count(self.began, self.first.unwrap_or(now), now);
        Ok(())
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.start).into_owned()
    }
}
