//! Results by content: in memory over the store that programs share.

use super::key::CacheKey;
use super::store::Store;
use crate::model::PatchLogits;
use dashmap::DashMap;
use std::path::PathBuf;

/// Entries kept in memory before it is emptied; a few hundred bytes each, and the store still has them.
const MEMORY_ENTRIES: usize = 20_000;

/// Remembered logits. Shared between threads.
#[derive(Debug, Default)]
pub struct Cache {
    memory: DashMap<CacheKey, PatchLogits>,
    store: Option<Store>,
}

impl Cache {
    /// Remembers only while the process lives.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Remembers in `folder` too. A folder that cannot be written costs rescoring, nothing else.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            memory: DashMap::new(),
            store: Some(Store::new(&folder)),
        }
    }

    /// The folder that the platform has for caches: `DIFFIDENCE_CACHE_DIR`, or `diffidence` below
    /// the user's cache folder.
    #[must_use]
    pub fn default_folder() -> Option<PathBuf> {
        std::env::var_os("DIFFIDENCE_CACHE_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(dirs::cache_dir()?.join("diffidence")))
    }

    /// What is remembered under `key`.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> Option<PatchLogits> {
        if let Some(found) = self.memory.get(key) {
            return Some(found.clone());
        }
        let found = self.store.as_ref()?.get(key)?;
        self.memory.insert(*key, found.clone());
        Some(found)
    }

    /// Remembers `logits` under `key`.
    pub fn put(&self, key: CacheKey, logits: &PatchLogits) {
        if let Some(store) = &self.store {
            store.put(&key, logits);
        }
        if self.memory.len() >= MEMORY_ENTRIES {
            self.memory.clear();
        }
        self.memory.insert(key, logits.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{Logit, Probability};
    use crate::model::{ModelIdentity, SuspectLine};
    use crate::scoring::sample::request;
    use std::fs;
    use std::path::Path;

    fn key(text: &str) -> CacheKey {
        let identity = ModelIdentity {
            name: "m".into(),
            version: "1".into(),
            bundle_hash: "h".into(),
            renderer: "patch@1".into(),
        };
        CacheKey::of(&identity, &request(text))
    }

    fn logits(value: f64) -> PatchLogits {
        PatchLogits {
            patch: Logit::new(value).unwrap(),
            hunks: vec![Logit::new(-value).unwrap()],
            suspects: vec![vec![SuspectLine {
                line: 1,
                share: Probability::new(0.6).unwrap(),
            }]],
            tokens: 3,
            truncated: false,
            read: Probability::ONE,
        }
    }

    fn only_file(folder: &Path) -> PathBuf {
        let mut paths = vec![folder.to_path_buf()];
        while let Some(path) = paths.pop() {
            if path.is_file() {
                return path;
            }
            paths.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        panic!("no file below {}", folder.display());
    }

    #[test]
    fn a_second_process_finds_what_the_first_remembered() {
        let folder = tempfile::tempdir().unwrap();
        Cache::in_folder(folder.path().into()).put(key("a"), &logits(1.5));
        let second = Cache::in_folder(folder.path().into());
        assert_eq!(second.get(&key("a")), Some(logits(1.5)));
        assert_eq!(second.get(&key("b")), None);
    }

    #[test]
    fn a_damaged_entry_is_absent_and_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        Cache::in_folder(folder.path().into()).put(key("a"), &logits(1.5));
        let path = only_file(folder.path());
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(
                Cache::in_folder(folder.path().into()).get(&key("a")),
                None,
                "{cut}"
            );
        }
        let cache = Cache::in_folder(folder.path().into());
        cache.put(key("a"), &logits(2.0));
        assert_eq!(
            Cache::in_folder(folder.path().into()).get(&key("a")),
            Some(logits(2.0))
        );
    }

    #[test]
    fn an_entry_under_a_foreign_name_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path().into());
        cache.put(key("a"), &logits(1.5));
        let from = only_file(folder.path());
        let name = key("b").to_string();
        let to = folder.path().join("scores-v2").join(&name[..2]);
        fs::create_dir_all(&to).unwrap();
        fs::copy(from, to.join(&name[2..])).unwrap();
        assert_eq!(cache.get(&key("b")), None);
    }

    #[test]
    fn line_numbers_do_not_matter_and_content_does() {
        let mut moved = request("a");
        moved.patch.files[0].hunks[0].new.start = 9;
        let identity = ModelIdentity {
            name: "m".into(),
            version: "1".into(),
            bundle_hash: "h".into(),
            renderer: "patch@1".into(),
        };
        assert_eq!(CacheKey::of(&identity, &moved), key("a"));
        let mut with_task = request("a");
        with_task.task = Some(String::new());
        assert_ne!(CacheKey::of(&identity, &with_task), key("a"));
        assert_ne!(key("a"), key("b"));
    }
}
