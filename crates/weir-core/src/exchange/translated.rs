//! An exchange whose upstream speaks another dialect than the canonical one.
//!
//! Above the stages. Decides where in an exchange translation happens: the request while it is prepared, a whole answer
//! before it is read, a stream before it is relayed. What anything is called on the other side is `translate`'s. An
//! upstream of the canonical dialect has none of this: one look at an empty place each time.

use super::action::{Send, UpstreamHeaders};
use super::admit::Stop;
use super::own_words;
use super::parts;
use super::prepare::Facts;
use super::running::Running;
use crate::account::usage;
use crate::error::WeirError;
use crate::sigv4::{self, AwsKeys, Signed};
use crate::snapshot::index::ReadyEntity;
use crate::snapshot::{Dialect, ServedEntity, Task, Upstream, UpstreamPaths};
use crate::surface::{Asks, Header};
use crate::time::{Millis, UnixMillis};
use crate::translate::caller::{self, CallerDialect, Heard, Teller};
use crate::translate::near::mend::{self, Mender};
use crate::translate::{self, Ask, Decoder, Form, Notes, Provider};
use crate::wire::WireError;
use crate::wire::envelope::{Edit, Envelope};
use crate::wire::inference::Extra;
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use memchr::memmem;

/// How one entity is spoken to.
#[derive(Clone)]
pub(super) struct Translation {
    pub(super) provider: &'static dyn Provider,
    pub(super) task: Task,
    pub(super) model: String,
    pub(super) base64: bool,
    /// What its calls are signed with, and the region that they are signed for.
    pub(super) signer: Option<(AwsKeys, String)>,
    pub(super) notes: Notes,
    /// Whether it is the caller's own dialect: then what both say goes on as it is, and is read beside that only.
    pub(super) own_words: bool,
    /// The bodies of the calls that follow the first one, each for a part of the answer.
    pub(super) more: Vec<Vec<u8>>,
}

/// An upstream's whole answer, canonical by now.
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The wait that the body asked for, in milliseconds.
    wait_ms: Option<String>,
    should_retry: Option<bool>,
}

impl Whole {
    /// The upstream's headers with what its body said beside them.
    pub(super) fn headers<'h>(&'h self, own: &UpstreamHeaders<'h>) -> UpstreamHeaders<'h> {
        let mut headers = *own;
        headers.retry_after_ms = self.wait_ms.as_deref().or(own.retry_after_ms);
        headers.should_retry = match self.should_retry {
            Some(true) => Some("true"),
            Some(false) => Some("false"),
            None => own.should_retry,
        };
        headers
    }
}

impl Translation {
    /// How `facts` are asked of an entity, and the call that does; nothing if it speaks the canonical dialect.
    ///
    /// # Errors
    /// [`WireError::NotSupported`] for what its dialect cannot say, where that is not simply left out.
    pub(super) fn begin(
        facts: &Facts<'_>,
        entity: &ServedEntity,
        upstream: &Upstream,
        ready: &ReadyEntity,
        own: &[(String, String)],
    ) -> Result<Option<(Self, Send)>, WireError> {
        let UpstreamPaths::Native(place) = &upstream.paths else { return Ok(None) };
        let Some(dialect) = Dialect::of(entity) else { return Ok(None) };
        let provider = translate::provider(dialect);
        let canonical = Edit::apply(facts.request.body, &facts.edits(entity));
        let body = Raw::object(&canonical).ok_or(WireError::NotAnObject)?;
        let stream = facts.envelope.stream;
        let ask = Ask { task: facts.task, model: &entity.upstream_model, place, stream, body };
        let mut notes = facts.spoken.map(|spoken| spoken.heard.notes.clone()).unwrap_or_default();
        let parts = parts::split(facts.task, body, provider.texts_max(ask.model))?;
        let mut bodies = parts.iter().map(|part| Ask { body: Raw::trusted(part), ..ask });
        let first = bodies.next().unwrap_or(ask);
        let translated = translate::request(provider, &first, &mut notes)?;
        let more = bodies.map(|ask| Ok(translate::request(provider, &ask, &mut notes)?.body.into_bytes()));
        let more = more.collect::<Result<Vec<_>, WireError>>()?;
        strict(facts, body, &notes)?;
        let mut headers = own.to_vec();
        headers.extend(provider.headers().iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let end = facts.body_bytes();
        let send = Send {
            url: format!("{}{}", base(upstream), translated.path),
            headers,
            edits: Vec::from([Edit { start: 0, end, with: translated.body.into_bytes() }]),
            timeout: Millis(0),
            hedge: None,
            head_first: stream,
            quota: facts.remembers(),
            rest: false,
            script: None,
        };
        let base64 = body.get("encoding_format").is_some_and(|word| word.is("base64"));
        let model = entity.upstream_model.clone();
        let region = place.get("region").cloned().unwrap_or_default();
        let signer = ready.aws().map(|keys| (keys.clone(), region));
        Ok(Some((
            Self { provider, task: facts.task, model, base64, signer, notes, own_words: false, more },
            send,
        )))
    }

    /// Whether what its upstream says goes on to the caller as it is.
    pub(super) const fn is_own_words(&self) -> bool {
        self.own_words
    }

    /// Of a call that is passed on in its own dialect: only what its errors mean is read.
    pub(super) fn passed(dialect: Dialect, model: &str) -> Self {
        let (provider, notes) = (translate::provider(dialect), Notes::default());
        let (task, model) = (Task::Chat, model.to_string());
        Self { provider, task, model, base64: false, signer: None, notes, own_words: false, more: Vec::new() }
    }

    /// Signs a call that is about to be made, if its upstream asks for that.
    pub(super) fn sign(&self, now: UnixMillis, send: &mut Send) {
        let Some((keys, region)) = &self.signer else { return };
        let headers: Vec<(&str, &str)> =
            send.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = send.edits.first().map(|edit| edit.with.as_slice()).unwrap_or_default();
        let (url, service) = (send.url.as_str(), sigv4::SERVICE);
        let signed = Signed { method: "POST", url, region, service, headers: &headers, body };
        let added = sigv4::sign(keys, now, &signed);
        send.headers.extend(added.into_iter().map(|(name, value)| (name.to_string(), value)));
    }

    fn form(&self, running: &Running, now: UnixMillis) -> Form {
        let (id, created) = (running.admission.id.to_string(), now.0 / 1000);
        let input_tokens = running.share(taken_for(running.prompt_chars));
        Form { id, created, model: self.model.clone(), base64: self.base64, input_tokens }
    }
}

/// What a call's path is put behind. A native base of Workers AI may have its route's name at its end.
pub(super) fn base(upstream: &Upstream) -> &str {
    let base = upstream.base.trim_end_matches('/');
    base.strip_suffix("/run").unwrap_or(base)
}

/// A caller's request in another dialect than the canonical one.
pub(super) struct Spoken {
    heard: Heard,
    /// Bytes of the caller's own body.
    length: u32,
    /// Where the model's name stands in it.
    pub(super) model: Option<(u32, u32)>,
    /// Where the whole member stands that names the model, if it is written plainly and may make room for another one.
    pub(super) member: Option<(u32, u32)>,
    /// Why no canonical chat asks for the same. An upstream of the caller's own dialect may be asked still.
    unsayable: Option<WireError>,
}

impl Spoken {
    /// What `body` asks for.
    ///
    /// # Errors
    /// [`WireError`] for what is no request of that dialect, or cannot be said in the canonical one by a caller whose
    /// dialect no upstream is asked in.
    pub(super) fn read(caller: CallerDialect, body: &[u8]) -> Result<Self, WireError> {
        // The same faults as for every body, with their places.
        let model = Envelope::parse_open(body)?.model.map(|field| (field.start, field.end));
        let raw = Raw::object(body).ok_or(WireError::NotAnObject)?;
        let alone = raw.get(own_words::VERSION_MEMBER).is_none();
        let member = model.filter(|_| alone).and_then(|model| own_words::member_of(body, model));
        let (heard, unsayable) = match caller::hear(caller, raw) {
            Ok(heard) => (heard, None),
            Err(error @ WireError::NotSupported { .. }) if caller == CallerDialect::Messages => {
                (caller::unheard(caller, raw), Some(error))
            }
            Err(error) => return Err(error),
        };
        Ok(Self { heard, length: u32::try_from(body.len()).unwrap_or(u32::MAX), model, member, unsayable })
    }

    /// Why an upstream of another dialect than the caller's cannot be asked for this.
    pub(super) const fn unsayable(&self) -> Option<&WireError> {
        self.unsayable.as_ref()
    }

    /// The canonical body.
    pub(super) fn canonical(&self) -> &[u8] {
        self.heard.canonical.as_bytes()
    }

    /// An error about the canonical body, said of the caller's own.
    pub(super) fn placed(&self, stop: Stop) -> Stop {
        let Stop::Refuse(WeirError::Wire(error)) = stop else { return stop };
        self.heard.placed(error).into()
    }

    /// The answer to a question for a count of tokens.
    pub(super) fn counted(&self, envelope: &Envelope<'_>) -> String {
        self.heard.counted(taken_for(envelope.prompt_chars()))
    }
}

/// How many tokens a prompt is taken for.
fn taken_for(prompt_chars: u64) -> u64 {
    usage::estimate(prompt_chars, 0).input
}

impl Facts<'_> {
    /// Bytes of the caller's own body.
    pub(super) fn body_bytes(&self) -> u32 {
        let own = || u32::try_from(self.request.body.len()).unwrap_or(u32::MAX);
        self.spoken.map_or_else(own, |spoken| spoken.length)
    }

    /// What tells the answer to a caller of another dialect, and what it must be told of its request.
    pub(super) fn teller(&self) -> Option<(Teller, Notes)> {
        let heard = &self.spoken?.heard;
        let (id, created) = (self.admission.id.to_string(), self.admission.began.0 / 1000);
        let (model, input_tokens) =
            (self.ready.deployment.model.clone(), taken_for(self.envelope.prompt_chars()));
        let teller = heard.teller(&Form { id, created, model, base64: false, input_tokens });
        Some((teller, heard.notes.clone()))
    }
}

/// On surfaces that refuse members which the model does not know, nothing is dropped in silence.
fn strict(facts: &Facts<'_>, body: Raw<'_>, notes: &Notes) -> Result<(), WireError> {
    let Asks::Schema(_) = facts.route.asks else { return Ok(()) };
    let extra = Extra::parse(facts.request.headers.get(Header::ExtraParameters))?;
    match notes.dropped.first().filter(|_| extra == Extra::Refuse) {
        Some(name) => Err(translate::members::refuse(name, "absent with this model", body.get(name))),
        None => Ok(()),
    }
}

impl Running {
    pub(super) fn translation(&self) -> Option<&Translation> {
        self.entities.get(usize::try_from(self.entity).ok()?)?.translation.as_deref()
    }

    /// What was not passed on as it was asked for, for the answer's head.
    pub(super) fn notes(&self) -> Option<&Notes> {
        let own = self.translation().map(|translation| &translation.notes);
        own.or_else(|| self.teller.as_deref().map(|(_, notes)| notes)).filter(|_| self.passed.is_none())
    }

    /// Whether the head is that of a stream of the upstream's dialect.
    pub(super) fn is_stream(&self, headers: &UpstreamHeaders<'_>) -> bool {
        let wanted = self.translation().map_or("text/event-stream", |own| own.provider.stream_type());
        headers.content_type.is_some_and(|value| {
            let head = value.trim_start().get(..wanted.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(wanted))
        })
    }

    /// A decoder for the stream that begins, if it needs one.
    pub(super) fn decoder(&self, now: UnixMillis) -> Option<Decoder> {
        let own = self.translation()?;
        Some(Decoder::new(own.provider, own.task, own.form(self, now)))
    }

    /// Whether the caller speaks another dialect than the answer, once that is canonical.
    pub(super) fn retells(&self) -> bool {
        self.teller.is_some() && self.passed.is_none() && self.own_words.is_none()
    }

    /// Canonical events as the caller's dialect has them.
    pub(super) fn say(&mut self, events: Vec<u8>) -> Vec<u8> {
        if !self.retells() {
            return events;
        }
        self.teller.as_deref_mut().map(|(teller, _)| teller.push(&events)).unwrap_or_default()
    }

    /// A canonical answer as the caller's dialect has it.
    pub(super) fn tell<'b>(&self, body: Cow<'b, [u8]>) -> Cow<'b, [u8]> {
        let Some((teller, _)) = self.teller.as_deref().filter(|_| self.retells()) else { return body };
        let told = Raw::object(&body).map(|raw| teller.answer(raw));
        Cow::Owned(told.unwrap_or_default().into_bytes())
    }

    /// The number of the caller's next event, where its events are numbered.
    pub(super) fn next_number(&self) -> Option<u64> {
        if let Some(passed) = &self.passed {
            return passed.next_number();
        }
        self.teller.as_deref().filter(|_| self.retells())?.0.next_number()
    }

    /// The upstream's whole answer in the canonical dialect; `None` if it is already. A body that is none of the
    /// dialect becomes an empty one, which nobody takes for an answer.
    pub(super) fn canonical(
        &self,
        now: UnixMillis,
        status: u16,
        headers: &UpstreamHeaders<'_>,
        body: &[u8],
    ) -> Option<Whole> {
        let Some(own) = self.translation() else { return self.as_claimed(now, status, body) };
        if (200..300).contains(&status) {
            let answer = translate::answer(own.provider, own.task, &own.form(self, now), body);
            let body = answer.unwrap_or_default().into_bytes();
            return Some(Whole { status, body, wait_ms: None, should_retry: None });
        }
        let refusal = own.provider.refusal(status, headers.error_kind, error_of(body));
        let body = refusal.body().into_bytes();
        let wait_ms = refusal.wait_ms.map(|wait| wait.to_string());
        Some(Whole { status: refusal.status, body, wait_ms, should_retry: refusal.should_retry })
    }
}

/// An error's body; of a list, as Google gives where it would have streamed, the first item.
fn error_of(body: &[u8]) -> Option<Raw<'_>> {
    let whole = Raw::parse(core::str::from_utf8(body).ok()?)?;
    if whole.is_array() { whole.items().next() } else { Some(whole) }
}

/// Upstreams of the canonical dialect: what they claim to speak, and what of it must be put right.
impl Running {
    fn lenient(&self) -> bool {
        let entity = usize::try_from(self.entity).ok().and_then(|at| self.entities.get(at));
        entity.is_some_and(|entity| entity.lenient)
    }

    fn own_form(&self, now: UnixMillis) -> Form {
        let (id, created) = (self.admission.id.to_string(), now.0 / 1000);
        Form { id, created, model: self.model.clone(), base64: false, input_tokens: 0 }
    }

    /// What mends the stream that begins, should it need that.
    pub(super) fn mender(&self, now: UnixMillis) -> Option<Mender> {
        (self.lenient() && self.translation().is_none()).then(|| Mender::new(self.own_form(now)))
    }

    /// An answer that is not quite canonical, put right; and a quota that is used up, which another try does not fill
    /// (`providers.md`, 2.3). `None` for all others.
    fn as_claimed(&self, now: UnixMillis, status: u16, body: &[u8]) -> Option<Whole> {
        if status == 429 && memmem::find(body, b"\"insufficient_quota\"").is_some() {
            return Some(Whole { status, body: body.to_vec(), wait_ms: None, should_retry: Some(false) });
        }
        let answers = (200..300).contains(&status) && self.task != Task::Embeddings && !self.streamed;
        if !answers || !self.lenient() {
            return None;
        }
        let raw = Raw::object(body).filter(|raw| mend::is_odd(*raw))?;
        let completes = self.task == Task::Completions;
        let body = mend::answer(raw, completes, &self.own_form(now)).into_bytes();
        Some(Whole { status, body, wait_ms: None, should_retry: None })
    }
}

/// Bytes of an upstream's stream as they are relayed.
pub(super) fn relayed<'p>(decoder: Option<&mut Decoder>, piece: &'p [u8]) -> Cow<'p, [u8]> {
    decoder.map_or(Cow::Borrowed(piece), |decoder| Cow::Owned(decoder.push(piece)))
}
