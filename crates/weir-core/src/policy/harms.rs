//! What a content policy found, in the words of Azure's metrics.
//!
//! Stage `policy`. Decides the words (`azure.md`, C6: text type, category, severity); not what is counted of them
//! (`ledger`).

use super::ready::Side;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// What `content_filter_results` tell of, each as `harmful|{text type}|{category}|{severity}`; and as `rejected|…`, if it
/// was filtered. The severity is empty where the category has none. Nothing of what was found safe.
pub fn harms(side: Side, results: &str) -> Vec<String> {
    let text = match side {
        Side::Prompt => "Prompt",
        Side::Completion => "Completion",
    };
    let mut harms = Vec::new();
    let Ok(results) = crate::json::read::<Map<String, Value>>(results) else { return harms };
    for (name, result) in &results {
        let flag = |member: &str| result.get(member).and_then(Value::as_bool) == Some(true);
        let severity = result.get("severity").and_then(Value::as_str).filter(|word| *word != "safe");
        let listed = result.get("details").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        if !(flag("filtered") || flag("detected") || listed || severity.is_some()) {
            continue;
        }
        let found = format!("{text}|{}|{}", pascal(name), pascal(severity.unwrap_or_default()));
        harms.push(format!("harmful|{found}"));
        if flag("filtered") {
            harms.push(format!("rejected|{found}"));
        }
    }
    harms
}

/// `self_harm` as Azure's metrics write it: `SelfHarm`.
fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_in_the_words_of_metrics() {
        let rows: [(&str, &[&str]); 5] = [
            (
                r#"{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false}}"#,
                &[],
            ),
            (
                r#"{"self_harm":{"filtered":true,"severity":"medium"},"hate":{"filtered":false,"severity":"low"}}"#,
                &[
                    "harmful|Prompt|Hate|Low",
                    "harmful|Prompt|SelfHarm|Medium",
                    "rejected|Prompt|SelfHarm|Medium",
                ],
            ),
            (r#"{"jailbreak":{"filtered":false,"detected":true}}"#, &["harmful|Prompt|Jailbreak|"]),
            (
                r#"{"custom_blocklists":{"filtered":false,"details":[{"filtered":false,"id":"x"}]}}"#,
                &["harmful|Prompt|CustomBlocklists|"],
            ),
            ("not json", &[]),
        ];
        for (results, expected) in rows {
            assert_eq!(harms(Side::Prompt, results), expected, "{results}");
        }
        let completion = harms(Side::Completion, r#"{"violence":{"filtered":true,"severity":"high"}}"#);
        assert_eq!(completion, ["harmful|Completion|Violence|High", "rejected|Completion|Violence|High"]);
    }
}
