//! The fuzz targets' entries over their seeds and a bounded number of mutations of them, on every test run.
//!
//! The seeds are the vectors of all translations, as each entry takes them (its first byte chooses how bytes are cut or
//! what is asked). `cargo xtask fuzz` searches on from the same seeds, guided by coverage: `WEIR_FUZZ_SEEDS` names the
//! folder that `seeds_are_written` fills for it.

#[path = "../../crates/weir-core/fuzz/entries.rs"]
mod entries;

use crate::translate::{bytes_of, rows};
use std::collections::BTreeMap;
use std::path::Path;

/// Mutations of each seed.
const MUTATIONS: u64 = 40;

type Entry = (&'static str, fn(&[u8]));

const ENTRIES: [Entry; 6] = [
    ("sse", entries::sse),
    ("eventstream", entries::eventstream),
    ("streams", entries::streams),
    ("answers", entries::answers),
    ("requests", entries::requests),
    ("callers", entries::callers),
];

/// Seeds by the entry that takes them.
fn seeds() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut seeds: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut put = |name, bytes: &[u8]| seeds.entry(name).or_default().push([&[0x80], bytes].concat());
    for (_, _, row) in rows() {
        for body in row.request.iter().chain(&row.sent) {
            put("requests", body.to_string().as_bytes());
        }
        // As callers ask and are told: canonical answers and streams, and Anthropic's requests.
        for body in [&row.canonical].into_iter().chain(&row.sent).filter(|body| body.is_object()) {
            put("callers", body.to_string().as_bytes());
        }
        if !row.chunks.is_empty() {
            let events = String::from_utf8(bytes_of(&row.chunks, true)).unwrap().replace('\r', "");
            put("callers", events.as_bytes());
        }
        for body in [&row.answer, &row.refusal].into_iter().flatten() {
            put("answers", body.to_string().as_bytes());
        }
        if let Some(events) = &row.events {
            let bytes = bytes_of(events, row.done);
            put("streams", &bytes);
            put(
                if events.iter().any(|event| event.get("frame").is_some()) { "eventstream" } else { "sse" },
                &bytes,
            );
        }
    }
    for body in RESPONSES {
        put("callers", body.as_bytes());
    }
    seeds
}

/// Requests of the Responses API.
const RESPONSES: [&str; 2] = [
    r#"{"input":"Hi","instructions":"Be brief.","tools":[{"type":"function","name":"a","parameters":{}}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"}]},"text":{"format":{"type":"json_schema","name":"n","schema":{}},"verbosity":"low"},"reasoning":{"effort":"low"},"top_logprobs":2}"#,
    r#"{"input":[{"role":"developer","content":"D"},{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"data:image/png;base64,AA"}]},{"type":"reasoning","summary":[],"encrypted_content":"weir1.e30"},{"type":"function_call","call_id":"c","name":"a","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"2"}]}]}"#,
];

/// A small generator (SplitMix64): the same mutations on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// One to four changes: a byte, a piece left out, a piece twice, a piece of another seed, a word that matters.
fn mutated(seed: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const WORDS: [&[u8]; 10] =
        [b"null", b"\"\"", b"{}", b"[]", b"-1", b"1e999", b"\\ud800", b"\n\n", b"data: [DONE]\n\n", b"\xff"];
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let (from, length) = (random.below(bytes.len()), 1 + random.below(24));
        let to = (from + length).min(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[from] = u8::try_from(random.below(256)).unwrap(),
            1 => drop(bytes.drain(from..to)),
            2 => bytes.splice(from..from, bytes[from..to].to_vec()).for_each(drop),
            3 => {
                let other = &others[random.below(others.len())];
                let at = random.below(other.len());
                let piece = other[at..(at + length).min(other.len())].to_vec();
                bytes.splice(from..to, piece).for_each(drop);
            }
            _ => bytes.splice(from..to, WORDS[random.below(WORDS.len())].to_vec()).for_each(drop),
        }
    }
    bytes
}

#[test]
fn every_entry_takes_its_seeds_and_what_is_near_them() {
    let seeds = seeds();
    let mut random = Random(1);
    for (name, entry) in ENTRIES {
        let own = &seeds[name];
        assert!(own.len() > 5, "{name} has seeds");
        for seed in own {
            entry(seed);
            for _ in 0..MUTATIONS {
                entry(&mutated(seed, own, &mut random));
            }
        }
    }
}

/// What the search found, once.
#[test]
fn what_was_found_stays_mended() {
    // Garbage after the terminal event broke the stream only if it came in the same piece.
    entries::streams(b"\x80data: [DONE]\n\ndata: xxxxxxxxxx\xff\n\n");
}

#[test]
fn seeds_are_written() {
    let Some(folder) = std::env::var_os("WEIR_FUZZ_SEEDS") else { return };
    for (name, seeds) in seeds() {
        let folder = Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (at, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{at}")), seed).unwrap();
        }
    }
}
