//! A content policy at work in one exchange: the prompt before the first call, and an answer that arrived whole.
//!
//! Above the stages. Decides where in an exchange a text is judged, what a filtered answer looks like, and on which
//! surfaces findings are told (`azure.md` A7 and B5: Azure's only); what is found and filtered is `policy`'s, streams
//! are `vetting`'s.

use super::vetting::Vetting;
use crate::policy::{
    AnswerParts, ChoiceParts, Findings, Lexicon, PolicyError, Question, ReadyClassifier, ReadyPolicy, Side,
    Texts, mask_prompt, texts_of_events,
};
use crate::snapshot::Task;
use crate::snapshot::content::Service;
use crate::snapshot::index::SnapshotIndex;
use crate::surface::Surface;
use crate::wire::envelope::{Edit, Envelope, Field};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// Questions about one answer with many choices; one with more cannot be judged.
const ANSWER_QUESTIONS_MAX: usize = 32;

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
    /// Whether streams end in `[DONE]` on the surface.
    pub(super) ends: bool,
    /// Answers that were asked for.
    pub(super) answers: u64,
    /// `[{"prompt_index":0,"content_filter_results":{…}},…]`.
    pub(super) prompt_results: String,
    /// What was found in each prompt.
    prompts: Vec<Findings>,
    /// The prompt's texts, if a classifier is asked.
    pub(super) texts: Option<Texts>,
    /// The answer, once it is a stream.
    pub(super) vetting: Option<Vetting>,
    /// Whether the surface has a form for guardrails, and the policy is some.
    pub(super) guard: bool,
    /// What to change in the caller's body: personal data that no model may see.
    pub(super) mask: Vec<Edit>,
    /// The prompt with placeholders, for a guardrail's message: a JSON list of messages.
    masked: String,
    /// The configuration that the exchange was admitted under, if a deployment of it is asked.
    pub(super) index: Option<Rc<SnapshotIndex>>,
}

/// How a surface tells findings.
const fn telling(surface: Surface) -> Telling {
    match surface {
        Surface::AzureOpenAi | Surface::AzureOpenAiV1 => Telling::Events,
        Surface::ModelInference | Surface::Serverless => Telling::Members,
        Surface::OpenAi
        | Surface::Anthropic
        | Surface::Gemini
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
        let prompts = match field {
            Some(field) if policy.looks_at(Side::Prompt) => policy.read_prompt(lexicon, field.raw),
            Some(_) | None => Vec::from([Findings::default()]),
        };
        let asks = policy.classifier(Side::Prompt).or_else(|| policy.classifier(Side::Completion)).is_some();
        let guard = policy.guard().filter(|_| field.is_some());
        let shows = guard.is_some() && matches!(surface, Surface::ServingEndpoints | Surface::MlflowGateway);
        let masks = guard.is_some_and(|guard| guard.mask_prompt);
        let (mask, masked) = match field.filter(|_| shows || masks) {
            Some(field) => (mask_prompt(field.raw, field.start), masked(field.raw)),
            None => (Vec::new(), String::new()),
        };
        let asked_of = |field: Field<'_>| Texts::of(if masks { &masked } else { field.raw });
        let mut filtering = Self {
            policy: Rc::clone(policy),
            lexicon: Rc::clone(lexicon),
            telling: telling(surface),
            task,
            ends: surface != Surface::MlflowGateway,
            answers: envelope.n,
            prompt_results: String::new(),
            prompts,
            texts: field.filter(|_| asks).map(asked_of),
            vetting: None,
            guard: shows,
            mask: if masks { mask } else { Vec::new() },
            index: None,
            masked,
        };
        filtering.prompt_found(Findings::default())?;
        Ok(filtering)
    }

    /// Judges the prompt by what is known of it and what was found in addition.
    ///
    /// # Errors
    /// [`PolicyError::PromptFiltered`].
    pub(super) fn prompt_found(&mut self, found: Findings) -> Result<(), PolicyError> {
        let mut results = String::from("[");
        for (at, prompt) in self.prompts.iter_mut().enumerate() {
            *prompt = prompt.joined(found);
            let told = self.policy.results(Side::Prompt, *prompt);
            if self.policy.filters(Side::Prompt, *prompt) {
                if self.guard {
                    let message = self.policy.guardrail(Side::Prompt, *prompt, &self.masked, (0, 0));
                    return Err(PolicyError::Guardrail { message });
                }
                return Err(PolicyError::PromptFiltered { results: told });
            }
            let comma = if at > 0 { "," } else { "" };
            let index = format!("{at}");
            results.extend([comma, "{\"prompt_index\":", &index, ",\"content_filter_results\":", &told, "}"]);
        }
        results.push(']');
        self.prompt_results = results;
        Ok(())
    }

    /// What the classifier is to be asked about the prompt: nothing, if there is none; `None`, if it cannot be.
    pub(super) fn about_prompt(&self) -> Option<Vec<Question>> {
        self.texts.as_ref().map_or_else(|| Some(Vec::new()), |texts| self.policy.about_prompt(texts))
    }

    /// What the classifier is to be asked about a whole answer, each question with the choice that it is about.
    pub(super) fn about_answer(&self, body: &[u8], events: bool) -> Option<Vec<(u32, Question)>> {
        let mut questions = Vec::new();
        let Some(prompt) = self.texts.as_ref().filter(|_| self.task != Task::Embeddings) else {
            return Some(questions);
        };
        for (at, text) in texts_of(core::str::from_utf8(body).unwrap_or_default(), events) {
            let asked = self.policy.about_answer(&prompt.all, &text)?;
            questions.extend(asked.into_iter().map(|question| (at, question)));
        }
        (questions.len() <= ANSWER_QUESTIONS_MAX).then_some(questions)
    }

    /// The classifier, whatever side it is asked about.
    pub(super) fn classifier(&self) -> Option<&Rc<ReadyClassifier>> {
        self.policy.classifier(Side::Prompt).or_else(|| self.policy.classifier(Side::Completion))
    }

    /// Whether a deployment is asked about texts.
    pub(super) fn asks_deployment(&self) -> bool {
        self.classifier().is_some_and(|asked| asked.classifier.service == Service::Deployment)
    }

    /// Whether the answer must be read: it is judged, or something has to be told in it.
    pub(super) fn needs_text(&self) -> bool {
        self.task != Task::Embeddings
            && (self.policy.looks_at(Side::Completion) || self.telling != Telling::Nothing)
    }

    /// The answer as the caller gets it; `None` if it is passed on as it is. `found` is what a classifier found in each
    /// choice.
    pub(super) fn whole(&self, body: &[u8], found: &[(u32, Findings)]) -> Option<String> {
        if !self.needs_text() {
            return None;
        }
        let text = core::str::from_utf8(body).ok()?;
        let parts = AnswerParts::of(text);
        let mut edits = Vec::new();
        for (at, choice) in (0u32..).zip(&parts.choices).filter(|(_, choice)| choice.close > choice.open) {
            let told = found.iter().filter(|(of, _)| *of == at);
            let mut found = told.fold(Findings::default(), |joined, (_, found)| joined.joined(*found));
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

/// The texts of an answer's choices, or of those of a whole stream: each with its place among them, or its index.
pub(super) fn texts_of(body: &str, events: bool) -> Vec<(u32, String)> {
    if events {
        return texts_of_events(body);
    }
    let parts = AnswerParts::of(body);
    let joined = |choice: &ChoiceParts<'_>| {
        let texts: Vec<&str> = choice.texts.iter().map(|(_, text)| text.as_ref()).collect();
        texts.join("\n")
    };
    (0u32..).zip(parts.choices.iter().map(joined)).collect()
}

/// A prompt with placeholders as a list of messages.
fn masked(json: &str) -> String {
    let bytes = Edit::apply(json.as_bytes(), &mask_prompt(json, 0));
    let masked = String::from_utf8(bytes).unwrap_or_default();
    if masked.starts_with('[') && masked.contains('{') {
        return masked;
    }
    format!("[{{\"role\":\"user\",\"content\":{masked}}}]")
}
