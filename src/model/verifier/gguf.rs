//! A language model as llama.cpp stores it: names of tensors and metadata, in the words of Hugging
//! Face.
//!
//! Invariant: what this version would compute in another way than llama.cpp is refused with the
//! name of the metadata key. Names: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use super::super::gguf::{Header, Metadata, Value};
use super::catalogue::{Catalogue, Located, Shard};
use super::config::MAX_COUNT;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// What goes before the names of a model's own metadata is its architecture.
const ARCHITECTURE: &str = "general.architecture";

/// Adds the tensors of a file. Fails with a clause that names the field at fault.
pub(super) fn add(file: File, catalogue: &mut Catalogue) -> Result<(), String> {
    let Header { metadata, tensors } = header(&file)?;
    let source = Source(&metadata);
    catalogue.neighbours = source.text(ARCHITECTURE) == Some("llama");
    let shard = Shard::new(file);
    for (name, entry) in tensors {
        let located = |offset: u64, length: u64, shape: &[usize]| Located {
            shard: shard.clone(),
            offset,
            length,
            dtype: entry.dtype,
            shape: shape.to_vec(),
        };
        let length = entry.range.end - entry.range.start;
        let start = entry.range.start;
        match renamed(&name) {
            Renamed::Tensor(name) => {
                catalogue.add(name, located(start, length, &entry.shape))?;
            }
            // One below the other: each expert is a tensor of its own.
            Renamed::Experts { layer, side } => {
                let (count, shape) = experts(&name, &layer, &entry.shape, source)?;
                let each = length / count as u64;
                for expert in 0..count {
                    let name = format!("model.layers.{layer}.mlp.experts.{expert}.{side}.weight");
                    catalogue.add(name, located(start + expert as u64 * each, each, shape))?;
                }
            }
        }
    }
    Ok(())
}

/// How many experts a tensor holds, and the shape of each. Compared with the metadata before anything
/// is made of them: a short header can tell of millions.
fn experts<'a>(
    name: &str,
    layer: &str,
    shape: &'a [usize],
    source: Source<'_>,
) -> Result<(usize, &'a [usize]), String> {
    let &[count, ref shape @ ..] = shape else {
        return Err(format!("tensor `{name}` has no shape"));
    };
    if shape.len() != 2 {
        return Err(format!(
            "tensor `{name}` has {} sides, not three",
            shape.len() + 1
        ));
    }
    let stated = |part: &str| {
        let key = format!("{}.{part}", source.text(ARCHITECTURE).unwrap_or_default());
        let value = source.count(&key)?.unwrap_or(0);
        Ok::<_, String>((key, value))
    };
    let (key, value) = stated("expert_count")?;
    if count as u64 != value || !(1..=MAX_COUNT).contains(&count) {
        return Err(format!(
            "tensor `{name}` is of {count} experts, but field `{key}` is {value}, and {MAX_COUNT} are the most"
        ));
    }
    let (key, value) = stated("block_count")?;
    if layer.parse::<u64>().ok().is_none_or(|layer| layer >= value) {
        return Err(format!(
            "tensor `{name}` is of no block: field `{key}` is {value}"
        ));
    }
    Ok((count, shape))
}

/// Whether a file begins as all files of the format do.
pub(super) fn begins(mut file: File) -> bool {
    let mut magic = [0; 4];
    file.read_exact(&mut magic).is_ok() && magic == *b"GGUF"
}

/// Whether a file is called as files of the format are.
pub(super) fn has_ending(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// Reads and checks the header of a file, with its metadata.
pub(super) fn header(mut file: &File) -> Result<Header, String> {
    let fault = |error: std::io::Error| error.to_string();
    let size = file.metadata().map_err(fault)?.len();
    file.seek(SeekFrom::Start(0)).map_err(fault)?;
    Header::read(BufReader::new(file), size, Metadata::Keep)
}

enum Renamed {
    Tensor(String),
    /// The matrices of all experts of a block.
    Experts {
        layer: String,
        side: &'static str,
    },
}

/// The name of a tensor in the words of Hugging Face. One that is not known keeps its name, and is
/// refused because nothing asks for it.
fn renamed(name: &str) -> Renamed {
    let whole = match name {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(name) = whole {
        return Renamed::Tensor(name.into());
    }
    let parts = || {
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        Some((layer, part, kind))
    };
    let Some((layer, part, kind)) = parts() else {
        return Renamed::Tensor(name.into());
    };
    let part = match part {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        "ffn_gate_inp" => "mlp.gate",
        "ffn_gate_exps" | "ffn_up_exps" | "ffn_down_exps" => {
            return Renamed::Experts {
                layer: layer.into(),
                side: match part {
                    "ffn_gate_exps" => "gate_proj",
                    "ffn_up_exps" => "up_proj",
                    _ => "down_proj",
                },
            };
        }
        _ => return Renamed::Tensor(name.into()),
    };
    Renamed::Tensor(format!("model.layers.{layer}.{part}.{kind}"))
}

/// Metadata, read key by key.
#[derive(Clone, Copy)]
pub(super) struct Source<'a>(pub(super) &'a HashMap<String, Value>);

impl<'a> Source<'a> {
    pub(super) fn text(self, key: &str) -> Option<&'a str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn texts(self, key: &str) -> Option<&'a [String]> {
        match self.0.get(key)? {
            Value::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    pub(super) fn integers(self, key: &str) -> Option<&'a [i128]> {
        match self.0.get(key)? {
            Value::Integers(integers) => Some(integers),
            _ => None,
        }
    }

    /// A count; the number that all blocks share, where each has one of its own.
    fn count(self, key: &str) -> Result<Option<u64>, String> {
        let integer = match self.0.get(key) {
            None => return Ok(None),
            Some(Value::Integer(integer)) => Some(*integer),
            Some(Value::Integers(each)) => {
                let first = each.first().copied();
                if each.iter().any(|other| Some(*other) != first) {
                    return Err(format!(
                        "field `{key}` differs between blocks, which this version cannot do"
                    ));
                }
                first
            }
            Some(_) => None,
        };
        integer
            .and_then(|integer| u64::try_from(integer).ok())
            .map(Some)
            .ok_or_else(|| format!("field `{key}` is no count"))
    }

    fn number(self, key: &str) -> Option<f64> {
        match self.0.get(key)? {
            Value::Float(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "no such count is above 2^53")]
            Value::Integer(integer) => Some(*integer as f64),
            _ => None,
        }
    }

    fn flag(self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
}

/// The configuration in the form of `config.json`, which is then checked as any other.
pub(super) fn config(header: &Header) -> Result<Vec<u8>, String> {
    let source = Source(&header.metadata);
    let architecture = source
        .text(ARCHITECTURE)
        .ok_or_else(|| format!("field `{ARCHITECTURE}` is missing"))?;
    let model_type = match architecture {
        "qwen3moe" => "qwen3_moe",
        "llama" | "qwen2" | "qwen3" => architecture,
        other => {
            return Err(format!(
                "field `{ARCHITECTURE}` is {other:?}, but this version runs llama, qwen2, qwen3 and qwen3moe"
            ));
        }
    };
    if source.count("split.count")?.is_some_and(|count| count > 1) {
        return Err(
            "the file is one part of several: join them with `llama-gguf-split --merge`".into(),
        );
    }
    let key = |part: &str| format!("{architecture}.{part}");
    let count = |part: &str| source.count(&key(part));
    let needed =
        |part: &str| count(part)?.ok_or_else(|| format!("field `{}` is missing", key(part)));
    let embedding = header.tensors.get("token_embd.weight");
    let vocab = embedding
        .and_then(|entry| entry.shape.first())
        .ok_or("tensor `token_embd.weight` is missing")?;
    let (hidden, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
    let width = count("attention.key_length")?.unwrap_or(hidden / heads.max(1));
    for part in ["attention.value_length", "rope.dimension_count"] {
        if count(part)?.is_some_and(|other| other != width) {
            return Err(format!(
                "field `{}` is not {width}, the width of a head",
                key(part)
            ));
        }
    }
    if model_type != "qwen3_moe" && count("expert_count")?.is_some_and(|count| count > 0) {
        return Err(format!(
            "field `{}` is not 0, but this version runs experts for qwen3moe only",
            key("expert_count")
        ));
    }
    let mut config = json!({
        "model_type": model_type,
        "hidden_size": hidden,
        "num_hidden_layers": needed("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": count("attention.head_count_kv")?.unwrap_or(heads),
        "head_dim": width,
        "intermediate_size": count("feed_forward_length")?,
        "vocab_size": vocab,
        "rms_norm_eps": source.number(&key("attention.layer_norm_rms_epsilon")),
        "max_position_embeddings": needed("context_length")?,
        "tie_word_embeddings": !header.tensors.contains_key("output.weight"),
        "rope_theta": source.number(&key("rope.freq_base")),
    });
    if model_type == "qwen3_moe" {
        config["num_experts"] = json!(needed("expert_count")?);
        config["num_experts_per_tok"] = json!(needed("expert_used_count")?);
        config["moe_intermediate_size"] = json!(needed("expert_feed_forward_length")?);
        // llama.cpp always normalises those of this architecture.
        let normalised = source.flag(&key("expert_weights_norm")).unwrap_or(true);
        config["norm_topk_prob"] = json!(normalised);
        // Nothing dense is in between.
        config["intermediate_size"] = config["moe_intermediate_size"].clone();
    }
    let scaling = |part: &str| key(&format!("rope.scaling.{part}"));
    if source
        .number(&scaling("attn_factor"))
        .is_some_and(|factor| factor != 1.0)
    {
        return Err(format!("field `{}` is not 1", scaling("attn_factor")));
    }
    if let Some(stretched) = stretched(source, architecture)? {
        config["rope_scaling"] = stretched;
    }
    serde_json::to_vec_pretty(&config).map_err(|error| error.to_string())
}

/// How positions are stretched, in the form of `config.json`: as llama.cpp takes it, which is linear
/// where only a factor is there.
fn stretched(source: Source<'_>, architecture: &str) -> Result<Option<serde_json::Value>, String> {
    let key = |part: &str| format!("{architecture}.rope.{part}");
    // The second is what older files call it.
    let mut factor = 0.0;
    for key in [key("scaling.factor"), key("scale_linear")] {
        if source.0.contains_key(&key) {
            let number = source.number(&key);
            factor = number.ok_or_else(|| format!("field `{key}` is no number"))?;
            break;
        }
    }
    let kind = source.text(&key("scaling.type")).unwrap_or("linear");
    if !matches!(kind, "none" | "linear" | "yarn") {
        return Err(format!(
            "field `{}` is {kind:?}, but this version knows none, linear and yarn",
            key("scaling.type")
        ));
    }
    // A factor of 0 or 1 stretches nothing.
    if kind == "none" || factor == 0.0 || factor == 1.0 {
        return Ok(None);
    }
    let mut stretched = json!({"rope_type": kind, "factor": factor});
    for (field, part) in [
        (
            "original_max_position_embeddings",
            "scaling.original_context_length",
        ),
        ("beta_fast", "scaling.yarn_beta_fast"),
        ("beta_slow", "scaling.yarn_beta_slow"),
    ] {
        if let Some(number) = source.number(&key(part)) {
            stretched[field] = json!(number);
        }
    }
    Ok(Some(stretched))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metadata: &[(&str, Value)], expect: Result<Option<(&str, f64)>, &str>) {
        let metadata = metadata
            .iter()
            .map(|(key, value)| (format!("qwen2.rope.{key}"), value.clone()))
            .collect();
        let got = stretched(Source(&metadata), "qwen2");
        match expect {
            Ok(expect) => {
                let expect =
                    expect.map(|(kind, factor)| json!({"rope_type": kind, "factor": factor}));
                assert_eq!(got, Ok(expect), "{metadata:?}");
            }
            Err(part) => {
                let error = got.unwrap_err();
                assert!(error.contains(part), "{metadata:?}: {error}");
            }
        }
    }

    #[test]
    fn positions_are_stretched_as_llama_cpp_does() {
        let kind = |kind: &str| ("scaling.type", Value::Text(kind.into()));
        let factor = |factor| ("scaling.factor", Value::Float(factor));
        let old = |factor| ("scale_linear", Value::Float(factor));
        check(&[], Ok(None));
        check(&[factor(4.0)], Ok(Some(("linear", 4.0))));
        check(&[old(4.0)], Ok(Some(("linear", 4.0))));
        check(&[old(2.0), factor(4.0)], Ok(Some(("linear", 4.0))));
        check(&[old(2.0), factor(0.0)], Ok(None));
        for none in [0.0, 1.0] {
            check(&[factor(none)], Ok(None));
            check(&[old(none)], Ok(None));
            check(&[kind("linear"), factor(none)], Ok(None));
            check(&[kind("yarn"), factor(none)], Ok(None));
        }
        check(&[kind("linear")], Ok(None));
        check(&[kind("none"), factor(4.0)], Ok(None));
        check(&[kind("linear"), old(4.0)], Ok(Some(("linear", 4.0))));
        check(&[kind("yarn"), factor(4.0)], Ok(Some(("yarn", 4.0))));
        check(&[kind("longrope")], Err("`qwen2.rope.scaling.type`"));
        let text = Value::Text("4".into());
        check(&[("scale_linear", text)], Err("`qwen2.rope.scale_linear`"));
    }
}
