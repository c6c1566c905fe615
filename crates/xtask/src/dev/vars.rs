//! `.dev.vars`: the secrets and settings of development, made once and kept.
//!
//! Decides which variables development needs and where each comes from. An administrator's token in the environment
//! wins; everything that stands in the file already is kept. Stage: tooling.
//! Source: wrangler's documentation, "Local development with secrets".

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The administrator's token unless the environment names one.
const ADMIN_TOKEN: &str = "weir-dev-admin-token";

/// Settings that the environment may give as well.
const FROM_ENVIRONMENT: [&str; 2] = ["WEIR_OIDC_ISSUER", "WEIR_OIDC_AUDIENCES"];

/// What `.dev.vars` says, in its order.
pub(crate) struct Vars {
    pairs: Vec<(String, String)>,
}

impl Vars {
    /// Reads the file, adds what is missing, and writes it back if that changed it.
    ///
    /// # Errors
    /// When it cannot be read or written, or the system gives no randomness.
    pub(crate) fn ensure(file: &Path) -> Result<Self> {
        let before = fs::read_to_string(file).unwrap_or_default();
        let mut vars = Self::parse(&before);
        vars.complete(std::env::var("WEIR_ADMIN_TOKEN").ok(), || random_base64(32))?;
        for name in FROM_ENVIRONMENT {
            if let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) {
                vars.set(name, value);
            }
        }
        let after = vars.text();
        if after != before {
            fs::write(file, after).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(vars)
    }

    /// The administrator's token.
    pub(crate) fn admin_token(&self) -> &str {
        self.get("WEIR_ADMIN_TOKEN").unwrap_or(ADMIN_TOKEN)
    }

    fn complete(
        &mut self,
        admin_token: Option<String>,
        seal_key: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        match admin_token.filter(|token| !token.is_empty()) {
            Some(token) => self.set("WEIR_ADMIN_TOKEN", token),
            None => self.default("WEIR_ADMIN_TOKEN", ADMIN_TOKEN),
        }
        if self.get("WEIR_SEAL_KEY").is_none() {
            self.set("WEIR_SEAL_KEY", seal_key()?);
        }
        self.default("WEIR_ALLOW_PRIVATE_UPSTREAMS", "true");
        self.default("WEIR_DEV", "true");
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|(known, _)| known == name);
        pair.map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((name.to_owned(), value)),
        }
    }

    fn default(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value.to_owned());
        }
    }

    fn parse(text: &str) -> Self {
        let pairs = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| {
                let value = value.trim();
                let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                (name.trim().to_owned(), bare.unwrap_or(value).to_owned())
            })
            .collect();
        Self { pairs }
    }

    fn text(&self) -> String {
        let mut text = String::from("# Development only; made by `cargo xtask dev`. Never commit it.\n");
        for (name, value) in &self.pairs {
            let _infallible = writeln!(text, "{name}=\"{value}\"");
        }
        text
    }
}

/// `length` random bytes in base64.
fn random_base64(length: usize) -> Result<String> {
    let mut bytes = vec![0; length];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("the system gives no randomness")?;
    Ok(base64(&bytes))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, at| word << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let six = usize::try_from(word >> shift & 63).unwrap_or(0);
            let letter = ALPHABET.get(six).copied().unwrap_or(b'=');
            text.push(if at > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Vars, base64};

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_stands_in_the_file_is_kept_and_the_environment_wins() {
        let made = |text: &str, token: Option<&str>| {
            let mut vars = Vars::parse(text);
            vars.complete(token.map(str::to_owned), || Ok("fresh".to_owned())).unwrap();
            vars
        };
        let first = made("", None);
        assert_eq!(first.admin_token(), "weir-dev-admin-token");
        assert_eq!(first.get("WEIR_SEAL_KEY"), Some("fresh"));
        assert_eq!(first.get("WEIR_DEV"), Some("true"));

        let kept = "WEIR_SEAL_KEY=\"old=\"\nWEIR_ADMIN_TOKEN=mine\nOTHER=1\n";
        let second = made(kept, None);
        assert_eq!(second.get("WEIR_SEAL_KEY"), Some("old="));
        assert_eq!(second.admin_token(), "mine");
        assert_eq!(second.get("OTHER"), Some("1"));
        assert_eq!(made(kept, Some("theirs")).admin_token(), "theirs");

        let again = made(&second.text(), None);
        assert_eq!(again.text(), second.text(), "completing twice changes nothing");
    }
}
