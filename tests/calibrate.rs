//! `diffidence calibrate` with a small model made for the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use diffidence::calibration::{Logit, Probability};
use diffidence::review::{HunkId, Label, Mark, Place, Reviews, Scope};
use serde_json::{Value, json};
use std::process::Command;
use support::Repo;
use tiny_bundle::TinyBundle;

struct Bench {
    repo: Repo,
    model: TinyBundle,
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let repo = Repo::new();
        repo.write("a.rs", "one\n").commit();
        repo.write("a.rs", "fine\n");
        Self {
            repo,
            model: TinyBundle::averse_to_bad(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Exit code and everything that was printed.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_diffidence"))
            .current_dir(self.repo.root())
            .env("DIFFIDENCE_MODEL", self.model.dir())
            .env("DIFFIDENCE_CACHE_DIR", self.home.path().join("cache"))
            .env("DIFFIDENCE_DATA_DIR", self.data())
            .env_remove("DIFFIDENCE_LOG")
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }

    fn data(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    /// The model says 12% where `bad` is added and 87% elsewhere. Here every third of the first and
    /// two of three of the others are right; `count` records, each a task of its own.
    fn records(&self, count: usize, labelled: bool) -> String {
        let lines: String = (0..count)
            .map(|index| {
                let is_bad = index % 2 == 0;
                let is_right = (index / 2 % 3 == 0) == is_bad;
                let word = if is_bad { "bad" } else { "good" };
                let patch =
                    format!("--- a/f{index}.rs\n+++ b/f{index}.rs\n@@ -1 +1 @@\n-x\n+{word}\n");
                let mut record = json!({"id": index, "patch": patch});
                if labelled {
                    record["label"] = u8::from(is_right).into();
                }
                format!("{record}\n")
            })
            .collect();
        let path = self.home.path().join("records.jsonl");
        std::fs::write(&path, lines).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Calibration and probability of the change in the work tree.
    fn checked(&self) -> (String, f64) {
        let (_, report) = self.run(&["check", "--format", "json", "--fail-on", "never"]);
        let report: Value = serde_json::from_str(&report).unwrap();
        let probability = report["files"][0]["probability"].as_f64().unwrap();
        (
            report["calibration"].as_str().unwrap().to_owned(),
            probability,
        )
    }

    fn mark(&self, scope: Scope, count: usize, is_right: impl Fn(usize) -> bool) {
        let reviews = Reviews::in_folder(Some(self.data()));
        for index in 0..count {
            let content = HunkId::named(&format!("{index:04}"));
            let label = if is_right(index) {
                Label::Correct
            } else {
                Label::Wrong
            };
            let mark = Mark {
                place: Place::new(self.repo.root(), &format!("f{index}.rs"), content),
                scope,
                label,
                patch: String::new(),
                task: None,
                probability: Probability::HALF,
                logit: Logit::new(if index % 2 == 0 { -2.0 } else { 1.9 }).unwrap(),
                model: "tiny@0.0.1".into(),
                calibration: "tiny".into(),
                time: "2026-01-01T00:00:00Z".into(),
            };
            reviews.mark(&mark).unwrap();
        }
    }
}

#[test]
fn labels_make_a_calibration_that_counts_until_it_is_undone() {
    let bench = Bench::new();
    let (id, probability) = bench.checked();
    assert_eq!(id, "tiny");
    assert!((probability - 0.87).abs() < 0.01, "{probability}");
    let data = bench.records(240, true);
    let (code, said) = bench.run(&["calibrate", "--data", &data, "--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("patches: 240 labels, 50% correct"), "{said}");
    assert!(said.contains("Platt"), "{said}");
    assert_eq!(bench.checked().0, "tiny", "it was a dry run");

    let (code, said) = bench.run(&["calibrate", "--data", &data]);
    assert_eq!(code, 0, "{said}");
    let (id, probability) = bench.checked();
    assert!(id.starts_with("local-"), "{id}");
    assert!((probability - 2.0 / 3.0).abs() < 0.02, "{probability}");
    let (_, doctor) = bench.run(&["doctor"]);
    assert!(doctor.contains(&id), "{doctor}");

    let (code, said) = bench.run(&["calibrate", "--data", &data]);
    assert_eq!(code, 1, "what was fitted is not made better: {said}");
    assert!(said.contains("it would not help"), "{said}");

    for expected in ["back to the calibration", "no calibration of your own"] {
        let (code, said) = bench.run(&["calibrate", "--undo"]);
        assert_eq!(code, 0);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(bench.checked().0, "tiny");
}

#[test]
fn what_cannot_be_fitted_is_said_and_changes_nothing() {
    let bench = Bench::new();
    let data = bench.records(30, true);
    let (code, said) = bench.run(&["calibrate", "--data", &data]);
    assert_eq!(code, 2);
    let needed = "too few: it takes 50 for intercept, 200 for Platt, 1000 for beta";
    assert!(said.contains(needed), "{said}");
    assert!(said.contains("nothing could be fitted"), "{said}");
    let data = bench.records(80, false);
    let (code, said) = bench.run(&["calibrate", "--data", &data]);
    assert_eq!(code, 2);
    assert!(said.contains("no scored patch with a label"), "{said}");
    let (code, said) = bench.run(&["calibrate", "--marks"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("nothing was marked with tiny@0.0.1 yet"),
        "{said}"
    );
    let (code, said) = bench.run(&["calibrate", "--data", "/nowhere.jsonl"]);
    assert_eq!(code, 2);
    assert!(said.contains("cannot read /nowhere.jsonl"), "{said}");
    let (code, _) = bench.run(&["calibrate"]);
    assert_eq!(code, 2, "it must be told from what");
    assert_eq!(bench.checked().0, "tiny");
}

#[test]
fn marks_of_hunks_calibrate_hunks() {
    let bench = Bench::new();
    // Low scores are right as often as high ones: nine of ten.
    bench.mark(Scope::Hunk, 120, |index| index % 10 != 0);
    let (code, said) = bench.run(&["calibrate", "--marks"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("hunks: 120 labels, 90% correct"), "{said}");
    assert!(said.contains("intercept"), "{said}");
    assert!(bench.checked().0.starts_with("local-"));
}

#[test]
fn what_was_not_fitted_stays_uncalibrated() {
    let bench = Bench::new();
    let json = String::from_utf8(bench.model.read("calibration.json")).unwrap();
    let json = json.replace("\"tiny\"", "\"uncalibrated\"");
    bench.model.write("calibration.json", json.as_bytes());
    bench.model.rehash();
    assert_eq!(bench.checked().0, "uncalibrated");
    let data = bench.records(80, false);
    let (code, said) = bench.run(&["calibrate", "--data", &data, "--unlabelled"]);
    assert_eq!(code, 2);
    assert!(said.contains("uncalibrated says nothing"), "{said}");

    // The label of a patch with two hunks is none of its hunks'.
    let data = bench.records(240, true);
    let second = "@@ -9 +9 @@\\n-y\\n+z\\n";
    let lines = std::fs::read_to_string(&data).unwrap();
    let two = lines.replace("bad\\n", &format!("bad\\n{second}"));
    let two = two.replace("good\\n", &format!("good\\n{second}"));
    std::fs::write(&data, two).unwrap();
    let (code, said) = bench.run(&["calibrate", "--data", &data]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("hunks: 240"), "{said}");
    assert!(said.contains("still hunks uncalibrated"), "{said}");
    let id = bench.checked().0;
    assert!(id.ends_with(" (hunks uncalibrated)"), "{id}");
    let (_, said) = bench.run(&["check"]);
    assert!(said.contains("tiny@0.0.1, hunks uncalibrated"), "{said}");

    // That of a patch with one hunk is.
    std::fs::write(&data, lines).unwrap();
    let (code, said) = bench.run(&["calibrate", "--data", &data]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("hunks: 240 labels, 50% correct"), "{said}");
    let id = bench.checked().0;
    assert!(!id.contains("uncalibrated"), "{id}");
}

#[test]
fn without_labels_only_the_prior_moves() {
    let bench = Bench::new();
    let data = bench.records(80, false);
    // Half of the scores are 12% and half 87%: as at the prior of one half.
    let (_, said) = bench.run(&["calibrate", "--data", &data, "--unlabelled"]);
    assert!(
        said.contains("80 patches without labels: the prior goes from 50% to 49%"),
        "{said}"
    );
    let data = bench.records(10, false);
    let (code, said) = bench.run(&["calibrate", "--data", &data, "--unlabelled"]);
    assert_eq!(code, 2);
    assert!(said.contains("it takes 50"), "{said}");
}

#[test]
fn a_damaged_calibration_is_said_and_not_used() {
    let bench = Bench::new();
    let data = bench.records(240, true);
    bench.run(&["calibrate", "--data", &data]);
    let folder = bench.data().join("calibrations");
    let file = std::fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(&file, "{").unwrap();
    let (code, said) = bench.run(&["check"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("the calibration that came with the model is used"),
        "{said}"
    );
    assert!(said.contains("calibrate --undo"), "{said}");
    let (code, _) = bench.run(&["calibrate", "--undo"]);
    assert_eq!(code, 0);
    assert_eq!(bench.checked().0, "tiny");
}
