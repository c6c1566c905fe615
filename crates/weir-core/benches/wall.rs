//! What core costs before the upstream is called: classify, auth, wire, route and plan, and the whole
//! exchange with its settling, with 10 to 10 000 deployments and 10 to 100 000 keys. A body has 1 KB.
//!
//! The budget is 5 µs up to the plan, flat over the sizes. `cargo bench -p weir-core --bench wall`.

mod fixture;

use fixture::{KEY, isolate};
use weir_core::exchange::flat::FlatPlan;

/// Deployments and keys.
const SIZES: [(u32, u32); 4] = [(10, 10), (100, 1_000), (1_000, 10_000), (10_000, 100_000)];

fn main() {
    divan::main();
}

/// From the request to the flat plan of the upstream call.
#[divan::bench(args = SIZES)]
fn decide(bencher: divan::Bencher<'_, '_>, (deployments, keys): (u32, u32)) {
    let (mut isolate, mut plan) = (isolate(deployments, keys), FlatPlan::default());
    let mut random = 1u128;
    bencher.bench_local(|| {
        random += 1;
        fixture::decide(&mut isolate, &mut plan, random, KEY)
    });
}

/// As `decide`, for a token whose principal was given a hundred roles elsewhere and one here.
#[divan::bench(args = SIZES)]
fn decide_by_roles(bencher: divan::Bencher<'_, '_>, (deployments, keys): (u32, u32)) {
    let (mut isolate, mut plan) = (isolate(deployments, keys), FlatPlan::default());
    let mut random = 1u128;
    bencher.bench_local(|| {
        random += 1;
        fixture::decide(&mut isolate, &mut plan, random, "Bearer token-7")
    });
}

/// The whole exchange: decided, answered, settled, recorded.
#[divan::bench(args = SIZES)]
fn exchange(bencher: divan::Bencher<'_, '_>, (deployments, keys): (u32, u32)) {
    let (mut isolate, mut plan) = (isolate(deployments, keys), FlatPlan::default());
    let mut random = 1u128;
    bencher.bench_local(|| {
        random += 1;
        fixture::exchange(&mut isolate, &mut plan, random, KEY)
    });
}
