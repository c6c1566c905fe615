//! A content policy at work in one exchange: the prompt before the first call, and an answer that arrived whole.
//!
//! Above the stages. Decides where in an exchange a text is judged, what a filtered answer looks like, and on which
//! surfaces findings are told (`azure.md` A7 and B5: Azure's only); what is found and filtered is `policy`'s, streams
//! are `vetting`'s.

use super::vetting::Vetting;
use crate::policy::{AnswerParts, ChoiceParts, Findings, Lexicon, PolicyError, ReadyPolicy, Side};
use crate::snapshot::Task;
use crate::surface::Surface;
use crate::wire::envelope::{Edit, Envelope};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// How findings are told to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Not at all: the surface has no members for them.
    Nothing,
    /// In answers and chunks.
    Members,
    /// There, and in events of their own.
    Events,
}

/// A policy at work.
#[derive(Debug)]
pub(super) struct Filtering {
    pub(super) policy: Rc<ReadyPolicy>,
    pub(super) lexicon: Rc<Lexicon>,
    pub(super) telling: Telling,
    pub(super) task: Task,
    /// `[{"prompt_index":0,"content_filter_results":{…}},…]`.
    pub(super) prompt_results: String,
    /// The answer, once it is a stream.
    pub(super) vetting: Option<Vetting>,
}

/// How a surface tells findings.
const fn telling(surface: Surface) -> Telling {
    match surface {
        Surface::AzureOpenAi | Surface::AzureOpenAiV1 => Telling::Events,
        Surface::ModelInference | Surface::Serverless => Telling::Members,
        Surface::OpenAi
        | Surface::Anthropic
        | Surface::ServingEndpoints
        | Surface::MlflowGateway
        | Surface::Arm
        | Surface::DatabricksApi
        | Surface::Weir => Telling::Nothing,
    }
}

impl Filtering {
    /// Judges the prompt.
    ///
    /// # Errors
    /// [`PolicyError::PromptFiltered`].
    pub(super) fn begin(
        policy: &Rc<ReadyPolicy>,
        lexicon: &Rc<Lexicon>,
        surface: Surface,
        task: Task,
        envelope: &Envelope<'_>,
    ) -> Result<Self, PolicyError> {
        let field = match task {
            Task::Chat => envelope.messages,
            Task::Completions => envelope.prompt,
            Task::Embeddings => envelope.input,
        };
        let found = match field {
            Some(field) if policy.looks_at(Side::Prompt) => policy.read_prompt(lexicon, field.raw),
            Some(_) | None => Vec::from([Findings::default()]),
        };
        if let Some(filtered) = found.iter().find(|found| policy.filters(Side::Prompt, **found)) {
            return Err(PolicyError::PromptFiltered { results: policy.results(Side::Prompt, *filtered) });
        }
        let mut prompt_results = String::from("[");
        for (at, found) in found.iter().enumerate() {
            if at > 0 {
                prompt_results.push(',');
            }
            let results = policy.results(Side::Prompt, *found);
            let index = format!("{at}");
            prompt_results.extend([
                "{\"prompt_index\":",
                &index,
                ",\"content_filter_results\":",
                &results,
                "}",
            ]);
        }
        prompt_results.push(']');
        let (policy, lexicon) = (Rc::clone(policy), Rc::clone(lexicon));
        Ok(Self { policy, lexicon, telling: telling(surface), task, prompt_results, vetting: None })
    }

    /// Whether the answer must be read: it is judged, or something has to be told in it.
    pub(super) fn needs_text(&self) -> bool {
        self.task != Task::Embeddings
            && (self.policy.looks_at(Side::Completion) || self.telling != Telling::Nothing)
    }

    /// The answer as the caller gets it; `None` if it is passed on as it is.
    pub(super) fn whole(&self, body: &[u8]) -> Option<String> {
        if !self.needs_text() {
            return None;
        }
        let text = core::str::from_utf8(body).ok()?;
        let parts = AnswerParts::of(text);
        let mut edits = Vec::new();
        for choice in parts.choices.iter().filter(|choice| choice.close > choice.open) {
            let mut found = Findings::default();
            for (_, text) in &choice.texts {
                found = found.joined(self.policy.read(&self.lexicon, Side::Completion, text));
            }
            if let Some(edit) = self.edit(choice, found) {
                edits.push(edit);
            }
        }
        if self.telling != Telling::Nothing && !parts.prompt_results && parts.close > 0 {
            let with = format!(",\"prompt_filter_results\":{}", self.prompt_results).into_bytes();
            edits.push(Edit { start: parts.close, end: parts.close, with });
        }
        if edits.is_empty() {
            return None;
        }
        String::from_utf8(Edit::apply(body, &edits)).ok()
    }

    /// What is changed of a choice: a filtered one gives way to an empty one, so that nothing of it is left in any
    /// member; else what was found is put in, unless the upstream tells its own.
    fn edit(&self, choice: &ChoiceParts<'_>, found: Findings) -> Option<Edit> {
        let results = self.policy.results(Side::Completion, found);
        if self.policy.filters(Side::Completion, found) {
            let told = self.told(&results);
            let index = choice.index;
            let text = match self.task {
                Task::Completions => "\"text\":\"\"",
                Task::Chat | Task::Embeddings => "\"message\":{\"role\":\"assistant\",\"content\":\"\"}",
            };
            let with = format!(
                "{{\"index\":{index},{text},\"logprobs\":null,\"finish_reason\":\"content_filter\"{told}}}"
            );
            let end = choice.close.saturating_add(1);
            return Some(Edit { start: choice.open, end, with: with.into_bytes() });
        }
        if self.telling == Telling::Nothing || choice.results || !choice.has_members {
            return None;
        }
        let with = self.told(&results).into_bytes();
        Some(Edit { start: choice.close, end: choice.close, with })
    }

    /// The member of a choice that tells `results`, with its comma; nothing where nothing is told.
    pub(super) fn told(&self, results: &str) -> String {
        if self.telling == Telling::Nothing {
            return String::new();
        }
        format!(",\"content_filter_results\":{results}")
    }
}
