//! What was said about hunks, from the command line: the real binary with a small model made for
//! the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use diffidence::calibration::{Logit, Probability};
use diffidence::change::{ChangeOptions, ChangeSet, FileChange, Patch};
use diffidence::review::{HunkId, Ignored, Label, Mark, Place, Reviews, Scope};
use serde_json::Value;
use std::process::Command;
use support::Repo;
use tiny_bundle::TinyBundle;

struct Bench {
    repo: Repo,
    model: TinyBundle,
    home: tempfile::TempDir,
    reviews: Reviews,
}

impl Bench {
    /// A repository with two changed hunks in `math.rs`.
    fn new() -> Self {
        let repo = Repo::new();
        let lines = |edited: &[usize]| -> String {
            (1..=30)
                .map(|n| {
                    let edit = if edited.contains(&n) {
                        " // edited"
                    } else {
                        ""
                    };
                    format!("let x{n} = {n};{edit}\n")
                })
                .collect()
        };
        repo.write("math.rs", lines(&[])).commit();
        repo.write("math.rs", lines(&[3, 20]));
        let home = tempfile::tempdir().unwrap();
        let reviews = Reviews::in_folder(Some(home.path().join("data")));
        Self {
            repo,
            model: TinyBundle::new(),
            home,
            reviews,
        }
    }

    /// Exit code, output and errors.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_diffidence"))
            .current_dir(self.repo.root())
            .env("DIFFIDENCE_MODEL", self.model.dir())
            .env("DIFFIDENCE_CACHE_DIR", self.home.path().join("cache"))
            .env("DIFFIDENCE_DATA_DIR", self.home.path().join("data"))
            .env_remove("DIFFIDENCE_LOG")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn check(&self, more: &[&str]) -> (i32, String) {
        let (code, out, err) = self.run(&[&["check", "--min-score", "1"], more].concat());
        assert_eq!(err, "");
        (code, out)
    }

    fn change(&self) -> FileChange {
        let set = ChangeSet::of(self.repo.root(), &ChangeOptions::default()).unwrap();
        set.patch().files.remove(0)
    }

    fn place(&self, id: HunkId) -> Place {
        Place::new(self.repo.root(), "math.rs", id)
    }

    fn ignore(&self, hunk: usize) {
        let mut change = self.change();
        let id = HunkId::of(&change, &change.hunks[hunk]);
        change.hunks = vec![change.hunks.remove(hunk)];
        let patch = Patch {
            files: vec![change],
        };
        self.reviews
            .ignore(&Ignored {
                place: self.place(id),
                patch: patch.to_unified(),
                time: "2024-01-01T00:00:00Z".into(),
            })
            .unwrap();
    }

    fn mark(&self, name: &str, label: Label, probability: f64) {
        let patch = Patch {
            files: vec![self.change()],
        };
        self.reviews
            .mark(&Mark {
                place: self.place(HunkId::named(name)),
                scope: Scope::File,
                label,
                patch: patch.to_unified(),
                task: Some("Make it \"right\".\n".into()),
                probability: Probability::new(probability).unwrap(),
                logit: Logit::new(probability).unwrap(),
                model: "m@1".into(),
                calibration: "c".into(),
                time: "2024-01-02T00:00:00Z".into(),
            })
            .unwrap();
    }
}

#[test]
fn check_leaves_ignored_hunks_out_unless_asked() {
    let bench = Bench::new();
    let (code, out) = bench.check(&[]);
    assert!(out.contains("2 hunks to check (below 100%)\n"), "{out}");
    assert_eq!(code, 1);

    bench.ignore(0);
    let (code, out) = bench.check(&[]);
    assert!(out.contains("1 of 2 hunks to check · 1 ignored"), "{out}");
    assert!(!out.contains("math.rs:3 "), "{out}");
    assert_eq!(code, 1);

    bench.ignore(1);
    let (code, out) = bench.check(&[]);
    assert!(out.contains("nothing below 100% · 2 ignored"), "{out}");
    assert_eq!(code, 0);

    // The second hunk moves and stays ignored; the first one becomes another.
    let text = String::from_utf8(bench.repo.read("math.rs")).unwrap();
    let moved = text.replace("let x3 = 3;", "// one\n// two\nlet x3 = 3;");
    bench.repo.write("math.rs", moved);
    let (_, out) = bench.check(&["--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let hunks = report["files"][0]["hunks"].as_array().unwrap();
    let flags: Vec<_> = hunks
        .iter()
        .map(|hunk| (hunk["first_line"].as_u64(), hunk["ignored"].as_bool()))
        .collect();
    assert_eq!(flags, [(Some(3), Some(false)), (Some(22), Some(true))]);

    let (code, out) = bench.check(&["--no-ignore"]);
    assert!(!out.contains("ignored"), "{out}");
    assert_eq!(code, 1);
}

#[test]
fn what_was_said_is_listed_and_taken_back() {
    let bench = Bench::new();
    let (code, out, _) = bench.run(&["review", "list"]);
    assert_eq!((code, out.as_str()), (0, "Nothing is ignored or marked.\n"));

    bench.ignore(0);
    bench.ignore(1);
    bench.mark("a", Label::Wrong, 0.25);
    let (_, out, _) = bench.run(&["review", "list"]);
    assert!(
        out.contains("    -let x3 = 3;\n    +let x3 = 3; // edited\n"),
        "{out}"
    );
    assert!(
        out.contains("  2024-01-02T00:00:00Z  file wrong  math.rs  in "),
        "{out}"
    );
    assert!(out.contains("    25% by m@1\n"), "{out}");

    let (_, out, _) = bench.run(&["review", "list", "--format", "json"]);
    assert_eq!(out.matches("\"id\":").count(), 3, "{out}");
    let listing: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listing["version"], 1);
    assert_eq!(listing["marks"][0]["label"], "wrong");
    let id = listing["ignored"][0]["id"].as_str().unwrap();

    let (code, out, _) = bench.run(&["review", "unignore", &id[..12]]);
    assert_eq!((code, out.as_str()), (0, "1 no longer ignored\n"));
    let (code, out, err) = bench.run(&["review", "unignore", &id[..12]]);
    assert_eq!((code, out.as_str()), (2, ""));
    let expected = format!(
        "error: no ignored hunk has the id {}: see `diffidence review list`\n",
        &id[..12]
    );
    assert_eq!(err, expected);
    let (_, out, _) = bench.run(&["review", "unignore", "--all"]);
    assert_eq!(out, "1 no longer ignored\n");
    let (_, out, _) = bench.run(&["review", "unmark", "--all"]);
    assert_eq!(out, "1 deleted\n");
    let (_, out, _) = bench.run(&["review", "list"]);
    assert_eq!(out, "Nothing is ignored or marked.\n");
    let (code, _, err) = bench.run(&["review", "unignore"]);
    assert_eq!(code, 2);
    assert!(err.contains("<ID|--all>"), "{err}");
}

#[test]
fn an_export_is_labelled_data_for_eval() {
    let bench = Bench::new();
    let (code, out, _) = bench.run(&["review", "export"]);
    assert_eq!((code, out.as_str()), (0, ""));

    for n in 0..12 {
        let label = if n % 3 == 0 {
            Label::Wrong
        } else {
            Label::Correct
        };
        bench.mark(&format!("m{n}"), label, f64::from(n) / 12.0);
    }
    let (_, out, _) = bench.run(&["review", "export"]);
    assert_eq!(out.lines().count(), 12);
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["problem"], "Make it \"right\".\n");
    let root = bench.repo.root().to_str().unwrap();
    assert!(!out.contains(root), "the folder's name is left out");

    let file = bench.home.path().join("marks.jsonl");
    let file = file.to_str().unwrap();
    let (_, out, _) = bench.run(&["review", "export", file]);
    assert_eq!(out, format!("12 marks in {file}\n"));
    let (code, out, err) = bench.run(&[
        "eval",
        "--data",
        file,
        "--format",
        "json",
        "--resamples",
        "20",
    ]);
    assert_eq!(code, 0, "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["overall"]["n"], 12, "{report:#}");
    assert_eq!(report["overall"]["positives"], 8, "{report:#}");

    let nowhere = bench.home.path().join("no/such/folder");
    let (code, _, err) = bench.run(&["review", "export", nowhere.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(err.starts_with("error: cannot write "), "{err}");
}

#[test]
fn damage_is_a_warning_and_costs_one_statement() {
    let bench = Bench::new();
    bench.mark("a", Label::Wrong, 0.25);
    bench.mark("b", Label::Correct, 0.75);
    let shelf = bench.home.path().join("data/review-v1/marks");
    let victim = std::fs::read_dir(shelf).unwrap().next().unwrap().unwrap();
    std::fs::write(victim.path(), "{").unwrap();
    let (code, out, err) = bench.run(&["review", "export"]);
    assert_eq!((code, out.lines().count()), (0, 1));
    assert!(err.contains("passed over a damaged statement"), "{err}");
    let (_, _, err) = bench.run(&["review", "export"]);
    assert_eq!(err, "");
}
