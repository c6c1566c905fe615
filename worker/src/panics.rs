//! The test-only switch that shows what callers see when this module panics.
//!
//! Decides which requests panic: with the variable `WEIR_TEST_PANICS` at `true`, which no configuration of the
//! project sets, those whose address has the query member `weir-test-panic`. Stage: shell.

/// The variable that turns the switch on.
pub(crate) const VARIABLE: &str = "WEIR_TEST_PANICS";
/// The query member that asks for a panic.
const MEMBER: &str = "weir-test-panic";

/// Panics if the address asks for it and the switch is on; `is_on` is asked only then.
pub(crate) fn provoke(url: &str, is_on: impl FnOnce() -> bool) {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let asked = query.split('&').any(|member| member.split('=').next() == Some(MEMBER));
    assert!(!(asked && is_on()), "asked for by {MEMBER}");
}
