//! Watching a stream of the OpenAI dialect from the side: did it end as it should, what did it use.
//!
//! Stage 7. Decides what was seen; not what follows from it (`exchange`). It is fed with pieces of any size, long
//! after the caller got them, and is built to cost next to nothing: most events of a stream differ only in one
//! string, so a line that equals an earlier one up to that string is not scanned again. Other lines are walked
//! once from quote to quote; JSON is parsed only for the last usage, at the end.
//!
//! Each `data` line is an event of its own, as every client of the dialect reads it (`azure.md` A11); events
//! are those of `providers.md` 1.7 and 2.4, the shapes of `databricks.md` 10.5 included (usage on each chunk).

use super::record::Usage;
use super::usage;
use alloc::vec::Vec;
use core::mem;

mod scan;

/// Longest line that is looked into: 1 MiB. Of a longer one only its length is used, for the estimate.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What was seen of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; all combinations occur")]
pub struct Observed {
    /// The last usage that the upstream told; `None` if it told none, or none with the dialect's counts.
    pub usage: Option<Usage>,
    /// Whether the terminal event `data: [DONE]` was there.
    pub terminal: bool,
    /// Whether an event told of an error: a top-level member `error` that is not null.
    pub error: bool,
    /// Whether there was a choice, and every choice got its `finish_reason`.
    pub finished: bool,
    /// Whether a data line was neither a JSON object nor the terminal event, or was too long to be looked into.
    pub garbage: bool,
    /// Characters of content: text, reasoning, refusals and the arguments of tool calls, over all choices.
    pub output_chars: u64,
    /// Data lines before the terminal event.
    pub events: u64,
}

/// Sees a stream pass. How the bytes are split never changes what is seen. After the terminal event nothing
/// more is looked at: clients stop reading there.
#[derive(Clone, Debug, Default)]
pub struct StreamObserver {
    /// The beginning of a line whose end has not come; at most [`LINE_BYTES_MAX`] and one byte.
    line: Vec<u8>,
    /// Bytes of that line that were not kept because it is too long.
    cut_bytes: u64,
    /// No line has ended yet: a byte order mark may still be removed.
    started: bool,
    template: Template,
    /// The text of the last usage object.
    usage: Vec<u8>,
    choices: scan::Choices,
    seen: Observed,
    odd: bool,
}

/// The last scanned line that held nothing but one string of content: what stood before and after the string.
#[derive(Clone, Debug, Default)]
struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl StreamObserver {
    /// An observer that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((head, tail)) = memchr::memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end))
        {
            if self.seen.terminal {
                return;
            }
            self.end_line(head);
            rest = tail.get(1..).unwrap_or_default();
        }
        if !self.seen.terminal {
            self.keep(rest);
        }
    }

    /// The stream has ended, regularly or not: what was seen of it. A last line without an end counts.
    pub fn finish(mut self) -> Observed {
        if !self.line.is_empty() && !self.seen.terminal {
            self.end_line(&[]);
        }
        self.seen.finished = self.choices.all_finished();
        self.seen.usage = usage::from_text(&self.usage);
        self.seen
    }

    /// Whether the terminal event has been seen so far.
    pub const fn is_terminal(&self) -> bool {
        self.seen.terminal
    }

    /// Whether all choices have said why they ended, and the terminal event has not come.
    pub fn is_unsaid(&self) -> bool {
        !self.seen.terminal && self.choices.all_finished()
    }

    /// Whether content has been seen so far, or all choices got their `finish_reason` without any.
    pub const fn has_content(&self) -> bool {
        self.seen.output_chars > 0 || self.choices.all_finished()
    }

    /// Whether something has been seen so far that no client of the dialect can go on from: an error event, or
    /// what is no event of the dialect at all.
    pub const fn is_broken(&self) -> bool {
        self.seen.error || self.seen.garbage
    }

    /// Whether an event was seen.
    pub const fn has_events(&self) -> bool {
        self.seen.events > 0
    }

    /// Whether an event seen so far was not quite of the dialect: a member is missing that each has, the first tells no
    /// role, a reason is no reason, arguments are no text. Nothing is looked at for it that is not looked at anyway.
    pub const fn is_odd(&self) -> bool {
        self.odd
    }

    fn keep(&mut self, tail: &[u8]) {
        // One byte more than the limit is kept, so that a line at the limit and one beyond it are told apart.
        let room = LINE_BYTES_MAX.saturating_add(1).saturating_sub(self.line.len());
        let (kept, cut) = tail.split_at_checked(room).unwrap_or((tail, &[]));
        self.line.extend_from_slice(kept);
        self.cut_bytes = self.cut_bytes.saturating_add(length(cut));
    }

    fn end_line(&mut self, tail: &[u8]) {
        if self.line.is_empty() && tail.len() <= LINE_BYTES_MAX {
            return self.lines(tail);
        }
        self.keep(tail);
        let mut whole = mem::take(&mut self.line);
        let cut = mem::take(&mut self.cut_bytes);
        if whole.len() > LINE_BYTES_MAX {
            self.started = true;
            self.seen.garbage = true;
            self.seen.events = self.seen.events.saturating_add(1);
            let bytes = length(&whole).saturating_add(cut);
            self.seen.output_chars = self.seen.output_chars.saturating_add(bytes);
        } else {
            self.lines(&whole);
        }
        whole.clear();
        self.line = whole;
    }

    /// What ended with LF is one line, unless it holds CRs: then each of them ends one.
    fn lines(&mut self, line: &[u8]) {
        if self.matches_template(line) {
            return;
        }
        let mut rest = line;
        if !mem::replace(&mut self.started, true) {
            rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
        }
        while let Some((head, tail)) = memchr::memchr(b'\r', rest).and_then(|end| rest.split_at_checked(end))
        {
            self.line(head);
            rest = tail.get(1..).unwrap_or_default();
        }
        self.line(rest);
    }

    /// Takes the line if it differs from the template only in the content of its string.
    fn matches_template(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Template { before, after } = &self.template;
        let Some(at) = line.len().checked_sub(after.len()) else { return false };
        if before.is_empty() || !same(line.get(at..).unwrap_or_default(), after) {
            return false;
        }
        let Some((head, content)) = line.get(..at).and_then(|rest| rest.split_at_checked(before.len()))
        else {
            return false;
        };
        if !same(head, before) {
            return false;
        }
        let Some(chars) = scan::plain_chars(content) else { return false };
        self.seen.events = self.seen.events.saturating_add(1);
        self.seen.output_chars = self.seen.output_chars.saturating_add(chars);
        true
    }

    fn line(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let data = data.trim_ascii();
        if data.is_empty() || self.seen.terminal {
            return;
        }
        if data.starts_with(b"[DONE]") {
            self.seen.terminal = true;
            return;
        }
        self.seen.events = self.seen.events.saturating_add(1);
        if !(data.starts_with(b"{") && data.ends_with(b"}")) {
            self.seen.garbage = true;
            return;
        }
        let found = scan::event(data, &mut self.choices);
        let silent = self.seen.events == 1 && memchr::memmem::find(data, b"\"delta\"").is_some();
        self.odd |= found.odd || (silent && memchr::memmem::find(data, b"\"role\"").is_none());
        self.seen.error |= found.error;
        self.seen.output_chars = self.seen.output_chars.saturating_add(found.chars);
        if let Some(usage) = found.usage {
            self.usage.clear();
            self.usage.extend_from_slice(usage);
        }
        self.learn(line, &found);
    }

    /// Remembers a line that held one string of content and nothing else of interest. The choices that it
    /// names are already known, so that skipping its like loses nothing.
    fn learn(&mut self, line: &[u8], found: &scan::Found<'_>) {
        if found.error || found.usage.is_some() || found.finishes {
            return;
        }
        let Some((from, to)) = found.only_content else { return };
        let Some(offset) = line.strip_prefix(b"data:").map(|rest| rest.trim_ascii_start().len()) else {
            return;
        };
        let Some(start) = line.len().checked_sub(offset) else { return };
        let (from, to) = (start.saturating_add(from), start.saturating_add(to));
        let (Some(before), Some(after)) = (line.get(..from), line.get(to..)) else { return };
        self.template.before.clear();
        self.template.before.extend_from_slice(before);
        self.template.after.clear();
        self.template.after.extend_from_slice(after);
    }
}

/// Whether two texts are equal, eight bytes at a time: wasm32 has no `memcmp` of its own, and the one of
/// compiler-builtins goes byte by byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
