//! Small files that are whole or do not count: text under a hash of itself and of its name.
//!
//! Invariant: a file is written beside its place and renamed into it, so neither a kill in the
//! middle nor a second writer can leave half a file, and whatever else damages one is noticed when
//! it is read. This module must not know what the text means.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes `payload`, which must hold no line break, for the file `name` into a temporary file in
/// `folder`, which is made if it is missing. Persist it at its place.
pub(crate) fn stage(folder: &Path, name: &str, payload: &str) -> io::Result<NamedTempFile> {
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    write!(file, "{}\n{payload}\n", seal(name, payload))?;
    Ok(file)
}

/// The payload of a file's content; `None` if it is damaged or was written for another name.
pub(crate) fn open<'a>(content: &'a str, name: &str) -> Option<&'a str> {
    let (sealed, payload) = content.strip_suffix('\n')?.split_once('\n')?;
    (sealed == seal(name, payload)).then_some(payload)
}

/// The name is part of the sealed content: a file copied to another name does not count.
fn seal(name: &str, payload: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(name);
    hash.update(payload);
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
