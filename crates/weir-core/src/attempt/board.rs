//! What isolates tell each other of the entities' health, in summary.
//!
//! Stage 5. The news travel with the question for a newer snapshot, which each busy isolate asks its account's Registry
//! every two seconds anyway, and with its answer: no call is made for them, and nothing is stored. Decides what is
//! told, what the Registry makes of many isolates' news (averages; an entity is out when more than half of those who
//! know it say so), and what an isolate takes over (only what it learnt nothing about itself lately). Whoever is silent
//! for [`FRESH`] is forgotten. News that cannot be read are none.
//!
//! The shape, both ways: `{"isolate":N,"entities":[["deployment","entity",first_us,per_token_us,out_ms],…]}`,
//! the answer without `isolate`.

use super::gauge::Report;
use super::health::HealthBook;
use crate::id::IsolateId;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Value, json};

/// News older than this are none.
const FRESH: Millis = Millis(10_000);
/// How long news are on their way: what was learnt within it stands over news.
const ON_THE_WAY: Millis = Millis(4_000);
/// Entities in one message.
const ENTITIES_MAX: usize = 256;
/// Isolates that are heard about one entity.
const VOICES_MAX: usize = 64;

/// What the isolates of an account said lately; kept in a Registry's memory only.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// By deployment and entity, then by isolate.
    voices: SortedMap<(String, String), SortedMap<u64, (UnixMillis, Report)>>,
}

/// What an isolate has to tell about an account's entities, as JSON; `None` if nothing.
pub fn report(book: &HealthBook, now: UnixMillis, isolate: IsolateId, account: &str) -> Option<String> {
    let since = now.minus(FRESH);
    let mut rows = Vec::new();
    for (deployment, gauges) in book.of_account(account) {
        for (name, gauge) in gauges {
            if let Some(report) = gauge.report(now, since) {
                rows.push(row(deployment, name, report));
            }
        }
    }
    if rows.is_empty() {
        return None;
    }
    rows.truncate(ENTITIES_MAX);
    // As text: a number of 64 bits is none of JSON's.
    Some(json!({"isolate": format!("{:016x}", isolate.0), "entities": rows}).to_string())
}

/// Takes over what the Registry answered: `body` is its answer to a question for a snapshot.
pub fn adopt(book: &mut HealthBook, now: UnixMillis, account: &str, body: &[u8]) {
    if memchr::memmem::find(body, b"\"health\"").is_none() {
        return;
    }
    let text = core::str::from_utf8(body).unwrap_or_default();
    let Ok(answer) = crate::json::read::<Value>(text) else { return };
    let since = now.minus(ON_THE_WAY);
    for (deployment, name, report) in rows(answer.get("health")) {
        let scope = format!("{account}/{deployment}");
        book.gauge(&scope, &name).adopt(now, since, report);
    }
}

impl Board {
    /// Takes an isolate's news in, and answers everybody's as JSON; `None` if there are none.
    pub fn exchange(&mut self, now: UnixMillis, news: &Value) -> Option<Value> {
        let isolate = news.get("isolate").and_then(Value::as_str).unwrap_or_default();
        let isolate = u64::from_str_radix(isolate, 16).unwrap_or(0);
        for (deployment, name, report) in rows(Some(news)) {
            let voices = self.voices.entry((deployment, name)).or_default();
            if voices.len() < VOICES_MAX || voices.contains_key(&isolate) {
                voices.insert(isolate, (now, report));
            }
        }
        for voices in self.voices.values_mut() {
            voices.retain(|_, (at, _)| now.since(*at) < FRESH);
        }
        self.voices.retain(|_, voices| !voices.is_empty());
        while self.voices.len() > ENTITIES_MAX {
            self.voices.pop_first();
        }
        let told: Vec<Value> = self
            .voices
            .iter()
            .map(|((deployment, name), voices)| row(deployment, name, summary(now, voices)))
            .collect();
        (!told.is_empty()).then(|| json!({ "entities": told }))
    }
}

/// What several isolates say of one entity.
fn summary(now: UnixMillis, voices: &SortedMap<u64, (UnixMillis, Report)>) -> Report {
    let average = |of: fn(&Report) -> u64| {
        let known = voices.values().map(|(_, report)| of(report)).filter(|value| *value > 0);
        let (sum, count) = known
            .fold((0u64, 0u64), |(sum, count), value| (sum.saturating_add(value), count.saturating_add(1)));
        sum.checked_div(count).unwrap_or(0)
    };
    let outs = voices.values().map(|(at, report)| Millis(report.out.0.saturating_sub(now.since(*at).0)));
    let out: Vec<Millis> = outs.filter(|out| out.0 > 0).collect();
    let most = out.len().saturating_mul(2) > voices.len();
    Report {
        first: average(|report| report.first),
        per_token: average(|report| report.per_token),
        out: if most { out.into_iter().max().unwrap_or_default() } else { Millis(0) },
    }
}

fn row(deployment: &str, name: &str, report: Report) -> Value {
    json!([deployment, name, report.first, report.per_token, report.out.0])
}

/// The entities of a message; what is no row is left out.
fn rows(message: Option<&Value>) -> impl Iterator<Item = (String, String, Report)> {
    let list = message.and_then(|message| message.get("entities")).and_then(Value::as_array);
    list.into_iter().flatten().take(ENTITIES_MAX).filter_map(|row| {
        let text = |at: usize| row.get(at).and_then(Value::as_str).filter(|text| text.len() <= 256);
        let number = |at: usize| row.get(at).and_then(Value::as_u64);
        let out = Millis(number(4)?.min(60_000));
        let report = Report { first: number(2)?, per_token: number(3)?, out };
        Some((text(0)?.to_string(), text(1)?.to_string(), report))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Outcome;

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const ISOLATES: u64 = 4;

    fn told(book: &HealthBook, isolate: u64, board: &mut Board) -> Option<Value> {
        let news = report(book, NOW, IsolateId(isolate), "default")?;
        board.exchange(NOW, &crate::json::read(&news).unwrap())
    }

    fn fail(book: &mut HealthBook, times: u32) {
        for _ in 0..times {
            book.began(NOW, "default/d", "bad");
            book.failed(NOW, "default/d", "bad", &Outcome::Unreachable, false);
        }
    }

    #[test]
    fn what_most_isolates_found_out_others_know_without_a_call() {
        let (mut board, mut answer) = (Board::default(), None);
        for isolate in 1..=ISOLATES {
            let mut book = HealthBook::default();
            if isolate > 1 {
                fail(&mut book, 3);
            }
            book.began(NOW, "default/d", "good");
            book.spoke(NOW, "default/d", "good", Millis(200));
            book.began(NOW, "other/d", "bad");
            book.spoke(NOW, "other/d", "bad", Millis(1));
            answer = told(&book, isolate, &mut board);
        }
        let mut newcomer = HealthBook::default();
        let answer = json!({"unchanged": 1, "health": answer}).to_string();
        adopt(&mut newcomer, NOW, "default", answer.as_bytes());
        assert!(newcomer.fitness(NOW, "default/d", "bad").out);
        assert_eq!(newcomer.fitness(NOW, "default/d", "good").load, Some(200_000));
        assert_eq!(newcomer.fitness(NOW, "other/d", "bad").load, None, "accounts know nothing of each other");
        // What an isolate learnt itself, just now, stands.
        let mut other = HealthBook::default();
        other.began(NOW, "default/d", "bad");
        other.spoke(NOW, "default/d", "bad", Millis(50));
        adopt(&mut other, NOW, "default", answer.as_bytes());
        assert!(!other.fitness(NOW, "default/d", "bad").out);
    }

    #[test]
    fn one_voice_of_many_sets_nobody_aside_and_old_voices_are_none() {
        let mut board = Board::default();
        for isolate in 1..=ISOLATES {
            let mut book = HealthBook::default();
            fail(&mut book, if isolate == 1 { 3 } else { 1 });
            told(&book, isolate, &mut board).unwrap();
        }
        let all = board.exchange(NOW, &json!({})).unwrap();
        assert_eq!(all["entities"][0][4], 0, "{all}");
        assert_eq!(board.exchange(NOW.plus(FRESH), &json!({})), None);
    }

    #[test]
    fn news_that_cannot_be_read_change_nothing() {
        let mut book = HealthBook::default();
        for body in
            ["", "{\"health\":", "{\"unchanged\":1,\"health\":{\"entities\":[[1,2],[\"d\",\"e\",-1,0,0]]}}"]
        {
            adopt(&mut book, NOW, "default", body.as_bytes());
        }
        assert_eq!(book.of_account("default").count(), 0);
    }
}
