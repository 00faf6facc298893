//! Remembered logits on disk: one small file for each result, so that several programs share them.
//!
//! Invariant: an entry that is read is either whole and right, or treated as absent. Entries are
//! written beside their place and renamed into it, and carry a hash of their content, so neither a
//! kill in the middle nor a second writer can leave a wrong one. Losing an entry costs a
//! rescoring, so no failure here is an error to the user.

use super::key::CacheKey;
use crate::calibration::Logit;
use crate::model::PatchLogits;
use crate::sealed;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Part of the folder's name: entries of another layout are never read.
const LAYOUT: &str = "scores-v1";

#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    patch: Logit,
    hunks: Vec<Logit>,
    tokens: usize,
    truncated: bool,
}

impl Store {
    pub(super) fn new(cache_folder: &Path) -> Self {
        Self {
            folder: cache_folder.join(LAYOUT),
        }
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        let name = key.to_string();
        let (shelf, rest) = name.split_at(2);
        self.folder.join(shelf).join(rest)
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<PatchLogits> {
        let path = self.path(key);
        let content = fs::read_to_string(&path).ok()?;
        let Some(entry) = decode(&content, key) else {
            tracing::warn!(path = %path.display(), "dropped a damaged cache entry");
            drop(fs::remove_file(&path));
            return None;
        };
        // Eviction goes by age of last use.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            drop(file.set_modified(SystemTime::now()));
        }
        Some(PatchLogits {
            patch: entry.patch,
            hunks: entry.hunks,
            tokens: entry.tokens,
            truncated: entry.truncated,
        })
    }

    pub(super) fn put(&self, key: &CacheKey, logits: &PatchLogits) {
        if let Err(error) = self.try_put(key, logits) {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot remember a score");
        }
    }

    fn try_put(&self, key: &CacheKey, logits: &PatchLogits) -> std::io::Result<()> {
        let path = self.path(key);
        let shelf = path.parent().unwrap_or(&self.folder);
        let payload = serde_json::to_string(&Entry {
            patch: logits.patch,
            hunks: logits.hunks.clone(),
            tokens: logits.tokens,
            truncated: logits.truncated,
        })?;
        sealed::stage(shelf, &key.to_string(), &payload)?.persist(&path)?;
        Ok(())
    }

    /// Deletes the entries that were used longest ago until at most `max_bytes` are left.
    pub(super) fn evict(&self, max_bytes: u64) {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = files_below(&self.folder)
            .filter_map(|path| {
                let meta = fs::metadata(&path).ok()?;
                Some((meta.modified().ok()?, meta.len(), path))
            })
            .collect();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        entries.sort();
        for (_, bytes, path) in entries {
            if total <= max_bytes {
                break;
            }
            drop(fs::remove_file(path));
            total -= bytes;
        }
    }
}

fn files_below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let children = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    children(folder)
        .flat_map(move |shelf| children(&shelf.path()))
        .map(|entry| entry.path())
}

fn decode(content: &str, key: &CacheKey) -> Option<Entry> {
    let payload = sealed::open(content, &key.to_string())?;
    serde_json::from_str(payload).ok()
}
