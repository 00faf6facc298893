//! `diffidence rank` with a small model made for the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tiny_bundle::TinyBundle;

struct Bench {
    model: TinyBundle,
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            model: TinyBundle::averse_to_bad(),
            home: tempfile::tempdir().unwrap(),
        };
        for (name, added) in [
            ("a.patch", "x = bad + 1"),
            ("b.patch", "x = good + 2"),
            ("b again.patch", "x  =  good + 2"),
            ("c.patch", "y(3)"),
        ] {
            bench.write(name, &diff(added));
        }
        bench
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder().join(name), content).unwrap();
    }

    fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Exit code, output and errors.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_diffidence"))
            .current_dir(self.folder())
            .env("DIFFIDENCE_MODEL", self.model.dir())
            .env("DIFFIDENCE_CACHE_DIR", self.folder().join("cache"))
            .env("DIFFIDENCE_DATA_DIR", self.folder().join("data"))
            .env_remove("DIFFIDENCE_LOG")
            .arg("rank")
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

fn diff(added: &str) -> String {
    format!("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-x = 0\n+{added}\n")
}

#[test]
fn files_are_ranked_best_first_whatever_their_order() {
    let bench = Bench::new();
    // Of `a` and `b` six of ten tokens and one of three lines are the same, of each and `c` three of
    // twelve and one of three. Lines count twice.
    let expected = "\
1. b again.patch  87% likely correct · 58% agreement with the others
     the same: b.patch
2. c.patch  87% likely correct · 31% agreement with the others
3. a.patch  12% likely correct · 38% agreement with the others
first against second: score 87% against 87%; agreement with the other candidates 58% against 31%; both change the same files
";
    for order in [
        ["a.patch", "b.patch", "c.patch", "b again.patch"],
        ["c.patch", "b again.patch", "b.patch", "a.patch"],
    ] {
        let (code, out, errors) = bench.run(&order);
        assert_eq!((code, errors.as_str()), (0, ""));
        assert_eq!(out, expected);
    }
}

#[test]
fn json_lines_are_ranked_by_task_and_what_cannot_be_judged_is_listed() {
    let bench = Bench::new();
    let records = [
        json!({"id": 1, "task": "t", "patch": diff("bad")}),
        json!({"id": 2, "task": "u", "patch": diff("fine")}),
        json!({"id": 3, "task": "t", "patch": diff("fine")}),
        json!({"id": 4, "task": "t", "patch": "no diff"}),
    ];
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    bench.write("records.jsonl", &lines.join("\n"));
    let (code, out, _) = bench.run(&["--data", "records.jsonl", "--format", "json"]);
    assert_eq!(code, 2, "one candidate was not judged");
    let tasks: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&tasks[0]["task"], &tasks[1]["task"]),
        (&json!("t"), &json!("u"))
    );
    let ids: Vec<&Value> = tasks[0]["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| &candidate["id"])
        .collect();
    assert_eq!(ids, ["3", "1"]);
    assert_eq!(tasks[0]["failed"][0]["id"], "4");
    assert_eq!(tasks[1]["candidates"][0]["agreement"], Value::Null);
    assert_eq!(tasks[1]["first_against_second"], Value::Null);
}

#[test]
fn a_line_that_cannot_be_read_costs_no_other() {
    let bench = Bench::new();
    let [bad, good] = [diff("bad"), diff("fine")].map(|patch| json!({"id": patch, "patch": patch}));
    bench.write("records.jsonl", &format!("{bad}\n{{bad\n{good}\n"));
    let (code, out, errors) = bench.run(&["--data", "records.jsonl", "--format", "json"]);
    assert_eq!((code, errors.as_str()), (2, ""));
    let task: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(task["candidates"].as_array().unwrap().len(), 2);
    assert_eq!(task["failed"][0]["id"], "line 2");
    let reason = task["failed"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("not a JSON object"), "{reason}");
}

#[test]
fn what_the_model_cannot_judge_comes_last() {
    let bench = Bench::new();
    bench.write(
        "0.patch",
        "--- a/a.md\n+++ b/a.md\n@@ -1 +1 @@\n-one\n+two\n",
    );
    let (code, out, errors) = bench.run(&["0.patch", "a.patch"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(
        out,
        "1. a.patch  12% likely correct\n\
         last, as the model cannot judge it: 0.patch: prose, not code\n"
    );
    let (code, out, _) = bench.run(&["0.patch", "--format", "json"]);
    assert_eq!(code, 2, "nothing was judged");
    let task: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(task["candidates"], json!([]));
    assert_eq!(
        task["abstained"],
        json!([{"id": "0.patch", "probability": null,
            "abstained": {"code": "prose", "reason": "prose, not code"}}])
    );
}

#[test]
fn what_is_missing_is_said() {
    let bench = Bench::new();
    for (arguments, expected) in [
        (vec!["gone.patch"], "cannot read gone.patch"),
        (
            vec!["a.patch", "--task", "gone.md"],
            "cannot read the task description gone.md",
        ),
        (vec!["--data", "/dev/null"], "there are no candidates"),
        (vec![], "required"),
    ] {
        let (code, out, errors) = bench.run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
}
