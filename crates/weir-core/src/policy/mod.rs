//! Content filters: what a prompt or an answer holds, and what a deployment's policy makes of it.
//!
//! Stage `policy`, between `limit` and `attempt`. **Lexical**: it knows words and phrases of a few languages, the
//! usual disguises of letters, and the forms of personal data; it does not understand a text. A harmful text in other
//! words passes, and a harmless one that quotes a listed phrase is marked. Decides findings and verdicts; not which
//! deployment has which policy (`control`), nor where in an exchange a text is judged (`exchange`).
//!
//! ```text
//! text ─▶ fold ─▶ words ─▶ trie ─┐
//!      ├▶ matcher ───────────────┤
//!      └▶ pii ─▶ numbers ────────┴▶ scan: Findings ─▶ verdict: what is filtered, what is told
//! ```

mod answer;
mod classifier;
mod findings;
mod fold;
mod guardrail;
mod harms;
pub mod kept;
mod lexicon;
mod mask;
mod matcher;
mod numbers;
mod pattern;
mod pii;
mod prompt;
mod reading;
mod ready;
mod response;
mod scan;
mod terms;
mod trie;
mod words;

pub use answer::{AnswerParts, ChoiceParts};
pub use classifier::{Matter, Question, ReadyClassifier, missing};
pub use findings::{Findings, about};
pub use harms::harms;
pub use lexicon::{Lexicon, is_term};
pub use mask::{mask as mask_text, mask_answer, mask_events, mask_prompt, texts_of_events};
pub use matcher::pattern_steps;
pub use prompt::Texts;
pub use reading::Reading;
pub use ready::{ReadyPolicy, Side};
pub use response::{ResponseEvent, content_filters, response_texts};

use alloc::string::String;

/// Why a policy stands against an exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The prompt holds what the policy filters.
    #[error("the prompt was filtered")]
    PromptFiltered {
        /// `content_filter_results` of the first prompt that was filtered: a JSON object.
        results: String,
    },
    /// A guardrail stands against the prompt or the answer, on a surface that has a form for it.
    #[error("a guardrail was triggered")]
    Guardrail {
        /// What callers read: JSON (`databricks.md`, 7.3).
        message: String,
    },
    /// The classifier that the policy names gave no verdict, and the policy is closed then.
    #[error("the classifier gave no verdict")]
    NoVerdict,
}

#[cfg(test)]
mod tests;
