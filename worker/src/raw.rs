//! The raw exports that the data path's driver (`drive.js`) calls: numbers in, the address of a flat plan out.
//!
//! Decides nothing: it hands events to `weir_core::exchange::Isolate` and writes its actions flat. Texts and
//! bodies come in through one room of the module's memory, which the driver asks for, fills and hands over
//! without awaiting anything in between. Stage: shell.
#![expect(unsafe_code, reason = "`no_mangle` is how a raw export gets its name; nothing else here is unsafe")]

use crate::{host, panics};
use core::cell::RefCell;
use weir_core::exchange::flat::FlatPlan;
use weir_core::exchange::{Event, Failure, Isolate, Request, Settings, StreamEnd, UpstreamHeaders};
use weir_core::id::IsolateId;
use weir_core::object::{CallOutcome, ObjectKind};
use weir_core::surface::{self, Disposition, HEADER_COUNT, HEADERS, HeaderValues};
use weir_core::time::UnixMillis;
use weir_core::wire::bounds::BODY_BYTES_MAX;

/// A room that a large body grew is given back once it is empty again.
const ROOM_KEPT: usize = 4 << 20;

/// What the exports share. One isolate, one thread.
struct Shell {
    isolate: Isolate,
    random: host::Random,
    plan: FlatPlan,
    /// Whether requests may ask for a panic.
    test_panics: bool,
}

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SHELL: RefCell<Option<Shell>> = const { RefCell::new(None) };
    static CALL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static NAMES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// An address in the module's memory; Wasm's addresses have 32 bits.
fn address<T>(pointer: *const T) -> u32 {
    u32::try_from(pointer.addr()).unwrap_or(0)
}

/// Room for `length` bytes. Answers its address.
#[unsafe(no_mangle)]
pub extern "C" fn weir_room(length: u32) -> u32 {
    ROOM.with_borrow_mut(|room| {
        let length = length as usize;
        if room.capacity() > ROOM_KEPT && length <= ROOM_KEPT {
            *room = Vec::new();
        }
        // Grown once to the largest length asked for, and not cleared again: the driver overwrites what it uses.
        if room.len() < length.max(1) {
            room.resize(length.max(1), 0);
        }
        address(room.as_ptr())
    })
}

/// Makes the isolate from the settings in the room: lines of text (administrator's token, sealing key, whether
/// requests may ask for a panic, name of the region), then 32 random bytes.
#[unsafe(no_mangle)]
pub extern "C" fn weir_configure(text_length: u32) {
    ROOM.with_borrow(|room| {
        let (text, seed) = split(room, text_length);
        let mut lines = text.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let (admin_token_hash, seal_key) = (host::token_hash(next()), host::seal_key(next()));
        let test_panics = next() == "true";
        let region = Some(next().to_owned()).filter(|name| !name.is_empty());
        let settings = Settings { admin_token_hash, seal_key, region };
        let mut random = host::Random::from_seed(seed);
        let isolate = Isolate::new(IsolateId(random.word()), settings);
        SHELL.set(Some(Shell { isolate, random, plan: FlatPlan::default(), test_panics }));
    });
}

/// The names of the headers that core may ask for, one a line; then, behind an empty line, those of an answer's head
/// that it reads, a line for each member, with a space between the names that it may have: address of (offset, length).
#[unsafe(no_mangle)]
pub extern "C" fn weir_header_names() -> u32 {
    let names = NAMES.with_borrow_mut(|names| {
        let heads = UpstreamHeaders::NAMES.map(|names| names.join(" "));
        *names = [HEADERS.join("\n"), heads.join("\n")].join("\n\n");
        [address(names.as_ptr()), u32::try_from(names.len()).unwrap_or(0)]
    });
    call_words(&names)
}

/// The largest body that is read, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn weir_body_bytes_max() -> u32 {
    BODY_BYTES_MAX
}

/// What the request in the room (method, line feed, address) is: the headers that core wants of it as bits, or
/// -1 if it is not the data path's.
#[unsafe(no_mangle)]
pub extern "C" fn weir_classify(text_length: u32) -> i32 {
    ROOM.with_borrow(|room| {
        let (text, _) = split(room, text_length);
        let (method, url) = text.split_once('\n').unwrap_or((text, ""));
        let disposition = surface::classify(method, url);
        match disposition {
            Disposition::Management(_) | Disposition::Infra(_) => -1,
            Disposition::Data(_) | Disposition::Refused { .. } => {
                let wanted = SHELL.with_borrow(|shell| match shell {
                    Some(shell) => shell.isolate.wanted(&disposition),
                    None => surface::wanted(&disposition),
                });
                i32::try_from(wanted).unwrap_or(0)
            }
        }
    })
}

/// Begins the exchange in the room: lines of text (method, address, the headers' values in core's order, `all` if all of
/// them were read), then
/// `given` bytes of body, of `length` in all.
#[unsafe(no_mangle)]
pub extern "C" fn weir_begin(now: f64, text_length: u32, given: u32, length: u32) -> u32 {
    let now = host::millis(now);
    ROOM.with_borrow(|room| {
        let (text, rest) = split(room, text_length);
        let mut lines = text.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let (method, url) = (next(), next());
        let mut values = [None; HEADER_COUNT];
        for value in &mut values {
            *value = Some(next()).filter(|text| !text.is_empty());
        }
        let body = rest.get(..given as usize).unwrap_or_default();
        let (headers, length, all_headers) = (HeaderValues::new(values), u64::from(length), next() == "all");
        let request = Request { method, url, headers, body, length, all_headers };
        with_shell(now, |shell| {
            if shell.test_panics {
                panics::provoke(url, || true);
            }
            let random = shell.random.wide();
            shell.isolate.begin(now, random, &request)
        })
    })
}

/// Tells an event; `event` and `code` are the driver's constants. The room holds `text_length` bytes of header
/// lines and `body_length` bytes of body, as far as the event has them.
#[unsafe(no_mangle)]
pub extern "C" fn weir_event(
    now: f64,
    handle: u32,
    event: u32,
    code: u32,
    text_length: u32,
    body_length: u32,
) -> u32 {
    let now = host::millis(now);
    ROOM.with_borrow(|room| {
        let (text, rest) = split(room, text_length);
        let body = rest.get(..body_length as usize).unwrap_or_default();
        let status = u16::try_from(code).unwrap_or(0);
        let event = match event {
            1 => Event::Head { status, headers: UpstreamHeaders::of_lines(text) },
            2 => Event::Answer { status, headers: UpstreamHeaders::of_lines(text), body },
            3 => Event::Failed(match code {
                1 => Failure::TimedOut,
                2 => Failure::TooLarge,
                _ => Failure::Unreachable,
            }),
            4 => Event::Piece(body),
            5 => Event::Ended(match code {
                0 => StreamEnd::Closed,
                2 => StreamEnd::TimedOut,
                3 => StreamEnd::CallerLeft,
                _ => StreamEnd::Broken,
            }),
            _ => Event::Resumed,
        };
        with_shell(now, |shell| {
            let random = shell.random.word();
            (handle, shell.isolate.handle(now, random, handle, event))
        })
    })
}

/// The time is over after which a second call may be made beside that of exchange `handle`.
#[unsafe(no_mangle)]
pub extern "C" fn weir_hedge(now: f64, handle: u32) -> u32 {
    let now = host::millis(now);
    with_shell(now, |shell| shell.isolate.hedge(now, handle))
}

/// The next object call: the address of its words (id, kind, name's offset and length, body's offset and
/// length; offsets count from the address), or 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn weir_call(now: f64) -> u32 {
    let call = SHELL.with_borrow_mut(|shell| shell.as_mut()?.isolate.poll_call(host::millis(now)));
    let Some(call) = call else { return 0 };
    let word = |number: usize| u32::try_from(number).unwrap_or(0);
    let kind = match call.kind {
        ObjectKind::Registry => 0,
        ObjectKind::Limiter => 1,
        ObjectKind::Ledger => 2,
    };
    let name_at = 24;
    let body_at = name_at + call.name.len();
    let words = [
        u32::try_from(call.id).unwrap_or(0),
        kind,
        word(name_at),
        word(call.name.len()),
        word(body_at),
        word(call.body.len()),
    ];
    let at = call_words(&words);
    CALL.with_borrow_mut(|buffer| {
        buffer.extend_from_slice(call.name.as_bytes());
        buffer.extend_from_slice(&call.body);
        if buffer.capacity() == 0 { at } else { address(buffer.as_ptr()) }
    })
}

/// After how many milliseconds (plus one) object calls are to be made; 0: none, or another driver promised them.
#[unsafe(no_mangle)]
pub extern "C" fn weir_calls_due(now: f64) -> u32 {
    let due = SHELL.with_borrow_mut(|shell| shell.as_mut()?.isolate.calls_due(host::millis(now)));
    due.map_or(0, |span| u32::try_from(span.0).unwrap_or(u32::MAX).saturating_add(1))
}

/// Tells what became of an object call; the answer's `length` bytes are in the room.
#[unsafe(no_mangle)]
pub extern "C" fn weir_called(now: f64, call: u32, ok: u32, length: u32) {
    ROOM.with_borrow(|room| {
        let answer = room.get(..length as usize).unwrap_or_default();
        let outcome = if ok == 1 { CallOutcome::Answered(answer) } else { CallOutcome::Lost };
        SHELL.with_borrow_mut(|shell| {
            if let Some(shell) = shell {
                shell.isolate.called(host::millis(now), u64::from(call), outcome);
            }
        });
    });
}

/// Lets `step` work on the isolate and writes its action flat. Answers the plan's address.
fn with_shell(now: UnixMillis, step: impl FnOnce(&mut Shell) -> (u32, weir_core::exchange::Action)) -> u32 {
    SHELL.with_borrow_mut(|shell| {
        let Some(shell) = shell else { return 0 };
        let (handle, action) = step(shell);
        let calls_after = shell.isolate.calls_after(now, &action).map(|span| span.0);
        address(shell.plan.write(handle, &action, calls_after).as_ptr())
    })
}

/// Puts words into the buffer of object calls. Answers its address.
fn call_words(words: &[u32]) -> u32 {
    CALL.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        address(buffer.as_ptr())
    })
}

/// The text in front of the room, and what follows it. The driver encodes JavaScript strings, so it is UTF-8.
fn split(room: &[u8], text_length: u32) -> (&str, &[u8]) {
    let (text, rest) = room.split_at_checked(text_length as usize).unwrap_or((&[], &[]));
    (core::str::from_utf8(text).unwrap_or_default(), rest)
}
