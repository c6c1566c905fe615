//! How many tests passed and failed, read from what the runners print.
//!
//! Decides the three forms: libtest (cargo and wasm-bindgen-test), Node's runner, and the end-to-end runner's line.
//! Stage: tooling.

use std::ops::AddAssign;

/// Tests that passed and that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// How many passed.
    pub(super) passed: u64,
    /// How many failed.
    pub(super) failed: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Every `test result: ok. 3 passed; 0 failed; …` together.
pub(super) fn libtest(text: &str) -> Count {
    let mut total = Count::default();
    for line in text.lines().filter(|line| line.contains("test result:")) {
        total += Count { passed: before(line, " passed;"), failed: before(line, " failed;") };
    }
    total
}

/// Node's summary: `ℹ pass 3` and `ℹ fail 0`.
pub(super) fn node(text: &str) -> Count {
    let number = |word: &str| {
        text.lines()
            .filter_map(|line| line.trim_start_matches(['ℹ', '#', ' ']).strip_prefix(word))
            .filter_map(|rest| rest.trim().parse::<u64>().ok())
            .next_back()
            .unwrap_or(0)
    };
    Count { passed: number("pass "), failed: number("fail ") }
}

/// The last line `3 passed, 0 failed`; none means that the runner broke off, which is a failure.
pub(super) fn closing_line(text: &str) -> Count {
    let mut counts = text.lines().filter_map(|line| {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        Some(Count { passed: passed.parse().ok()?, failed: failed.strip_suffix(" failed")?.parse().ok()? })
    });
    counts.next_back().unwrap_or(Count { passed: 0, failed: 1 })
}

/// The number right before `word`.
fn before(line: &str, word: &str) -> u64 {
    line.split_once(word)
        .and_then(|(head, _)| head.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Count, closing_line, libtest, node};

    #[test]
    fn each_runner_is_understood() {
        let count = |passed, failed| Count { passed, failed };
        let cargo = "test a ... ok\ntest result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                     test result: FAILED. 3 passed; 2 failed; 0 ignored\n";
        for (got, want) in [
            (libtest(cargo), count(15, 2)),
            (libtest("error: could not compile"), count(0, 0)),
            (node("ℹ tests 4\nℹ pass 3\nℹ fail 1\n"), count(3, 1)),
            (node("# pass 7\n# fail 0\n"), count(7, 0)),
            (closing_line("1 passed, 0 failed\nx\n 9 passed, 4 failed \n"), count(9, 4)),
            (closing_line("Traceback"), count(0, 1)),
        ] {
            assert_eq!(got, want);
        }
    }
}
