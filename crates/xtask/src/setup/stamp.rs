//! Stamps: small files that say for which inputs a thing was made, so that nothing is made twice.
//!
//! Decides equality of inputs by their content, never by their age. Stage: tooling.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Whether the thing that `stamp` stands for was made from `inputs`.
pub(crate) fn is_current(stamp: &Path, inputs: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|made_from| made_from == inputs)
}

/// Says that the thing was made from `inputs`.
///
/// # Errors
/// When the stamp cannot be written.
pub(crate) fn mark(stamp: &Path, inputs: &str) -> Result<()> {
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))
}

/// A number for the names and contents of files; folders count with all below them, except `build` folders.
/// Where the project lies does not count: a folder that was moved keeps its tools.
///
/// # Errors
/// When a file cannot be read. A path that does not exist counts as absent.
pub(crate) fn fingerprint(paths: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(path, &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    path.file_name().hash(hasher);
    if path.is_file() {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        content.hash(hasher);
    } else if path.is_dir() {
        let mut below: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        below.sort();
        for path in below {
            if !path.ends_with("build") {
                add(&path, hasher)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::fingerprint;

    #[test]
    fn a_fingerprint_changes_with_names_and_contents_only() {
        let folder = std::env::temp_dir().join(format!("weir-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let paths = [folder.clone()];
        fs::write(folder.join("a"), "1").unwrap();
        let first = fingerprint(&paths).unwrap();
        fs::write(folder.join("a"), "1").unwrap();
        assert_eq!(fingerprint(&paths).unwrap(), first, "written again");
        fs::write(folder.join("a"), "2").unwrap();
        let second = fingerprint(&paths).unwrap();
        assert_ne!(second, first, "other content");
        fs::rename(folder.join("a"), folder.join("b")).unwrap();
        assert_ne!(fingerprint(&paths).unwrap(), second, "other name");
        fs::remove_dir_all(&folder).unwrap();
    }
}
