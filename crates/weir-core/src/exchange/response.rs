//! A response of the Responses API under a content policy: what is told in it, and what is left of a filtered one.
//!
//! Above the stages. Decides its form: `content_filters` as Azure's API has them, and for a filtered answer the status
//! `incomplete` with the reason `content_filter` (`providers.md`, 2.5) and one empty message instead of the output, so
//! that nothing of it is left in any member. What is text in it is `policy`'s; its stream is `vetting`'s.

use super::filtering::{Filtering, Telling};
use crate::policy::{Findings, Side, content_filters, response_texts};
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl Filtering {
    /// A whole response as the caller gets it; `None` if it is passed on as it is, or if it is none.
    pub(super) fn whole_response(&self, body: &str, found: &[(u32, Findings)]) -> Option<String> {
        let response = Raw::object(body.as_bytes())?;
        response.get("output").filter(Raw::is_array)?;
        let mut joined = found.iter().fold(Findings::default(), |joined, (_, found)| joined.joined(*found));
        for text in response_texts(response) {
            joined = joined.joined(self.policy.read(&self.lexicon, Side::Completion, &text));
        }
        if self.filters(joined) {
            return Some(self.incomplete(response, joined));
        }
        self.annotated(response, joined)
    }

    /// The response with what was found; `None` where nothing is told, or the upstream tells its own.
    pub(super) fn annotated(&self, response: Raw<'_>, found: Findings) -> Option<String> {
        let filters = self.content_filters(found).filter(|_| response.get("content_filters").is_none())?;
        let mut told = copied(response, &["content_filters"]);
        told.put("content_filters", &filters);
        Some(told.end())
    }

    /// What a filtered response is.
    pub(super) fn incomplete(&self, response: Raw<'_>, found: Findings) -> String {
        const CHANGED: [&str; 6] =
            ["status", "incomplete_details", "error", "output", "output_text", "content_filters"];
        let mut items = response.get("output").into_iter().flat_map(|output| output.items());
        let message = items.find(|item| item.get("type").is_some_and(|kind| kind.is("message")));
        let message = message.and_then(|message| message.get("id"));
        let mut left = copied(response, &CHANGED);
        left.put("status", "\"incomplete\"");
        left.put("incomplete_details", "{\"reason\":\"content_filter\"}");
        left.put("error", "null");
        let output = message.map_or_else(String::new, |id| {
            let part = "{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}";
            format!(
                "{{\"type\":\"message\",\"id\":{},\"status\":\"incomplete\",\"role\":\"assistant\",\"content\":[{part}]}}",
                id.as_str()
            )
        });
        left.put("output", &format!("[{output}]"));
        if let Some(filters) = self.content_filters(found) {
            left.put("content_filters", &filters);
        }
        left.end()
    }

    /// `content_filters`, where findings are told.
    fn content_filters(&self, found: Findings) -> Option<String> {
        if self.telling == Telling::Nothing {
            return None;
        }
        let results = self.policy.results(Side::Completion, found);
        let blocked = self.policy.filters(Side::Completion, found);
        Some(content_filters(&self.prompt_results, &results, blocked))
    }
}

/// The texts of a response, a line each, for a classifier.
pub(super) fn texts_of_response(body: &str) -> Vec<(u32, String)> {
    let texts = Raw::object(body.as_bytes()).map(response_texts).unwrap_or_default();
    if texts.is_empty() { Vec::new() } else { Vec::from([(0, texts.join("\n"))]) }
}

/// The object without some of its members.
fn copied(object: Raw<'_>, without: &[&str]) -> Object {
    let mut copy = Object::new();
    for (name, value) in object.members().filter(|(name, _)| !without.contains(&name.as_ref())) {
        copy.put(&name, value.as_str());
    }
    copy
}
