//! What a reward must not be given for, however high the model scores it.
//!
//! A policy that is trained on a score learns what raises it. Four ways to raise it without solving
//! the task are known beforehand: no patch or none that can be read, a patch that changes nothing,
//! one that edits the tests it will be judged by, and one so large that nobody reviews it.
//!
//! Invariant: a flag follows from the patch alone, so the same patch is flagged the same everywhere;
//! only whether a model can judge it is the model's to say.

use crate::change::{FileChange, LineKind, Patch};
use serde::Serialize;

/// Why a patch is not rewarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Flag {
    /// There is no patch, or none that can be read.
    BadPatch,
    /// The patch changes no line of text.
    NothingToScore,
    /// A test that was there before is edited, moved or deleted, or what runs the tests is changed.
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
    /// What speaks against rewarding a patch that can be scored.
    pub(super) fn flags(self, patch: &Patch) -> Vec<Flag> {
        let changed = patch.hunks().flat_map(|(_, hunk)| &hunk.lines);
        let changed = changed.filter(|line| line.kind != LineKind::Context);
        let giant = changed.count() > self.max_changed_lines;
        let edits_tests = patch.files.iter().any(edits_tests);
        [(edits_tests, Flag::EditsTests), (giant, Flag::GiantPatch)]
            .into_iter()
            .filter_map(|(holds, flag)| holds.then_some(flag))
            .collect()
    }
}

/// A new test is welcome; a change of an old one is not, nor any of what decides how tests run.
fn edits_tests(file: &FileChange) -> bool {
    file.old_path.as_deref().is_some_and(is_test) || runs_tests(file.path())
}

/// Whether a path is that of a test, as the usual layouts of the common languages name them.
fn is_test(path: &str) -> bool {
    const FOLDERS: [&str; 7] = [
        "test",
        "tests",
        "testing",
        "spec",
        "specs",
        "__tests__",
        "testdata",
    ];
    let mut folders = path.split('/');
    let name = folders.next_back().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let low = stem.to_ascii_lowercase();
    folders.any(|folder| FOLDERS.contains(&folder.to_ascii_lowercase().as_str()))
        || low == "test"
        || low == "tests"
        || low.starts_with("test_")
        || low.ends_with("_test")
        || low.ends_with("_tests")
        || low.ends_with("_spec")
        // JavaScript's a.test.ts and a.spec.ts, Java's and C#'s FooTest and FooTests.
        || name.contains(".test.")
        || name.contains(".spec.")
        || stem.ends_with("Test")
        || stem.ends_with("Tests")
        || runs_tests(path)
}

/// Files that change what running the tests means.
fn runs_tests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(
        name,
        "conftest.py" | "pytest.ini" | "tox.ini" | "sitecustomize.py"
    ) || ["jest.config.", "vitest.config.", "karma.conf."]
        .iter()
        .any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(diff: &str) -> Patch {
        Patch::from_unified(diff.as_bytes()).unwrap()
    }

    #[test]
    fn tests_are_known_by_their_path() {
        for path in [
            "tests/a.py",
            "src/Tests/a.cs",
            "pkg/testdata/in.json",
            "a/test_b.py",
            "b_test.go",
            "web/a.spec.ts",
            "a.test.js",
            "src/FooTest.java",
            "spec/models/a.rb",
            "conftest.py",
            "web/jest.config.js",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in [
            "latest.py",
            "src/contest.rs",
            "inspect.py",
            "src/attestation/a.go",
            "protest.md",
        ] {
            assert!(!is_test(path), "{path}");
        }
    }

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
            ([edit("a"), edit("b")].concat(), vec![Flag::GiantPatch]),
            (
                [edit("a"), edit("tests/b")].concat(),
                vec![Flag::EditsTests, Flag::GiantPatch],
            ),
        ] {
            assert_eq!(guard.flags(&patch(&diff)), flags, "{diff}");
        }
    }
}
