//! Guardrails at work in one exchange: prompts that a model sees masked, and answers that a caller sees judged.
//!
//! Above the stages. Decides what a triggered guardrail does (`databricks.md`, 7.2 and 7.3: a 400 whose message is JSON,
//! on the surfaces that have this form; elsewhere an answer is filtered as by any policy), and that a stream under an
//! output guardrail is read whole before any of it goes on, because a placeholder or a refusal may concern its first
//! word. What is found and masked is `policy`'s.

use super::action::Action;
use super::action::Request;
use super::classify::Then;
use super::filtering::{Filtering, Form, texts_of};
use super::isolate::Isolate;
use super::prepare::Facts;
use super::relay::{Relayed, StreamRelay};
use super::running::{PreparedEntity, Running};
use super::vetting::Vetted;
use crate::account::record::Usage;
use crate::account::usage;
use crate::attempt::health::HealthBook;
use crate::attempt::{Outcome, Step};
use crate::id::AccountId;
use crate::policy::{Findings, PolicyError, Side, about, mask_answer, mask_events};
use crate::surface::Surface;
use crate::time::UnixMillis;
use crate::wire::WireError;
use crate::wire::envelope::{Edit, Envelope};
use crate::wire::quote;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a stream that pass the relay at once.
const PIECE_BYTES: usize = 32 * 1_024;

impl Filtering {
    /// Whether a stream is read whole before any of it goes on.
    pub(super) fn buffers(&self) -> bool {
        let reads = matches!(self.form, Form::Chat | Form::Completions);
        reads && (self.masks() || (self.guard && self.policy.looks_at(Side::Completion)))
    }

    /// A whole answer, or a whole stream, as the caller gets it; `None` if it is passed on as it is.
    ///
    /// # Errors
    /// [`PolicyError::Guardrail`].
    pub(super) fn delivered(
        &mut self,
        now: UnixMillis,
        body: &[u8],
        found: &[(u32, Findings)],
        used: &Usage,
        events: bool,
    ) -> Result<Option<String>, PolicyError> {
        if self.form.has_elements() {
            let text = core::str::from_utf8(body).unwrap_or_default();
            return if self.needs_text() { self.whole_elements(text, found) } else { Ok(None) };
        }
        let Some(guard) = self.policy.guard().cloned() else { return Ok(self.whole(body, found)) };
        let Ok(text) = core::str::from_utf8(body) else { return Ok(None) };
        if self.guard {
            self.check(text, found, used, events)?;
        }
        let filtered = match (self.guard, events) {
            (true, _) => None,
            (false, false) => self.whole(body, found),
            (false, true) => Some(self.vet_whole(now, body)),
        };
        if !guard.mask_completion {
            return Ok(filtered);
        }
        let text = filtered.as_deref().unwrap_or(text);
        let masked = if events {
            mask_events(text)
        } else {
            let edits = mask_answer(text);
            let changed = (!edits.is_empty()).then(|| Edit::apply(text.as_bytes(), &edits));
            changed.and_then(|bytes| String::from_utf8(bytes).ok())
        };
        Ok(masked.or(filtered))
    }

    /// Stops an answer of which a choice triggers the guardrail.
    fn check(
        &self,
        text: &str,
        found: &[(u32, Findings)],
        used: &Usage,
        events: bool,
    ) -> Result<(), PolicyError> {
        for (at, said) in texts_of(text, events) {
            let found = about(found, at).joined(self.policy.read(&self.lexicon, Side::Completion, &said));
            if self.filters(found) {
                let content = quote::json(&said);
                let edits = mask_answer(&format!("{{\"content\":{content}}}"));
                let shown = format!("{{\"role\":\"assistant\",\"content\":{content}}}");
                // The same text stands behind the role.
                let shift = u32::try_from(shown.len()).unwrap_or(0).saturating_sub(
                    u32::try_from(content.len())
                        .unwrap_or(0)
                        .saturating_add("{\"content\":}".len().try_into().unwrap_or(0)),
                );
                let edits: Vec<Edit> = edits
                    .into_iter()
                    .map(|edit| Edit {
                        start: edit.start.saturating_add(shift),
                        end: edit.end.saturating_add(shift),
                        ..edit
                    })
                    .collect();
                let masked = String::from_utf8(Edit::apply(shown.as_bytes(), &edits)).unwrap_or_default();
                let used = (used.input, used.output);
                let message = self.policy.guardrail(Side::Completion, found, &format!("[{masked}]"), used);
                return Err(PolicyError::Guardrail { message });
            }
        }
        Ok(())
    }

    /// A whole stream under the policy, as on any surface.
    fn vet_whole(&mut self, now: UnixMillis, events: &[u8]) -> String {
        let mut out = match self.push(now, events) {
            Vetted::Pass(bytes) | Vetted::Filtered(bytes) => bytes,
            Vetted::Stuck => Vec::new(),
        };
        out.extend(self.finish());
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Facts<'_> {
    /// The calls with another body than the caller's: `masked` instead of all of it.
    ///
    /// # Errors
    /// As [`Facts::prepare`].
    pub(super) fn prepare_masked(
        &self,
        masked: &[u8],
        account: &AccountId,
        health: &HealthBook,
    ) -> Result<Vec<PreparedEntity>, WireError> {
        let length = u64::try_from(masked.len()).unwrap_or(u64::MAX);
        let request = Request { body: masked, length, ..*self.request };
        let mut envelope = Envelope::parse(masked, self.route.task)?;
        envelope.forget(self.dropped);
        let facts = Facts { request: &request, envelope: &envelope, spoken: None, ..*self };
        let mut prepared = facts.prepare(account, health)?;
        let end = self.body_bytes();
        for entity in &mut prepared {
            let with = Edit::apply(masked, &entity.send.edits);
            entity.send.edits = Vec::from([Edit { start: 0, end, with }]);
        }
        Ok(prepared)
    }
}

impl Isolate {
    /// A stream that was read whole: judged, then delivered at once.
    pub(super) fn buffered(
        &mut self,
        now: UnixMillis,
        random: u64,
        handle: u32,
        mut running: Box<Running>,
        status: u16,
        body: &[u8],
    ) -> Action {
        let mut decoder = running.decoder(now);
        let events = match &mut decoder {
            Some(decoder) => {
                let mut events = decoder.push(body);
                events.extend(decoder.end());
                events
            }
            None => body.to_vec(),
        };
        let end_wanted = running.surface != Surface::MlflowGateway;
        let mut relay = StreamRelay::new(running.usage_wanted, end_wanted);
        let mut out = Vec::with_capacity(events.len());
        let mut broken = false;
        for piece in events.chunks(PIECE_BYTES) {
            match relay.push(piece) {
                Relayed::Same => out.extend_from_slice(piece),
                Relayed::Instead(bytes) => out.extend(bytes),
                Relayed::Broken => broken = true,
            }
        }
        let observed = relay.observed();
        if broken || !observed.terminal || observed.error || observed.garbage {
            return self.outcome(now, random, handle, running, &Outcome::Malformed, None);
        }
        let outcome = Outcome::Answered { status, retry_after: None, should_retry: None };
        let step = self.step(now, random, &mut running, &outcome);
        if step != Step::Deliver {
            return self.perform(now, handle, running, step, None);
        }
        let used =
            observed.usage.unwrap_or_else(|| usage::estimate(running.prompt_chars, observed.output_chars));
        running.head_at = Some(now);
        let questions = match &running.filtering {
            Some(filtering) => filtering.about_answer(&out, true),
            None => Some(Vec::new()),
        };
        let then = Then::Deliver { status, used, body: out, events: true };
        self.ask_all(now, handle, running, questions, then)
    }
}

/// The body that a model may see; the caller's own if nothing in it is masked.
pub(super) fn seen<'b>(filtering: Option<&Filtering>, body: &'b [u8]) -> Cow<'b, [u8]> {
    match filtering {
        Some(filtering) if !filtering.mask.is_empty() => Cow::Owned(Edit::apply(body, &filtering.mask)),
        Some(_) | None => Cow::Borrowed(body),
    }
}
