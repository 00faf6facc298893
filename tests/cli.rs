//! The program as a user runs it: the real binary in real repositories, with a small model made
//! for the test, and once with the bundled one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use support::Repo;
use support::program::{Editor, program};
use tiny_bundle::{FILES, TinyBundle};

const BASE: &str = "fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n";
const EDITED: &str = "fn add(a: i32, b: i32) -> i32 {\n    a - b\n}\n";

struct Output {
    code: i32,
    out: String,
    err: String,
}

struct Bench {
    repo: Repo,
    model: TinyBundle,
    cache: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let repo = Repo::new();
        repo.write("math.rs", BASE).commit();
        Self {
            repo,
            model: TinyBundle::new(),
            cache: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.cache.path());
        command
            .current_dir(self.repo.root())
            .env("DIFFIDENCE_MODEL", self.model.dir())
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        finish(self.command(arguments), input)
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["check", "--format", "json"], arguments].concat());
        serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{}", output.err))
    }
}

fn finish(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // The program may end before it has read everything.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    Output {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Nothing on standard output, one line on standard error that contains `message`, and 2.
#[track_caller]
fn check_refused(output: &Output, message: &str) {
    assert_eq!(output.out, "");
    assert!(output.err.contains(message), "{}", output.err);
    assert_eq!(output.err.lines().count(), 1, "{}", output.err);
    assert_eq!(output.code, 2);
}

#[test]
fn a_clean_work_tree_says_so_and_needs_no_model() {
    let bench = Bench::new();
    std::fs::remove_file(bench.model.file("trunk.gguf")).unwrap();
    let output = bench.run(&["check"]);
    assert!(
        output.out.starts_with("No changes against HEAD ("),
        "{}",
        output.out
    );
    assert_eq!((output.code, output.err.as_str()), (0, ""));
}

#[test]
fn an_edit_is_scored_and_the_threshold_decides_the_exit_code() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED);
    let high = bench.run(&["check", "--min-score", "1"]);
    assert_eq!(high.code, 1);
    assert!(high.out.contains("math.rs:2  "), "{}", high.out);
    assert!(
        high.out.contains("    -    a + b\n    +    a - b\n"),
        "{}",
        high.out
    );
    assert!(
        high.out
            .contains("1 file, 1 hunk scored: 1 hunk to check (below 100%)")
    );
    let low = bench.run(&["check", "--min-score", "0"]);
    assert_eq!(low.code, 0);
    assert!(
        low.out.contains("1 file, 1 hunk scored: nothing below 0%"),
        "{}",
        low.out
    );
}

#[test]
fn the_json_report_lists_every_changed_file_once() {
    let bench = Bench::new();
    bench
        .repo
        .write("math.rs", EDITED)
        .write("Cargo.lock", "version = 4\n")
        .write("new file.py", "x = 1\n")
        .write("blob.bin", b"\0\0".as_slice());
    let report = bench.report(&[]);
    assert_eq!(report["version"], 1);
    let files = report["files"].as_array().unwrap();
    let seen: Vec<(&str, &str)> = files
        .iter()
        .map(|file| {
            (
                file["path"].as_str().unwrap(),
                file["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("Cargo.lock", "skipped"),
            ("blob.bin", "skipped"),
            ("math.rs", "scored"),
            ("new file.py", "scored"),
        ]
    );
    let hunk = &files[2]["hunks"][0];
    let lines = [
        &hunk["first_line"],
        &hunk["last_line"],
        &hunk["new_start"],
        &hunk["new_lines"],
    ];
    assert_eq!(lines.map(|line| line.as_u64().unwrap()), [2, 2, 1, 3]);
    let p = files[2]["probability"].as_f64().unwrap();
    assert!(p > 0.0 && p < 1.0);
    assert_eq!(files[2]["cached"], false);
    assert_eq!(bench.report(&[])["files"][2]["cached"], true);
    assert_eq!(bench.report(&["--no-cache"])["files"][2]["cached"], false);
}

#[test]
fn what_the_model_cannot_judge_has_no_score_in_any_format() {
    let bench = Bench::new();
    bench
        .repo
        .write("notes.md", "words\n")
        .write("Main.hs", "x = 1\n");
    std::fs::remove_file(bench.model.file("trunk.gguf")).unwrap();
    // The model is not even loaded, and what it cannot judge is not low.
    let text = bench.run(&["check", "--min-score", "1"]);
    assert_eq!((text.code, text.err.as_str()), (0, ""), "{}", text.out);
    assert!(
        text.out.starts_with(
            "Main.hs  cannot judge: the model was not trained on Haskell\n\
             notes.md  cannot judge: prose, not code\n\n\
             Nothing was scored · 2 that the model cannot judge\n"
        ),
        "{}",
        text.out
    );
    let files = &bench.report(&[])["files"];
    assert_eq!(
        files[1],
        json!({"path": "notes.md", "outcome": "abstained", "status": "added",
            "probability": null,
            "abstained": {"code": "prose", "reason": "prose, not code"}})
    );
    let sarif = bench.run(&["check", "--format", "sarif"]);
    let log: Value = serde_json::from_str(&sarif.out).unwrap();
    assert_eq!(log["runs"][0]["results"], json!([]));
    let notifications = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(notifications[0]["descriptor"]["id"], "abstained");
    let github = bench.run(&["check", "--format", "github"]);
    assert!(
        github
            .out
            .contains("cannot judge notes.md: prose, not code\n")
    );
    assert!(!text.out.contains("50% likely") && !github.out.contains("::"));
    // The model is asked all the same if somebody wants to know what it says.
    let forced = bench.run(&["check", "--no-abstain"]);
    assert_eq!(forced.code, 2);
    assert!(forced.err.contains("trunk.gguf"), "{}", forced.err);
    // Whoever asks for one file is told that there is no answer.
    assert_eq!(bench.run(&["check", "notes.md"]).code, 2);
    assert_eq!(bench.run(&["check", "."]).code, 0);
}

#[test]
fn what_a_text_shows_by_itself_is_told_in_every_format_and_leaves_the_score_alone() {
    let bench = Bench::new();
    let clean = bench.report(&[]);
    assert_eq!(clean["files"], json!([]));
    let broken = "fn add(a: i32, b: i32) -> i32 {\n    dbg!(a) + (b\n}\n";
    bench.repo.write("math.rs", broken);
    let with = bench.report(&[]);
    let file = &with["files"][0];
    let checks = file["checks"].as_array().unwrap();
    let codes: Vec<&Value> = checks.iter().map(|check| &check["code"]).collect();
    assert!(codes.contains(&&json!("syntax")), "{checks:?}");
    assert!(
        checks
            .iter()
            .all(|check| check["line"].as_u64().unwrap() >= 2)
    );

    let text = bench.run(&["check", "--quiet"]);
    assert!(
        text.out.contains("  syntax: the file parsed before"),
        "{}",
        text.out
    );
    assert!(text.out.contains("found by static checks"), "{}", text.out);
    let github = bench.run(&["check", "--format", "github"]);
    assert!(
        github.out.contains("::error file=math.rs,line="),
        "{}",
        github.out
    );
    assert!(
        github.out.contains(",title=diffidence syntax::"),
        "{}",
        github.out
    );
    let sarif = bench.run(&["check", "--format", "sarif"]);
    let log: Value = serde_json::from_str(&sarif.out).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let syntax = results.iter().find(|result| result["ruleId"] == "syntax");
    let syntax = syntax.unwrap();
    assert_eq!(syntax["level"], "error");
    let rule = syntax["ruleIndex"].as_u64().unwrap() as usize;
    assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], "syntax");

    // The score and the end are what they are without.
    bench
        .repo
        .write("diffidence.toml", "staticChecks = false\n");
    let without = bench.report(&[]);
    let file_without = &without["files"][1];
    assert_eq!(file_without["path"], "math.rs");
    assert!(file_without.get("checks").is_none());
    assert_eq!(file_without["probability"], file["probability"]);
    assert_eq!(bench.run(&["check"]).code, text.code);
}

#[test]
fn machine_formats_point_at_the_changed_lines() {
    let bench = Bench::new();
    bench
        .repo
        .write("math.rs", EDITED)
        .write("Cargo.lock", "version = 4\n");
    let run = |format| bench.run(&["check", "--min-score", "1", "--format", format]);
    let sarif = run("sarif");
    assert_eq!(sarif.code, 1, "{}", sarif.err);
    let log: Value = serde_json::from_str(&sarif.out).unwrap();
    let result = &log["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "math.rs");
    assert_eq!(place["region"], json!({"startLine": 2, "endLine": 2}));
    let github = run("github");
    assert_eq!(github.code, 1, "{}", github.err);
    assert!(
        github.out.contains(" file=math.rs,line=2,endLine=2,"),
        "{}",
        github.out
    );
    assert!(
        github.out.contains("skipped Cargo.lock: "),
        "{}",
        github.out
    );
}

#[test]
fn low_scores_fail_only_if_asked_to() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED).write("Cargo.lock", "");
    let low = ["check", "--min-score", "1"];
    let run = |more: &[&str]| bench.run(&[&low, more].concat());
    assert_eq!(run(&["--fail-on", "low"]).code, 1);
    let never = run(&["--fail-on", "never"]);
    assert_eq!((never.code, never.out), (0, run(&[]).out));
    let unknown = run(&["--fail-on", "never", "--base", "no-such"]);
    assert_eq!(unknown.code, 2);
}

#[test]
fn quiet_prints_what_is_low_and_the_summary() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED).write("Cargo.lock", "x");
    let run = |limit| bench.run(&["check", "--quiet", "--min-score", limit]);
    let low = run("1");
    assert!(low.out.contains("math.rs:2  "), "{}", low.out);
    assert!(!low.out.contains("Cargo.lock"), "{}", low.out);
    let fine = run("0");
    assert!(
        fine.out.starts_with("1 file, 1 hunk scored"),
        "{}",
        fine.out
    );
    assert!(fine.out.contains("1 skipped"), "{}", fine.out);
}

#[test]
fn staged_scores_the_index_and_not_the_work_tree() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED).add();
    bench.repo.write("math.rs", BASE);
    let staged = bench.report(&["--staged"]);
    assert_eq!(
        staged["files"][0]["hunks"][0]["changed"],
        json!(["-    a + b", "+    a - b"])
    );
    let suspects = &staged["files"][0]["hunks"][0]["suspects"];
    let text = |text| {
        suspects
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["text"] == text)
    };
    let added = text("+    a - b").unwrap();
    assert_eq!(added["line"], 2);
    assert!((0.0..=1.0).contains(&added["share"].as_f64().unwrap()));
    assert!(text("-    a + b").unwrap().get("line").is_none());
    let tree = bench.report(&[]);
    assert_eq!(tree["files"][0]["outcome"], "unchanged");
}

#[test]
fn staged_reads_the_index_that_git_hands_to_a_hook() {
    let bench = Bench::new();
    let index = ("GIT_INDEX_FILE", OsStr::new(".git/another index"));
    bench.repo.write("math.rs", EDITED);
    bench.repo.git_with(&["read-tree", "HEAD"], &[index]);
    bench.repo.git_with(&["add", "math.rs"], &[index]);
    bench.repo.write("math.rs", BASE);
    let check = |arguments: &[&str], expected: &str| {
        let mut command = bench.command(&[&["check"], arguments].concat());
        command.env(index.0, index.1);
        let output = finish(command, b"").out;
        assert!(output.contains(expected), "{arguments:?}: {output}");
    };
    check(&["--staged"], "1 file, 1 hunk scored");
    check(&[], "No changes against");
    let own = bench.run(&["check", "--staged"]).out;
    assert!(own.starts_with("No changes against"), "{own}");
}

#[test]
fn a_prior_moves_probabilities_and_a_task_is_used() {
    let bench = Bench::new();
    bench
        .repo
        .write("math.rs", EDITED)
        .write("task.md", "Subtract instead.\n");
    let path = bench.repo.path("math.rs");
    let p = |arguments: &[&str]| {
        let report = bench.report(&[arguments, &[path.to_str().unwrap()]].concat());
        assert_eq!(report["files"].as_array().unwrap().len(), 1);
        (
            report["files"][0]["probability"].as_f64().unwrap(),
            report["task"].clone(),
        )
    };
    let (usual, no_task) = p(&[]);
    assert!(p(&["--prior", "0.9"]).0 > usual);
    let (with_task, task) = p(&["--task", "task.md"]);
    assert_ne!(with_task, usual);
    assert_eq!((no_task, task), (json!(false), json!(true)));
    bench
        .repo
        .write("diffidence.toml", "taskFile = 'task.md'\n");
    assert_eq!(p(&[]), (with_task, json!(true)));
    bench.repo.write("other.md", "Divide.\n");
    assert_ne!(p(&["--task", "other.md"]).0, with_task);
}

#[test]
fn a_diff_is_scored_like_the_work_tree_it_was_made_from() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED);
    let diff = bench.repo.git(&["diff"]);
    let output = bench.run_with(&["check", "--diff", "-", "--format", "json"], &diff);
    let from_diff: Value = serde_json::from_str(&output.out).unwrap();
    let from_tree = bench.report(&[]);
    for key in ["path", "probability", "hunks"] {
        assert_eq!(
            from_diff["files"][0][key], from_tree["files"][0][key],
            "{key}"
        );
    }
    let empty = bench.run_with(&["check", "--diff", "-"], b"");
    assert!(empty.out.starts_with("No changes against"), "{}", empty.out);
    assert_eq!(empty.code, 0);
}

#[test]
fn what_cannot_be_judged_is_one_line_and_two() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED);
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().to_str().unwrap();
    check_refused(
        &bench.run(&["check", "-C", outside]),
        "not inside a git repository",
    );
    let bare = Repo::with_init(&["--bare"]);
    let bare = bare.root().to_str().unwrap();
    check_refused(&bench.run(&["check", "-C", bare]), "bare repository");
    check_refused(&bench.run(&["check", "--base", "no-such"]), "no-such");
    check_refused(&bench.run(&["check", "--model", outside]), "bundle.json");
    check_refused(&bench.run(&["check", "--task", "absent.md"]), "absent.md");
    check_refused(
        &bench.run(&["check", "--diff", "absent.patch"]),
        "absent.patch",
    );
    let diff = |text: &[u8]| bench.run_with(&["check", "--diff", "-"], text);
    check_refused(&diff(b"hello\n"), "no diff found");
    check_refused(
        &diff(b"--- a/x\n+++ b/x\n@@ -1,2 +1,5 @@\n a\n+b\n"),
        "line 3: hunk says",
    );
}

#[test]
fn a_diff_that_is_too_large_is_refused_before_it_is_parsed() {
    let bench = Bench::new();
    let mut diff = b"--- /dev/null\n+++ b/x\n@@ -0,0 +1,9999999 @@\n".to_vec();
    diff.resize(200 << 20, b'+');
    let output = bench.run_with(&["check", "--diff", "-"], &diff);
    check_refused(&output, "larger than 64 MiB: pass a part of it");
}

#[test]
fn invalid_utf8_in_a_diff_is_scored_with_replacements() {
    let bench = Bench::new();
    let diff = b"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-caf\xe9\n+caf\xe8\n";
    let output = bench.run_with(&["check", "--diff", "-", "--min-score", "1"], diff);
    assert!(output.out.contains("+caf\u{fffd}"), "{}", output.out);
    assert_eq!(output.code, 1);
}

#[test]
fn a_damaged_bundle_is_never_scored_with() {
    for file in FILES {
        let bench = Bench::new();
        bench.repo.write("math.rs", EDITED);
        let whole = bench.model.read(file);
        bench.model.write(file, &whole[..whole.len() / 2]);
        check_refused(&bench.run(&["check"]), file);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        bench.model.write(file, &flipped);
        check_refused(&bench.run(&["check"]), file);
        std::fs::remove_file(bench.model.file(file)).unwrap();
        check_refused(&bench.run(&["check"]), file);
    }
}

#[test]
fn the_doctor_tells_what_a_bug_report_needs() {
    let bench = Bench::new();
    bench
        .repo
        .write("math.rs", EDITED)
        .write("Cargo.lock", "x")
        .write("diffidence.toml", "minScore = 0.35\nnonsense = 1\n");
    bench.report(&[]);
    let output = bench.run(&["doctor", "--format", "json", "--threads", "1"]);
    assert_eq!((output.code, output.err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&output.out).unwrap();
    let check = |pointer: &str, expected: Value| {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}");
    };
    check("/version", json!(1));
    check("/program/version", json!(env!("CARGO_PKG_VERSION")));
    check("/model/folder", json!(bench.model.dir()));
    check("/model/why", json!("named by DIFFIDENCE_MODEL"));
    check("/model/name", json!("tiny"));
    assert_eq!(report["model"]["hash"].as_str().unwrap().len(), 64);
    assert!(report["model"]["verified"].is_string());
    assert!(report["model"]["sample_logit"].is_f64());
    check("/threads/check", json!(1));
    check("/cache/folder", json!(bench.cache.path()));
    // math.rs; what the model cannot judge, as diffidence.toml, needs no remembering.
    check("/cache/entries", json!(1));
    check("/repository/root", json!(bench.repo.root()));
    check("/repository/changed", json!(2));
    check("/repository/skipped", json!(1));
    check("/configuration/minScore/source", json!("diffidence.toml"));
    check(
        "/configuration/base",
        json!({"value": "head", "source": "default"}),
    );
    check("/problems", json!([]));
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(warning.contains("unknown key `nonsense`"), "{warning}");

    let text = bench.run(&["doctor"]).out;
    for line in [
        "  name          tiny\n",
        " 0.35 (diffidence.toml)\n",
        "problems: none\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
}

#[test]
fn the_doctor_tells_everything_that_keeps_a_check_from_running() {
    let bench = Bench::new();
    let trunk = bench.model.read("trunk.gguf");
    bench.model.write("trunk.gguf", &trunk[1..]);
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().to_str().unwrap();
    let output = bench.run(&["doctor", "-C", outside]);
    assert_eq!(output.code, 2);
    for problem in ["trunk.gguf", "sha256", "not inside a git repository"] {
        let problems = output.out.split("\nproblems\n").nth(1).unwrap();
        assert!(problems.contains(problem), "{problem} in {}", output.out);
    }
    assert!(output.out.contains("minScore"), "{}", output.out);
}

fn patch(text: &str) -> String {
    format!("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x = 1\n+{text}\n")
}

#[test]
fn score_answers_each_line_in_order_and_goes_on_after_a_bad_one() {
    let bench = Bench::new();
    let lines = [
        json!({"id": "a", "patch": patch("x = 2"), "problem": "x is two", "colour": "blue"})
            .to_string(),
        "not json".into(),
        json!({"id": 7, "patch": "no diff"}).to_string(),
        json!({"id": "b", "patch": "diff --git a/i.png b/i.png\nBinary files differ\n"})
            .to_string(),
        json!({"id": "c", "patch": patch("x = 3")}).to_string(),
    ];
    let output = bench.run_with(&["score"], lines.join("\n").as_bytes());
    let answers: Vec<Value> = output
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 5, "{}", output.out);
    assert_eq!(answers[0]["meta"], json!({"colour": "blue"}));
    assert_eq!(answers[0]["hunks"][0]["file"], "x.py");
    assert!(answers[0]["model"].as_str().unwrap().contains('@'));
    assert_eq!(answers[1]["id"], Value::Null);
    assert!(
        answers[1]["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("line 2")
    );
    assert_eq!(
        (&answers[2]["id"], &answers[2]["error"]["code"]),
        (&json!(7), &json!("bad-patch"))
    );
    assert_eq!(answers[3]["error"]["code"], "nothing-to-score");
    assert!(answers[4]["probability"].is_f64());
    for answer in [&answers[1], &answers[2], &answers[3]] {
        assert!(answer.get("probability").is_none());
    }
    assert_eq!(output.code, 2);
}

#[test]
fn score_has_no_probability_for_what_the_model_cannot_judge_if_that_is_asked_for() {
    let bench = Bench::new();
    let prose = "--- a/a.md\n+++ b/a.md\n@@ -1 +1 @@\n-one\n+two\n";
    // 61 times what fits into the two windows of the model, which reads what has a description.
    let lines: String = (0..5_000).map(|n| format!("+x = {n}\n")).collect();
    let long = format!("--- a/x.py\n+++ b/x.py\n@@ -0,0 +1,5000 @@\n{lines}");
    let records = [prose.to_owned(), format!("{}{prose}", patch("x = 2")), long];
    let records: Vec<String> = records
        .iter()
        .map(|patch| json!({"id": 1, "patch": patch, "problem": "make many"}).to_string())
        .collect();
    let answers = |arguments: &[&str]| -> Vec<Value> {
        let output = bench.run_with(arguments, records.join("\n").as_bytes());
        assert_eq!(output.code, 0, "{}", output.err);
        let lines = output.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    for answer in answers(&["score"]) {
        assert!(answer["probability"].is_f64() && answer["logit"].is_f64());
    }
    let answers = answers(&["score", "--abstain"]);
    let said = |value: &Value| {
        (
            value["probability"].is_f64(),
            value["abstained"]["code"].clone(),
        )
    };
    let (scored, null) = (true, Value::Null);
    assert_eq!(said(&answers[0]), (false, json!("prose")));
    assert_eq!(answers[0]["logit"], Value::Null);
    assert_eq!(said(&answers[0]["hunks"][0]), (false, json!("prose")));
    assert_eq!(said(&answers[1]), (scored, null.clone()));
    assert_eq!(said(&answers[1]["hunks"][0]), (scored, null));
    assert_eq!(said(&answers[1]["hunks"][1]), (false, json!("prose")));
    assert_eq!(said(&answers[2]), (false, json!("unread")));
    assert_eq!(answers[2]["truncated"], true);
    let reason = answers[2]["abstained"]["reason"].as_str().unwrap();
    assert_eq!(reason, "the model could read only 1% of the changed lines");
}

#[test]
fn score_answers_a_line_before_the_next_one_comes() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["score", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for id in 0..3 {
        let record = json!({"id": id, "patch": patch(&format!("x = {id}"))});
        writeln!(input, "{record}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn eval_measures_what_score_says() {
    let bench = Bench::new();
    let records: Vec<String> = (0..40)
        .map(|n| {
            let record = json!({
                "id": format!("r{n}"), "task": format!("t{}", n / 4), "label": n % 2,
                "patch": patch(&format!("x = {n} + y{n}")),
            });
            record.to_string()
        })
        .collect();
    let data = bench.repo.path("data.jsonl");
    std::fs::write(&data, records.join("\n")).unwrap();
    let data = data.to_str().unwrap();
    let output = bench.run(&[
        "eval",
        "--data",
        data,
        "--format",
        "json",
        "--resamples",
        "50",
    ]);
    assert_eq!(output.code, 0, "{}", output.err);
    let report: Value = serde_json::from_str(&output.out).unwrap();
    assert!(output.out.contains("\"within_task_auc\""), "{report:#}");

    let scores = bench.run(&["score", data]);
    let file = bench.repo.path("scores.jsonl");
    std::fs::write(&file, scores.out).unwrap();
    let file = file.to_str().unwrap();
    let elsewhere = bench.run(&[
        "eval",
        "--data",
        data,
        "--scores",
        file,
        "--format",
        "json",
        "--resamples",
        "50",
    ]);
    let elsewhere: Value = serde_json::from_str(&elsewhere.out).unwrap();
    assert_eq!(
        elsewhere["overall"]["pooled_auc"],
        report["overall"]["pooled_auc"]
    );
}

#[test]
fn the_bundled_model_scores_a_change_without_configuration() {
    let repo = Repo::new();
    repo.write("math.rs", BASE).commit();
    repo.write("math.rs", EDITED);
    let cache = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = program(cache.path());
        command
            .current_dir(repo.root())
            .args(["check", "--format", "json"]);
        let output = finish(command, b"");
        assert!(output.code == 0 || output.code == 1, "{}", output.err);
        serde_json::from_str::<Value>(&output.out).unwrap()
    };
    let first = run();
    let p = first["files"][0]["probability"].as_f64().unwrap();
    assert!(p > 0.0 && p < 1.0);
    assert!(first["model"].as_str().unwrap().starts_with("diffidence-"));
    assert_eq!(first["files"][0]["cached"], false);
    let second = run();
    assert_eq!(second["files"][0]["cached"], true);
    assert_eq!(second["files"][0]["probability"].as_f64(), Some(p));
}

#[test]
fn the_server_shows_a_low_hunk_over_standard_input_and_output_and_exits() {
    let bench = Bench::new();
    bench.repo.write("math.rs", EDITED);
    let path = bench.repo.path("math.rs");
    let mut editor = Editor::start(bench.command(&["lsp"]), json!({"minScore": 1.0}));
    editor.open(&path, EDITED);
    let shown = editor.receive(|message| {
        message["method"] == "textDocument/publishDiagnostics"
            && message["params"]["diagnostics"] != json!([])
    });
    assert_eq!(shown["params"]["version"], 1);
    let diagnostic = &shown["params"]["diagnostics"][0];
    assert_eq!(
        diagnostic["range"]["start"],
        json!({"line": 1, "character": 0})
    );
    assert_eq!(diagnostic["range"]["end"]["line"], 1);
    let title = editor.lens(&path).unwrap();
    assert!(
        title.contains("likely correct · 1 hunk to check"),
        "{title}"
    );
    editor.goodbye();
}

#[test]
fn the_server_ends_when_its_input_ends() {
    let bench = Bench::new();
    let mut editor = Editor::start(bench.command(&["lsp"]), json!({"minScore": 1.0}));
    drop(editor.input.take());
    editor.child.wait().unwrap();
}
