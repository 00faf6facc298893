//! The model in this program computes what the trainer computes: for the golden patches the
//! rendered bytes and token ids are identical, and numbers agree within the tolerance of f32.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test or bench may stop"
)]

use diffidence::change::Patch;
use diffidence::model::window::Windows;
use diffidence::model::{
    Bundle, Judgement, ModelError, PatchBranches, RewardModel, Run, TrunkHeads, render,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Golden {
    id: String,
    patch: String,
    problem: Option<String>,
    #[serde(default)]
    empty: bool,
    #[serde(flatten)]
    expected: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    rendered: String,
    windows: Vec<Vec<u32>>,
    hunk_ends: Vec<Option<(usize, usize)>>,
    metrics: Vec<f64>,
    branches: BTreeMap<String, f64>,
    patch_logit: f64,
    hunks: Vec<ExpectedHunk>,
    truncated: bool,
    tokens: usize,
}

#[derive(Deserialize)]
struct ExpectedHunk {
    trunk: Option<f64>,
    text: f64,
    lines: f64,
    direction: f64,
    trees: f64,
    logit: f64,
}

/// Relative tolerance of numbers computed in f64 on both sides.
const EXACT: f64 = 1e-9;
/// Absolute tolerance of what f32 was involved in.
const CLOSE: f64 = 1e-3;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn model() -> TrunkHeads {
    let bundle = Bundle::open(&root().join("models/default")).unwrap();
    bundle.load().unwrap()
}

fn golden() -> Vec<Golden> {
    let text = std::fs::read_to_string(root().join("tests/golden/patches.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn golden_patches_score_as_in_training() {
    let model = model();
    let mut worst: f64 = 0.0;
    let mut scored = 0;
    for record in golden() {
        let id = &record.id;
        let patch = Patch::from_unified(record.patch.as_bytes()).unwrap();
        let task = record.problem.as_deref();
        let Some(expected) = record.expected else {
            assert!(record.empty, "{id}: the golden record lacks a field");
            let error = model.score(&patch, task, &Run::default()).unwrap_err();
            assert!(matches!(error, ModelError::NothingToScore), "{id}: {error}");
            continue;
        };
        assert_eq!(render::whole(&patch, task), expected.rendered, "{id}");
        let got = model.judge(&patch, task, &Run::default()).unwrap();
        let windows = model.windows(&patch, task).unwrap();
        check_windows(id, &windows, &expected);
        assert_eq!(
            got.windows.is_some(),
            task.is_some_and(|task| !task.trim().is_empty()),
            "{id}"
        );
        worst = worst.max(check_logits(id, &got, &expected));
        scored += 1;
    }
    assert!(scored >= 30, "only {scored} golden patches were scored");
    println!("{scored} golden patches, largest difference of a logit: {worst:.1e}");
}

fn check_windows(id: &str, got: &Windows, expected: &Expected) {
    let ids: Vec<_> = got.windows.iter().map(|window| &window.ids).collect();
    let expected_ids: Vec<_> = expected.windows.iter().collect();
    assert_eq!(ids, expected_ids, "{id}: token ids");
    let ends: Vec<_> = got
        .places
        .iter()
        .map(|place| place.as_ref().map(|place| (place.window, place.end())))
        .collect();
    assert_eq!(ends, expected.hunk_ends, "{id}: hunk ends");
    assert_eq!(got.truncated, expected.truncated, "{id}: truncated");
    assert_eq!(got.tokens(), expected.tokens, "{id}: tokens");
}

/// Returns the largest difference of a logit.
fn check_logits(id: &str, got: &Judgement, expected: &Expected) -> f64 {
    let mut worst: f64 = 0.0;
    let mut close = |what: &str, got: f64, expected: f64| {
        let difference = (got - expected).abs();
        assert!(difference <= CLOSE, "{id}: {what}: {got}, not {expected}");
        worst = worst.max(difference);
    };
    assert_eq!(got.metrics.len(), expected.metrics.len());
    for (index, (got, expected)) in got.metrics.iter().zip(&expected.metrics).enumerate() {
        let exact = (got - expected).abs() <= EXACT * expected.abs().max(1.0);
        assert!(exact, "{id}: metric {index}: {got}, not {expected}");
    }
    let (branches, logit) = &got.patch;
    let branches = match *branches {
        PatchBranches::Described {
            trunk,
            text,
            metrics,
            trees,
        } => vec![
            ("metrics", metrics),
            ("text", text),
            ("trees", trees),
            ("trunk", trunk),
        ],
        PatchBranches::Bare { text, trees } => vec![("text", text), ("trees", trees)],
        PatchBranches::Snippet { trees } => vec![("trees", trees)],
    };
    assert_eq!(branches.len(), expected.branches.len(), "{id}");
    for ((name, got), (same, expected)) in branches.iter().zip(&expected.branches) {
        assert_eq!(name, same, "{id}");
        close(name, *got, *expected);
    }
    close("patch logit", logit.get(), expected.patch_logit);
    assert_eq!(got.hunks.len(), expected.hunks.len(), "{id}: hunks");
    for ((branches, logit), expected) in got.hunks.iter().zip(&expected.hunks) {
        close("hunk text logit", branches.text, expected.text);
        close("hunk lines", branches.lines, expected.lines);
        close("hunk direction", branches.direction, expected.direction);
        close("hunk trees logit", branches.trees, expected.trees);
        close("hunk logit", logit.get(), expected.logit);
        assert_eq!(branches.trunk.is_some(), expected.trunk.is_some(), "{id}");
        if let (Some(got), Some(expected)) = (branches.trunk, expected.trunk) {
            close("hunk trunk logit", got, expected);
        }
    }
    worst
}
