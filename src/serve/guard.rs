//! What a reward must not be given for, however high the model scores it.
//!
//! A policy that is trained on a score learns what raises it. Four ways to raise it without solving
//! the task are known beforehand: no patch or none that can be read, a patch that changes nothing,
//! one that edits the tests it will be judged by, and one so large that nobody reviews it.
//!
//! Invariant: a flag follows from the patch alone, so the same patch is flagged the same everywhere;
//! only whether a model can judge it is the model's to say. What is a test is `suite`'s to say.

use super::suite;
use crate::change::{FileChange, LineKind};
use serde::Serialize;

/// Why a patch is not rewarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Flag {
    /// There is no patch, or none that can be read.
    BadPatch,
    /// The patch changes no line of text.
    NothingToScore,
    /// The tests are touched, as [`suite`] knows.
    EditsTests,
    /// More lines are changed than [`Guard::max_changed_lines`].
    GiantPatch,
    /// The model has no ground to judge it, such as prose; it has no score either.
    CannotJudge,
}

/// The limits that flags follow from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Added and removed lines above which a patch is flagged.
    pub(super) max_changed_lines: usize,
}

impl Guard {
    /// What speaks against rewarding a patch that can be scored. `files` are all that it changes,
    /// also those without a line for the model: a test can be moved, given another mode or
    /// other bytes without one.
    pub(super) fn flags<'a>(self, files: impl Iterator<Item = &'a FileChange>) -> Vec<Flag> {
        let (mut changed, mut touches_tests) = (0, false);
        for file in files {
            let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
            changed += lines.filter(|line| line.kind != LineKind::Context).count();
            touches_tests |= suite::is_touched_by(file);
        }
        let giant = changed > self.max_changed_lines;
        [(touches_tests, Flag::EditsTests), (giant, Flag::GiantPatch)]
            .into_iter()
            .filter_map(|(holds, flag)| holds.then_some(flag))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::Prepared;

    #[test]
    fn what_is_flagged() {
        let guard = Guard {
            max_changed_lines: 3,
        };
        let edit = |path: &str| format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n");
        let add = |path: &str| format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+y\n");
        let delete = |path: &str| format!("--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-y\n");
        for (diff, flags) in [
            (edit("src/a.py"), vec![]),
            (edit("tests/test_a.py"), vec![Flag::EditsTests]),
            (delete("tests/test_a.py"), vec![Flag::EditsTests]),
            (add("tests/test_a.py"), vec![]),
            (add("conftest.py"), vec![Flag::EditsTests]),
            (edit("pyproject.toml"), vec![]),
            ([edit("a"), edit("b")].concat(), vec![Flag::GiantPatch]),
            (
                [edit("a"), edit("tests/b")].concat(),
                vec![Flag::EditsTests, Flag::GiantPatch],
            ),
        ] {
            let prepared = Prepared::of(&diff).unwrap();
            assert_eq!(guard.flags(prepared.files()), flags, "{diff}");
        }
    }

    #[test]
    fn tests_that_change_without_a_line_of_text_count() {
        let guard = Guard {
            max_changed_lines: 9,
        };
        let code = "--- a/shop.py\n+++ b/shop.py\n@@ -1 +1 @@\n-x\n+y\n";
        let check = |old: &str, new: &str, header: &str, expect: &[Flag]| {
            let file = format!("diff --git a/{old} b/{new}\n{header}");
            for diff in [format!("{code}{file}"), format!("{file}{code}")] {
                let prepared = Prepared::of(&diff).unwrap();
                assert_eq!(guard.flags(prepared.files()), expect, "{diff}");
            }
        };
        let moved = |old: &str, new: &str, expect: &[Flag]| {
            let header = format!("similarity index 100%\nrename from {old}\nrename to {new}\n");
            check(old, new, &header, expect);
        };
        let kept = |path: &str, header: &str, expect: &[Flag]| check(path, path, header, expect);
        let flagged = &[Flag::EditsTests];
        let deleted = "deleted file mode 100644\nindex e69de29..0000000\n";
        let added = "new file mode 100644\nindex 0000000..e69de29\n";
        let mode = "old mode 100644\nnew mode 100755\n";
        let differ = "index 1111111..2222222 100644\nBinary files a/x and b/x differ\n";
        let bytes = "index 1111111..2222222 100644\nGIT binary patch\nliteral 3\nKcmZQz\n\n";
        moved("tests/test_a.py", "old/a.py", flagged);
        moved("a.py", "b.py", &[]);
        moved("a.py", "tests/test_a.py", &[]);
        moved("a.py", "conftest.py", flagged);
        kept("tests/__init__.py", deleted, flagged);
        kept("a/__init__.py", deleted, &[]);
        kept("tests/__init__.py", added, &[]);
        kept("tests/test_a.py", mode, flagged);
        kept("a.sh", mode, &[]);
        kept("tests/data.bin", differ, flagged);
        kept("tests/data.bin", bytes, flagged);
        kept("a.bin", bytes, &[]);
    }
}
