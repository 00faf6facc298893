//! Where a bundle is made before it is one: a folder beside its place.
//!
//! Invariants: a bundle is at its place whole or not at all, and nothing is replaced; what a program
//! that was interrupted left behind is removed by the next. This room must not know what a bundle is
//! made of.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Begins the name of such a folder.
const PREFIX: &str = ".making-";

/// A folder in which nothing was written for so long is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder that is gone with it, unless it becomes a bundle.
#[derive(Debug)]
pub(super) struct Staging(TempDir);

impl Staging {
    /// In the folder where `place` will be, which is made if it is not there.
    pub(super) fn beside(place: &Path) -> io::Result<Self> {
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent)?;
        sweep(parent, SystemTime::now() - ABANDONED);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        Ok(Self(folder))
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Makes it what is at `place`, where nothing may be.
    pub(super) fn finish(self, place: &Path) -> io::Result<()> {
        fs::rename(self.folder(), place).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something else was put there meanwhile; it is left as it is",
            ),
            _ => error,
        })
    }
}

/// Removes folders of this kind in which nothing was written since `then`, as far as it can.
fn sweep(parent: &Path, then: SystemTime) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && path.is_dir() && last_written(&path).is_some_and(|at| at < then) {
            // Whatever stays is tried again by the next.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// When a folder or a file in it was written last.
fn last_written(folder: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(folder).ok()?.flatten();
    let times = files.map(|file| file.metadata().and_then(|it| it.modified()));
    let own = fs::metadata(folder).and_then(|it| it.modified());
    times.chain([own]).flatten().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn there_is_a_whole_bundle_or_none() {
        let home = tempfile::tempdir().unwrap();
        let parent = home.path().join("models");
        let made = |text: &str| {
            let staging = Staging::beside(&parent.join("a")).unwrap();
            fs::write(staging.folder().join("bundle.json"), text).unwrap();
            staging
        };
        drop(made("given up"));
        assert!(names(&parent).is_empty());
        let (first, second) = (made("first"), made("second"));
        first.finish(&parent.join("a")).unwrap();
        let error = second.finish(&parent.join("a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(&parent), ["a"]);
        let text = fs::read_to_string(parent.join("a/bundle.json")).unwrap();
        assert_eq!(text, "first");
    }

    #[test]
    fn what_was_abandoned_is_removed() {
        let home = tempfile::tempdir().unwrap();
        for name in [".making-old", "model", ".other"] {
            fs::create_dir(home.path().join(name)).unwrap();
            fs::write(home.path().join(name).join("weights"), "x").unwrap();
        }
        sweep(home.path(), SystemTime::now() - Duration::from_secs(60));
        assert_eq!(names(home.path()), [".making-old", ".other", "model"]);
        sweep(home.path(), SystemTime::now() + Duration::from_secs(60));
        assert_eq!(names(home.path()), [".other", "model"]);
    }
}
