//! A structurally complete model bundle of a few hundred kilobytes with random weights, for tests
//! that need a model but not a good one. Include it with
//! `#[path = "support/tiny_bundle.rs"] mod tiny_bundle;`.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test includes this file and uses another part of it"
)]

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const LAYERS: usize = 2;
pub const HIDDEN: usize = 32;
pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const INTERMEDIATE: usize = 64;
pub const VOCAB: usize = 256;
pub const CONTEXT: usize = 128;
pub const MAX_WINDOWS: usize = 2;
pub const BUCKETS: usize = 1024;
pub const METRICS: usize = 121;
pub const SURROUNDINGS: usize = 8;
pub const LINE_NUMBERS: usize = 8;
pub const REVERSAL: usize = METRICS + LINE_NUMBERS + 1;
/// Features and right children of two trees: a split on the tokens added, and a leaf.
const TREE: [[i32; 4]; 2] = [[4, -1, -1, -1], [2, 0, 0, 0]];
/// All files but `bundle.json`.
pub const FILES: [&str; 4] = [
    "trunk.gguf",
    "heads.safetensors",
    "tokenizer.json",
    "calibration.json",
];

/// A bundle in a temporary folder that lives as long as this.
pub struct TinyBundle {
    dir: TempDir,
}

impl TinyBundle {
    /// Writes the bundle. The same weights each time.
    pub fn new() -> Self {
        let bundle = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        write_trunk(&bundle.file("trunk.gguf"));
        write_heads(&bundle.file("heads.safetensors"));
        bundle.write("tokenizer.json", tokenizer().to_string().as_bytes());
        bundle.write("calibration.json", calibration().to_string().as_bytes());
        bundle.write("bundle.json", manifest().to_string().as_bytes());
        bundle.rehash();
        bundle
    }

    /// One that scores low what adds the word `bad`, and all else high: 12% and 87%.
    pub fn averse_to_bad() -> Self {
        let bundle = Self::new();
        write_averse_heads(&bundle.file("heads.safetensors"));
        bundle.edit(|manifest| manifest["lexical"]["buckets"] = MANY_BUCKETS.into());
        bundle.rehash();
        bundle
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The content of one of its files.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    /// Replaces a file and leaves the hashes in `bundle.json` as they are.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.file(name), bytes).unwrap();
    }

    /// Changes `bundle.json`.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut manifest: Value = serde_json::from_slice(&self.read("bundle.json")).unwrap();
        change(&mut manifest);
        self.write("bundle.json", manifest.to_string().as_bytes());
    }

    /// Makes the hashes in `bundle.json` those of the files.
    pub fn rehash(&self) {
        let hash = |name: &str| -> Value {
            let digest = Sha256::digest(self.read(name));
            digest
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>()
                .into()
        };
        self.edit(|manifest| {
            manifest["weights"][0]["sha256"] = hash("trunk.gguf");
            manifest["weights"][1]["sha256"] = hash("heads.safetensors");
            manifest["tokenizer"]["sha256"] = hash("tokenizer.json");
            manifest["calibration_sha256"] = hash("calibration.json");
        });
    }
}

fn manifest() -> Value {
    json!({
        "schema": 1, "name": "tiny", "version": "0.0.1", "license": "Apache-2.0",
        "kind": "trunk-heads", "architecture": "llama",
        "weights": [
            {"file": "trunk.gguf", "sha256": ""},
            {"file": "heads.safetensors", "sha256": ""},
        ],
        "tokenizer": {"file": "tokenizer.json", "sha256": ""},
        "renderer": "patch@1", "context": CONTEXT,
        "calibration": "calibration.json", "calibration_sha256": "",
        "languages": ["rust", "python"],
        "trunk": {
            "layers": LAYERS, "hidden": HIDDEN, "heads": HEADS, "kv_heads": KV_HEADS,
            "intermediate": INTERMEDIATE, "vocab": VOCAB, "rope_theta": 10000.0,
            "rms_norm_eps": 1e-5,
        },
        "task_tokens": 16, "max_windows": MAX_WINDOWS, "readouts": [1, 2],
        "heads": {
            "patch": {"pools": ["task", "added", "removed", "context", "end"], "hidden": 0},
            "hunk": {"pools": ["added", "removed", "context", "end", "patch_added"], "hidden": 8},
        },
        "lexical": {
            "buckets": BUCKETS, "metrics": METRICS, "surroundings": SURROUNDINGS,
            "line_numbers": LINE_NUMBERS, "reversal": REVERSAL,
        },
    })
}

fn calibration() -> Value {
    let map = json!({"slope": 1.0, "intercept": 0.0, "reference_prior": 0.5});
    json!({"schema": 1, "id": "tiny", "default_prior": 0.5, "patch": map, "hunk": map})
}

/// One token a byte.
fn tokenizer() -> Value {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet()
        .into_iter()
        .collect();
    alphabet.sort_unstable();
    let vocab: serde_json::Map<String, Value> = (0..)
        .zip(alphabet)
        .map(|(id, c): (u32, char)| (c.to_string(), id.into()))
        .collect();
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    })
}

/// Numbers between -1 and 1 that only look random (the generator of Numerical Recipes).
fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    })
    .take(count)
    .collect()
}

fn write_trunk(path: &Path) {
    let narrow = HIDDEN / HEADS * KV_HEADS;
    let mut shapes = vec![("token_embd.weight".to_string(), vec![VOCAB, HIDDEN])];
    for layer in 0..LAYERS {
        for (part, shape) in [
            ("attn_norm", vec![HIDDEN]),
            ("attn_q", vec![HIDDEN, HIDDEN]),
            ("attn_k", vec![narrow, HIDDEN]),
            ("attn_v", vec![narrow, HIDDEN]),
            ("attn_output", vec![HIDDEN, HIDDEN]),
            ("ffn_norm", vec![HIDDEN]),
            ("ffn_gate", vec![INTERMEDIATE, HIDDEN]),
            ("ffn_up", vec![INTERMEDIATE, HIDDEN]),
            ("ffn_down", vec![HIDDEN, INTERMEDIATE]),
        ] {
            shapes.push((format!("blk.{layer}.{part}.weight"), shape));
        }
    }
    let tensors: Vec<(String, QTensor)> = (0..)
        .zip(shapes)
        .map(|(seed, (name, shape))| {
            let values = noise(seed, shape.iter().product());
            let dtype = if shape.len() == 1 {
                GgmlDType::F32
            } else {
                GgmlDType::Q4_1
            };
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            (name, QTensor::quantize(&tensor, dtype).unwrap())
        })
        .collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    let layers = gguf_file::Value::U32(LAYERS as u32);
    let tags = gguf_file::Value::Array(vec![gguf_file::Value::String("a".into()); 3]);
    let metadata = [("llama.block_count", &layers), ("general.tags", &tags)];
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}

/// Enough that words hardly ever meet in one.
const MANY_BUCKETS: usize = 1 << 18;

/// Where the lexical branch counts the term `+:bad` (FNV-1a 64, folded).
fn bucket_of_bad() -> usize {
    let hash = b"+:bad".iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3_u64)
    });
    (((hash >> 32) ^ (hash & 0xffff_ffff)) % MANY_BUCKETS as u64) as usize
}

/// Every set of trees of a bundle.
const TREES: [&str; 5] = ["patch", "bare", "gate", "snippet", "hunk"];

fn write_heads(path: &Path) {
    write_tensors(path, BUCKETS, nothing_is_a_snippet);
}

fn nothing_is_a_snippet(name: &str, values: &mut [f32]) {
    if name == "trees.gate.value" {
        values.fill(-1.0);
    }
}

/// Only the lexical branch counts, and in it only one word.
fn write_averse_heads(path: &Path) {
    write_tensors(path, MANY_BUCKETS, |name, values| {
        let one_word = |values: &mut [f32], it, others| {
            values.fill(others);
            values[bucket_of_bad()] = it;
        };
        match name {
            "fusion.patch" | "fusion.hunk" => {
                values.fill(0.0);
                values[1] = 1.0;
            }
            "fusion.bare" | "fusion.hunk_only" => {
                values.fill(0.0);
                values[0] = 1.0;
            }
            // Outweighs all other words, so that the weight comes through whole.
            "lexical.patch.idf" | "lexical.bare.idf" | "lexical.hunk.idf" => {
                one_word(values, 1000.0, 1.0);
            }
            "lexical.patch.weight" | "lexical.bare.weight" | "lexical.hunk.weight" => {
                one_word(values, -3.9, 0.0);
            }
            "lexical.patch.bias" | "lexical.bare.bias" | "lexical.hunk.bias" => values.fill(1.9),
            _ => nothing_is_a_snippet(name, values),
        }
    });
}

fn write_tensors(path: &Path, buckets: usize, adjust: impl Fn(&str, &mut [f32])) {
    let states = 2 * 5 * HIDDEN;
    let mut shapes = vec![
        ("head.patch.weight".to_string(), vec![1, states]),
        ("head.patch.bias".into(), vec![1]),
        ("head.hunk.0.weight".into(), vec![8, states]),
        ("head.hunk.0.bias".into(), vec![8]),
        ("head.hunk.2.weight".into(), vec![1, 8]),
        ("head.hunk.2.bias".into(), vec![1]),
        ("fusion.patch".into(), vec![5]),
        ("fusion.bare".into(), vec![3]),
        ("fusion.snippet".into(), vec![2]),
        ("fusion.hunk".into(), vec![6]),
        ("fusion.hunk_trunk_mean".into(), vec![1]),
        ("fusion.hunk_only".into(), vec![2]),
        ("lines.hunk.weight".into(), vec![buckets]),
        ("direction.hunk.weight".into(), vec![buckets]),
        ("metrics.patch.bias".into(), vec![1]),
    ];
    for kind in ["patch", "bare", "hunk"] {
        for (part, size) in [("idf", buckets), ("weight", buckets), ("bias", 1)] {
            shapes.push((format!("lexical.{kind}.{part}"), vec![size]));
        }
    }
    for kind in TREES {
        shapes.push((format!("trees.{kind}.value"), vec![TREE[0].len()]));
    }
    for part in ["mean", "scale", "weight"] {
        shapes.push((format!("metrics.patch.{part}"), vec![METRICS]));
    }
    let mut data: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = (100..)
        .zip(shapes)
        .map(|(seed, (name, shape))| {
            let mut values = noise(seed, shape.iter().product());
            if name.ends_with("scale") || name.ends_with("idf") {
                values
                    .iter_mut()
                    .for_each(|value| *value = value.abs() + 0.5);
            }
            adjust(&name, &mut values);
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, (Dtype::F32, shape, bytes))
        })
        .collect();
    data.insert("fusion.hunk_same_size".into(), data["fusion.hunk"].clone());
    for kind in TREES {
        for (part, values) in [
            ("roots", &[0, 3][..]),
            ("feature", &TREE[0]),
            ("right", &TREE[1]),
        ] {
            let bytes = values.iter().flat_map(|v: &i32| v.to_le_bytes()).collect();
            let tensor = (Dtype::I32, vec![values.len()], bytes);
            data.insert(format!("trees.{kind}.{part}"), tensor);
        }
    }
    let views = data.iter().map(|(name, (dtype, shape, bytes))| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (name, view)
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
