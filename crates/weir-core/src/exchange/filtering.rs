//! A content policy at work in one exchange: the prompt before the first call, and an answer that arrived whole.
//!
//! Above the stages. Decides where in an exchange a text is judged, what a filtered answer looks like, and on which
//! surfaces findings are told (`azure.md` A7 and B5: Azure's only); what is found and filtered is `policy`'s, streams
//! are `vetting`'s.

use super::response::texts_of_response;
use super::vetting::Vets;
use crate::policy::{
    AnswerParts, ChoiceParts, Findings, Lexicon, PolicyError, Question, ReadyClassifier, ReadyPolicy, Side,
    Texts, about, harms, mask_prompt, texts_of_events,
};
use crate::snapshot::Task;
use crate::snapshot::content::Service;
use crate::snapshot::index::SnapshotIndex;
use crate::surface::Surface;
use crate::wire::envelope::{Edit, Envelope};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

/// Questions about one answer with many choices; one with more cannot be judged.
const ANSWER_QUESTIONS_MAX: usize = 32;

/// In which form an answer holds its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Chat completions.
    Chat,
    /// Text completions.
    Completions,
    /// A response, as the Responses API has it.
    Response,
    /// What the API keeps and tells again: messages and runs of threads, items of conversations.
    Kept,
    /// Pictures, with the prompts that a model made of the caller's.
    Pictures,
    /// What was understood of a recording: JSON, or text as it is.
    Transcript,
    /// In none that is read: vectors, sound, files.
    Unread,
}

/// What a request asks of a model, as far as a policy looks at it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The form of the answer.
    pub(super) form: Form,
    /// What a model reads of the request.
    pub(super) parts: Vec<Part<'a>>,
    /// Answers that are asked for.
    pub(super) answers: u64,
    /// Whether findings are told, where the surface tells them: what was kept was told about when it was made.
    pub(super) tells: bool,
}

/// One member of a request that a model reads.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// JSON.
    pub(super) json: Cow<'a, str>,
    /// Where it stands in the body.
    pub(super) place: Place,
    /// Whether it is the operator's own words: these may speak of instructions.
    pub(super) operator: bool,
}

/// Where a part stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// From this byte on, as it is.
    Json(u32),
    /// A field of a form: these bytes are its text.
    Form(u32, u32),
    /// What tools and forms of answers are declared as: read by lists only, and never changed, because a name or a
    /// pattern in it would be another.
    Declared,
}

/// Members of a body that declare something that a model reads.
pub(super) const DECLARED: [&str; 4] = ["tools", "functions", "response_format", "text"];

impl<'a> Asked<'a> {
    /// What a canonical body asks for.
    pub(super) fn of(task: Task, envelope: &Envelope<'a>) -> Self {
        let (form, field) = match task {
            Task::Chat => (Form::Chat, envelope.messages),
            Task::Completions => (Form::Completions, envelope.prompt),
            Task::Embeddings => (Form::Unread, envelope.input),
        };
        let part = field.map(|field| Part {
            json: Cow::Borrowed(field.raw),
            place: Place::Json(field.start),
            operator: false,
        });
        let mut parts: Vec<Part<'a>> = part.into_iter().collect();
        if task == Task::Chat {
            let declared = DECLARED.iter().filter_map(|name| envelope.raw_of(name));
            parts.extend(declared.map(Part::declared));
        }
        Self { form, parts, answers: envelope.n, tells: true }
    }
}

impl<'a> Part<'a> {
    /// What a member of [`DECLARED`] holds: the operator's words.
    pub(super) const fn declared(json: &'a str) -> Self {
        Self { json: Cow::Borrowed(json), place: Place::Declared, operator: true }
    }

    /// What to change in the body so that no model sees personal data of it.
    pub(super) fn mask(&self) -> Vec<Edit> {
        match self.place {
            Place::Declared => Vec::new(),
            Place::Json(start) => mask_prompt(&self.json, start),
            Place::Form(start, end) => {
                let edits = mask_prompt(&self.json, 0);
                if edits.is_empty() {
                    return Vec::new();
                }
                let masked = Edit::apply(self.json.as_bytes(), &edits);
                let text = crate::json::read::<String>(core::str::from_utf8(&masked).unwrap_or_default());
                Vec::from([Edit { start, end, with: text.unwrap_or_default().into_bytes() }])
            }
        }
    }
}

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
    pub(super) form: Form,
    /// Whether streams end in `[DONE]` on the surface.
    pub(super) ends: bool,
    /// Answers that were asked for.
    pub(super) answers: u64,
    /// `[{"prompt_index":0,"content_filter_results":{…}},…]`; of a response the results alone.
    pub(super) prompt_results: String,
    /// What was found in each prompt.
    prompts: Vec<Findings>,
    /// What was found in the answer, as far as it was judged.
    answered: Cell<Findings>,
    /// The prompt's texts, if a classifier is asked.
    pub(super) texts: Option<Texts>,
    /// The answer, once it is a stream.
    pub(super) vetting: Option<Box<dyn Vets>>,
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
        asked: &Asked<'_>,
    ) -> Result<Self, PolicyError> {
        let parts = &asked.parts;
        let prompts = if policy.looks_at(Side::Prompt) { read(policy, lexicon, parts) } else { Vec::new() };
        let asks = policy.classifier(Side::Prompt).or_else(|| policy.classifier(Side::Completion)).is_some();
        let guard = policy.guard().filter(|_| !parts.is_empty());
        let shows = guard.is_some() && matches!(surface, Surface::ServingEndpoints | Surface::MlflowGateway);
        let masks = guard.is_some_and(|guard| guard.mask_prompt);
        let mut texts = (asks && !parts.is_empty()).then(Texts::default);
        if let Some(texts) = &mut texts {
            for part in parts.iter().filter(|part| !matches!(part.place, Place::Declared)) {
                let hidden = if masks { masked(&part.json) } else { String::new() };
                texts.push(if masks { &hidden } else { &part.json }, part.operator);
            }
        }
        let mut filtering = Self {
            policy: Rc::clone(policy),
            lexicon: Rc::clone(lexicon),
            telling: if asked.tells { telling(surface) } else { Telling::Nothing },
            form: asked.form,
            ends: surface != Surface::MlflowGateway,
            answers: asked.answers,
            prompt_results: String::new(),
            prompts: if prompts.is_empty() { Vec::from([Findings::default()]) } else { prompts },
            answered: Cell::new(Findings::default()),
            texts,
            vetting: None,
            guard: shows,
            mask: if masks { parts.iter().flat_map(Part::mask).collect() } else { Vec::new() },
            index: None,
            masked: parts
                .iter()
                .find(|part| shows && !part.operator)
                .map_or_else(String::new, |part| masked(&part.json)),
        };
        filtering.prompt_found(Findings::default())?;
        Ok(filtering)
    }

    /// The answer will be in another form than was thought. Called before anything of it is there.
    pub(super) fn turn_to(&mut self, form: Form) {
        self.form = form;
        // It was not filtered before, so it is not now.
        self.prompt_found(Findings::default()).unwrap_or_default();
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
            if matches!(self.form, Form::Response | Form::Pictures) {
                self.prompt_results = told;
                return Ok(());
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
        let Some(prompt) = self.texts.as_ref().filter(|_| self.form != Form::Unread) else {
            return Some(questions);
        };
        let body = core::str::from_utf8(body).unwrap_or_default();
        let texts = match self.form {
            Form::Response => texts_of_response(body),
            form if form.has_elements() => self.texts_of_elements(body),
            Form::Chat
            | Form::Completions
            | Form::Kept
            | Form::Pictures
            | Form::Transcript
            | Form::Unread => texts_of(body, events),
        };
        for (at, text) in texts {
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

    /// Whether what was found in an answer is filtered.
    pub(super) fn filters(&self, found: Findings) -> bool {
        self.answered.set(self.answered.get().joined(found));
        self.policy.filters(Side::Completion, found)
    }

    /// What was found in prompt and answer, in the words of metrics.
    pub(super) fn harms(&self) -> Vec<String> {
        let prompt = self.prompts.iter().fold(Findings::default(), |all, found| all.joined(*found));
        let sides = [(Side::Prompt, prompt), (Side::Completion, self.answered.get())];
        let found = sides.into_iter().filter(|(_, found)| *found != Findings::default());
        found.flat_map(|(side, found)| harms(side, &self.policy.results(side, found))).collect()
    }

    /// Whether the answer must be read: it is judged, or something has to be told in it.
    pub(super) fn needs_text(&self) -> bool {
        self.form != Form::Unread
            && (self.policy.looks_at(Side::Completion)
                || self.telling != Telling::Nothing
                || (!matches!(self.form, Form::Chat | Form::Completions) && self.masks()))
    }

    /// Whether personal data in an answer gives way to placeholders.
    pub(super) fn masks(&self) -> bool {
        self.policy.guard().is_some_and(|guard| guard.mask_completion)
    }

    /// The answer as the caller gets it; `None` if it is passed on as it is. `found` is what a classifier found in each
    /// choice.
    pub(super) fn whole(&self, body: &[u8], found: &[(u32, Findings)]) -> Option<String> {
        if !self.needs_text() {
            return None;
        }
        let text = core::str::from_utf8(body).ok()?;
        if self.form == Form::Response {
            return self.whole_response(text, found);
        }
        let parts = AnswerParts::of(text);
        let mut edits = Vec::new();
        for (at, choice) in (0u32..).zip(&parts.choices).filter(|(_, choice)| choice.close > choice.open) {
            let mut found = about(found, at);
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
        if self.filters(found) {
            let told = self.told(&results);
            let index = choice.index;
            let text = match self.form {
                Form::Completions => "\"text\":\"\"",
                Form::Chat
                | Form::Response
                | Form::Kept
                | Form::Pictures
                | Form::Transcript
                | Form::Unread => "\"message\":{\"role\":\"assistant\",\"content\":\"\"}",
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

/// What is in each prompt of a request. Where its parts are of several kinds they are one prompt.
fn read(policy: &ReadyPolicy, lexicon: &Lexicon, parts: &[Part<'_>]) -> Vec<Findings> {
    match parts {
        [] => Vec::new(),
        [part] if !part.operator => policy.read_prompt(lexicon, &part.json),
        parts => {
            let of = |part: &Part<'_>| policy.read_part(lexicon, &part.json, part.operator);
            let joined = parts.iter().map(of).fold(Findings::default(), Findings::joined);
            Vec::from([joined])
        }
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
