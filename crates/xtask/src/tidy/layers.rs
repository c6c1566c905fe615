//! Rules about who may know whom: the order of core's stages, and core's few dependencies.
//!
//! Decides by reading `use crate::…` and paths `crate::…` in core's sources; tests inside a file are code too.
//! Stage: tooling. Source: ARCHITECTURE.md, "Data flows one way".

use super::Source;

/// Core's stages in the order data flows: each may use those before it.
const STAGES: [&str; 8] = ["wire", "auth", "route", "limit", "policy", "attempt", "translate", "account"];

/// The machine above the stages: only the errors' table and the crate's root may know it.
const ABOVE: &str = "exchange";

/// What core may depend on. Each new name needs an argument in review.
const DEPENDENCIES: [&str; 10] = [
    "aes-gcm",
    "base64",
    "governor",
    "hashbrown",
    "memchr",
    "serde",
    "serde_json",
    "sha2",
    "subtle",
    "thiserror",
];

/// Uses of a later stage in `source`.
pub(super) fn breaches(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("crates/weir-core/src/") else {
        return Vec::new();
    };
    let own = inside.split(['/', '.']).next().unwrap_or_default();
    let Some(position) = STAGES.iter().position(|stage| *stage == own) else {
        return Vec::new();
    };
    let later = STAGES.iter().skip(position + 1).chain([&ABOVE]);
    later
        .flat_map(|stage| {
            uses(&source.text, stage)
                .map(move |line| format!("{}:{line}: `{own}` uses the later stage `{stage}`", source.path))
        })
        .collect()
}

/// The lines of code that name `crate::stage`.
fn uses<'a>(text: &'a str, stage: &'a str) -> impl Iterator<Item = usize> + 'a {
    let path = format!("crate::{stage}");
    text.lines().enumerate().filter_map(move |(at, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let rest = code.split_once(&path)?.1;
        let whole_name = !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        whole_name.then_some(at + 1)
    })
}

/// Dependencies of core that are not on the list.
pub(super) fn dependency_breaches(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut breaches = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]" {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !name.is_empty() && !name.starts_with('#') && !DEPENDENCIES.contains(&name) {
                breaches
                    .push(format!("crates/weir-core/Cargo.toml: `{name}` is not among core's dependencies"));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::{Source, breaches, dependency_breaches};

    #[test]
    fn only_earlier_stages_may_be_used() {
        for (path, text, count) in [
            ("wire/mod.rs", "use crate::auth::Caller;", 1),
            ("wire/mod.rs", "use crate::time::UnixMillis;", 0),
            ("wire/mod.rs", "// see crate::auth", 0),
            ("account/usage.rs", "use crate::wire::sse;", 0),
            ("account/usage.rs", "use crate::exchange::Exchange;", 1),
            ("route.rs", "fn f() { crate::limit::ask() }", 1),
            ("route.rs", "use crate::limits;", 0),
            ("exchange/mod.rs", "use crate::account::x;", 0),
        ] {
            let source = Source { path: format!("crates/weir-core/src/{path}"), text: text.to_owned() };
            assert_eq!(breaches(&source).len(), count, "{path}: {text}");
        }
    }

    #[test]
    fn a_new_dependency_of_core_is_named() {
        let manifest = "[dependencies]\nserde.workspace = true\nregex = \"1\"\n# why\n\n[dev-dependencies]\ninsta = \"1\"\n";
        assert_eq!(dependency_breaches(manifest).len(), 1);
    }
}
