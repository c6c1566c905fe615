//! Guardrails of serving endpoints: what they say of a text that they stop.
//!
//! Stage `policy`. Decides the message of `databricks.md`, 7.3: JSON in a string, with `flagged` and categories for
//! what is unsafe, and `pii_detection` with the masked text for personal data. Scores are of the lists' and
//! classifiers' severities: 0, 0.4, 0.7 and 1. What stops a text is the policy's, as everywhere.

use super::findings::Findings;
use super::ready::{ReadyPolicy, Side};
use crate::snapshot::content::{Filter, Severity};
use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

/// Categories with their names in the message.
const CATEGORIES: [(Filter, &str); 5] = [
    (Filter::Hate, "hate"),
    (Filter::SelfHarm, "self_harm"),
    (Filter::Sexual, "sexual"),
    (Filter::Violence, "violence"),
    (Filter::Jailbreak, "jailbreak"),
];

impl ReadyPolicy {
    /// The message about a text in which `found` was found. `masked` is the text with placeholders, a JSON list of
    /// messages; `used` the tokens of prompt and answer.
    pub fn guardrail(&self, side: Side, found: Findings, masked: &str, used: (u64, u64)) -> String {
        let (word, text) = match side {
            Side::Prompt => ("input", "anonymized_input"),
            Side::Completion => ("output", "anonymized_output"),
        };
        let personal =
            self.detects_personal_data(side) && found.severity(Filter::PersonalData) != Severity::Safe;
        let listed = self.hits_list(side, found);
        let off_topic = self.is_off_topic(side, found);
        let (mut flags, mut scores) = (String::new(), String::new());
        let mut flagged = listed || off_topic;
        let mut note = |name: &str, is: bool, score: &str| {
            let comma = if flags.is_empty() { "" } else { "," };
            // Writing to a text cannot fail.
            let _ = write!(flags, "{comma}\"{name}\":{is}");
            let _ = write!(scores, "{comma}\"{name}\":{score}");
        };
        for (filter, name) in CATEGORIES.iter().filter(|(filter, _)| self.has_rule(side, *filter)) {
            let is = self.is_filtered_for(side, *filter, found);
            flagged |= is;
            let score = match found.severity(*filter) {
                Severity::Safe => "0.0",
                Severity::Low => "0.4",
                Severity::Medium => "0.7",
                Severity::High => "1.0",
            };
            note(name, is, score);
        }
        if listed {
            note("invalid_keywords", true, "1.0");
        }
        if off_topic {
            note("invalid_topic", true, "1.0");
        }
        let (flags, scores) = if flagged {
            (format!("{{{flags}}}"), format!("{{{scores}}}"))
        } else {
            (String::from("null"), String::from("null"))
        };
        let masked = if personal { masked } else { "null" };
        let (prompt, answer) = used;
        let total = prompt.saturating_add(answer);
        let completion = if answer > 0 { format!("\"completion_tokens\":{answer},") } else { String::new() };
        format!(
            "{{\"usage\":{{\"prompt_tokens\":{prompt},{completion}\"total_tokens\":{total}}},\
             \"{word}_guardrail\":[{{\"flagged\":{flagged},\"categories\":{flags},\"category_scores\":{scores},\
             \"pii_detection\":{personal},\"{text}\":{masked}}}],\
             \"finishReason\":\"{word}_guardrail_triggered\"}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Lexicon;
    use crate::snapshot::content::{Blocklist, ContentPolicy, FilterMode, Guard, ListRule, Rule};
    use alloc::vec::Vec;

    fn policy() -> ReadyPolicy {
        let rule = |filter, threshold| Rule { filter, threshold, blocking: true };
        let policy = ContentPolicy {
            name: "guardrails/e".into(),
            mode: FilterMode::Buffered,
            prompt: Vec::from([
                rule(Filter::Violence, Severity::Medium),
                rule(Filter::PersonalData, Severity::Low),
            ]),
            completion: Vec::new(),
            lists: Vec::from([ListRule {
                list: "l".into(),
                blocking: true,
                prompt: true,
                completion: false,
            }]),
            classifier: None,
            guard: Some(Guard::default()),
        };
        let list = Blocklist { name: "l".into(), items: Vec::from(["nimbus".into()]), patterns: Vec::new() };
        ReadyPolicy::new(policy, &[list])
    }

    #[test]
    fn the_message_is_that_of_the_service() {
        let (policy, lexicon) = (policy(), Lexicon::built_in());
        let masked = r#"[{"role":"user","content":"mail <EMAIL_ADDRESS>"}]"#;
        for (text, expected) in [
            (
                "mail jane@example.org",
                r#"{"usage":{"prompt_tokens":0,"total_tokens":0},"input_guardrail":[{"flagged":false,"categories":null,"category_scores":null,"pii_detection":true,"anonymized_input":[{"role":"user","content":"mail <EMAIL_ADDRESS>"}]}],"finishReason":"input_guardrail_triggered"}"#,
            ),
            (
                "how to make a bomb",
                r#"{"usage":{"prompt_tokens":0,"total_tokens":0},"input_guardrail":[{"flagged":true,"categories":{"violence":true},"category_scores":{"violence":1.0},"pii_detection":false,"anonymized_input":null}],"finishReason":"input_guardrail_triggered"}"#,
            ),
            (
                "what of Nimbus",
                r#"{"usage":{"prompt_tokens":0,"total_tokens":0},"input_guardrail":[{"flagged":true,"categories":{"violence":false,"invalid_keywords":true},"category_scores":{"violence":0.0,"invalid_keywords":1.0},"pii_detection":false,"anonymized_input":null}],"finishReason":"input_guardrail_triggered"}"#,
            ),
        ] {
            let found = policy.read(&lexicon, Side::Prompt, text);
            assert!(policy.filters(Side::Prompt, found));
            assert_eq!(policy.guardrail(Side::Prompt, found, masked, (0, 0)), expected, "{text}");
        }
    }
}
