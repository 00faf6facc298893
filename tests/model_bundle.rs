//! A bundle that is not what it should be is refused with one line that names the file and the
//! field at fault, without a panic and without allocating what a header pretends to need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed test or bench may stop"
)]

#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use diffidence::change::Patch;
use diffidence::model::{Bundle, ModelError, RewardModel, Run, Threads, TokensRead, TrunkHeads};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::Path;
use tiny_bundle::{FILES, TinyBundle};

fn load(dir: &Path) -> Result<TrunkHeads, ModelError> {
    let threads = Threads::new(NonZeroUsize::new(1))?;
    Bundle::open(dir)?.load_on(threads)
}

/// The message of the refusal, which is one line and names each of `parts`.
#[track_caller]
fn refused(bundle: &TinyBundle, parts: &[&str]) -> ModelError {
    let error = load(bundle.dir()).expect_err("the bundle must be refused");
    let message = error.to_string();
    assert!(
        !message.contains('\n') && message.len() < 1_000,
        "{message}"
    );
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    error
}

fn patch(text: &str) -> Patch {
    Patch::from_unified(text.as_bytes()).unwrap()
}

const CHANGE: &str = "--- a/x.rs\n+++ b/x.rs\n@@ -1,3 +1,3 @@\n fn f() {\n-    1\n+    2\n }\n";

#[test]
fn a_sound_bundle_loads_and_scores_the_same_each_time() {
    let bundle = TinyBundle::new();
    let opened = Bundle::open(bundle.dir()).unwrap();
    assert_eq!(opened.identity.to_string(), "tiny@0.0.1");
    assert_eq!(opened.identity.bundle_hash.len(), 64);
    assert_eq!(opened.calibration.id, "tiny");
    assert_eq!(opened.languages, ["rust", "python"]);
    let model = load(bundle.dir()).unwrap();
    let score = |model: &TrunkHeads, text: &str, task| {
        model.score(&patch(text), task, &Run::default()).unwrap()
    };
    let first = score(&model, CHANGE, Some("make it two"));
    assert_eq!(first.hunks.len(), 1);
    assert!(!first.truncated && first.tokens > 30);
    let run = Run::default();
    let task = Some("make it two");
    let all = model.score(&patch(CHANGE), task, &run).unwrap().tokens;
    assert_eq!(run.tokens(), Some(TokensRead { done: all, all }));
    let other = score(&model, &CHANGE.replace('2', "3"), task);
    assert_ne!(first.patch, other.patch);
    assert_eq!(first, score(&model, CHANGE, task));
    let run = Run::default();
    let bare = model.score(&patch(CHANGE), None, &run).unwrap();
    assert_eq!(
        (bare.tokens, bare.truncated, run.tokens()),
        (0, false, None)
    );
}

#[test]
fn nothing_to_score_and_cancellation_are_errors() {
    let bundle = TinyBundle::new();
    let model = load(bundle.dir()).unwrap();
    let empty = model.score(&Patch::default(), None, &Run::default());
    assert!(matches!(empty, Err(ModelError::NothingToScore)));
    let run = Run::default();
    run.cancel();
    let cancelled = model.score(&patch(CHANGE), None, &run);
    assert!(matches!(cancelled, Err(ModelError::Cancelled)));
}

#[test]
fn a_patch_of_50_000_lines_is_scored_in_part() {
    let bundle = TinyBundle::new();
    let model = load(bundle.dir()).unwrap();
    let mut text = String::from("--- /dev/null\n+++ b/x.rs\n@@ -0,0 +1,50000 @@\n");
    for line in 0..50_000 {
        text.push_str(&format!("+let v{line} = {line};\n"));
    }
    let task = Some("make many");
    let got = model.score(&patch(&text), task, &Run::default()).unwrap();
    assert!(got.truncated);
    assert!(got.tokens <= tiny_bundle::CONTEXT * tiny_bundle::MAX_WINDOWS);
}

#[test]
fn no_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(matches!(error, ModelError::NotFound(_)), "{error}");
    let error = load(&dir.path().join("missing")).unwrap_err();
    assert!(error.to_string().contains("--model"), "{error}");
}

#[test]
fn each_file_missing_or_not_a_file() {
    for name in FILES {
        let bundle = TinyBundle::new();
        std::fs::remove_file(bundle.file(name)).unwrap();
        let error = refused(&bundle, &[name, "cannot read"]);
        assert!(matches!(error, ModelError::Read { .. }));
        std::fs::create_dir(bundle.file(name)).unwrap();
        refused(&bundle, &[name, "is not a file"]);
    }
}

#[test]
fn each_file_truncated_or_with_a_flipped_bit() {
    for name in FILES {
        let bundle = TinyBundle::new();
        let sound = bundle.read(name);
        for length in [0, 1, 8, sound.len() / 2, sound.len() - 1] {
            bundle.write(name, &sound[..length]);
            refused(&bundle, &[name, "`sha256`"]);
        }
        for at in [0, sound.len() / 3, sound.len() - 1] {
            let mut flipped = sound.clone();
            flipped[at] ^= 0x10;
            bundle.write(name, &flipped);
            refused(&bundle, &[name, "`sha256`"]);
        }
    }
}

/// Even if someone made the hashes fit.
#[test]
fn each_file_truncated_with_the_right_hash() {
    for name in FILES {
        let bundle = TinyBundle::new();
        let sound = bundle.read(name);
        for length in (0..64).chain((64..sound.len()).step_by(sound.len() / 40 + 1)) {
            bundle.write(name, &sound[..length]);
            bundle.rehash();
            let error = refused(&bundle, &[name]);
            assert!(matches!(error, ModelError::Invalid { .. }), "{error}");
        }
    }
}

/// Any flipped bit in a header is refused or harmless, but never a panic.
#[test]
fn flipped_bits_in_headers_with_the_right_hash() {
    let bundle = TinyBundle::new();
    for (name, header) in [("trunk.gguf", 1_200), ("heads.safetensors", 1_200)] {
        let sound = bundle.read(name);
        for at in (0..header).step_by(3) {
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << (at % 8);
            bundle.write(name, &flipped);
            bundle.rehash();
            if let Err(error) = load(bundle.dir()) {
                let message = error.to_string();
                assert!(
                    message.contains(name) && !message.contains('\n'),
                    "{message}"
                );
            }
        }
        bundle.write(name, &sound);
    }
}

#[test]
fn the_manifest_truncated_or_with_a_flipped_bit() {
    let bundle = TinyBundle::new();
    let sound = bundle.read("bundle.json");
    for length in [0, 1, sound.len() / 2, sound.len() - 1] {
        bundle.write("bundle.json", &sound[..length]);
        refused(&bundle, &["bundle.json"]);
    }
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x80;
        bundle.write("bundle.json", &flipped);
        refused(&bundle, &["bundle.json"]);
    }
    bundle.write("bundle.json", &[sound, b"x".into()].concat());
    refused(&bundle, &["bundle.json"]);
    bundle.write("bundle.json", &vec![b' '; 2 << 20]);
    refused(&bundle, &["bundle.json", "limit"]);
}

#[test]
fn fields_of_the_manifest() {
    let check = |pointer: &str, value: Value, parts: &[&str]| {
        let bundle = TinyBundle::new();
        bundle.edit(|manifest| *manifest.pointer_mut(pointer).unwrap() = value);
        refused(&bundle, &[&["bundle.json"], parts].concat());
    };
    check("/schema", json!(2), &["`schema` is 2", "another version"]);
    check(
        "/kind",
        json!("generative-verifier"),
        &["field `config`", "missing"],
    );
    check("/kind", json!("oracle"), &["`kind`"]);
    check("/architecture", json!("mamba"), &["`architecture`"]);
    check("/renderer", json!("patch@2"), &["`renderer`"]);
    for name in [
        "../trunk.gguf",
        "/etc/x.gguf",
        "a/b.gguf",
        "..\\x.gguf",
        "C:x.gguf",
        "",
        ".gguf",
    ] {
        check("/weights/0/file", json!(name), &["`weights`"]);
    }
    check(
        "/tokenizer/file",
        json!("../tokenizer.json"),
        &["`tokenizer`"],
    );
    check("/calibration", json!(".."), &["`calibration`"]);
    check("/weights/0/sha256", json!("ABC"), &["`weights`", "SHA-256"]);
    check("/weights", json!([]), &["`weights`"]);
    check("/weights/0/file", json!(7), &["`weights[0].file`"]);
    check("/context", json!(4_000_000_000_u64), &["`context`"]);
    check("/context", json!(-1), &["`context`"]);
    check("/context", json!(1), &["`context`"]);
    check("/task_tokens", json!(100), &["`task_tokens`"]);
    check("/max_windows", json!(0), &["`max_windows`"]);
    check("/readouts", json!([]), &["`readouts`"]);
    check("/readouts", json!([0]), &["`readouts`"]);
    check("/readouts", json!([2, 1]), &["`readouts`"]);
    check("/readouts", json!([3]), &["`readouts`"]);
    check("/trunk/hidden", json!(1_u64 << 60), &["`trunk.hidden`"]);
    check("/trunk/layers", json!(0), &["`trunk.layers`"]);
    check("/trunk/heads", json!(5), &["`trunk.hidden`"]);
    check("/trunk/kv_heads", json!(3), &["`trunk.kv_heads`"]);
    check("/trunk/rope_theta", json!(0.0), &["`trunk.rope_theta`"]);
    check("/trunk/rms_norm_eps", json!(0.0), &["`trunk.rms_norm_eps`"]);
    check(
        "/heads/hunk/pools",
        json!(["task"]),
        &["`heads.hunk.pools[0]`"],
    );
    check(
        "/heads/hunk/hidden",
        json!(1_u64 << 40),
        &["`heads.hunk.hidden`"],
    );
    check("/lexical/buckets", json!(0), &["`lexical.buckets`"]);
    for field in ["metrics", "surroundings", "line_numbers", "reversal"] {
        let name = format!("`lexical.{field}`");
        check(
            &format!("/lexical/{field}"),
            json!(31),
            &[&name, "another version"],
        );
    }
}

#[test]
fn shapes_that_differ_from_the_manifest() {
    let check = |pointer: &str, value: Value, parts: &[&str]| {
        let bundle = TinyBundle::new();
        bundle.edit(|manifest| *manifest.pointer_mut(pointer).unwrap() = value);
        refused(&bundle, parts);
    };
    check(
        "/trunk/vocab",
        json!(512),
        &["trunk.gguf", "`token_embd.weight`", "[256, 32]"],
    );
    check("/trunk/vocab", json!(200), &["bundle.json", "200"]);
    check(
        "/trunk/intermediate",
        json!(96),
        &["trunk.gguf", "`blk.", "[96, 32]"],
    );
    check("/trunk/layers", json!(3), &["trunk.gguf", "`blk.2."]);
    check(
        "/heads/hunk/hidden",
        json!(0),
        &["heads.safetensors", "`head.hunk.weight`"],
    );
    check(
        "/heads/hunk/hidden",
        json!(9),
        &["heads.safetensors", "`head.hunk.0.weight`"],
    );
    check(
        "/lexical/buckets",
        json!(2048),
        &["heads.safetensors", "`lexical.patch.idf`"],
    );
}

/// Trees whose nodes point outside would read what is not there or never end.
#[test]
fn trees_that_point_outside() {
    let bundle = TinyBundle::new();
    let sound = bundle.read("heads.safetensors");
    let header: Value = {
        let (length, rest) = sound.split_first_chunk().unwrap();
        serde_json::from_slice(&rest[..u64::from_le_bytes(*length) as usize]).unwrap()
    };
    let start = 8 + u64::from_le_bytes(sound[..8].try_into().unwrap()) as usize;
    let check = |tensor: &str, value: i32| {
        let at = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        let mut broken = sound.clone();
        broken[start + at..start + at + 4].copy_from_slice(&value.to_le_bytes());
        bundle.write("heads.safetensors", &broken);
        bundle.rehash();
        refused(&bundle, &["heads.safetensors", "`trees.hunk`"]);
    };
    for value in [-1, 4, i32::MAX, i32::MIN] {
        check("trees.hunk.roots", value);
    }
    for value in [-2, 267, i32::MAX, i32::MIN] {
        check("trees.hunk.feature", value);
    }
    for value in [-1, 0, 1, 4, i32::MAX] {
        check("trees.hunk.right", value);
    }
}

#[test]
fn absurd_headers() {
    let bundle = TinyBundle::new();
    let sound = bundle.read("trunk.gguf");
    let find = |text: &str| {
        let at = sound.windows(text.len()).position(|w| w == text.as_bytes());
        at.unwrap() + text.len()
    };
    let check = |at: usize, bytes: &[u8], parts: &[&str]| {
        let mut absurd = sound.clone();
        absurd[at..at + bytes.len()].copy_from_slice(bytes);
        bundle.write("trunk.gguf", &absurd);
        bundle.rehash();
        refused(&bundle, &[&["trunk.gguf"], parts].concat());
    };
    let huge = u64::MAX.to_le_bytes();
    check(0, b"GGML", &["`magic`"]);
    check(4, &9_u32.to_le_bytes(), &["`version`"]);
    check(8, &huge, &["`tensor_count`"]);
    check(16, &huge, &["`metadata_kv_count`"]);
    check(24, &huge, &["`metadata key`"]);
    let tags = find("general.tags");
    check(tags, &99_u32.to_le_bytes(), &["`general.tags`"]);
    check(tags + 8, &huge, &["`general.tags`"]);
    let tensor = find("blk.0.attn_q.weight");
    check(
        tensor,
        &1_000_u32.to_le_bytes(),
        &["`blk.0.attn_q.weight`", "`n_dimensions`"],
    );
    check(
        tensor - 7,
        &[&b"\nweight"[..], &1_000_u32.to_le_bytes()].concat(),
        &["`n_dimensions`"],
    );
    check(
        tensor + 4,
        &(1_u64 << 40).to_le_bytes(),
        &["`blk.0.attn_q.weight`"],
    );
    check(
        tensor + 4,
        &[huge, huge].concat(),
        &["`blk.0.attn_q.weight`", "`shape`"],
    );
    check(
        tensor + 20,
        &77_u32.to_le_bytes(),
        &["`blk.0.attn_q.weight`", "`type`"],
    );
    check(
        tensor + 24,
        &(1_u64 << 62).to_le_bytes(),
        &["`blk.0.attn_q.weight`", "`offset`"],
    );
    check(
        tensor + 24,
        &3_u64.to_le_bytes(),
        &["`blk.0.attn_q.weight`", "`offset`"],
    );
    bundle.write("trunk.gguf", &sound);

    let check = |header: &str, parts: &[&str]| {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + 64, 0);
        bundle.write("heads.safetensors", &file);
        bundle.rehash();
        refused(&bundle, &[&["heads.safetensors"], parts].concat());
    };
    check("{}", &["header"]);
    check(
        r#"{"head.patch.weight":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,64]}}"#,
        &["header"],
    );
    check(
        r#"{"head.patch.weight":{"dtype":"F32","shape":[16],"data_offsets":[0,1000000000000]}}"#,
        &["header"],
    );
    check(
        r#"{"head.patch.weight":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}"#,
        &["`head.patch.weight`", "[16]"],
    );
    check(
        r#"{"other":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}"#,
        &["`head.patch.weight`", "missing"],
    );
    bundle.write("heads.safetensors", &huge);
    bundle.rehash();
    refused(&bundle, &["heads.safetensors", "header"]);
}
