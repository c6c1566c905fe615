//! Calls of the Gemini API: passed on as they came to a model behind that API, with its own credential.
//!
//! Above the stages. Decides which served entities take such a call, what of its body limits and guardrails are told (a
//! canonical prompt of its texts; the body itself goes on byte for byte), and what its answer used and whether it is
//! whole. Answers are not read by a content policy, so an endpoint whose policy reads answers, or masks prompts, refuses.
//! Sources: `databricks.md` 1.2 (Q7) and 7.2, `providers.md` 6.

use super::action::Send;
use super::admit::{Admission, Stop, admit_address};
use super::filtering::{Asked, Form};
use super::isolate::Isolate;
use super::pass::Asking;
use super::passed::Passed;
use super::prepare::Facts;
use super::running::{PreparedEntity, Running};
use super::tokens;
use super::translated::Translation;
use crate::account::record::Usage;
use crate::account::usage;
use crate::id::AccountId;
use crate::policy::{ReadyPolicy, Side};
use crate::route::select::{self, Chance, Pick, UNKNOWN};
use crate::route::{self, RouteError};
use crate::snapshot::{DeploymentKind, Dialect, Target, Task, UpstreamPaths};
use crate::surface::GeminiAsk;
use crate::time::Millis;
use crate::translate;
use crate::translate::usage::{Counts, GEMINI};
use crate::wire::WireError;
use crate::wire::bounds::MAX_TOKENS_MAX;
use crate::wire::envelope::Envelope;
use crate::wire::object::{Array, Object, Text};
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What is seen of an answer while it passes.
#[derive(Debug)]
pub(super) struct Watched {
    counts: Counts,
    /// Bytes of text, for an answer that nobody counted.
    chars: u64,
    /// Whether a candidate said why it ended, or the prompt was blocked.
    pub(super) done: bool,
}

/// What an event of a stream, or a whole answer, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It only begins, or only counts.
    Begin,
    /// It says something.
    Content,
    /// It tells of an error.
    Failure,
    /// It is none.
    Garbage,
}

impl Default for Watched {
    fn default() -> Self {
        Self { counts: Counts::new(GEMINI), chars: 0, done: false }
    }
}

impl Watched {
    /// Takes one event's data (`providers.md`, 6.4), or a whole answer (6.3).
    pub(super) fn event(&mut self, data: &str) -> Seen {
        match Raw::parse(data) {
            Some(event) if event.is_object() => self.part(event),
            // A stream that is no event stream is a list of the same.
            Some(list) if list.is_array() => {
                list.items().map(|item| self.part(item)).fold(Seen::Begin, |one, other| match (one, other) {
                    (Seen::Failure, _) | (_, Seen::Failure) => Seen::Failure,
                    (Seen::Content, _) | (_, Seen::Content) => Seen::Content,
                    _ => other,
                })
            }
            Some(_) | None => Seen::Garbage,
        }
    }

    fn part(&mut self, event: Raw<'_>) -> Seen {
        if event.get("error").is_some() {
            return Seen::Failure;
        }
        event.get("usageMetadata").into_iter().for_each(|usage| self.counts.see(usage));
        let mut seen = Seen::Begin;
        for candidate in event.get("candidates").into_iter().flat_map(|list| list.items()) {
            let parts = candidate.at("content.parts");
            for part in parts.into_iter().flat_map(|list| list.items()) {
                let text = part.get("text").map_or(0, |text| text.as_str().len().saturating_sub(2));
                self.chars = self.chars.saturating_add(u64::try_from(text).unwrap_or(u64::MAX));
                // An empty text is how a stream begins that may yet fail.
                if text > 0 || part.get("text").is_none() {
                    seen = Seen::Content;
                }
            }
            if candidate.get("finishReason").is_some() {
                (self.done, seen) = (true, Seen::Content);
            }
        }
        if event.at("promptFeedback.blockReason").is_some() {
            (self.done, seen) = (true, Seen::Content);
        }
        seen
    }

    /// What the answer used.
    pub(super) fn used(&self, prompt_chars: u64) -> Usage {
        let counted = self.counts.write(true).and_then(|counts| {
            let told = Object::new().raw("usage", &counts).end();
            usage::from_json(told.as_bytes())
        });
        counted.unwrap_or_else(|| usage::estimate(prompt_chars, self.chars))
    }
}

/// Whether a policy does more than to read prompts.
fn reads_more(policy: &ReadyPolicy) -> bool {
    let masks = policy.guard().is_some_and(|guard| guard.mask_prompt || guard.mask_completion);
    masks || policy.looks_at(Side::Completion) || policy.classifier(Side::Completion).is_some()
}

/// The member `name` of an object, in either of its spellings.
fn member<'a>(of: Raw<'a>, name: &str, snake: &str) -> Option<Raw<'a>> {
    of.get(name).or_else(|| of.get(snake))
}

/// The texts of a content, and what its function results say.
fn texts(content: Raw<'_>) -> String {
    let mut text = Text::default();
    for part in content.get("parts").into_iter().flat_map(|list| list.items()) {
        if !text.is_empty() {
            text.push("\n");
        }
        text.join(part.get("text").unwrap_or(Raw::NULL));
        for name in ["functionResponse", "functionCall", "function_response", "function_call"] {
            part.get(name).into_iter().for_each(|told| text.push(told.as_str()));
        }
    }
    text.end()
}

/// The canonical chat that says what `body` does, as far as limits and policies look at it.
///
/// # Errors
/// [`WireError::MissingMember`] without contents.
fn stand_in(body: Raw<'_>, events: bool) -> Result<String, WireError> {
    let contents = body.get("contents").filter(|list| list.items().next().is_some());
    let contents = contents.ok_or(WireError::MissingMember { member: "contents" })?;
    let mut messages = Array::default();
    let mut put = |role: &str, content: Raw<'_>| {
        messages.put(&Object::new().text("role", role).raw("content", &texts(content)).end());
    };
    if let Some(system) = member(body, "systemInstruction", "system_instruction") {
        put("system", system);
    }
    for content in contents.items() {
        let models = content.get("role").is_some_and(|role| role.is("model"));
        put(if models { "assistant" } else { "user" }, content);
    }
    let mut out = Object::new().raw("messages", &messages.end());
    out.put("stream", if events { "true" } else { "false" });
    if let Some(config) = member(body, "generationConfig", "generation_config") {
        let count = |name, snake, max| {
            member(config, name, snake).and_then(|raw| raw.count(max)).filter(|count| *count > 0)
        };
        if let Some(most) = count("maxOutputTokens", "max_output_tokens", MAX_TOKENS_MAX) {
            out = out.number("max_tokens", most);
        }
        if let Some(answers) = count("candidateCount", "candidate_count", 8) {
            out = out.number("n", answers);
        }
    }
    Ok(out.end())
}

impl Facts<'_> {
    /// What each entity behind the Gemini API would be sent, the preferred one first.
    fn prepare_gemini(&self, ask: GeminiAsk, known: &[select::Fitness]) -> Vec<PreparedEntity> {
        let deployment = &self.ready.deployment;
        let random = u64::try_from(self.admission.random & u128::from(u64::MAX)).unwrap_or(0);
        let fitness = |at: usize| known.get(at).copied().unwrap_or(UNKNOWN);
        let chance = Chance { random, session: self.session(), fitness: &fitness };
        let order = select::order(&deployment.entities, chance);
        let one = |Pick { at, why }: Pick| {
            let (entity, own) = (deployment.entities.get(at)?, self.ready.entities.get(at)?);
            let bearer = self.bearers.get(at).and_then(Option::as_deref);
            if own.fault.is_some() || (own.token.is_some() && bearer.is_none()) {
                return None;
            }
            let Target::Http(upstream) = &entity.target else { return None };
            let UpstreamPaths::Native(place) = &upstream.paths else { return None };
            let dialect = Dialect::of(entity)?;
            let path = translate::passed_path(dialect, &entity.upstream_model, place, ask.method())?;
            let mut headers = Vec::from([("content-type".to_owned(), "application/json".to_owned())]);
            headers.extend_from_slice(own.headers());
            if let Some(token) = bearer {
                headers.push(("authorization".to_owned(), format!("Bearer {token}")));
            }
            let send = Send {
                url: format!("{}{path}", upstream.base.trim_end_matches('/')),
                headers,
                edits: Vec::new(),
                timeout: Millis(0),
                hedge: None,
                head_first: self.envelope.stream,
                quota: self.remembers(),
                rest: false,
                script: None,
            };
            Some(PreparedEntity {
                name: entity.name.clone(),
                why,
                load: fitness(at).load,
                price: entity.price.clone(),
                send,
                // Its errors are read as those of any call of the provider.
                translation: Some(Box::new(Translation::passed(dialect, &entity.upstream_model))),
                lenient: false,
            })
        };
        order.into_iter().filter_map(one).take(if deployment.fallback { usize::MAX } else { 1 }).collect()
    }
}

impl Isolate {
    /// The admission of a call of the Gemini API, from its body on.
    pub(super) fn admit_gemini(
        &mut self,
        asking: &Asking<'_>,
        ask: GeminiAsk,
        account: AccountId,
        admission: &mut Admission,
    ) -> Result<Running, Stop> {
        let Asking { now, request, route, caller, index } = *asking;
        // The same faults as for every body, with their places.
        Envelope::parse_open(request.body)?;
        let body = Raw::object(request.body).ok_or(WireError::NotAnObject)?;
        let canonical = stand_in(body, ask == GeminiAsk::Stream { events: true })?;
        let envelope = Envelope::parse(canonical.as_bytes(), route.task)?;
        let ready = match route::find(index, caller, route, &request.headers, &envelope) {
            Ok(ready) => ready,
            Err(error) => return Err(self.doubted(now, &account, admission, error.into())),
        };
        admit_address(index, ready.deployment.kind == DeploymentKind::Serverless, request)?;
        tokens::callable(ready)?;
        let bearers = self.bearers(now, &account, ready, admission)?;
        let facts = Facts {
            now,
            request,
            route,
            admission: *admission,
            task: Task::Chat,
            caller,
            envelope: &envelope,
            dropped: &[],
            extras: None,
            ready,
            spoken: None,
            bearers: &bearers,
        };
        let known = facts.fitness(&account, &self.health);
        let prepared = facts.prepare_gemini(ask, &known);
        if prepared.is_empty() {
            let name = ready.deployment.name.as_str().to_owned();
            return Err(RouteError::ProviderLacks { name, what: "The Gemini API" }.into());
        }
        if ready.policy.as_ref().is_some_and(|policy| reads_more(policy)) {
            let what = "The Gemini API on a deployment whose content policy reads answers or masks prompts";
            return self.counted(&facts, &account, Err(WireError::Unsupported { what }.into()));
        }
        let asked = Asked { form: Form::Unread, ..Asked::of(Task::Chat, &envelope) };
        let reserved = self.reserve(&facts, index, &account, admission);
        let judged =
            reserved.and_then(|reservation| Ok(self.judge(&facts, Some(asked), reservation, index)?));
        let (reservation, filtering) = self.counted(&facts, &account, judged)?;
        let mut running = facts.running(account, reservation, prepared, filtering);
        running.passed = Some(Box::new(Passed::gemini(ask != GeminiAsk::Count)));
        Ok(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_policies_see_what_the_body_says() {
        let rows = [
            (
                r#"{"contents":[{"parts":[{"text":"a\n"},{"text":"b"}]}]}"#,
                r#"{"messages":[{"role":"user","content":"a\n\nb"}],"stream":false}"#,
            ),
            (
                r#"{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}],"generationConfig":{"maxOutputTokens":7,"candidateCount":2,"topK":1}}"#,
                r#"{"messages":[{"role":"system","content":"s"},{"role":"assistant","content":"{\"name\":\"f\"}"},{"role":"user","content":"{\"name\":\"f\"}"}],"stream":false,"max_tokens":7,"n":2}"#,
            ),
            (
                r#"{"contents":[{"parts":[]}],"generation_config":{"max_output_tokens":0}}"#,
                r#"{"messages":[{"role":"user","content":""}],"stream":false}"#,
            ),
        ];
        for (body, want) in rows {
            assert_eq!(stand_in(Raw::parse(body).unwrap(), false).unwrap(), want, "{body}");
        }
        for body in ["{}", r#"{"contents":[]}"#, r#"{"contents":"x"}"#] {
            assert!(stand_in(Raw::parse(body).unwrap(), true).is_err(), "{body}");
        }
    }

    #[test]
    fn an_answer_is_done_when_it_says_so_and_counts_what_it_says_last() {
        let part = |text: &str, more: &str| {
            format!(
                "{{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}}{more}}}],\"usageMetadata\":{{\"promptTokenCount\":3,\"candidatesTokenCount\":{},\"thoughtsTokenCount\":1}}}}",
                text.len()
            )
        };
        let mut watched = Watched::default();
        assert_eq!(watched.event(r#"{"usageMetadata":{"promptTokenCount":3}}"#), Seen::Begin);
        assert_eq!(watched.event(&part("ab", "")), Seen::Content);
        assert!(!watched.done);
        assert_eq!(watched.event(&part("abcd", ",\"finishReason\":\"STOP\"")), Seen::Content);
        let used = watched.used(400);
        assert!(watched.done && !used.estimated);
        assert_eq!((used.input, used.output, used.reasoning), (3, 5, 1));

        let mut list = Watched::default();
        let whole = format!("[{},{}]", part("ab", ""), part("c", ",\"finishReason\":\"MAX_TOKENS\""));
        assert_eq!((list.event(&whole), list.done), (Seen::Content, true));

        let mut silent = Watched::default();
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#;
        assert_eq!((silent.event(blocked), silent.done), (Seen::Content, true));
        assert_eq!(silent.used(39), usage::estimate(39, 0));

        let rows = [
            (r#"{"error":{"code":503}}"#, Seen::Failure),
            (r#"[{"error":{"code":503}}]"#, Seen::Failure),
            ("[{}", Seen::Garbage),
            ("<html>", Seen::Garbage),
            ("7", Seen::Garbage),
        ];
        for (data, want) in rows {
            assert_eq!(Watched::default().event(data), want, "{data}");
        }
    }
}
