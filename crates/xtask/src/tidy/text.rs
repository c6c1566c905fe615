//! Rules about a single file's text: how long it may be, and that it says what it is for.
//!
//! Decides the limits and lists the exceptions with their reasons. Stage: tooling.

use super::Source;

/// Lines a file may have. Longer files hold more than one decision.
const LINES_MAX: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: [(&str, &str); 0] = [];

/// Whether the rules are about this file: hand-written code, not data.
pub(super) fn is_source(path: &str) -> bool {
    let code = [".rs", ".js", ".mjs", ".ts", ".py"];
    code.iter().any(|end| path.ends_with(end))
}

/// What is wrong with the text of `source`.
pub(super) fn breaches(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    let lines = source.text.lines().count();
    let excepted = LONGER.iter().any(|(path, _)| *path == source.path);
    if lines > LINES_MAX && !excepted {
        breaches.push(format!(
            "{}: {lines} lines, {LINES_MAX} at most: split it by what it decides",
            source.path
        ));
    }
    if !opens_with_doc(source) {
        breaches.push(format!(
            "{}: does not open with what it is for ({})",
            source.path,
            if is_rust(source) { "`//!`" } else { "a comment" }
        ));
    }
    breaches
}

fn is_rust(source: &Source) -> bool {
    source.path.split('.').next_back() == Some("rs")
}

fn opens_with_doc(source: &Source) -> bool {
    let mut lines = source.text.lines().filter(|line| !line.starts_with("#!/"));
    let Some(first) = lines.next() else {
        // An empty `__init__.py` says nothing because it is nothing.
        return !is_rust(source);
    };
    if is_rust(source) {
        return first.starts_with("//!");
    }
    ["//", "/*", "#", "\"\"\""].iter().any(|start| first.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::{Source, breaches};

    #[test]
    fn long_files_and_files_without_a_purpose_are_named() {
        let long = "//! Doc.\n".to_owned() + &"\n".repeat(500);
        for (path, text, count) in [
            ("a.rs", "//! Doc.\n", 0),
            ("a.rs", "fn main() {}\n", 1),
            ("a.rs", long.as_str(), 1),
            ("a.rs", "", 1),
            ("a.mjs", "// What it does.\n", 0),
            ("a.mjs", "import x from 'y';\n", 1),
            ("a.py", "#!/usr/bin/env python3\n\"\"\"What.\"\"\"\n", 0),
            ("__init__.py", "", 0),
        ] {
            let source = Source { path: path.to_owned(), text: text.to_owned() };
            assert_eq!(breaches(&source).len(), count, "{path}");
        }
    }
}
