//! One folder of statements, one small file each, so that several programs share them.
//!
//! Invariant: damage to one file costs that statement and no other. A damaged file is set aside
//! under another name, with a warning, and not read again.

use crate::sealed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Ending of the names of files that were damaged.
const DAMAGED: &str = "damaged";

#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// On the disk before it returns: what a user said is not recomputed like a score.
    pub(super) fn put(&self, name: &str, statement: &impl Serialize) -> io::Result<()> {
        let payload = serde_json::to_string(statement)?;
        let file = sealed::stage(&self.folder, name, &payload)?;
        file.as_file().sync_all()?;
        file.persist(self.folder.join(name))?;
        // The name is safe once the folder is; not every system can do that.
        drop(fs::File::open(&self.folder).and_then(|folder| folder.sync_all()));
        Ok(())
    }

    /// What is there under `name`; damage counts as nothing.
    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let path = self.folder.join(name);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let statement = std::str::from_utf8(&content)
            .ok()
            .and_then(|content| sealed::open(content, name))
            .and_then(|payload| serde_json::from_str(payload).ok());
        if statement.is_none() {
            set_aside(&path);
        }
        Ok(statement)
    }

    /// Whether there was one.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.folder.join(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Everything that is whole, by name.
    pub(super) fn all<T: DeserializeOwned>(&self) -> io::Result<Vec<(String, T)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            // Anything else is unfinished, set aside, or not ours.
            if let Ok(name) = entry?.file_name().into_string()
                && is_name(&name)
            {
                names.push(name);
            }
        }
        names.sort();
        let mut all = Vec::new();
        for name in names {
            if let Some(statement) = self.get(&name)? {
                all.push((name, statement));
            }
        }
        Ok(all)
    }

    /// Whether nothing was ever put here, which is so for most users and quick to find out.
    pub(super) fn is_missing(&self) -> bool {
        !self.folder.exists()
    }
}

fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn set_aside(path: &Path) {
    tracing::warn!(path = %path.display(), "passed over a damaged statement");
    drop(fs::rename(path, path.with_extension(DAMAGED)));
}
