//! How many characters a prompt and an answer have, for Databricks' usage table (`databricks.md`, 7.6).
//!
//! Stage 7. Decides what counts: the texts that a model reads or writes, unescaped; not roles, names of tools or their
//! arguments, not pictures or numbers. Only exchanges whose usage is tracked come here; of streams their observer knows.

use crate::wire::envelope::Envelope;
use crate::wire::raw::Raw;

/// Characters of a request's prompt; `None` if it has none of text.
pub fn of_prompt(envelope: &Envelope<'_>) -> Option<u64> {
    let field = envelope.messages.or(envelope.prompt).or(envelope.input)?;
    let texts = Raw::trusted(field.raw);
    let count = match envelope.messages {
        Some(_) => {
            let contents = texts.items().filter_map(|message| message.get("content"));
            contents.map(content).fold(0, u64::saturating_add)
        }
        None => content(texts),
    };
    (count > 0).then_some(count)
}

/// Characters of a whole canonical answer; `None` if it says nothing.
pub fn of_answer(body: &[u8]) -> Option<u64> {
    let choices = Raw::object(body)?.get("choices")?;
    let said = |choice: Raw<'_>| {
        let text = choice.at("message.content").or_else(|| choice.get("text"));
        text.map_or(0, content)
    };
    let count = choices.items().map(said).fold(0, u64::saturating_add);
    (count > 0).then_some(count)
}

/// A text, or the texts of a list of texts or of parts.
fn content(raw: Raw<'_>) -> u64 {
    if raw.is_text() {
        return text(raw);
    }
    let items =
        raw.items().map(|item| if item.is_text() { text(item) } else { item.get("text").map_or(0, text) });
    items.fold(0, u64::saturating_add)
}

fn text(raw: Raw<'_>) -> u64 {
    raw.text().map_or(0, |text| u64::try_from(text.chars().count()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_by_characters() {
        let rows = [
            (
                r#"{"messages":[{"role":"user","content":"h\u00e9\n"},{"role":"user","content":[{"type":"text","text":"ab"},{"type":"image_url","image_url":{"url":"data:x"}}]}]}"#,
                Some(5),
            ),
            (r#"{"messages":[{"role":"assistant","tool_calls":[]}]}"#, None),
            (r#"{"prompt":"éé"}"#, Some(2)),
            (r#"{"prompt":["a","bc"]}"#, Some(3)),
            (r#"{"input":["a","bc"]}"#, Some(3)),
            (r#"{"input":[1,2]}"#, None),
        ];
        for (body, want) in rows {
            assert_eq!(of_prompt(&Envelope::parse(body.as_bytes(), None).unwrap()), want, "{body}");
        }
        let rows = [
            (r#"{"choices":[{"message":{"content":"ab"}},{"message":{"content":"\u00e9"}}]}"#, Some(3)),
            (r#"{"choices":[{"text":"abc"}]}"#, Some(3)),
            (r#"{"choices":[{"message":{"content":[{"type":"text","text":"abc"}]}}]}"#, Some(3)),
            (r#"{"choices":[{"message":{"content":null}}]}"#, None),
            (r#"{"data":[]}"#, None),
            ("x", None),
        ];
        for (body, want) in rows {
            assert_eq!(of_answer(body.as_bytes()), want, "{body}");
        }
    }
}
