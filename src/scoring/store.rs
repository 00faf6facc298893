//! Remembered logits on disk: one small file for each result, so that several programs share them.
//!
//! Invariant: an entry that is read is either whole and right, or treated as absent. Entries are
//! written beside their place and renamed into it, and carry a hash of their content, so neither a
//! kill in the middle nor a second writer can leave a wrong one. Losing an entry costs a
//! rescoring, so no failure here is an error to the user. The store never outgrows its size: each
//! new entry makes room on its own shelf, so nobody has to remember to clean up.

use super::key::CacheKey;
use crate::model::PatchLogits;
use crate::sealed;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder's name: entries of another layout are never read. Another one whenever
/// [`PatchLogits`] changes.
const LAYOUT: &str = "scores-v3";

/// The layout before this one, which would otherwise stay on the disk for good.
const FORMER_LAYOUT: &str = "scores-v2";

/// Entries of one shelf above which the least recently used go. Keys are hashes, so the 256
/// shelves fill evenly: about 25,000 entries in all, or 100 MB on a disk with blocks of 4 KB.
const SHELF_ENTRIES: usize = 100;

#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
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
        let Some(logits) = decode(&content, key) else {
            tracing::warn!(path = %path.display(), "dropped a damaged cache entry");
            drop(fs::remove_file(&path));
            return None;
        };
        // Eviction goes by age of last use.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            drop(file.set_modified(SystemTime::now()));
        }
        Some(logits)
    }

    pub(super) fn put(&self, key: &CacheKey, logits: &PatchLogits) {
        if let Err(error) = self.try_put(key, logits) {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot remember a score");
        }
    }

    fn try_put(&self, key: &CacheKey, logits: &PatchLogits) -> std::io::Result<()> {
        let path = self.path(key);
        let shelf = path.parent().unwrap_or(&self.folder);
        let payload = serde_json::to_string(logits)?;
        sealed::stage(shelf, &key.to_string(), &payload)?.persist(&path)?;
        trim(shelf, SHELF_ENTRIES);
        // Here and not at the start, which nobody should wait for.
        drop(fs::remove_dir_all(
            self.folder.with_file_name(FORMER_LAYOUT),
        ));
        Ok(())
    }
}

/// Deletes the files of a shelf that were used longest ago until at most `most` are left. Another
/// program may do the same at the same time; a file that is gone already is as good as deleted.
fn trim(shelf: &Path, most: usize) {
    let entries = || fs::read_dir(shelf).into_iter().flatten().flatten();
    let excess = entries().count().saturating_sub(most);
    if excess == 0 {
        return;
    }
    let mut by_age: Vec<(SystemTime, PathBuf)> = entries()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    by_age.sort();
    for (_, path) in by_age.into_iter().take(excess) {
        drop(fs::remove_file(path));
    }
}

fn decode(content: &str, key: &CacheKey) -> Option<PatchLogits> {
    let payload = sealed::open(content, &key.to_string())?;
    serde_json::from_str(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{Logit, Probability};
    use crate::model::ModelIdentity;
    use crate::scoring::sample::request;
    use std::time::Duration;

    #[test]
    fn entries_of_the_layout_before_go_with_the_first_write() {
        let folder = tempfile::tempdir().unwrap();
        let former = folder.path().join(FORMER_LAYOUT);
        fs::create_dir_all(former.join("ab")).unwrap();
        let store = Store::new(folder.path());
        assert!(former.exists());
        let identity = ModelIdentity {
            name: "m".into(),
            version: "1".into(),
            bundle_hash: "h".into(),
            renderer: "patch@1".into(),
        };
        let key = CacheKey::of(&identity, &request("a"));
        let logits = PatchLogits {
            patch: Logit::new(1.0).unwrap(),
            hunks: vec![],
            suspects: vec![],
            tokens: 1,
            truncated: false,
            read: Probability::ONE,
        };
        store.put(&key, &logits);
        assert_eq!(store.get(&key), Some(logits));
        assert!(!former.exists());
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        for age in 0..5_u64 {
            let path = folder.path().join(age.to_string());
            fs::write(&path, "x").unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age);
            file.set_modified(time).unwrap();
        }
        trim(folder.path(), 5);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
        trim(folder.path(), 2);
        let left = fs::read_dir(folder.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["0", "1"]);
    }
}
