//! `diffidence eval` from files to report, with a scorer that reads the score off the patch.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use clap::Parser;
use diffidence::calibration::{Logit, Probability};
use diffidence::cli::eval::{
    EvalArgs, EvalError, ExitStatus, Later, ScoreError, Scored, Scorer, run,
};
use diffidence::cli::records::Record;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    eval: EvalArgs,
}

/// The patch is the logit in decimal; the probability is its sigmoid.
struct ReadsPatch;

impl Scorer for ReadsPatch {
    fn model(&self) -> String {
        "reads-patch@1".to_owned()
    }

    fn prior(&self) -> Probability {
        Probability::new(0.25).unwrap()
    }

    fn score(&mut self, _line: u64, record: &Record) -> Later {
        let scored = scored(record);
        Box::new(|| scored)
    }
}

fn scored(record: &Record) -> Result<Scored, ScoreError> {
    if record.patch == "prose" {
        return Err(ScoreError::Abstained {
            code: "prose".to_owned(),
            reason: "prose, not code".to_owned(),
        });
    }
    let logit = record.patch.parse().ok().and_then(|x| Logit::new(x).ok());
    let logit = logit.ok_or_else(|| ScoreError::Failed {
        code: "bad-patch".to_owned(),
        message: "not a unified diff".to_owned(),
    })?;
    Ok(Scored {
        probability: logit.sigmoid(),
        logit: Some(logit),
    })
}

struct Done {
    status: Result<ExitStatus, EvalError>,
    text: String,
    lines: u64,
}

fn eval(folder: &TempDir, flags: &[&str]) -> Done {
    let at = |flag: &&str| match flag.strip_prefix('@') {
        Some(name) => folder.path().join(name).display().to_string(),
        None => (*flag).to_owned(),
    };
    let words = ["eval", "--resamples", "50", "--data", "@data.jsonl"];
    let words = words.iter().chain(flags).map(at);
    let args = Cli::try_parse_from(words).unwrap().eval;
    let (mut out, mut lines) = (Vec::new(), 0);
    let status = run(
        &args,
        Some(&mut ReadsPatch),
        &mut |line| lines = line,
        &mut out,
    );
    Done {
        status,
        text: String::from_utf8(out).unwrap(),
        lines,
    }
}

fn write(folder: &Path, name: &str, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.join(name), text).unwrap();
}

/// 60 records of 20 tasks; in each task the third candidate is correct and scored best in three
/// tasks of four. Ten are Rust, the others Python.
fn sample() -> (TempDir, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Value> = (0..60)
        .map(|i| {
            let (task, candidate) = (i / 3, i % 3);
            let label = u8::from(candidate == 2);
            let good = (candidate == 2) == (task % 4 != 0);
            let logit = if good { 0.5 } else { -1.0 } + f64::from(i) / 100.0;
            json!({"id": i, "patch": logit.to_string(), "task": format!("t{task}"), "label": label,
                   "language": if i < 10 { "rust" } else { "python" }, "source": "made", "policy": null})
        })
        .collect();
    write(folder.path(), "data.jsonl", &lines);
    (folder, lines)
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.text).unwrap()
}

#[test]
fn reports_all_measures_as_json() {
    let (folder, _) = sample();
    let done = eval(&folder, &["--format", "json"]);
    assert_eq!(done.status.as_ref().unwrap(), &ExitStatus::Complete);
    assert_eq!(done.lines, 60);
    let report = json(&done);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["model"], "reads-patch@1");
    assert_eq!(
        report["records"],
        json!({"judged": 60, "abstained": 0, "coverage": 1.0, "unlabelled": 0, "failed": 0})
    );
    let overall = &report["overall"]["measures"];
    assert_eq!(overall["selection"]["rm"]["value"], 0.75);
    assert_eq!(overall["selection"]["oracle"]["value"], 1.0);
    assert_eq!(overall["tasks_with_both_labels"], 20);
    assert!(overall["ranking"]["auc"]["interval"][0].is_f64());
    let prior = |view: usize| report["views"][view]["prior"].as_f64().unwrap();
    assert_eq!(prior(0), 0.25);
    assert!((prior(1) - 1.0 / 3.0).abs() < 1e-12);
    let mean = |view: usize| {
        overall["calibration"][view]["mean_probability"]
            .as_f64()
            .unwrap()
    };
    assert!(mean(1) > mean(0));
    // Groups of fewer than 20 records are counted only.
    assert_eq!(report["by_language"][1]["name"], "rust");
    assert_eq!(report["by_language"][1]["measures"], Value::Null);
}

#[test]
fn the_text_report_lines_up_and_shows_dashes() {
    let (folder, _) = sample();
    let text = eval(&folder, &[]).text;
    assert!(text.contains("60 records, 20 correct (33.3%), 20 tasks, 20 with both labels"));
    assert!(
        text.contains("RM, all candidates         0.750 ["),
        "{text}"
    );
    let rust = text.lines().find(|line| line.starts_with("rust")).unwrap();
    assert!(
        rust.split_whitespace().skip(3).all(|cell| cell == "-"),
        "{rust}"
    );
    assert!(!text.contains("NaN"));
}

#[test]
fn what_one_label_cannot_tell_is_absent() {
    let (folder, mut lines) = sample();
    for line in &mut lines {
        line["label"] = json!(1);
    }
    write(folder.path(), "data.jsonl", &lines);
    let report = json(&eval(&folder, &["--format", "json"]));
    let overall = &report["overall"]["measures"];
    assert_eq!(overall["ranking"]["auc"]["value"], Value::Null);
    assert_eq!(overall["selection"]["share_of_gap"]["value"], Value::Null);
    assert!(overall["calibration"][0]["errors"]["ece_10"]["value"].is_f64());
    assert_eq!(report["views"].as_array().unwrap().len(), 1);
    let error = eval(&folder, &["--prior", "data"]).status.unwrap_err();
    assert!(matches!(error, EvalError::OneLabel), "{error}");
}

#[test]
fn bad_lines_are_counted_named_and_left_out() {
    let (folder, mut lines) = sample();
    lines[3]["label"] = Value::Null;
    lines[4]["patch"] = json!("no number");
    lines[5]["label"] = json!("yes");
    write(folder.path(), "data.jsonl", &lines);
    let done = eval(
        &folder,
        &["--format", "json", "--predictions", "@out.jsonl"],
    );
    assert_eq!(done.status.as_ref().unwrap().code(), 2);
    let report = json(&done);
    assert_eq!(
        report["records"],
        json!({"judged": 57, "abstained": 0, "coverage": 1.0, "unlabelled": 1, "failed": 2})
    );
    assert_eq!(
        report["failures"][0],
        json!({"line": 5, "id": 4, "code": "bad-patch", "message": "not a unified diff"})
    );
    assert_eq!(report["failures"][1]["line"], 6);
    let out = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    assert_eq!(out.lines().count(), 59);
    assert!(
        out.lines()
            .nth(3)
            .unwrap()
            .starts_with(r#"{"id":4,"error":{"#)
    );
}

#[test]
fn predictions_evaluated_again_give_the_same_measures() {
    let (folder, _) = sample();
    let flags = ["--format", "json", "--predictions", "@out.jsonl"];
    let first = json(&eval(&folder, &flags));
    let flags = [
        "--format",
        "json",
        "--scores",
        "@out.jsonl",
        "--scores-prior",
        "0.25",
    ];
    let again = eval(&folder, &flags);
    assert_eq!(again.status.as_ref().unwrap(), &ExitStatus::Complete);
    let again = json(&again);
    assert_eq!(again["model"], "reads-patch@1");
    assert_eq!(
        again["overall"]["measures"]["ranking"],
        first["overall"]["measures"]["ranking"]
    );
    assert_eq!(
        again["overall"]["measures"]["selection"],
        first["overall"]["measures"]["selection"]
    );
}

#[test]
fn scores_are_joined_by_id_and_missing_ones_reported() {
    let (folder, _) = sample();
    let mut scores: Vec<Value> = (0..58)
        .map(|i| json!({"id": i.to_string(), "probability": 0.5}))
        .collect();
    scores[7] = json!({"id": 7, "error": {"code": "too-long", "message": "over the limit"}});
    scores.push(json!({"id": 3, "probability": 1.5}));
    write(folder.path(), "scores.jsonl", &scores);
    let done = eval(&folder, &["--format", "json", "--scores", "@scores.jsonl"]);
    assert_eq!(done.status.as_ref().unwrap(), &ExitStatus::Incomplete);
    let report = json(&done);
    assert_eq!(
        report["records"],
        json!({"judged": 57, "abstained": 0, "coverage": 1.0, "unlabelled": 0, "failed": 4})
    );
    let messages: Vec<&str> = report["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        [
            "over the limit",
            "the file of scores has none for `58`",
            "the file of scores has none for `59`",
            "in the file of scores: field `probability` must be a number from 0 to 1",
        ]
    );
    // Without its prior the scores cannot be moved to another one.
    assert_eq!(report["views"], json!([{"name": "shipped", "prior": null}]));
    let flags = ["--scores", "@scores.jsonl", "--prior", "0.5"];
    let error = eval(&folder, &flags).status.unwrap_err();
    assert!(matches!(error, EvalError::UnknownPrior), "{error}");
}

#[test]
fn a_stated_prior_moves_predictions_and_plot() {
    let (folder, _) = sample();
    let flags = [
        "--prior",
        "0.5",
        "--predictions",
        "@out.jsonl",
        "--plot",
        "@plot.svg",
    ];
    let done = eval(&folder, &flags);
    assert!(
        done.text.contains("as asked (prior 0.500)"),
        "{}",
        done.text
    );
    let out = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    // The first candidate of the first task is wrong and scored 0.5; odds times 3.
    let expect = 1.0 / (1.0 + (-0.5f64).exp() / 3.0);
    assert!((first["probability"].as_f64().unwrap() - expect).abs() < 1e-9);
    assert_eq!(first["logit"], 0.5);
    let plot = std::fs::read_to_string(folder.path().join("plot.svg")).unwrap();
    assert!(plot.contains("reads-patch@1: as asked (prior 0.500)"));
    assert!(plot.contains("n = 60, ECE (10 bins) 0."));
}

#[test]
fn what_cannot_be_read_written_or_judged_is_said_before_any_report() {
    let (folder, _) = sample();
    let check = |flags: &[&str], expect: &str| {
        let done = eval(&folder, flags);
        let message = done.status.unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
        assert!(done.text.is_empty());
    };
    check(&["--scores", "@absent.jsonl"], "cannot read");
    check(&["--plot", "@absent/plot.svg"], "cannot write");
    check(&["--rm-curve", "@absent/curve.svg"], "cannot write");
    write(folder.path(), "data.jsonl", &[json!({"id": 1})]);
    check(
        &[],
        "could be judged: line 1: field `patch` is missing; it must hold a unified diff",
    );
}

#[test]
fn a_prior_must_be_a_share() {
    for wrong in ["0", "1", "1.5", "NaN", "mine"] {
        let words = ["eval", "--data", "x", "--prior", wrong];
        assert!(Cli::try_parse_from(words).is_err(), "{wrong}");
    }
}

/// Twelve tasks of four candidates: the best-scored one is wrong, two others agree and the right
/// one is one of them.
fn picks() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let candidates = [
        (0.5, "a b", 1),
        (0.4, "a b", 0),
        (0.99, "c", 0),
        (0.3, "d", 0),
    ];
    let (mut data, mut scores) = (Vec::new(), Vec::new());
    for task in 0..12 {
        for (place, (probability, added, label)) in candidates.iter().enumerate() {
            let id = format!("{task}/{place}");
            let patch = format!("--- a/f\n+++ b/f\n@@ -1,0 +1 @@\n+{added}\n");
            data.push(
                json!({"id": id, "patch": patch, "task": format!("t{task}"), "label": label}),
            );
            scores.push(json!({"id": id, "probability": probability}));
        }
    }
    write(folder.path(), "data.jsonl", &data);
    write(folder.path(), "scores.jsonl", &scores);
    folder
}

#[test]
fn ways_to_pick_are_compared_in_table_json_and_drawing() {
    let folder = picks();
    let flags = ["--scores", "@scores.jsonl", "--rm-curve", "@curve.svg"];
    let done = eval(&folder, &flags);
    assert_eq!(done.status.as_ref().unwrap(), &ExitStatus::Complete);
    let row = |name: &str| {
        let lines = done.text.lines();
        let line = lines
            .skip_while(|line| !line.starts_with("picks, 12 tasks"))
            .find(|line| line.starts_with(name));
        let words = line.unwrap()[name.len()..].split_whitespace();
        let values = words.filter_map(|word| word.parse::<f64>().ok());
        values.collect::<Vec<_>>()
    };
    // Random, score, agreement, both, oracle. All tasks are alike, so resamples are too.
    assert_eq!(row("best of 2"), [0.25, 0.333, 0.25, 0.333, 0.5]);
    assert_eq!(row("best of 4"), [0.25, 0.0, 0.5, 0.0, 1.0]);

    let done = eval(&folder, &[&flags[..], &["--format", "json"]].concat());
    let curve = &json(&done)["rm_curve"];
    assert_eq!(curve["k"], json!([1, 2, 4]));
    assert_eq!(
        (&curve["tasks"], &curve["candidates"]),
        (&json!(12), &json!(48))
    );
    let agreement = &curve["curves"][2];
    assert_eq!(agreement["name"], "agreement");
    assert_eq!(
        agreement["all"],
        json!({"value": 0.5, "interval": [0.5, 0.5]})
    );

    let svg = std::fs::read_to_string(folder.path().join("curve.svg")).unwrap();
    let drawing = roxmltree::Document::parse(&svg).unwrap();
    let curves = drawing.descendants().filter(|node| {
        let class = node.attribute("class").unwrap_or_default();
        class.starts_with("curve") && node.attribute("d").is_some_and(|d| d.contains('L'))
    });
    assert_eq!(curves.count(), 5);
}

#[test]
fn no_curve_is_reported_unless_asked_for_and_none_is_made_up() {
    let (folder, _) = sample();
    assert!(json(&eval(&folder, &["--format", "json"]))["rm_curve"].is_null());
    // Three candidates a task are too few.
    let done = eval(&folder, &["--rm-curve", "@curve.svg"]);
    let said = "no picks to compare: no task has 4 candidates and both labels";
    assert!(done.text.contains(said), "{}", done.text);
    let svg = std::fs::read_to_string(folder.path().join("curve.svg")).unwrap();
    roxmltree::Document::parse(&svg).unwrap();
}

#[test]
fn what_the_model_cannot_judge_is_counted_apart_and_not_measured() {
    let (folder, mut lines) = sample();
    let measured = json(&eval(&folder, &["--format", "json"]));
    for index in [3, 40] {
        lines.push(json!({"id": 100 + index, "patch": "prose", "task": "t1", "label": 1}));
    }
    write(folder.path(), "data.jsonl", &lines);
    let flags = ["--format", "json", "--predictions", "@out.jsonl"];
    let done = eval(&folder, &flags);
    // It said so; nothing went wrong.
    assert_eq!(done.status.as_ref().unwrap(), &ExitStatus::Complete);
    let report = json(&done);
    assert_eq!(report["records"]["judged"], 60);
    assert_eq!(report["records"]["abstained"], 2);
    assert_eq!(report["records"]["coverage"], 60.0 / 62.0);
    assert_eq!(report["abstentions"], json!([{"code": "prose", "n": 2}]));
    assert_eq!(report["overall"], measured["overall"]);
    assert_eq!(report["risk_coverage"], measured["risk_coverage"]);

    let text = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        last,
        json!({"id": 140, "probability": null, "label": 1,
            "abstained": {"code": "prose", "reason": "prose, not code"}})
    );
    let again = eval(&folder, &["--format", "json", "--scores", "@out.jsonl"]);
    assert_eq!(json(&again)["records"], report["records"]);

    let shown = eval(&folder, &[]).text;
    let line = "left out: 2 that the model cannot judge (prose 2); coverage 96.8%";
    assert!(shown.contains(line), "{shown}");

    write(folder.path(), "data.jsonl", &lines[60..]);
    let error = eval(&folder, &[]).status.unwrap_err().to_string();
    assert!(error.contains("cannot judge: prose, not code"), "{error}");
}

#[test]
fn risk_over_coverage_is_told_as_table_json_and_drawing() {
    let (folder, lines) = sample();
    let flags = ["--format", "json", "--risk-coverage", "@risk.svg"];
    let report = json(&eval(&folder, &flags));
    let curve = &report["risk_coverage"];
    let at = curve["at"].as_array().unwrap();
    // At full coverage it is the share on the wrong side of one half, whatever the order.
    let wrong = lines.iter().filter(|line| {
        let logit: f64 = line["patch"].as_str().unwrap().parse().unwrap();
        (logit >= 0.0) != (line["label"] == 1)
    });
    let wrong = wrong.count() as f64 / lines.len() as f64;
    let full = at.last().unwrap();
    assert_eq!(full["coverage"], 1.0);
    assert!((full["risk"]["value"].as_f64().unwrap() - wrong).abs() < 1e-12);
    let area = curve["aurc"]["value"].as_f64().unwrap();
    assert!(area > curve["best_aurc"].as_f64().unwrap() && area < 1.0);
    assert!(curve["aurc"]["interval"][0].is_f64());
    // Certainty is told in falling order.
    let distances: Vec<f64> = at
        .iter()
        .map(|at| at["distance"].as_f64().unwrap())
        .collect();
    assert!(distances.windows(2).all(|pair| pair[0] >= pair[1]));
    let svg = std::fs::read_to_string(folder.path().join("risk.svg")).unwrap();
    assert!(svg.ends_with("</svg>\n") && svg.contains(&format!("AURC {area:.3}")));
    let shown = eval(&folder, &[]).text;
    let row = shown
        .lines()
        .find(|line| line.starts_with("AURC "))
        .unwrap();
    assert!(row.contains(&format!("{area:.3} [")), "{shown}");
}
