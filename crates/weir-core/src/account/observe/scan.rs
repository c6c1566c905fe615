//! One event of the OpenAI dialect, walked from quote to quote.
//!
//! Stage 7. Decides which members of an event say something; not whether the JSON around them is well formed
//! (the caller's client does). A quote inside a JSON string is always escaped, so the walk cannot be misled by
//! content that looks like members.

/// Which choices a stream had, and which got their `finish_reason`. Indexes beyond 127 are not followed: the
/// dialect allows 128 choices (`azure.md` B3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choices {
    seen: u128,
    finished: u128,
}

impl Choices {
    /// Whether there was a choice and all are finished.
    pub(super) const fn all_finished(self) -> bool {
        self.seen != 0 && self.seen & !self.finished == 0
    }

    fn add(&mut self, index: u32, finished: bool) {
        let bit = 1u128.checked_shl(index).unwrap_or(0);
        self.seen |= bit;
        if finished {
            self.finished |= bit;
        }
    }
}

/// What an event said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<'a> {
    /// A top-level `error` that is not null.
    pub(super) error: bool,
    /// The top-level `usage` object.
    pub(super) usage: Option<&'a [u8]>,
    /// A choice has a `finish_reason` that is neither null nor empty.
    pub(super) finishes: bool,
    /// Something is missing that each event has, or is not spelt as the dialect does.
    pub(super) odd: bool,
    /// Characters of all content strings.
    pub(super) chars: u64,
    /// Start and end of the content string, if there was exactly one and it was plain.
    pub(super) only_content: Option<(usize, usize)>,
}

/// Members that are looked at, with the depth of the object that holds them: 1 is the event itself, 3 a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Error,
    Usage,
    Choices,
    OtherTop,
    FinishReason,
    Index,
    Content,
    Other,
}

impl Member {
    fn of(depth: u32, in_choices: bool, name: &[u8]) -> Self {
        match (depth, name) {
            (1, b"error") => Self::Error,
            (1, b"usage") => Self::Usage,
            (1, b"choices") => Self::Choices,
            (1, _) => Self::OtherTop,
            (3, b"finish_reason") if in_choices => Self::FinishReason,
            (3, b"index") if in_choices => Self::Index,
            (3.., b"content" | b"reasoning_content" | b"reasoning" | b"refusal" | b"arguments" | b"text")
                if in_choices =>
            {
                Self::Content
            }
            _ => Self::Other,
        }
    }
}

struct Walk<'a, 'c> {
    data: &'a [u8],
    rest: &'a [u8],
    depth: u32,
    in_choices: bool,
    index: u32,
    finished: bool,
    /// Whether the choice said its index.
    indexed: bool,
    /// How many of the members were there that each event has.
    common: u32,
    usage_at: Option<usize>,
    contents: u32,
    found: Found<'a>,
    choices: &'c mut Choices,
}

/// `id`, `object`, `created`.
const COMMON: u32 = 3;

/// What the event `data` says; its choices are added to `choices`.
pub(super) fn event<'a>(data: &'a [u8], choices: &mut Choices) -> Found<'a> {
    let mut walk = Walk {
        data,
        rest: data,
        depth: 0,
        in_choices: false,
        index: 0,
        finished: false,
        indexed: false,
        common: 0,
        usage_at: None,
        contents: 0,
        found: Found::default(),
        choices,
    };
    walk.run();
    if walk.contents != 1 {
        walk.found.only_content = None;
    }
    walk.found.odd |= walk.common < COMMON;
    walk.found
}

impl<'a> Walk<'a, '_> {
    fn run(&mut self) {
        while let Some((byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    if self.depth == 3 {
                        (self.index, self.finished, self.indexed) = (0, false, false);
                    }
                }
                b'}' | b']' => self.close(),
                _ => {}
            }
        }
    }

    fn close(&mut self) {
        if self.depth == 3 && self.in_choices {
            self.choices.add(self.index, self.finished);
            self.found.finishes |= self.finished;
            self.found.odd |= !self.indexed;
        }
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 1
            && let Some(from) = self.usage_at.take()
        {
            self.found.usage = self.data.get(from..self.at());
        }
    }

    /// A string begins: a member's name, or a value that nobody asked for.
    fn string(&mut self) {
        let Some(name) = self.string_text() else { return };
        let Some(value) = self.rest.trim_ascii_start().strip_prefix(b":") else { return };
        self.rest = value.trim_ascii_start();
        match Member::of(self.depth, self.in_choices, name) {
            Member::Error => {
                self.in_choices = false;
                self.found.error |= !self.is_null();
            }
            Member::Usage => {
                self.in_choices = false;
                if self.rest.starts_with(b"{") {
                    self.usage_at = Some(self.at());
                }
            }
            Member::Choices => self.in_choices = true,
            Member::OtherTop => {
                self.in_choices = false;
                let common = matches!(name, b"id" | b"object" | b"created");
                self.common = self.common.saturating_add(u32::from(common));
            }
            Member::FinishReason => self.reason(),
            Member::Index => {
                self.indexed = true;
                self.index = self.number();
            }
            Member::Content => {
                self.found.odd |= name == b"arguments" && self.rest.starts_with(b"{");
                self.content();
            }
            Member::Other => {}
        }
    }

    /// An empty reason is none: the choice goes on.
    fn reason(&mut self) {
        if self.is_null() {
            return;
        }
        let words: [&[u8]; 5] =
            [b"\"stop\"", b"\"length\"", b"\"tool_calls\"", b"\"content_filter\"", b"\"function_call\""];
        self.found.odd |= !words.iter().any(|word| self.rest.starts_with(word));
        self.finished = !self.rest.starts_with(b"\"\"");
    }

    fn content(&mut self) {
        let Some(rest) = self.rest.strip_prefix(b"\"") else { return };
        self.rest = rest;
        let from = self.at();
        let Some(text) = self.string_text() else { return };
        self.contents = self.contents.saturating_add(1);
        self.found.chars = self.found.chars.saturating_add(chars(text));
        self.found.only_content = Some((from, from.saturating_add(text.len())));
    }

    /// The text up to the closing quote, which is passed; `None`, at the end of the data, if there is none.
    fn string_text(&mut self) -> Option<&'a [u8]> {
        let text = self.rest;
        let mut from = 0usize;
        while let Some(found) = text.get(from..).and_then(|rest| memchr::memchr(b'"', rest)) {
            let end = from.saturating_add(found);
            let (head, tail) = text.split_at_checked(end)?;
            let escapes = head.iter().rev().take_while(|byte| **byte == b'\\').count();
            if escapes.is_multiple_of(2) {
                self.rest = tail.get(1..).unwrap_or_default();
                return Some(head);
            }
            from = end.saturating_add(1);
        }
        self.rest = &[];
        None
    }

    fn is_null(&self) -> bool {
        self.rest.starts_with(b"null")
    }

    fn number(&self) -> u32 {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0u32, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
        })
    }

    /// Offset of what is still to be walked.
    fn at(&self) -> usize {
        self.data.len().saturating_sub(self.rest.len())
    }
}

/// Characters of a JSON string's text between the quotes: an escape counts as one, a surrogate pair as two.
fn chars(text: &[u8]) -> u64 {
    let mut count = 0u64;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte & 0xc0 != 0x80 {
            count = count.saturating_add(1);
        }
        if *byte == b'\\' && bytes.next() == Some(&b'u') {
            let _ = bytes.by_ref().take(4).count();
        }
    }
    count
}

/// Characters of `text`, if it is the whole text of a JSON string whatever stands around it: no quote, no
/// control character, no escape that is cut off. Else `None`.
pub(super) fn plain_chars(text: &[u8]) -> Option<u64> {
    if text.iter().any(|byte| *byte == b'"' || *byte < b' ') {
        return None;
    }
    let escapes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
    escapes.is_multiple_of(2).then(|| chars(text))
}
