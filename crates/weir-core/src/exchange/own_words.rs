//! A caller and an upstream of one dialect: what either says goes on as it came.
//!
//! Above the stages. Decides when that is so (Anthropic Messages, at Anthropic's own API or at Vertex AI, and no policy that
//! has to read along) and what of a request is changed all the same: the model's name, which Vertex AI has in the address,
//! where it wants the version of the API in the body (`providers.md`, 7). What is said is read beside that (`translated`).

use super::action::Send;
use super::prepare::Facts;
use super::running::Running;
use super::translated::{Spoken, Translation, base};
use crate::snapshot::{Dialect, ServedEntity, Upstream, UpstreamPaths};
use crate::surface::{Asks, Header};
use crate::time::Millis;
use crate::translate::{self, Notes};
use crate::wire::envelope::Edit;
use crate::wire::quote;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use memchr::memmem;

/// The member that has the version of the API at Vertex AI.
pub(super) const VERSION_MEMBER: &str = "anthropic_version";

/// Where the member stands that ends with the value `model`, name and all; `None` if its name is not written plainly.
pub(super) fn member_of(body: &[u8], (start, end): (u32, u32)) -> Option<(u32, u32)> {
    let before = body.get(..usize::try_from(start).ok()?)?.trim_ascii_end();
    let name = before.strip_suffix(b":")?.trim_ascii_end();
    let start = name.strip_suffix(b"\"model\"")?.len();
    Some((u32::try_from(start).ok()?, end))
}

/// What is changed of the caller's body, and where it goes below the upstream's base.
fn sent(
    spoken: &Spoken,
    dialect: Dialect,
    entity: &ServedEntity,
    upstream: &Upstream,
    (stream, version): (bool, Option<&str>),
) -> Option<(String, Vec<Edit>)> {
    let UpstreamPaths::Native(place) = &upstream.paths else { return None };
    let path = translate::messages_path(dialect, &entity.upstream_model, place, stream)?;
    let (place, with) = if dialect == Dialect::VertexAnthropic {
        // The first version has a name of its own there; later ones are called as everywhere (PyPI anthropic 2.12.0).
        let later = version.filter(|version| *version != translate::ANTHROPIC_VERSION);
        let version = quote::json(later.unwrap_or(translate::VERTEX_VERSION));
        (Some(spoken.member?), format!("\"{VERSION_MEMBER}\":{version}"))
    } else {
        (spoken.model, quote::json(&entity.upstream_model))
    };
    let edit = |(start, end)| Edit { start, end, with: with.into_bytes() };
    Some((path, place.map(edit).into_iter().collect()))
}

impl Translation {
    /// How a request goes on to an entity that speaks the caller's own dialect; nothing if it does not, or if a content
    /// policy has to read what is said.
    pub(super) fn in_own_words(
        facts: &Facts<'_>,
        entity: &ServedEntity,
        upstream: &Upstream,
        own: &[(String, String)],
    ) -> Option<(Self, Send)> {
        let counts = facts.route.asks.counts();
        let spoken = facts.spoken.filter(|_| counts || facts.ready.policy.is_none())?;
        let dialect = Dialect::of(entity)?;
        // Vertex AI counts elsewhere, and names the model in the body there.
        let there = !counts || dialect == Dialect::Anthropic;
        if !there || !matches!(facts.route.asks, Asks::Messages { .. }) {
            return None;
        }
        let legal =
            |value: &&str| value.len() <= 512 && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let given = |header| facts.request.headers.get(header);
        let asked = (facts.envelope.stream, given(Header::AnthropicVersion).filter(legal));
        let (path, edits) = sent(spoken, dialect, entity, upstream, asked)?;
        let provider = translate::provider(dialect);
        let mut headers = own.to_vec();
        let mut pass = |name: &str, given: Option<&str>, default: Option<&str>| {
            if let Some(value) = given.filter(legal).or(default) {
                headers.push((name.to_string(), value.to_string()));
            }
        };
        for (name, default) in provider.headers() {
            pass(name, given(Header::AnthropicVersion), Some(default));
        }
        pass("anthropic-beta", given(Header::AnthropicBeta), None);
        let send = Send {
            url: format!("{}{path}{}", base(upstream), if counts { "/count_tokens" } else { "" }),
            headers,
            edits,
            timeout: Millis(0),
            hedge: None,
            head_first: facts.envelope.stream,
            quota: facts.remembers(),
            rest: false,
            script: None,
        };
        let (task, model, notes) = (facts.task, entity.upstream_model.clone(), Notes::default());
        let (base64, signer, own_words) = (false, None, true);
        Some((Self { provider, task, model, base64, signer, notes, own_words, more: Vec::new() }, send))
    }
}

impl Running {
    /// Whole events of a stream that goes on as it is; what is not whole yet is held back.
    pub(super) fn whole_events<'p>(&mut self, piece: &'p [u8]) -> Option<Cow<'p, [u8]>> {
        let held = self.own_words.as_mut()?;
        let end = |bytes: &[u8]| {
            let ends = ["\n\n", "\r\n\r\n"].into_iter().filter_map(|gap| {
                memmem::rfind(bytes, gap.as_bytes()).map(|at| at.saturating_add(gap.len()))
            });
            ends.max().unwrap_or(0)
        };
        if held.is_empty() && end(piece) == piece.len() {
            return Some(Cow::Borrowed(piece));
        }
        held.extend_from_slice(piece);
        let rest = held.split_off(end(held));
        Some(Cow::Owned(core::mem::replace(held, rest)))
    }
}
