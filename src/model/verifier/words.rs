//! The tokenizer that a GGUF file carries, in the form of Hugging Face's `tokenizer.json`.
//!
//! Invariant: a tokenizer is made only where it splits text as the model's own does; any other kind is
//! refused, with what to give in its place.

use super::gguf::Source;
use serde_json::{Value, json};

/// What to do about a tokenizer that cannot be made.
const INSTEAD: &str = "give the model's tokenizer.json with `--tokenizer`";

/// How text is split into words before pairs are joined: the patterns of the models' own
/// tokenizers.
const CONTRACTIONS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
const REST: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Kinds of tokens that stand for themselves wherever they are in a text.
const CONTROL: i128 = 3;
const USER_DEFINED: i128 = 4;

/// The tokenizer as JSON. Fails with a clause that names the field, and says what to do.
pub(super) fn tokenizer(source: Source<'_>) -> Result<Vec<u8>, String> {
    let text = |key: &str| source.text(key).unwrap_or("nothing");
    let kind = text("tokenizer.ggml.model");
    if kind != "gpt2" {
        return Err(format!(
            "field `tokenizer.ggml.model` is {kind:?}, but this version makes tokenizers of kind gpt2 only: {INSTEAD}"
        ));
    }
    let (digits, normalizer, ignore_merges) = match text("tokenizer.ggml.pre") {
        "qwen2" => (r"\p{N}", json!({"type": "NFC"}), false),
        "llama-bpe" | "llama3" => (r"\p{N}{1,3}", Value::Null, true),
        other => {
            return Err(format!(
                "field `tokenizer.ggml.pre` is {other:?}, but this version splits words as qwen2 and llama-bpe do: {INSTEAD}"
            ));
        }
    };
    let missing = |key: &str| format!("field `{key}` is missing or no array: {INSTEAD}");
    let tokens = source
        .texts("tokenizer.ggml.tokens")
        .ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
    let merges = source
        .texts("tokenizer.ggml.merges")
        .ok_or_else(|| missing("tokenizer.ggml.merges"))?;
    let kinds = source
        .integers("tokenizer.ggml.token_type")
        .filter(|kinds| kinds.len() == tokens.len())
        .ok_or_else(|| missing("tokenizer.ggml.token_type"))?;
    let merges: Vec<(&str, &str)> = merges
        .iter()
        .map(|merge| merge.split_once(' '))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("field `tokenizer.ggml.merges` holds no pairs: {INSTEAD}"))?;
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), json!(id)))
        .collect();
    if vocab.len() != tokens.len() {
        return Err(format!(
            "field `tokenizer.ggml.tokens` holds a token twice: {INSTEAD}"
        ));
    }
    let added: Vec<Value> = tokens
        .iter()
        .zip(kinds)
        .enumerate()
        .filter(|(_, (_, kind))| matches!(**kind, CONTROL | USER_DEFINED))
        .map(|(id, (token, kind))| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": *kind == CONTROL})
        })
        .collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
        "use_regex": false});
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": format!("{CONTRACTIONS}{digits}{REST}")},
                "behavior": "Isolated", "invert": false},
            bytes,
        ]},
        "post_processor": null,
        "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": ignore_merges, "vocab": vocab,
            "merges": merges},
    });
    serde_json::to_vec(&tokenizer).map_err(|error| error.to_string())
}
