//! All statements, on disk, shared by every program of the user.
//!
//! Invariant: of several statements of one kind about the same content in the same work tree the
//! last one counts.

use super::hunk_id::HunkId;
use super::shelf::Shelf;
use super::statement::{Ignored, Mark, Place};
use crate::change::FileChange;
use crate::scoring::key::Fields;
use serde::Serialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Part of the folder's name: statements of another layout are never read.
const LAYOUT: &str = "review-v1";

/// Names a statement among those of its kind: SHA-256, in hexadecimal, over work tree and content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EntryId(String);

/// A statement with its name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry<T> {
    /// Its name.
    pub id: EntryId,
    /// What was said.
    #[serde(flatten)]
    pub statement: T,
}

/// Why a statement was not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The platform has no folder for data.
    #[error("no folder for data is known: set DIFFIDENCE_DATA_DIR to one")]
    NoFolder,
    /// The folder cannot be read or written.
    #[error("cannot use {}: {error}", folder.display())]
    Folder {
        /// The folder with all statements.
        folder: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The store of statements. Cheap: nothing is read before it is asked for.
#[derive(Debug)]
pub struct Reviews {
    shelves: Option<Shelves>,
}

#[derive(Debug)]
struct Shelves {
    folder: PathBuf,
    ignored: Shelf,
    marks: Shelf,
}

impl Reviews {
    /// Below `folder`; `None` if there is none, and then nothing can be said.
    #[must_use]
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        let shelves = folder.map(|folder| {
            let folder = folder.join(LAYOUT);
            Shelves {
                ignored: Shelf::new(folder.join("ignored")),
                marks: Shelf::new(folder.join("marks")),
                folder,
            }
        });
        Self { shelves }
    }

    /// The folder that the platform has for data: `DIFFIDENCE_DATA_DIR`, or `diffidence` below the
    /// user's data folder.
    #[must_use]
    pub fn default_folder() -> Option<PathBuf> {
        std::env::var_os("DIFFIDENCE_DATA_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(dirs::data_local_dir()?.join("diffidence")))
    }

    fn with<T>(&self, act: impl FnOnce(&Shelves) -> io::Result<T>) -> Result<T, ReviewError> {
        let shelves = self.shelves.as_ref().ok_or(ReviewError::NoFolder)?;
        act(shelves).map_err(|error| ReviewError::Folder {
            folder: shelves.folder.clone(),
            error,
        })
    }

    /// From now on the hunk is not shown as low.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn ignore(&self, ignored: &Ignored) -> Result<EntryId, ReviewError> {
        let id = EntryId::of(&ignored.place);
        self.with(|shelves| shelves.ignored.put(&id.0, ignored))?;
        Ok(id)
    }

    /// Takes an ignore back. Whether there was one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn unignore(&self, id: &EntryId) -> Result<bool, ReviewError> {
        self.with(|shelves| shelves.ignored.remove(&id.0))
    }

    /// Keeps the user's word on a change.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn mark(&self, mark: &Mark) -> Result<EntryId, ReviewError> {
        let id = EntryId::of(&mark.place);
        self.with(|shelves| shelves.marks.put(&id.0, mark))?;
        Ok(id)
    }

    /// Takes a mark back. Whether there was one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn unmark(&self, id: &EntryId) -> Result<bool, ReviewError> {
        self.with(|shelves| shelves.marks.remove(&id.0))
    }

    /// All ignored hunks, the oldest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn ignored(&self) -> Result<Vec<Entry<Ignored>>, ReviewError> {
        let mut all = entries(self.with(|shelves| shelves.ignored.all::<Ignored>())?);
        all.sort_by(|a, b| a.statement.time.cmp(&b.statement.time));
        Ok(all)
    }

    /// All marks, the oldest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn marks(&self) -> Result<Vec<Entry<Mark>>, ReviewError> {
        let mut all = entries(self.with(|shelves| shelves.marks.all::<Mark>())?);
        all.sort_by(|a, b| a.statement.time.cmp(&b.statement.time));
        Ok(all)
    }

    /// For each hunk of `change` whether it is ignored in the work tree at `root`. What cannot be
    /// read is not ignored: to show too much is the safe side.
    #[must_use]
    pub fn ignored_of(&self, root: &Path, change: &FileChange) -> Vec<bool> {
        let shelf = self.shelves.as_ref().map(|shelves| &shelves.ignored);
        let Some(shelf) = shelf.filter(|shelf| !shelf.is_missing()) else {
            return vec![false; change.hunks.len()];
        };
        let is_ignored = |id: HunkId| {
            let place = Place::new(root, change.path(), id);
            match shelf.get::<Ignored>(&EntryId::of(&place).0) {
                Ok(found) => found.is_some(),
                Err(error) => {
                    tracing::warn!(%error, "cannot read whether a hunk is ignored");
                    false
                }
            }
        };
        let ids = change.hunks.iter().map(|hunk| HunkId::of(change, hunk));
        ids.map(is_ignored).collect()
    }
}

fn entries<T>(found: Vec<(String, T)>) -> Vec<Entry<T>> {
    found
        .into_iter()
        .map(|(name, statement)| Entry {
            id: EntryId(name),
            statement,
        })
        .collect()
}

impl EntryId {
    /// The name of a statement about `place`.
    #[must_use]
    pub fn of(place: &Place) -> Self {
        let mut hash = Fields::default();
        hash.text(&place.root);
        hash.text(place.content.as_str());
        Self(hash.hex())
    }

    /// The first digits, which are enough for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// Whether it begins with these digits.
    #[must_use]
    pub fn starts_with(&self, digits: &str) -> bool {
        self.0.starts_with(digits)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{Logit, Probability};
    use crate::change::Patch;
    use crate::review::{Label, Scope};
    use proptest::prelude::*;
    use std::fs;
    use tempfile::TempDir;

    fn place(name: &str) -> Place {
        Place::new(Path::new("/r"), "a.rs", HunkId::named(name))
    }

    fn ignored(name: &str) -> Ignored {
        Ignored {
            place: place(name),
            patch: format!("+{name}\n"),
            time: super::super::now(),
        }
    }

    fn mark(name: &str, label: Label) -> Mark {
        Mark {
            place: place(name),
            scope: Scope::Hunk,
            label,
            patch: "+x\n".into(),
            task: None,
            probability: Probability::new(0.3).unwrap(),
            logit: Logit::new(-0.1).unwrap(),
            model: "m@1".into(),
            calibration: "c".into(),
            time: "2024-01-01T00:00:00Z".into(),
        }
    }

    fn store() -> (TempDir, Reviews) {
        let folder = tempfile::tempdir().unwrap();
        let reviews = Reviews::in_folder(Some(folder.path().join("data")));
        (folder, reviews)
    }

    fn names(reviews: &Reviews) -> Vec<String> {
        let all = reviews.ignored().unwrap();
        let mut names: Vec<String> = all
            .into_iter()
            .map(|entry| entry.statement.place.content.to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_said_is_found_by_another_program_and_can_be_taken_back() {
        let (folder, reviews) = store();
        assert_eq!(reviews.ignored().unwrap(), []);
        let id = reviews.ignore(&ignored("a")).unwrap();
        reviews.ignore(&ignored("b")).unwrap();
        let other = Reviews::in_folder(Some(folder.path().join("data")));
        assert_eq!(names(&other), ["a", "b"]);
        assert!(other.unignore(&id).unwrap());
        assert!(!reviews.unignore(&id).unwrap());
        assert_eq!(names(&reviews), ["b"]);
    }

    #[test]
    fn the_last_word_on_a_change_counts() {
        let (_folder, reviews) = store();
        reviews.mark(&mark("a", Label::Correct)).unwrap();
        let id = reviews.mark(&mark("a", Label::Wrong)).unwrap();
        let all = reviews.marks().unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].statement, mark("a", Label::Wrong));
        assert!(reviews.unmark(&id).unwrap());
        assert_eq!(reviews.marks().unwrap(), []);
    }

    #[test]
    fn an_ignored_hunk_is_known_in_its_work_tree_only() {
        let (_folder, reviews) = store();
        let diff = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n+d\n";
        let change = Patch::from_unified(diff).unwrap().files.remove(0);
        let root = Path::new("/r");
        assert_eq!(reviews.ignored_of(root, &change), [false, false]);
        let id = HunkId::of(&change, &change.hunks[1]);
        let statement = Ignored {
            place: Place::new(root, "x", id),
            ..ignored("")
        };
        reviews.ignore(&statement).unwrap();
        assert_eq!(reviews.ignored_of(root, &change), [false, true]);
        let elsewhere = Path::new("/s");
        assert_eq!(reviews.ignored_of(elsewhere, &change), [false, false]);
    }

    #[test]
    fn without_a_folder_it_says_what_to_do() {
        let reviews = Reviews::in_folder(None);
        let error = reviews.ignore(&ignored("a")).unwrap_err().to_string();
        assert_eq!(
            error,
            "no folder for data is known: set DIFFIDENCE_DATA_DIR to one"
        );
    }

    #[test]
    fn what_a_killed_writer_left_is_passed_over() {
        let (folder, reviews) = store();
        reviews.ignore(&ignored("a")).unwrap();
        let shelf = folder.path().join("data").join(LAYOUT).join("ignored");
        fs::write(shelf.join(".tmpAbCdEf"), "half").unwrap();
        assert_eq!(names(&reviews), ["a"]);
    }

    fn path_of(folder: &TempDir, name: &str) -> PathBuf {
        let shelf = folder.path().join("data").join(LAYOUT).join("ignored");
        shelf.join(EntryId::of(&place(name)).to_string())
    }

    #[test]
    fn a_file_cut_off_anywhere_costs_only_itself() {
        let (folder, reviews) = store();
        reviews.ignore(&ignored("a")).unwrap();
        reviews.ignore(&ignored("b")).unwrap();
        let path = path_of(&folder, "a");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(names(&reviews), ["b"], "{cut}");
            assert!(!path.exists(), "set aside");
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(names(&reviews), ["a", "b"]);
    }

    proptest! {
        // Each case waits for the disk.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_damage_costs_only_what_it_hit(
            count in 1usize..6,
            hit in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let (folder, reviews) = store();
            let all: Vec<String> = (0..count).map(|n| format!("h{n}")).collect();
            for name in &all {
                reviews.ignore(&ignored(name)).unwrap();
            }
            let victim = hit.get(&all);
            let path = path_of(&folder, victim);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            let is_damage = bytes[at] != byte;
            bytes[at] = byte;
            fs::write(&path, bytes).unwrap();
            let left: Vec<String> = all
                .iter()
                .filter(|name| !(is_damage && *name == victim))
                .cloned()
                .collect();
            prop_assert_eq!(names(&reviews), left);
        }
    }
}
