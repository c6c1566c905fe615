//! The work of `wall`, a given number of times, for a tool that counts instructions: the same number on every machine
//! and at every load. `cargo xtask bench --instructions` runs it and subtracts what making the isolate took.
//!
//!     instructions <decide|exchange> <deployments> <keys> <times>

mod fixture;

use fixture::{KEY, isolate};
use weir_core::exchange::flat::FlatPlan;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [what, deployments, keys, times] = words.as_slice() else {
        return;
    };
    let number = |word: &String| word.parse::<u32>().unwrap_or(0);
    let (mut isolate, mut plan) = (isolate(number(deployments), number(keys)), FlatPlan::default());
    let work = if what == "decide" { fixture::decide } else { fixture::exchange };
    let mut bytes = 0usize;
    for random in 1..=u128::from(number(times)) {
        bytes = bytes.wrapping_add(work(&mut isolate, &mut plan, random, KEY));
    }
    std::hint::black_box(bytes);
}
