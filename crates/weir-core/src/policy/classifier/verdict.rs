//! What the answer of a classifier means here.
//!
//! Stage `policy`. Decides the severities that the words of three services stand for. Sources: as for the questions.

use super::super::findings::{Findings, marks};
use super::{Matter, ReadyClassifier};
use crate::snapshot::content::{Filter, Severity};
use alloc::string::String;
use serde_json::Value;

/// From this score on a moderation's category that is not flagged is told as low, and one that is, as high.
const SCORES: (f64, f64) = (0.2, 0.9);

impl ReadyClassifier {
    /// What an answer with a good status says; `None` if that cannot be told.
    pub fn verdict(&self, matter: Matter, answer: &[u8]) -> Option<Findings> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let found = match matter {
            Matter::Analyze => analyzed(answer.get("categoriesAnalysis")?.as_array()?)?,
            Matter::Shield => shielded(&answer)?,
            Matter::Moderation => moderated(answer.get("results")?.as_array()?)?,
            Matter::Topics => {
                let message = answer.get("choices")?.get(0)?.get("message")?;
                on_topic(message.get("content")?.as_str()?)?
            }
            Matter::Guard => {
                let message = answer.get("choices")?.get(0)?.get("message")?;
                self.guarded(message.get("content")?.as_str()?)?
            }
        };
        Some(found)
    }

    /// The words of a guard. Codes that mean none of the filters leave the text as it is; `unsafe` without a code is
    /// the worst in every category, because nobody says in which.
    fn guarded(&self, words: &str) -> Option<Findings> {
        let mut words = words.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let verdict = words.next()?;
        if verdict.eq_ignore_ascii_case("safe") {
            return Some(Findings::default());
        }
        if !verdict.eq_ignore_ascii_case("unsafe") {
            return None;
        }
        let mut found = Findings::default();
        let mut coded = false;
        for code in words {
            coded = true;
            let own = self.classifier.hazards.iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
            let known =
                || HAZARDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, of)| *of);
            if let Some(filter) = own.map(|(_, filter)| *filter).or_else(known) {
                found = found.joined(of(filter, Severity::High));
            }
        }
        if !coded {
            for filter in [Filter::Hate, Filter::Sexual, Filter::Violence, Filter::SelfHarm] {
                found = found.joined(of(filter, Severity::High));
            }
        }
        Some(found)
    }
}

/// The words of a deployment that was asked about topics.
fn on_topic(words: &str) -> Option<Findings> {
    let word: String = words.chars().filter(char::is_ascii_alphabetic).take(6).collect();
    if word.eq_ignore_ascii_case("unsafe") {
        return Some(Findings::off_topic());
    }
    word.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("safe")).then(Findings::default)
}

/// Hazards of `MLCommons`' taxonomy, as Llama Guard 3 codes them, that are one of the four categories. The others
/// (`S2` crimes without violence, `S5` defamation, `S6` advice, `S7` privacy, `S8` intellectual property, `S13`
/// elections, `S14` code interpreters) are none, unless the classifier's `hazards` say so.
const HAZARDS: [(&str, Filter); 7] = [
    ("S1", Filter::Violence),
    ("S3", Filter::Sexual),
    ("S4", Filter::Sexual),
    ("S9", Filter::Violence),
    ("S10", Filter::Hate),
    ("S11", Filter::SelfHarm),
    ("S12", Filter::Sexual),
];

fn of(filter: Filter, severity: Severity) -> Findings {
    let personal = u16::from(filter == Filter::PersonalData);
    Findings { marks: marks(filter, severity), personal, ..Findings::default() }
}

/// Severities of 0 to 7, two to each of the four levels.
fn analyzed(categories: &[Value]) -> Option<Findings> {
    let mut found = Findings::default();
    for category in categories {
        let filter = match category.get("category")?.as_str()? {
            "Hate" => Filter::Hate,
            "Sexual" => Filter::Sexual,
            "Violence" => Filter::Violence,
            "SelfHarm" => Filter::SelfHarm,
            _ => continue,
        };
        let level = category.get("severity")?.as_u64()? >> 1;
        let severity = Severity::from_rank(u16::try_from(level).unwrap_or(u16::MAX));
        found = found.joined(of(filter, severity));
    }
    Some(found)
}

fn shielded(answer: &Value) -> Option<Findings> {
    let attacked = |analysis: &Value| analysis.get("attackDetected").and_then(Value::as_bool);
    let mut found = Findings::default();
    if attacked(answer.get("userPromptAnalysis")?)? {
        found = of(Filter::Jailbreak, Severity::High);
    }
    let documents = answer.get("documentsAnalysis").and_then(Value::as_array);
    if documents.into_iter().flatten().any(|document| attacked(document) == Some(true)) {
        found = found.joined(of(Filter::IndirectAttack, Severity::High));
    }
    Some(found)
}

/// A flagged category is medium, high if it is a threat, instructs, concerns minors, or is all but certain.
fn moderated(results: &[Value]) -> Option<Findings> {
    let mut found = Findings::default();
    for result in results {
        for (name, flagged) in result.get("categories")?.as_object()? {
            let (stem, rest) = name.split_once('/').unwrap_or((name, ""));
            let filter = match (stem, rest) {
                ("hate" | "harassment", _) => Filter::Hate,
                ("sexual", _) => Filter::Sexual,
                ("violence", _) | ("illicit", "violent") => Filter::Violence,
                ("self-harm", _) => Filter::SelfHarm,
                _ => continue,
            };
            let score = result.get("category_scores").and_then(|scores| scores.get(name)?.as_f64());
            let at_least = |bound: f64| score.is_some_and(|score| score >= bound);
            let worst = matches!(rest, "threatening" | "minors" | "instructions");
            let severity = match flagged.as_bool()? {
                true if worst || at_least(SCORES.1) => Severity::High,
                true => Severity::Medium,
                false if at_least(SCORES.0) => Severity::Low,
                false => Severity::Safe,
            };
            found = found.joined(of(filter, severity));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::classifier::missing;
    use crate::snapshot::content::Service;
    use crate::wire::quote;
    use alloc::format;
    use alloc::vec::Vec;

    fn classifier(service: Service) -> ReadyClassifier {
        let mut ready = missing("c");
        ready.classifier.service = service;
        ready
    }

    /// Severities of hate, sexual, violence, self-harm; jailbreak, indirect attack.
    fn shown(found: Findings) -> String {
        [
            Filter::Hate,
            Filter::Sexual,
            Filter::Violence,
            Filter::SelfHarm,
            Filter::Jailbreak,
            Filter::IndirectAttack,
        ]
        .map(|filter| found.severity(filter).word().get(..1).unwrap())
        .concat()
    }

    #[test]
    fn answers_mean_severities() {
        use Matter::{Analyze, Guard, Moderation, Shield};
        let guard =
            |words: &str| format!("{{\"choices\":[{{\"message\":{{\"content\":{}}}}}]}}", quote::json(words));
        let moderation = |name: &str, flagged: bool, score: f64| {
            format!(
                "{{\"results\":[{{\"categories\":{{\"{name}\":{flagged}}},\"category_scores\":{{\"{name}\":{score}}}}}]}}"
            )
        };
        let rows: Vec<(Matter, String, Option<&str>)> = alloc::vec![
            (Analyze, r#"{"categoriesAnalysis":[{"category":"Hate","severity":2},{"category":"Violence","severity":6},{"category":"New","severity":6}]}"#.into(), Some("lshsss")),
            (Analyze, r#"{"categoriesAnalysis":[{"category":"SelfHarm","severity":5},{"category":"Sexual","severity":1}]}"#.into(), Some("sssmss")),
            (Analyze, r#"{"error":{"code":"InvalidRequest"}}"#.into(), None),
            (Analyze, r#"{"categoriesAnalysis":[{"category":"Hate"}]}"#.into(), None),
            (Shield, r#"{"userPromptAnalysis":{"attackDetected":true},"documentsAnalysis":[{"attackDetected":false}]}"#.into(), Some("sssshs")),
            (Shield, r#"{"userPromptAnalysis":{"attackDetected":false},"documentsAnalysis":[{"attackDetected":false},{"attackDetected":true}]}"#.into(), Some("sssssh")),
            (Shield, "{}".into(), None),
            (Moderation, moderation("violence", true, 0.5), Some("ssmsss")),
            (Moderation, moderation("violence/graphic", true, 0.95), Some("sshsss")),
            (Moderation, moderation("harassment/threatening", true, 0.5), Some("hsssss")),
            (Moderation, moderation("self-harm/intent", false, 0.3), Some("ssslss")),
            (Moderation, moderation("sexual/minors", false, 0.1), Some("ssssss")),
            (Moderation, moderation("illicit/violent", true, 0.6), Some("ssmsss")),
            (Moderation, moderation("illicit", true, 0.9), Some("ssssss")),
            (Moderation, r#"{"results":7}"#.into(), None),
            (Guard, guard("safe"), Some("ssssss")),
            (Guard, guard("\n\nunsafe\nS1,S10"), Some("hshsss")),
            (Guard, guard("unsafe\nS11"), Some("ssshss")),
            (Guard, guard("unsafe\nS6"), Some("ssssss")),
            (Guard, guard("unsafe"), Some("hhhhss")),
            (Guard, guard("I cannot say."), None),
            (Guard, guard(""), None),
            (Guard, "not json".into(), None),
        ];
        for (matter, answer, expected) in rows {
            let got = classifier(Service::Deployment).verdict(matter, answer.as_bytes()).map(shown);
            assert_eq!(got.as_deref(), expected, "{matter:?} {answer}");
        }
        let mut own = classifier(Service::Deployment);
        own.classifier.hazards.push(("S6".into(), Filter::Profanity));
        let found = own.verdict(Guard, guard("unsafe\ns6").as_bytes()).unwrap();
        assert_eq!(found.severity(Filter::Profanity), Severity::High);
    }
}
