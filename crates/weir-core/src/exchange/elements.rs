//! Answers under a content policy that are no chats and no responses: threads and conversations, pictures, transcripts.
//!
//! Above the stages. Decides what becomes of a filtered one: of a list each element by itself, as the API marks an
//! incomplete message; pictures and transcripts, which have no form for it, are refused as their prompt would be
//! (`azure.md`, B5 and B6). What is text in them is `policy::kept`'s, their streams are `vetting`'s.

use super::action::Action;
use super::filtering::{Filtering, Form, Telling};
use super::isolate::Isolate;
use super::running::Running;
use crate::account::record::Usage;
use crate::attempt::Outcome;
use crate::policy::kept::{self, Element};
use crate::policy::{Findings, PolicyError, Side, about, mask_text};
use crate::time::UnixMillis;
use crate::wire::envelope::Edit;
use crate::wire::quote;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Elements that a classifier is asked about one by one; those of longer lists are one text.
const ASKED_APART_MAX: usize = 8;
/// What stands for all elements where they are one text.
const ALL: u32 = u32::MAX;

impl Form {
    /// Whether answers of it are read element by element.
    pub(super) const fn has_elements(self) -> bool {
        matches!(self, Self::Kept | Self::Pictures | Self::Transcript)
    }

    fn elements(self, body: &str) -> Vec<Element<'_>> {
        match self {
            Self::Kept => kept::kept(body),
            Self::Pictures => kept::pictures(body),
            Self::Transcript => kept::whole(body),
            Self::Chat | Self::Completions | Self::Response | Self::Unread => Vec::new(),
        }
    }
}

impl Filtering {
    /// The texts of an answer for a classifier, each with its element.
    pub(super) fn texts_of_elements(&self, body: &str) -> Vec<(u32, String)> {
        if self.form == Form::Transcript && !body.starts_with('{') {
            return Vec::from([(0, kept::spoken(body))]);
        }
        let elements = self.form.elements(body);
        let apart = elements.len() <= ASKED_APART_MAX;
        let of = |(at, element): (u32, &Element<'_>)| {
            let texts: Vec<String> =
                element.texts().into_iter().map(|(_, _, text)| text.into_owned()).collect();
            (if apart { at } else { ALL }, texts.join("\n"))
        };
        let texts = (0u32..).zip(&elements).map(of).filter(|(_, text)| !text.is_empty());
        if apart {
            return texts.collect();
        }
        let all: Vec<String> = texts.map(|(_, text)| text).collect();
        Vec::from([(ALL, all.join("\n"))])
    }

    /// A whole answer as the caller gets it; `None` if it is passed on as it is.
    ///
    /// # Errors
    /// [`PolicyError::PromptFiltered`] for what has no form for a filtered answer.
    pub(super) fn whole_elements(
        &self,
        body: &str,
        found: &[(u32, Findings)],
    ) -> Result<Option<String>, PolicyError> {
        let told = |at: u32| about(found, at).joined(about(found, ALL));
        let refused = |found: Findings| {
            let results = self.policy.results(Side::Completion, found);
            Err(PolicyError::PromptFiltered { results })
        };
        let read = |text: &str| self.policy.read(&self.lexicon, Side::Completion, text);
        if self.form == Form::Transcript && !body.starts_with('{') {
            let found = told(0).joined(read(&kept::spoken(body)));
            if self.filters(found) {
                return refused(found);
            }
            return Ok(if self.masks() { mask_text(body) } else { None });
        }
        let mut edits = Vec::new();
        for (at, element) in (0u32..).zip(self.form.elements(body)) {
            let texts = element.texts();
            let found = texts.iter().fold(told(at), |all, (_, _, text)| all.joined(read(text)));
            if self.filters(found) {
                if self.form != Form::Kept {
                    return refused(found);
                }
                edits.extend(element.emptied());
                continue;
            }
            if self.masks() {
                edits.extend(texts.iter().filter_map(|(start, end, text)| {
                    let with = quote::json(&mask_text(text)?).into_bytes();
                    Some(Edit { start: *start, end: *end, with })
                }));
            }
            if self.form == Form::Pictures && self.telling != Telling::Nothing {
                edits.extend(self.told_of_picture(&element, (!texts.is_empty()).then_some(found)));
            }
        }
        let changed = (!edits.is_empty()).then(|| Edit::apply(body.as_bytes(), &edits));
        Ok(changed.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// What was found in the prompt of a picture, and in what the model made of that; of the picture itself nothing is
    /// known.
    fn told_of_picture(&self, picture: &Element<'_>, found: Option<Findings>) -> Option<Edit> {
        let mut with = String::new();
        let (end, known) = picture.end("prompt_filter_results");
        if !known {
            with.extend([",\"prompt_filter_results\":", &self.prompt_results]);
        }
        if let Some(found) = found.filter(|_| !picture.end("content_filter_results").1) {
            let results = self.policy.results(Side::Completion, found);
            with.extend([",\"content_filter_results\":", &results]);
        }
        (!with.is_empty()).then(|| Edit { start: end, end, with: with.into_bytes() })
    }
}

impl Running {
    /// Whether a policy reads what was understood of a recording, in whatever form that is.
    pub(super) fn reads_transcript(&self) -> bool {
        let of = |filtering: &Filtering| filtering.form == Form::Transcript && filtering.needs_text();
        self.filtering.as_deref().is_some_and(of)
    }
}

impl Isolate {
    /// A transcript that is plain text, and that a policy reads.
    pub(super) fn passed_text(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Box<Running>,
        status: u16,
        body: &[u8],
    ) -> Action {
        let Ok(text) = core::str::from_utf8(body) else {
            return self.outcome(now, random, handle, running, &Outcome::Malformed, None);
        };
        if let Err(step) = self.commit(now, random, &mut running, status) {
            return self.perform(now, handle, running, step, None);
        }
        self.passed_judged(now, handle, running, status, text.to_owned(), Usage::default())
    }
}
