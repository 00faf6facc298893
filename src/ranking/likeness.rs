//! What of a patch must be equal for two to count as the same.

use crate::change::{LineKind, Patch};

/// A patch without what does not matter: context, positions, white space and the order of files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Normal(Vec<(String, Vec<(bool, String)>)>);

impl Normal {
    pub(super) fn of(patch: &Patch) -> Self {
        let files = patch.files.iter().map(|file| {
            let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
            let changed = lines.filter(|line| line.kind != LineKind::Context);
            let lines = changed.filter_map(|line| {
                let words: Vec<&str> = line.text.split_whitespace().collect();
                // A blank line more or less is white space, too.
                (!words.is_empty()).then(|| (line.kind == LineKind::Added, words.join(" ")))
            });
            (file.path().to_owned(), lines.collect())
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        Self(files)
    }
}
