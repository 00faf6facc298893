//! Every kind of changed file has a defined result, and the editor and the command line agree on it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use diffidence::calibration::Probability;
use diffidence::scoring::hunks_to_check;
use serde_json::{Value, json};
use std::path::Path;
use support::Repo;
use support::program::{Editor, program};
use tiny_bundle::TinyBundle;

const BASE: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
const EDITED: &str = "one\ntwo\n3\nfour\nfive\nsix\n";
const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:";

/// What both must say.
enum Said {
    Scored { hunks: usize },
    Nothing,
    Skipped(&'static str),
}

struct Bench {
    model: TinyBundle,
    cache: tempfile::TempDir,
}

impl Bench {
    fn command(&self) -> std::process::Command {
        let mut command = program(self.cache.path());
        command.env("DIFFIDENCE_MODEL", self.model.dir());
        command
    }

    /// What `diffidence check` says of the file, as the lens would say it.
    fn checked(&self, root: &Path, path: &str) -> (Option<String>, usize) {
        let output = self
            .command()
            .args(["check", "--format", "json", "-C"])
            .arg(root)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let files = report["files"].as_array().unwrap();
        let mut found = files.iter().filter(|file| file["path"] == path);
        let file = found.next();
        assert!(found.next().is_none(), "{path} is there twice");
        let Some(file) = file else {
            return (None, 0);
        };
        match file["outcome"].as_str().unwrap() {
            "unchanged" => (None, 0),
            "scored" => {
                let hunks = file["hunks"].as_array().unwrap();
                let low = hunks.iter().filter(|hunk| hunk["low"] == true).count();
                let probability = Probability::new(file["probability"].as_f64().unwrap()).unwrap();
                let to_check = hunks_to_check(low, hunks.len());
                let title = format!("{probability} likely correct · {to_check}");
                (Some(title), hunks.len())
            }
            _ => {
                let reason = file["reason"].as_str().unwrap();
                (Some(format!("not scored: {reason}")), 0)
            }
        }
    }

    /// What the lens says of the file in an editor that holds what is on the disk.
    fn shown(&self, path: &Path) -> Option<String> {
        let mut command = self.command();
        command.arg("lsp");
        let mut editor = Editor::start(command, json!({}));
        let bytes = std::fs::read(path).unwrap_or_default();
        editor.open(path, &String::from_utf8_lossy(&bytes));
        // Looks begin in order and two at a time, and scores come in order, so by the time that
        // these are scored it has been looked at.
        for number in 0..3 {
            let later = path.with_file_name(format!("later{number}.rs"));
            editor.open(&later, "x\n");
            editor.until_lens(&later, |title| {
                title.is_some_and(|title| title.contains("likely correct"))
            });
        }
        let title = editor.lens(path);
        editor.goodbye();
        title
    }
}

#[track_caller]
fn check(what: &str, root: &Path, path: &str, expected: &Said) {
    let bench = Bench {
        model: TinyBundle::new(),
        cache: tempfile::tempdir().unwrap(),
    };
    let (checked, hunks) = bench.checked(root, path);
    match (expected, &checked) {
        (Said::Nothing, None) => {}
        (Said::Scored { hunks: expected }, Some(title)) => {
            assert!(title.contains("likely correct"), "{what}: {title}");
            assert_eq!(hunks, *expected, "{what}");
        }
        (Said::Skipped(reason), Some(title)) => {
            assert!(title.starts_with("not scored: "), "{what}: {title}");
            assert!(title.contains(reason), "{what}: {title}");
        }
        (_, checked) => panic!("{what}: {checked:?}"),
    }
    assert_eq!(bench.shown(&root.join(path)), checked, "{what}");
}

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("a.rs", BASE)
        .write("crlf.rs", BASE.replace('\n', "\r\n"))
        .write("lfs.bin", format!("{LFS}0\nsize 1\n"))
        .write("binary.bin", b"\0\x01\xff\n")
        .write("large.rs", "x\n")
        .commit();
    repo
}

fn check_here(what: &str, path: &str, expected: &Said, prepare: impl FnOnce(&Repo)) {
    let repo = repository();
    prepare(&repo);
    check(what, repo.root(), path, expected);
}

#[test]
fn an_untracked_file() {
    check_here("untracked", "new.rs", &Said::Scored { hunks: 1 }, |repo| {
        repo.write("new.rs", "new\n");
    });
}

#[test]
fn a_renamed_file() {
    let edited = Said::Scored { hunks: 1 };
    check_here("renamed and edited", "sub/b.rs", &edited, |repo| {
        repo.rename("a.rs", "sub/b.rs").write("sub/b.rs", EDITED);
        repo.add();
    });
    check_here("only renamed", "sub/b.rs", &Said::Nothing, |repo| {
        repo.rename("a.rs", "sub/b.rs").add();
    });
}

#[test]
fn a_staged_file() {
    check_here("staged", "a.rs", &Said::Scored { hunks: 1 }, |repo| {
        repo.write("a.rs", EDITED).add();
    });
    check_here("staged, then taken back", "a.rs", &Said::Nothing, |repo| {
        repo.write("a.rs", EDITED).add().write("a.rs", BASE);
    });
}

#[test]
fn other_line_endings_only() {
    check_here("LF to CRLF", "a.rs", &Said::Nothing, |repo| {
        repo.write("a.rs", BASE.replace('\n', "\r\n"));
    });
    check_here("CRLF to LF", "crlf.rs", &Said::Nothing, |repo| {
        repo.write("crlf.rs", BASE);
    });
    let edited = Said::Scored { hunks: 1 };
    check_here("LF to CRLF with an edit", "a.rs", &edited, |repo| {
        repo.write("a.rs", EDITED.replace('\n', "\r\n"));
    });
}

#[test]
fn a_conflict() {
    check_here("conflict", "a.rs", &Said::Skipped("conflict"), |repo| {
        repo.git(&["checkout", "--quiet", "-b", "other"]);
        repo.write("a.rs", EDITED).commit();
        repo.git(&["checkout", "--quiet", "main"]);
        repo.write("a.rs", BASE.replace("three", "drei")).commit();
        assert!(!repo.try_git(&["merge", "--quiet", "other"]));
    });
}

#[test]
fn a_file_in_a_submodule() {
    let inner = repository();
    let outer = Repo::new();
    let url = inner.root().to_str().unwrap();
    outer.git(&["submodule", "--quiet", "add", url, "sub"]);
    outer.commit();
    let sub = Repo::at(outer.path("sub"));
    sub.isolate();
    sub.write("a.rs", EDITED);
    let scored = Said::Scored { hunks: 1 };
    check("in a submodule", sub.root(), "a.rs", &scored);
}

#[test]
fn a_file_in_a_linked_work_tree() {
    let main = repository();
    let linked = Repo::at(main.linked_worktree("linked"));
    linked.write("a.rs", EDITED);
    let scored = Said::Scored { hunks: 1 };
    check("in a linked work tree", linked.root(), "a.rs", &scored);
}

#[test]
fn files_that_are_no_text() {
    check_here("LFS pointer", "lfs.bin", &Said::Skipped("LFS"), |repo| {
        repo.write("lfs.bin", format!("{LFS}1\nsize 2\n"));
    });
    check_here("binary", "binary.bin", &Said::Skipped("binary"), |repo| {
        repo.write("binary.bin", b"\0\x02\xff\n");
    });
}

#[test]
fn a_file_of_10_megabytes() {
    let said = Said::Skipped("limit");
    check_here("10 MB", "large.rs", &said, |repo| {
        repo.write("large.rs", "let x = 1;\n".repeat(1_000_000));
    });
}
