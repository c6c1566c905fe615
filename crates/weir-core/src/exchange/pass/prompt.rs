//! What of a passed call a model reads, and in which form its answer is.
//!
//! Above the stages. Decides which members of a body are the prompt: those of pictures, of speech, of responses, and of
//! what is kept for a later answer (threads, assistants, conversations), with the tools that are declared there; never
//! metadata. Answers are read where they hold a model's words: responses, whole, streamed or told again, stored chat
//! completions, threads, runs and conversations, pictures' rewritten prompts, transcripts. Files are not read.

use super::{Asking, Body, Call};
use crate::exchange::admit::Stop;
use crate::exchange::filtering::{Asked, DECLARED, Form, Part, Place};
use crate::surface::Matter;
use crate::wire::bounds::FORM_BYTES_MAX;
use crate::wire::error::WireError;
use crate::wire::form;
use crate::wire::quote;
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Members that are the prompt, and those that are the operator's own words in it.
const fn members(matter: Matter) -> (&'static [&'static str], &'static [&'static str]) {
    match matter {
        Matter::Images => (&["prompt"], &[]),
        Matter::Audio => (&["input"], &["instructions"]),
        Matter::Responses => (&["input", "prompt"], &["instructions"]),
        Matter::Kept => (
            &["content", "items", "messages", "additional_messages", "thread"],
            &["instructions", "additional_instructions"],
        ),
    }
}

impl Call<'_> {
    /// What a policy looks at.
    ///
    /// # Errors
    /// [`Stop::More`] if a form was not read as far as its prompt; [`WireError::FormTooLong`] if it cannot be.
    pub(super) fn asked<'f>(&self, facts: &Asking<'f>) -> Result<Asked<'f>, Stop> {
        let parts = match &self.body {
            Body::Json(_) if self.passage.makes => self.members(facts),
            Body::Form { boundary, .. } if self.reads_prompt() => {
                field(facts, boundary)?.into_iter().collect()
            }
            Body::Json(_) | Body::Form { .. } | Body::None => Vec::new(),
        };
        Ok(Asked { form: self.form(), parts, answers: 1, tells: self.generates() })
    }

    fn members<'f>(&self, facts: &Asking<'f>) -> Vec<Part<'f>> {
        let body = core::str::from_utf8(facts.request.body).unwrap_or_default();
        let (prompt, operator) = members(self.passage.matter);
        let part = |(name, value): (Cow<'_, str>, Raw<'f>)| {
            let operator = operator.contains(&name.as_ref());
            let read = operator || prompt.contains(&name.as_ref());
            let start = value.as_str().as_ptr().addr().saturating_sub(body.as_ptr().addr());
            let place = Place::Json(u32::try_from(start).unwrap_or(u32::MAX));
            if DECLARED.contains(&name.as_ref()) {
                return Some(Part::declared(value.as_str()));
            }
            (read && !value.is_null()).then(|| Part { json: Cow::Borrowed(value.as_str()), place, operator })
        };
        // The envelope has found it well formed.
        Raw::trusted(body.trim_ascii()).members().filter_map(part).collect()
    }

    /// Whether the call is a form whose prompt is judged: a picture's. A recording's is a hint, and no model answers it.
    fn reads_prompt(&self) -> bool {
        self.passage.matter == Matter::Images && self.path.ends_with("/edits")
    }

    fn form(&self) -> Form {
        let mut segments = self.path.split('/');
        match (self.passage.matter, segments.next(), segments.nth(1), segments.next()) {
            (Matter::Responses, _, Some("input_items"), _) => Form::Kept,
            (Matter::Responses, ..) => Form::Response,
            (Matter::Kept, Some("chat"), Some(_), None) => Form::Chat,
            (Matter::Kept, Some("chat" | "threads" | "conversations"), ..) => Form::Kept,
            (Matter::Images, ..) => Form::Pictures,
            (Matter::Audio, ..) if !self.path.ends_with("/speech") => Form::Transcript,
            (Matter::Kept | Matter::Audio, ..) => Form::Unread,
        }
    }
}

/// The prompt of a form.
fn field<'f>(facts: &Asking<'f>, boundary: &str) -> Result<Option<Part<'f>>, Stop> {
    let bytes = facts.request.body;
    let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match form::find(bytes, boundary, "prompt", read >= facts.request.length) {
        form::Field::At { start, end } => {
            let text = bytes.get(start..end).and_then(|text| core::str::from_utf8(text).ok());
            let word = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            let (json, place) =
                (Cow::Owned(quote::json(text.unwrap_or_default())), Place::Form(word(start), word(end)));
            Ok(Some(Part { json, place, operator: false }))
        }
        form::Field::Absent => Ok(None),
        form::Field::Broken => Err(WireError::BrokenForm.into()),
        form::Field::More if read >= u64::from(FORM_BYTES_MAX) => {
            Err(WireError::FormTooLong { max: FORM_BYTES_MAX }.into())
        }
        form::Field::More => Err(Stop::More),
    }
}
