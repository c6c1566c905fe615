//! How many tokens an exchange is taken to use before anybody has counted. Decides the estimate that is
//! reserved; not what is charged in the end (`account`). Stage 4. Source: `azure.md`, B4: prompt text size by
//! its characters, plus `max_tokens`, times the number of answers.

use crate::snapshot::Task;

/// Characters of prompt text that make a token; the rule of thumb that providers publish for English.
const CHARS_PER_TOKEN: u64 = 4;
/// Output tokens of an exchange that sets no maximum.
const OUTPUT_DEFAULT: u64 = 256;

/// Tokens to reserve for an exchange: `prompt_chars` characters of prompt, at most `max_tokens` tokens an
/// answer, and `answers` answers (the greater of `n` and `best_of`; zero counts as one). At least 1.
pub fn tokens(task: Task, prompt_chars: u64, max_tokens: Option<u64>, answers: u64) -> u64 {
    let input = prompt_chars.div_ceil(CHARS_PER_TOKEN).max(1);
    let output = match task {
        Task::Chat | Task::Completions => max_tokens.unwrap_or(OUTPUT_DEFAULT).saturating_mul(answers.max(1)),
        Task::Embeddings => 0,
    };
    input.saturating_add(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_prompt_plus_output_times_answers() {
        let rows = [
            (Task::Chat, 400, Some(25), 1, 125),
            (Task::Chat, 0, None, 0, 257),
            (Task::Completions, 9, Some(10), 3, 33),
            (Task::Embeddings, 8, Some(99), 5, 2),
            (Task::Chat, u64::MAX, Some(u64::MAX), 9, u64::MAX),
        ];
        for (task, chars, max, answers, estimate) in rows {
            assert_eq!(tokens(task, chars, max, answers), estimate, "{chars} {max:?} {answers}");
        }
    }
}
