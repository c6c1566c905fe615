//! The borrowed top-level members of a request's body, the rest raw; and the changes that a body needs before it
//! is forwarded, as replaced byte ranges.
//!
//! Stage 1. Decides whether a body is well formed and whether the members that Weir acts on have the right type
//! and range; it does not check what only the model acts on. Unknown members survive byte for byte (promise 8).
//! Sources: `azure.md` A5 and B3, `databricks.md` 10.2, `providers.md` 1.1.

use super::bounds::{
    BEST_OF_MAX, BODY_BYTES_MAX, CHOICES_MAX, MAX_TOKENS_MAX, MEMBER_NAME_BYTES_MAX, MEMBERS_MAX,
};
use super::error::{WireError, echo};
use super::scan::Cursor;
use crate::snapshot::Task;
use alloc::borrow::Cow;
use alloc::vec::Vec;

pub use super::edit::{Edit, Rewrite};

/// The value of a member, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Where it begins in the body.
    pub start: u32,
    /// Where it ends in the body, exclusive.
    pub end: u32,
    /// The JSON text, without surrounding white space.
    pub raw: &'a str,
}

/// One top-level member. Offsets are in the body; the name's include its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// With its quotes.
    pub(super) name: &'a str,
    /// Whether the name is written with an escape.
    pub(super) escaped: bool,
    pub(super) name_start: u32,
    pub(super) value_start: u32,
    pub(super) value_end: u32,
    /// The value's JSON text.
    pub(super) value: &'a str,
}

/// What Weir reads of a request's body.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// `model`, a string; absent if null.
    pub model: Option<Field<'a>>,
    /// `stream`; false if absent.
    pub stream: bool,
    /// `max_completion_tokens`, or else `max_tokens`; at most [`MAX_TOKENS_MAX`].
    pub max_tokens: Option<u64>,
    /// `n`, 1..=128; 1 if absent.
    pub n: u64,
    /// `best_of`, 0..=20; 1 if absent.
    pub best_of: u64,
    /// `stream_options.include_usage`; false if absent.
    pub include_usage: bool,
    /// `messages`, an array of at least one.
    pub messages: Option<Field<'a>>,
    /// `prompt`, a string or an array.
    pub prompt: Option<Field<'a>>,
    /// `input`, a string or an array.
    pub input: Option<Field<'a>>,
    /// `client_request_id`, whatever it is.
    pub client_request_id: Option<Field<'a>>,
    /// `usage_context`, whatever it is.
    pub usage_context: Option<Field<'a>>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) members: Vec<Member<'a>>,
    /// Whether members other than the few that every call has may be anything.
    open: bool,
    /// Offset behind the opening brace.
    pub(super) inside: u32,
    prompt_chars: u64,
}

/// Where things are in `stream_options`.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamOptions {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Null instead of an object.
    pub(super) null: bool,
    /// An object without members.
    pub(super) empty: bool,
    /// The value of `include_usage`.
    pub(super) include_usage: Option<(u32, u32)>,
}

impl<'a> Field<'a> {
    /// The text of a string, unescaped; `None` if it is no string, or holds half a surrogate pair.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        unquote(self.raw)
    }

    fn is_null(&self) -> bool {
        self.raw == "null"
    }
}

/// The text of a JSON string, borrowed if it holds no escape.
pub(super) fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        crate::json::read(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

impl<'a> Envelope<'a> {
    /// Reads the body of a call for `task`; `None` stands for a task that the deployment decides.
    ///
    /// # Errors
    /// [`WireError`] for a body that is too large, not UTF-8, not a JSON object, too deep, has a member twice at
    /// its top level, lacks the task's prompt, or has a member that Weir acts on with a wrong type or range.
    pub fn parse(body: &'a [u8], task: Option<Task>) -> Result<Self, WireError> {
        let mut envelope = Self::empty();
        envelope.parse_into(body)?;
        envelope.check_prompt(task)?;
        Ok(envelope)
    }

    fn parse_into(&mut self, body: &'a [u8]) -> Result<(), WireError> {
        if u32::try_from(body.len()).map_or(true, |length| length > BODY_BYTES_MAX) {
            return Err(WireError::BodyTooLarge { max: BODY_BYTES_MAX });
        }
        let text = core::str::from_utf8(body).map_err(|fault| WireError::NotUtf8 {
            at: u32::try_from(fault.valid_up_to()).unwrap_or(u32::MAX),
        })?;
        self.members.reserve(16);
        self.read(text)
    }

    /// Reads a body of which only `model`, `stream` and `max_output_tokens` matter: all other members may be anything.
    ///
    /// # Errors
    /// [`WireError`] as [`Self::parse`], but for what a task asks for.
    pub fn parse_open(body: &'a [u8]) -> Result<Self, WireError> {
        let mut envelope = Self::empty();
        envelope.open = true;
        envelope.parse_into(body)?;
        Ok(envelope)
    }

    /// The envelope of a request without a body.
    pub fn empty() -> Self {
        Self {
            model: None,
            stream: false,
            max_tokens: None,
            n: 1,
            best_of: 1,
            include_usage: false,
            messages: None,
            prompt: None,
            input: None,
            client_request_id: None,
            usage_context: None,
            stream_options: None,
            members: Vec::new(),
            open: false,
            inside: 0,
            prompt_chars: 0,
        }
    }

    /// Size of the prompt in characters, for estimates: the bytes of all strings in `messages`, `prompt`,
    /// `input` and `tools`, without `data:` URLs, and four for every number (a token of a token array).
    pub fn prompt_chars(&self) -> u64 {
        self.prompt_chars
    }

    /// `client_request_id`, if it is a string.
    pub fn client_request_id(&self) -> Option<Cow<'a, str>> {
        self.client_request_id.and_then(|field| field.text())
    }

    /// The text of a top-level member, if it is there and is a string.
    pub fn text_of(&self, name: &str) -> Option<Cow<'a, str>> {
        unquote(self.raw_of(name)?)
    }

    /// The value of a top-level member, JSON, if it is there.
    pub fn raw_of(&self, name: &str) -> Option<&'a str> {
        let named = |member: &&Member<'_>| unquote(member.name).is_some_and(|plain| plain == name);
        self.members.iter().find(named).map(|member| member.value)
    }

    /// The task that the body's members speak of: `messages`, `input` or `prompt`, the first there is.
    pub fn task(&self) -> Option<Task> {
        if self.messages.is_some() {
            Some(Task::Chat)
        } else if self.input.is_some() {
            Some(Task::Embeddings)
        } else {
            self.prompt.map(|_| Task::Completions)
        }
    }

    /// Takes what members that are not forwarded said about the number of answers and their length out of account.
    pub fn forget(&mut self, dropped: &[alloc::string::String]) {
        for name in dropped {
            match name.as_str() {
                "n" => self.n = 1,
                "best_of" => self.best_of = 1,
                "max_completion_tokens" => self.max_tokens = None,
                _ => {}
            }
        }
    }

    fn read(&mut self, text: &'a str) -> Result<(), WireError> {
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        cursor.skip_space();
        match cursor.peek() {
            Some(b'{') => cursor.bump(),
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                return Err(WireError::NotAnObject);
            }
            Some(_) | None => return Err(cursor.fault()),
        }
        self.inside = cursor.at();
        let mut max_tokens = None;
        cursor.skip_space();
        if cursor.peek() == Some(b'}') {
            cursor.bump();
        } else {
            loop {
                self.member(&mut cursor, text, &mut max_tokens)?;
                cursor.skip_space();
                if cursor.peek() == Some(b',') {
                    cursor.bump();
                    cursor.skip_space();
                } else {
                    cursor.expect(b'}')?;
                    break;
                }
            }
        }
        cursor.skip_space();
        if cursor.peek().is_some() {
            return Err(cursor.fault());
        }
        self.max_tokens = self.max_tokens.or(max_tokens);
        Ok(())
    }

    /// Takes one member, remembers where it is, and reads it if Weir acts on it.
    fn member(
        &mut self,
        cursor: &mut Cursor<'a>,
        text: &'a str,
        max_tokens: &mut Option<u64>,
    ) -> Result<(), WireError> {
        let name_start = cursor.at();
        cursor.string()?;
        let name = slice(text, name_start, cursor.at());
        cursor.skip_space();
        cursor.expect(b':')?;
        cursor.skip_space();
        let start = cursor.at();
        let mut chars = 0;
        cursor.value(&mut chars)?;
        let field = Field { start, end: cursor.at(), raw: slice(text, start, cursor.at()) };
        if name.len() > MEMBER_NAME_BYTES_MAX {
            return Err(WireError::MemberNameTooLong { at: name_start });
        }
        let plain = unquote(name).ok_or(WireError::NotJson { at: name_start })?;
        let escaped = matches!(plain, Cow::Owned(_));
        let member =
            Member { name, escaped, name_start, value_start: start, value_end: field.end, value: field.raw };
        self.remember(member, &plain)?;
        match plain.as_ref() {
            "model" => self.model = string("model", field)?,
            "stream" => self.stream = boolean("stream", field)?.unwrap_or(false),
            "max_output_tokens" if self.open => {
                *max_tokens = integer("max_output_tokens", field, 0, MAX_TOKENS_MAX)?;
            }
            "input" if self.open => {
                self.input = Some(field);
                self.weigh(chars);
            }
            "prompt" if self.open => {
                self.prompt = Some(field);
                self.weigh(chars);
            }
            _ if self.open => self.weigh(chars),
            "max_tokens" => *max_tokens = integer("max_tokens", field, 0, MAX_TOKENS_MAX)?,
            "max_completion_tokens" => {
                self.max_tokens = integer("max_completion_tokens", field, 0, MAX_TOKENS_MAX)?;
            }
            "n" => self.n = integer("n", field, 1, CHOICES_MAX)?.unwrap_or(1),
            "best_of" => self.best_of = integer("best_of", field, 0, BEST_OF_MAX)?.unwrap_or(1),
            "stream_options" => self.stream_options(field)?,
            "messages" => {
                self.messages = list("messages", field)?;
                self.weigh(chars);
            }
            "prompt" => {
                self.prompt = string_or_list("prompt", field)?;
                self.weigh(chars);
            }
            "input" => {
                self.input = string_or_list("input", field)?;
                self.weigh(chars);
            }
            "tools" => self.weigh(chars),
            "client_request_id" => self.client_request_id = Some(field),
            "usage_context" => self.usage_context = Some(field),
            _ => {}
        }
        Ok(())
    }

    fn weigh(&mut self, chars: u64) {
        self.prompt_chars = self.prompt_chars.saturating_add(chars);
    }

    /// Keeps a member's place; a name that was there before is an error, however it is spelled.
    fn remember(&mut self, member: Member<'a>, plain: &str) -> Result<(), WireError> {
        let again = |other: &Member<'_>| {
            if member.escaped || other.escaped {
                unquote(other.name).is_some_and(|name| name == plain)
            } else {
                other.name == member.name
            }
        };
        if self.members.iter().any(again) {
            return Err(WireError::DuplicateMember { member: echo(plain) });
        }
        if u32::try_from(self.members.len()).map_or(true, |count| count >= MEMBERS_MAX) {
            return Err(WireError::TooManyMembers { max: MEMBERS_MAX });
        }
        self.members.push(member);
        Ok(())
    }

    fn stream_options(&mut self, field: Field<'a>) -> Result<(), WireError> {
        let mut options = StreamOptions {
            start: field.start,
            end: field.end,
            null: field.is_null(),
            empty: true,
            include_usage: None,
        };
        let mut cursor = Cursor::new(field.raw.as_bytes(), field.start);
        if !options.null {
            cursor.expect(b'{').map_err(|_| wrong("stream_options", "an object", field.raw))?;
            cursor.skip_space();
            while cursor.peek() == Some(b'"') {
                options.empty = false;
                let from = cursor.at();
                cursor.string()?;
                let name = within(field, from, cursor.at());
                cursor.skip_space();
                cursor.expect(b':')?;
                cursor.skip_space();
                let start = cursor.at();
                cursor.value(&mut 0)?;
                if unquote(name).is_some_and(|name| name == "include_usage") {
                    if options.include_usage.is_some() {
                        return Err(WireError::DuplicateMember {
                            member: echo("stream_options.include_usage"),
                        });
                    }
                    let value = Field { start, end: cursor.at(), raw: within(field, start, cursor.at()) };
                    options.include_usage = Some((value.start, value.end));
                    self.include_usage = boolean("stream_options.include_usage", value)?.unwrap_or(false);
                }
                cursor.skip_space();
                if cursor.peek() == Some(b',') {
                    cursor.bump();
                    cursor.skip_space();
                }
            }
        }
        self.stream_options = Some(options);
        Ok(())
    }

    /// Whether the prompt of the task is there. A text completion without a prompt is legal (`providers.md`, 2).
    fn check_prompt(&self, task: Option<Task>) -> Result<(), WireError> {
        let missing = match task {
            Some(Task::Chat) => self.messages.is_none().then_some("messages"),
            Some(Task::Embeddings) => self.input.is_none().then_some("input"),
            // The deployment's own task says what must be there (`invocations`).
            Some(Task::Completions) | None => None,
        };
        missing.map_or(Ok(()), |member| Err(WireError::MissingMember { member }))
    }
}

fn slice(text: &str, start: u32, end: u32) -> &str {
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| text.get(start..end)).unwrap_or("")
}

/// A piece of a field's text, by its place in the body.
fn within(field: Field<'_>, start: u32, end: u32) -> &str {
    slice(field.raw, start.saturating_sub(field.start), end.saturating_sub(field.start))
}

fn wrong(member: &'static str, expected: &'static str, raw: &str) -> WireError {
    WireError::WrongType { member, expected, got: echo(raw) }
}

fn string<'a>(member: &'static str, field: Field<'a>) -> Result<Option<Field<'a>>, WireError> {
    if field.is_null() {
        return Ok(None);
    }
    if field.text().is_none() {
        return Err(wrong(member, "a string", field.raw));
    }
    Ok(Some(field))
}

fn boolean(member: &'static str, field: Field<'_>) -> Result<Option<bool>, WireError> {
    match field.raw {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        "null" => Ok(None),
        other => Err(wrong(member, "a boolean", other)),
    }
}

/// A whole number within `min..=max`; `1.0` is one, as in JSON Schema.
fn integer(member: &'static str, field: Field<'_>, min: u64, max: u64) -> Result<Option<u64>, WireError> {
    if field.is_null() {
        return Ok(None);
    }
    let out_of_range = || WireError::OutOfRange { member, min, max, got: echo(field.raw) };
    let negative = field.raw.starts_with('-');
    let digits = field.raw.strip_prefix('-').unwrap_or(field.raw);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || fraction.is_empty() || !fraction.bytes().all(|byte| byte == b'0') {
        return Err(wrong(member, "an integer", field.raw));
    }
    let value: u64 = whole.parse().map_err(|_| out_of_range())?;
    if (negative && value > 0) || value < min || value > max {
        return Err(out_of_range());
    }
    Ok(Some(value))
}

fn list<'a>(member: &'static str, field: Field<'a>) -> Result<Option<Field<'a>>, WireError> {
    if field.is_null() {
        return Ok(None);
    }
    let inner = field.raw.strip_prefix('[').map(str::trim_start);
    if inner.is_none_or(|inner| inner.starts_with(']')) {
        return Err(wrong(member, "an array of at least one item", field.raw));
    }
    Ok(Some(field))
}

fn string_or_list<'a>(member: &'static str, field: Field<'a>) -> Result<Option<Field<'a>>, WireError> {
    if field.is_null() {
        return Ok(None);
    }
    if field.raw.starts_with('"') || field.raw.starts_with('[') {
        return Ok(Some(field));
    }
    Err(wrong(member, "a string or an array", field.raw))
}

#[cfg(test)]
mod tests;
