//! Command-line words: flags, values, and a complaint about what nobody asked for.
//!
//! Decides only how words are taken; each command names its own flags. Stage: tooling.

use anyhow::{Context as _, Result, bail};

/// The words after `cargo xtask`, taken one by one by the command that knows them.
pub(crate) struct Args {
    words: Vec<String>,
}

impl Args {
    /// From the process's own words, without the program's name.
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self { words: words.collect() }
    }

    /// The command: the first word, if there is one.
    pub(crate) fn command(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Whether `--name` was given.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() != before
    }

    /// The value of `--name VALUE` or `--name=VALUE`.
    ///
    /// # Errors
    /// When the name is the last word.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let prefix = format!("{name}=");
        if let Some(at) = self.words.iter().position(|word| word.starts_with(&prefix)) {
            let word = self.words.remove(at);
            return Ok(word.strip_prefix(&prefix).map(str::to_owned));
        }
        let Some(at) = self.words.iter().position(|word| word == name) else {
            return Ok(None);
        };
        self.words.remove(at);
        if at >= self.words.len() {
            bail!("{name} needs a value");
        }
        Ok(Some(self.words.remove(at)))
    }

    /// The number given with `--name`.
    ///
    /// # Errors
    /// When it is not a whole number in range.
    pub(crate) fn port(&mut self, name: &str) -> Result<Option<u16>> {
        self.value(name)?
            .map(|text| {
                text.parse::<u16>().with_context(|| format!("{name} {text}: give a port from 1 to 65535"))
            })
            .transpose()
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// When a word is left that no command took.
    pub(crate) fn done(self) -> Result<()> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => bail!("unknown argument `{word}`; `cargo xtask help` lists the commands"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(words: &str) -> Args {
        Args::new(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn takes_flags_and_values_in_any_order() {
        for words in ["dev --port 9000 --ephemeral", "dev --ephemeral --port=9000"] {
            let mut args = args(words);
            assert_eq!(args.command().as_deref(), Some("dev"), "{words}");
            assert!(args.flag("--ephemeral"), "{words}");
            assert_eq!(args.port("--port").unwrap(), Some(9000), "{words}");
            args.done().unwrap();
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for words in ["dev --port", "dev --port x", "dev --port 70000", "dev --prot 1"] {
            let mut args = args(words);
            args.command();
            let refused = args.port("--port").is_err() || args.done().is_err();
            assert!(refused, "{words}");
        }
    }
}
