//! The logits of generative verifiers are those that transformers computes, for each architecture and
//! format and for prompts longer than the chunk they are read in.
//!
//! `tests/fixtures/make_verifiers.py` makes the models and what is expected of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::Device;
use diffidence::change::Patch;
use diffidence::model::verifier::{Import, Imported, Template, TemplateChoice, import};
use diffidence::model::{Hardware, ModelError, RewardModel, Run, Threads, TokensRead};
use serde_json::Value;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const PATCH: &[u8] = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+two\n";
const VOCABULARY: usize = 272;
/// Also of blocks of few bits: what is compared with are the numbers that they stand for.
const TOLERANCE: f64 = 1e-4;
/// For the pass for graphics processors, where candle's operations round what is multiplied to the
/// 16 bits of the weights, ...
const HALVES: f64 = 0.15;
/// ... or to 8 bits, which llama.cpp does, too. Logits are up to 6, and another random model's are as
/// far away as that.
const BLOCKS: f64 = 0.35;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifiers")
}

fn threads() -> Threads {
    Threads::new(NonZeroUsize::new(2)).unwrap()
}

/// The folder with the tokenizer that all of them share, in `home`.
fn folder(name: &str, home: &Path) -> PathBuf {
    let source = home.join("source");
    std::fs::create_dir(&source).unwrap();
    for entry in std::fs::read_dir(fixtures().join(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, source.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::copy(
        fixtures().join("tokenizer.json"),
        source.join("tokenizer.json"),
    )
    .unwrap();
    source
}

/// The model, imported into `home`: a GGUF file if there is one of that name, else a folder.
fn imported(name: &str, home: &Path) -> Imported {
    let file = fixtures().join(format!("{name}.gguf"));
    let source = match file.is_file() {
        true => file,
        false => folder(name, home),
    };
    let wanted = Import {
        source: &source,
        tokenizer: None,
        out: &home.join("bundle"),
        name: name.into(),
        template: TemplateChoice::BuiltIn(Template::PatchJudge),
        answers: None,
        context: None,
        copy: true,
    };
    let sample = Patch::from_unified(PATCH).unwrap();
    import(&wanted, &sample, threads()).unwrap()
}

fn prompt(length: usize) -> Vec<u32> {
    (0..length)
        .map(|i| ((7 * i * i + 3 * i + 1) % VOCABULARY) as u32)
        .collect()
}

/// Both passes: the processor's, and that for graphics processors on the processor, within
/// `tolerance`.
fn check(name: &str, tolerance: f64) {
    let home = tempfile::tempdir().unwrap();
    let imported = imported(name, home.path());
    check_on(threads().into(), TOLERANCE, name, &imported);
    let hardware = Hardware {
        threads: threads(),
        accelerator: Some(Device::Cpu),
    };
    check_on(hardware, tolerance, name, &imported);
}

fn check_on(hardware: Hardware, tolerance: f64, name: &str, imported: &Imported) {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    if let Some(answers) = &imported.answers {
        let tokens = answers.clone().map(|answer| answer.id);
        assert_eq!(serde_json::json!(tokens), expected["answers"]);
    }
    let model = imported.bundle.verifier(hardware).unwrap();
    let cases = expected["models"][name].as_array().unwrap();
    assert!(cases.iter().any(|case| case["length"].as_u64() > Some(512)));
    for case in cases {
        let length = case["length"].as_u64().unwrap() as usize;
        let got = model.answer(&prompt(length), &Run::default()).unwrap();
        let logits = case["logits"].as_array().unwrap();
        assert_eq!(got.len(), logits.len());
        for (got, expected) in got.iter().zip(logits) {
            let difference = f64::from(*got) - expected.as_f64().unwrap();
            assert!(
                difference.abs() < tolerance,
                "{name}, {length} tokens: {got} instead of {expected}"
            );
        }
    }
}

#[test]
fn llama_with_tied_embeddings_and_stretched_rotations() {
    check("llama", HALVES);
}

#[test]
fn llama_in_shards_with_biases_and_linear_scaling() {
    check("llama-sharded", HALVES);
}

#[test]
fn qwen2_with_biases() {
    check("qwen2", TOLERANCE);
}

#[test]
fn qwen3_with_normalised_heads() {
    check("qwen3", HALVES);
}

#[test]
fn qwen3_moe_with_normalised_experts() {
    check("qwen3-moe", HALVES);
}

#[test]
fn qwen3_moe_with_a_dense_block_and_plain_experts() {
    check("qwen3-moe-mixed", HALVES);
}

#[test]
fn gguf_llama_in_f32() {
    check("llama-f32", TOLERANCE);
}

#[test]
fn gguf_llama_in_q8_0_with_tied_embeddings_and_stretched_rotations() {
    check("llama-q8_0", BLOCKS);
}

#[test]
fn gguf_qwen2_in_q4_k_and_q6_k_with_yarn() {
    check("qwen2-q4_k_m", BLOCKS);
}

#[test]
fn gguf_qwen2_in_q5_0_and_q8_0() {
    check("qwen2-q5_0", BLOCKS);
}

#[test]
fn gguf_qwen3_in_q5_k_with_linear_scaling() {
    check("qwen3-q5_k", BLOCKS);
}

#[test]
fn gguf_qwen3_in_f16() {
    check("qwen3-f16", HALVES);
}

#[test]
fn gguf_qwen3_moe_in_q4_k_and_q6_k_with_normalised_experts() {
    check("qwen3moe-q4_k_m", BLOCKS);
}

#[test]
fn gguf_qwen3_moe_in_q8_0_with_plain_experts() {
    check("qwen3moe-q8_0", BLOCKS);
}

#[test]
fn a_head_with_one_score() {
    check("qwen2-score", HALVES);
}

#[test]
fn a_head_with_two_classes() {
    check("llama-classes", HALVES);
}

#[test]
fn a_cancelled_pass_stops() {
    let home = tempfile::tempdir().unwrap();
    let model = imported("qwen3", home.path())
        .bundle
        .verifier(threads())
        .unwrap();
    let run = Run::default();
    run.cancel();
    let error = model.answer(&[1, 2, 3], &run).unwrap_err();
    assert!(matches!(error, ModelError::Cancelled));
}

#[test]
fn a_run_tells_how_many_tokens_it_has_read() {
    let home = tempfile::tempdir().unwrap();
    let model = imported("qwen3", home.path())
        .bundle
        .verifier(threads())
        .unwrap();
    let lines: String = (0..200).map(|n| format!("+line {n}\n")).collect();
    let patch = format!("--- a/x\n+++ b/x\n@@ -1,0 +1,200 @@\n{lines}");
    let patch = Patch::from_unified(patch.as_bytes()).unwrap();
    let run = Run::default();
    assert_eq!(run.tokens(), None);
    let all = model.score(&patch, None, &run).unwrap().tokens;
    assert_eq!(run.tokens(), Some(TokensRead { done: all, all }));
}
