//! Remembers which large files had the right hash, so that a model of many gigabytes starts at once.
//!
//! Invariant: a stamp counts only for a file with the size and the time of change that it had when
//! it was hashed; any other is hashed again. Damage that leaves both as they are is found by
//! `diffidence model verify`, which hashes everything.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Beside the files that it speaks of; not part of a bundle, and not missed.
const FILE: &str = "stamps.json";

/// A file that had this hash when it was of this size and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    file: String,
    sha256: String,
    bytes: u64,
    /// Since 1970.
    nanoseconds: u64,
}

impl Stamp {
    /// None if the system does not tell when files change.
    pub(super) fn new(file: &str, sha256: &str, metadata: &Metadata) -> Option<Self> {
        let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        // A change within the same tick as the reading would not be seen.
        let settled = SystemTime::now().duration_since(metadata.modified().ok()?);
        settled.ok().filter(|age| age.as_secs() >= 2)?;
        Some(Self {
            file: file.into(),
            sha256: sha256.into(),
            bytes: metadata.len(),
            nanoseconds: since.as_nanos().try_into().ok()?,
        })
    }

    /// Whether it is among those in a folder.
    pub(super) fn is_in(&self, dir: &Path) -> bool {
        read(dir).contains(self)
    }

    /// Keeps it in a folder. A folder that cannot be written to costs time later, and nothing else.
    pub(super) fn keep(self, dir: &Path) {
        let mut stamps = read(dir);
        stamps.retain(|stamp| stamp.file != self.file);
        stamps.push(self);
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(&serde_json::to_vec_pretty(&stamps)?)?;
            file.persist(dir.join(FILE))?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::debug!("no stamps in {}: {error}", dir.display());
        }
    }
}

fn read(dir: &Path) -> Vec<Stamp> {
    let bytes = std::fs::read(dir.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn a_stamp_counts_for_an_unchanged_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let path = dir.join("weights");
        let written = |bytes: &[u8], age: u64| {
            std::fs::write(&path, bytes).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
            std::fs::metadata(&path).unwrap()
        };
        let stamp = |metadata| Stamp::new("weights", "abc", &metadata);
        assert_eq!(stamp(written(b"one", 0)), None, "too fresh to be sure");
        let old = stamp(written(b"one", 100)).unwrap();
        assert!(!old.is_in(dir));
        old.clone().keep(dir);
        assert!(old.is_in(dir));
        for other in [written(b"two", 90), written(b"longer", 100)] {
            assert!(!stamp(other).unwrap().is_in(dir));
        }
        let other = Stamp {
            sha256: "def".into(),
            ..old
        };
        assert!(!other.is_in(dir));
        std::fs::write(dir.join(FILE), "[{").unwrap();
        assert!(!other.is_in(dir));
    }
}
