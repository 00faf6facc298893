//! A GGUF file that is not what it should be is refused with what is wrong, before anything is
//! allocated by it; its tokenizer is the one that the file tells of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use diffidence::change::Patch;
use diffidence::model::Threads;
use diffidence::model::verifier::{
    Import, ImportError, Imported, Template, TemplateChoice, import,
};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

const PATCH: &[u8] = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+two\n";

struct Bench {
    home: tempfile::TempDir,
    sound: Vec<u8>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifiers");
        Self {
            home: tempfile::tempdir().unwrap(),
            sound: std::fs::read(fixtures.join(format!("{name}.gguf"))).unwrap(),
        }
    }

    fn bundle(&self) -> PathBuf {
        self.home.path().join("bundle")
    }

    fn import(&self, bytes: &[u8], tokenizer: Option<&Path>) -> Result<Imported, ImportError> {
        let source = self.home.path().join("model.gguf");
        std::fs::write(&source, bytes).unwrap();
        let out = self.bundle();
        let wanted = Import {
            source: &source,
            tokenizer,
            out: &out,
            name: "any".into(),
            template: TemplateChoice::BuiltIn(Template::PatchJudge),
            answers: None,
            context: None,
            copy: true,
        };
        let threads = Threads::new(NonZeroUsize::new(1)).unwrap();
        import(&wanted, &Patch::from_unified(PATCH).unwrap(), threads)
    }

    /// Where the first `text` ends.
    fn after(&self, text: &str) -> usize {
        let mut windows = self.sound.windows(text.len());
        windows.position(|it| it == text.as_bytes()).unwrap() + text.len()
    }

    /// The sound file with some bytes in place of others is refused with a line that holds `parts`.
    #[track_caller]
    fn refuses(&self, at: usize, bytes: &[u8], parts: &[&str]) {
        let mut broken = self.sound.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        self.refuses_all(&broken, None, parts);
    }

    #[track_caller]
    fn refuses_all(&self, bytes: &[u8], tokenizer: Option<&Path>, parts: &[&str]) {
        let error = self.import(bytes, tokenizer).unwrap_err();
        let message = error.to_string();
        assert!(
            !message.contains('\n') && message.len() < 1_000,
            "{message}"
        );
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        assert!(!self.bundle().exists(), "half a bundle was left behind");
    }
}

#[test]
fn hostile_headers() {
    let bench = Bench::new("qwen2-q5_0");
    let huge = u64::MAX.to_le_bytes();
    bench.refuses(0, b"GGML", &["model.gguf", "`magic`"]);
    bench.refuses(4, &1_u32.to_le_bytes(), &["`version`"]);
    bench.refuses(8, &huge, &["`tensor_count`"]);
    bench.refuses(16, &huge, &["`metadata_kv_count`"]);
    bench.refuses(24, &huge, &["`metadata key`"]);
    // The value of a metadata entry stands behind its type, and an array's length behind that of
    // its elements.
    let tokens = bench.after("tokenizer.ggml.tokens");
    bench.refuses(tokens + 8, &huge, &["`tokenizer.ggml.tokens`"]);
    bench.refuses(tokens + 16, &huge, &["`tokenizer.ggml.tokens`"]);
    bench.refuses(tokens + 8, &271_u64.to_le_bytes(), &[]);
    let types = bench.after("tokenizer.ggml.token_type");
    bench.refuses(types + 8, &huge, &["`tokenizer.ggml.token_type`"]);
    let blocks = bench.after("qwen2.block_count") + 4;
    bench.refuses(blocks, &u32::MAX.to_le_bytes(), &["num_hidden_layers"]);
    bench.refuses(blocks, &3_u32.to_le_bytes(), &["`model.layers.2."]);
    bench.refuses(blocks, &1_u32.to_le_bytes(), &["`model.layers.1."]);
    let heads = bench.after("qwen2.attention.head_count") + 4;
    bench.refuses(heads, &0_u32.to_le_bytes(), &["num_attention_heads"]);

    let tensor = bench.after("blk.0.ffn_up.weight");
    bench.refuses(tensor, &99_u32.to_le_bytes(), &["`n_dimensions`"]);
    bench.refuses(tensor + 4, &huge, &["`blk.0.ffn_up.weight`", "`shape`"]);
    let none = 0_u64.to_le_bytes();
    for side in [4, 12] {
        bench.refuses(
            tensor + side,
            &none,
            &["`blk.0.ffn_up.weight`", "side of 0"],
        );
    }
    // 2^60 rows: a bomb that a small file can promise.
    let bomb = (1_u64 << 60).to_le_bytes();
    bench.refuses(tensor + 12, &bomb, &["`blk.0.ffn_up.weight`"]);
    bench.refuses(tensor + 20, &99_u32.to_le_bytes(), &["`type`"]);
    bench.refuses(tensor + 24, &bomb, &["`offset`"]);
    bench.refuses(tensor + 24, &1_u64.to_le_bytes(), &["`offset`"]);
    let other = bench.after("blk.0.ffn_gate.weight");
    let offset = bench.sound[other + 24..other + 32].to_vec();
    bench.refuses(tensor + 24, &offset, &["lies within", "ffn_gate"]);
    bench.refuses(tensor - 19, b"blk.1", &["twice"]);
}

/// Each expert becomes an entry, so their number is compared before one is made.
#[test]
fn experts_that_the_metadata_does_not_tell_of() {
    let bench = Bench::new("qwen3moe-q8_0");
    let count = bench.after("qwen3moe.expert_count") + 4;
    for stated in [3_u32, 5, 4_096] {
        let says = ["_exps.weight`", "`qwen3moe.expert_count`"];
        bench.refuses(count, &stated.to_le_bytes(), &says);
    }
    let tensor = bench.after("blk.0.ffn_gate_exps.weight");
    // Behind the number of sides and two sides of the matrices.
    let many = 4_096_u64.to_le_bytes();
    bench.refuses(tensor + 20, &many, &["`blk.0.ffn_gate_exps.weight`"]);
    let blocks = bench.after("qwen3moe.block_count") + 4;
    let says = ["`blk.1.ffn_", "_exps.weight`", "`qwen3moe.block_count`"];
    bench.refuses(blocks, &1_u32.to_le_bytes(), &says);
}

#[test]
fn a_file_that_breaks_off() {
    let bench = Bench::new("llama-q8_0");
    let length = bench.sound.len();
    for cut in [0, 3, 23, 24, 100, 5_000, length / 2, length - 1] {
        bench.refuses_all(&bench.sound[..cut], None, &["model.gguf"]);
    }
}

#[test]
fn what_would_be_computed_in_another_way() {
    let bench = Bench::new("qwen2-q4_k_m");
    let architecture = bench.after("general.architecture") + 12;
    bench.refuses(architecture, b"gemma", &["`general.architecture`", "gemma"]);
    let scaling = bench.after("qwen2.rope.scaling.type") + 12;
    bench.refuses(scaling, b"barn", &["`qwen2.rope.scaling.type`", "barn"]);
    let width = bench.after("qwen2.attention.value_length") + 4;
    bench.refuses(width, &32_u32.to_le_bytes(), &["value_length"]);
    let bias = bench.after("blk.0.attn_q.bias") - 6;
    bench.refuses(bias, b"z", &["`blk.0.attn_z.bias`", "no place"]);
}

#[test]
fn a_tokenizer_that_cannot_be_made_is_asked_for() {
    let bench = Bench::new("qwen3-f16");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifiers");
    let ways = bench.after("tokenizer.ggml.pre") + 12;
    bench.refuses(ways, b"other", &["`tokenizer.ggml.pre`", "`--tokenizer`"]);
    let kind = bench.after("tokenizer.ggml.model") + 12;
    bench.refuses(kind, b"bert", &["`tokenizer.ggml.model`", "`--tokenizer`"]);
    let mut other = bench.sound.clone();
    other[kind..kind + 4].copy_from_slice(b"bert");
    let given = fixtures.join("tokenizer.json");
    bench.import(&other, Some(&given)).unwrap();
    let words = std::fs::read(bench.bundle().join("tokenizer.json")).unwrap();
    assert!(words == std::fs::read(given).unwrap());
}

/// The tokenizer that is made of the file's words splits as the published ones of these families.
#[test]
fn words_are_split_as_the_model_does() {
    for (name, text, pieces) in [
        (
            "qwen3-f16",
            "YES 12'Ve\n\n  x<|im_end|>",
            &[
                "YES",
                "Ġ",
                "1",
                "2",
                "'",
                "V",
                "e",
                "Ċ",
                "Ċ",
                "Ġ",
                "Ġ",
                "x",
                "<|im_end|>",
            ][..],
        ),
        ("llama-f32", "NO", &["NO"]),
    ] {
        let bench = Bench::new(name);
        bench.import(&bench.sound, None).unwrap();
        let made = Tokenizer::from_file(bench.bundle().join("tokenizer.json")).unwrap();
        let encoded = made.encode(text, false).unwrap();
        assert_eq!(encoded.get_tokens(), pieces);
        for (id, token) in encoded.get_ids().iter().zip(pieces) {
            assert_eq!(made.token_to_id(token), Some(*id));
        }
    }
}
