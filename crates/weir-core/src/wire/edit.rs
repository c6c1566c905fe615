//! Changes of a body as replaced byte ranges: the bytes between them are never touched.
//!
//! Stage 1. Decides where members are replaced, put in and taken out; not which (`exchange`).

use super::envelope::{Envelope, Member, unquote};
use super::quote;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What shall be changed in a body before it is forwarded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite<'r> {
    /// The new value of `model`; put in if there is none.
    pub model: Option<&'r str>,
    /// Whether `stream_options.include_usage` must be true.
    pub include_usage: bool,
    /// `max_tokens` where the caller set no maximum.
    pub max_tokens: Option<u64>,
    /// What stands where `extra_params` stands; never empty.
    pub extras: Option<&'r str>,
    /// Whether the maximum is called `max_completion_tokens`: reasoning models refuse `max_tokens`.
    pub completion_tokens: bool,
    /// Top-level members to take out, by name.
    pub drop: &'r [&'r str],
}

/// One change: `body[start..end]` gives way to `with`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// First byte that goes.
    pub start: u32,
    /// First byte that stays; equal to `start` where something is put in.
    pub end: u32,
    /// What comes instead.
    pub with: Vec<u8>,
}

impl Edit {
    fn new(start: u32, end: u32, with: impl Into<Vec<u8>>) -> Self {
        Self { start, end, with: with.into() }
    }

    /// The body after all `edits`, which must be in order and not overlap, as [`Envelope::edits`] gives them.
    pub fn apply(body: &[u8], edits: &[Self]) -> Vec<u8> {
        let added = edits.iter().fold(0usize, |sum, edit| sum.saturating_add(edit.with.len()));
        let mut out = Vec::with_capacity(body.len().saturating_add(added));
        let mut from = 0usize;
        for edit in edits {
            let start = usize::try_from(edit.start).unwrap_or(usize::MAX);
            out.extend_from_slice(body.get(from..start).unwrap_or(&[]));
            out.extend_from_slice(&edit.with);
            from = usize::try_from(edit.end).unwrap_or(usize::MAX);
        }
        out.extend_from_slice(body.get(from..).unwrap_or(&[]));
        out
    }
}

impl Envelope<'_> {
    /// The changes that make `ask` true of the body: sorted by place, not overlapping, none where the body is
    /// already as asked.
    pub fn edits(&self, ask: &Rewrite<'_>) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut put_in = String::new();
        if let Some(model) = ask.model {
            let value = quote::json(model);
            match self.member_named("model") {
                None => push_member(&mut put_in, "model", &value),
                Some((start, end)) => {
                    if self.model.is_none_or(|field| field.raw != value) {
                        edits.push(Edit::new(start, end, value));
                    }
                }
            }
        }
        if ask.include_usage && !self.include_usage {
            self.ask_for_usage(&mut edits, &mut put_in);
        }
        if let (Some(max_tokens), None) = (ask.max_tokens, self.max_tokens) {
            let value = format!("{max_tokens}");
            match self.member_named("max_tokens") {
                None if ask.completion_tokens => push_member(&mut put_in, "max_completion_tokens", &value),
                None => push_member(&mut put_in, "max_tokens", &value),
                Some((start, end)) => edits.push(Edit::new(start, end, value)),
            }
        }
        if let Some(extras) = ask.extras {
            let named = |name| unquote(name).is_some_and(|text| text == "extra_params");
            let member = self.members.iter().find(|member| named(member.name));
            edits.extend(member.map(|member| Edit::new(member.name_start, member.value_end, extras)));
        }
        if ask.completion_tokens {
            self.rename_maximum(&mut edits);
        }
        let kept = self.take_out(ask, &mut edits);
        if !put_in.is_empty() {
            if !kept {
                put_in.pop();
            }
            edits.push(Edit::new(self.inside, self.inside, put_in));
        }
        edits.sort_by_key(|edit| (edit.start, edit.end));
        edits
    }

    /// Where the value of a top-level member is.
    fn member_named(&self, name: &str) -> Option<(u32, u32)> {
        let found = self.members.iter().find(|member| unquote(member.name).is_some_and(|text| text == name));
        found.map(|member| (member.value_start, member.value_end))
    }

    /// Calls `max_tokens` what reasoning models call it, unless both are there.
    fn rename_maximum(&self, edits: &mut Vec<Edit>) {
        let named = |member: &&Member<'_>| unquote(member.name).is_some_and(|name| name == "max_tokens");
        let Some(member) = self.members.iter().find(named) else { return };
        if self.member_named("max_completion_tokens").is_none() {
            let end = member.name_start.saturating_add(u32::try_from(member.name.len()).unwrap_or(u32::MAX));
            edits.push(Edit::new(member.name_start, end, "\"max_completion_tokens\""));
        }
    }

    fn ask_for_usage(&self, edits: &mut Vec<Edit>, put_in: &mut String) {
        const ALL: &str = "{\"include_usage\":true}";
        match self.stream_options {
            None => push_member(put_in, "stream_options", ALL),
            Some(options) if options.null => edits.push(Edit::new(options.start, options.end, ALL)),
            Some(options) => {
                if let Some((start, end)) = options.include_usage {
                    edits.push(Edit::new(start, end, "true"));
                    return;
                }
                let inside = options.start.saturating_add(1);
                let comma = if options.empty { "" } else { "," };
                edits.push(Edit::new(inside, inside, format!("\"include_usage\":true{comma}")));
            }
        }
    }

    /// Takes out the members of `ask.drop`, each with one comma; those that `ask` sets stay. True if a member
    /// stays.
    fn take_out(&self, ask: &Rewrite<'_>, edits: &mut Vec<Edit>) -> bool {
        let goes = |name: &str| {
            let set =
                (name == "model" && ask.model.is_some()) || (name == "stream_options" && ask.include_usage);
            !set && ask.drop.contains(&name)
        };
        let mut kept = false;
        let mut before: Option<u32> = None;
        let mut members = self.members.iter().peekable();
        while let Some(member) = members.next() {
            if unquote(member.name).is_some_and(|name| goes(&name)) {
                let range = match (kept, before, members.peek()) {
                    (true, Some(before), _) => (before, member.value_end),
                    (_, _, Some(next)) => (member.name_start, next.name_start),
                    (_, _, None) => (member.name_start, member.value_end),
                };
                edits.push(Edit::new(range.0, range.1, Vec::new()));
            } else {
                kept = true;
            }
            before = Some(member.value_end);
        }
        kept
    }
}

/// Appends a member and a comma.
fn push_member(out: &mut String, name: &str, value: &str) {
    quote::push_json(out, name);
    out.push(':');
    out.push_str(value);
    out.push(',');
}
