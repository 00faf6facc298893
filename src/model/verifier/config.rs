//! The shape of a language model, from a Hugging Face `config.json`.
//!
//! Invariant: a [`Shape`] is one that the decoder computes exactly; whatever it does not know, such
//! as another activation or way to stretch positions, is refused and not passed over.

use serde::Deserialize;
use std::collections::HashMap;

/// Largest value accepted for any dimension.
const MAX_SIDE: usize = 1 << 20;
/// Most blocks, heads or experts accepted.
pub(super) const MAX_COUNT: usize = 4_096;

/// Which family of models it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
    Qwen3Moe,
}

/// All dimensions.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) architecture: Architecture,
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_width: usize,
    pub(super) intermediate: usize,
    pub(super) vocab: usize,
    pub(super) eps: f32,
    pub(super) theta: f64,
    pub(super) scaling: Scaling,
    /// Whether the output matrix is the embedding.
    pub(super) tied: bool,
    pub(super) experts: Option<Experts>,
    /// Longest prompt that the model was made for, in tokens.
    pub(super) context: usize,
    /// How many classes it tells apart, if it does so in place of naming the next token. One stands
    /// for a score.
    pub(super) classes: Option<usize>,
}

/// The mixture of experts in place of dense blocks.
#[derive(Debug, Clone)]
pub(super) struct Experts {
    pub(super) count: usize,
    /// How many of them each token takes.
    pub(super) active: usize,
    pub(super) intermediate: usize,
    /// Whether the weights of those that are taken add up to one.
    pub(super) normalised: bool,
    /// For each block, whether it has experts.
    pub(super) layers: Vec<bool>,
}

/// How positions are stretched beyond the context of training.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scaling {
    None,
    Linear(f64),
    /// As Llama 3.1 does: only slow rotations are stretched.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Peng et al. (2023), "YaRN": as above, by another ramp, and attention is sharpened.
    Yarn {
        factor: f64,
        /// Rotations within the context of training, from which on nothing is stretched.
        fast: f64,
        /// Rotations up to which all is stretched.
        slow: f64,
        original: f64,
        /// What queries and keys are multiplied by.
        sharpness: f64,
    },
}

impl Architecture {
    /// As bundles and people write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Moe => "qwen3_moe",
        }
    }

    fn normalises_heads(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Qwen3Moe)
    }
}

/// The fields of the file that matter, in the old and the new spelling.
#[derive(Deserialize)]
struct Raw {
    model_type: String,
    #[serde(default)]
    architectures: Vec<String>,
    num_labels: Option<usize>,
    id2label: Option<HashMap<String, serde_json::Value>>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    rms_norm_eps: Option<f64>,
    max_position_embeddings: usize,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    partial_rotary_factor: Option<f64>,
    use_sliding_window: Option<bool>,
    #[serde(alias = "num_local_experts")]
    num_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    moe_intermediate_size: Option<usize>,
    norm_topk_prob: Option<bool>,
    decoder_sparse_step: Option<usize>,
    #[serde(default)]
    mlp_only_layers: Vec<usize>,
}

#[derive(Deserialize)]
struct RawRope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
}

impl Shape {
    /// Reads and checks `config.json`. Fails with a clause that names the field.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let raw: Raw = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| format!("field `{}`: {}", error.path(), error.inner()))?;
        let architecture = match raw.model_type.as_str() {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            "qwen3" => Architecture::Qwen3,
            "qwen3_moe" => Architecture::Qwen3Moe,
            other => {
                return Err(format!(
                    "field `model_type` is {other:?}, but this version runs llama, qwen2, qwen3 and qwen3_moe"
                ));
            }
        };
        if let Some(act) = raw.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(format!("field `hidden_act` is {act:?}, not silu"));
        }
        if raw.use_sliding_window == Some(true) {
            return Err("field `use_sliding_window` is true, which this version cannot do".into());
        }
        if raw.partial_rotary_factor.is_some_and(|part| part != 1.0) {
            return Err("field `partial_rotary_factor` is not 1".into());
        }
        let heads = raw.num_attention_heads;
        let default_width = match architecture {
            Architecture::Qwen3 | Architecture::Qwen3Moe => 128,
            _ => raw.hidden_size / heads.max(1),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
        let eps = raw.rms_norm_eps.unwrap_or(1e-6) as f32;
        let rope = raw.rope_parameters.as_ref().or(raw.rope_scaling.as_ref());
        let theta = rope.and_then(|rope| rope.rope_theta).or(raw.rope_theta);
        let shape = Self {
            architecture,
            layers: raw.num_hidden_layers,
            hidden: raw.hidden_size,
            heads,
            kv_heads: raw.num_key_value_heads.unwrap_or(heads),
            head_width: raw.head_dim.unwrap_or(default_width),
            intermediate: raw.intermediate_size,
            vocab: raw.vocab_size,
            eps,
            theta: theta.unwrap_or(10_000.0),
            scaling: rope.map_or(Ok(Scaling::None), |rope| {
                rope.scaling(raw.max_position_embeddings)
            })?,
            tied: raw.tie_word_embeddings.unwrap_or(false),
            experts: raw.experts(architecture)?,
            context: raw.max_position_embeddings,
            classes: raw.classes()?,
        };
        shape.check()?;
        Ok(shape)
    }

    /// Whether queries and keys are normalised head by head.
    pub(super) fn normalises_heads(&self) -> bool {
        self.architecture.normalises_heads()
    }

    /// The experts of a block, if it has any.
    pub(super) fn experts_of(&self, layer: usize) -> Option<&Experts> {
        let experts = self.experts.as_ref()?;
        experts.layers.get(layer)?.then_some(experts)
    }

    /// Bytes that the keys and values of one token take in memory.
    pub(super) fn bytes_per_token(&self) -> u64 {
        2 * 4 * (self.layers * self.kv_heads * self.head_width) as u64
    }

    fn check(&self) -> Result<(), String> {
        let mut sides = vec![
            ("num_hidden_layers", self.layers, MAX_COUNT),
            ("num_attention_heads", self.heads, MAX_COUNT),
            ("num_key_value_heads", self.kv_heads, MAX_COUNT),
            ("head_dim", self.head_width, MAX_COUNT),
            ("hidden_size", self.hidden, MAX_SIDE),
            ("intermediate_size", self.intermediate, MAX_SIDE),
            ("vocab_size", self.vocab, MAX_SIDE),
            ("max_position_embeddings", self.context, 1 << 24),
        ];
        if let Some(experts) = &self.experts {
            sides.extend([
                ("num_experts", experts.count, MAX_COUNT),
                ("num_experts_per_tok", experts.active, experts.count),
                ("moe_intermediate_size", experts.intermediate, MAX_SIDE),
            ]);
        }
        for (field, value, limit) in sides {
            if !(1..=limit).contains(&value) {
                return Err(format!("field `{field}` is {value}, not from 1 to {limit}"));
            }
        }
        let rules = [
            (
                self.heads.is_multiple_of(self.kv_heads),
                "field `num_attention_heads` is no multiple of `num_key_value_heads`",
            ),
            (
                self.head_width.is_multiple_of(2),
                "field `head_dim` is not even",
            ),
            (
                self.eps > 0.0 && self.eps < 1.0,
                "field `rms_norm_eps` does not lie between 0 and 1",
            ),
            (
                self.theta.is_finite() && self.theta >= 1.0,
                "field `rope_theta` is not at least 1",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(problem.into()),
            None => Ok(()),
        }
    }
}

impl Raw {
    fn classes(&self) -> Result<Option<usize>, String> {
        let classifies = |name: &String| name.ends_with("ForSequenceClassification");
        if !self.architectures.iter().any(classifies) {
            return Ok(None);
        }
        let named = self.id2label.as_ref().map(HashMap::len);
        // Two is what transformers does not write down.
        match named.or(self.num_labels).unwrap_or(2) {
            classes @ 1..=2 => Ok(Some(classes)),
            other => Err(format!(
                "field `id2label` names {other} classes, but this version reads a score or two classes, wrong and right"
            )),
        }
    }

    fn experts(&self, architecture: Architecture) -> Result<Option<Experts>, String> {
        if architecture != Architecture::Qwen3Moe {
            return Ok(None);
        }
        let needed = |field: &str, value: Option<usize>| {
            value.ok_or_else(|| format!("field `{field}` is missing"))
        };
        let step = self.decoder_sparse_step.unwrap_or(1).max(1);
        let layers = (0..self.num_hidden_layers.min(MAX_COUNT))
            .map(|layer| (layer + 1).is_multiple_of(step) && !self.mlp_only_layers.contains(&layer))
            .collect();
        Ok(Some(Experts {
            count: needed("num_experts", self.num_experts)?,
            active: needed("num_experts_per_tok", self.num_experts_per_tok)?,
            intermediate: needed("moe_intermediate_size", self.moe_intermediate_size)?,
            normalised: self.norm_topk_prob.unwrap_or(false),
            layers,
        }))
    }
}

impl RawRope {
    fn scaling(&self, context: usize) -> Result<Scaling, String> {
        let needed = |field: &str, value: Option<f64>| {
            value
                .filter(|value| value.is_finite() && *value > 0.0)
                .ok_or_else(|| format!("field `{field}` of the rotary embedding is not positive"))
        };
        match self.rope_type.as_deref().unwrap_or("default") {
            "default" => Ok(Scaling::None),
            "linear" => Ok(Scaling::Linear(needed("factor", self.factor)?)),
            "llama3" => {
                let low = needed("low_freq_factor", self.low_freq_factor)?;
                let high = needed("high_freq_factor", self.high_freq_factor)?;
                if low >= high {
                    return Err("field `low_freq_factor` is not below `high_freq_factor`".into());
                }
                Ok(Scaling::Llama3 {
                    factor: needed("factor", self.factor)?,
                    low,
                    high,
                    original: needed(
                        "original_max_position_embeddings",
                        self.original_max_position_embeddings,
                    )?,
                })
            }
            "yarn" => {
                let odd = self.mscale.is_some() || self.mscale_all_dim.is_some();
                if odd || self.truncate == Some(false) {
                    return Err("field `mscale`, `mscale_all_dim` or `truncate` of the rotary embedding is set, which this version cannot do".into());
                }
                let factor = needed("factor", self.factor)?;
                let fast = needed("beta_fast", self.beta_fast.or(Some(32.0)))?;
                let slow = needed("beta_slow", self.beta_slow.or(Some(1.0)))?;
                #[expect(clippy::cast_precision_loss, reason = "contexts are below 2^24")]
                let context = context as f64;
                let original = self.original_max_position_embeddings.or(Some(context));
                Ok(Scaling::Yarn {
                    factor,
                    fast,
                    slow,
                    original: needed("original_max_position_embeddings", original)?,
                    sharpness: needed(
                        "attention_factor",
                        self.attention_factor
                            .or(Some(1.0 + 0.1 * factor.max(1.0).ln())),
                    )?,
                })
            }
            other => Err(format!(
                "field `rope_type` is {other:?}, but this version knows default, linear, llama3 and yarn"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(changes: &Value) -> Result<Shape, String> {
        let mut config = json!({"model_type": "qwen3_moe", "hidden_size": 32, "head_dim": 16,
            "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 48, "vocab_size": 272, "max_position_embeddings": 4096,
            "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
            "rope_theta": 1e6, "rms_norm_eps": 1e-6});
        for (field, value) in changes.as_object().unwrap() {
            config[field] = value.clone();
        }
        Shape::from_json(config.to_string().as_bytes())
    }

    #[test]
    fn the_old_and_the_new_spelling_say_the_same() {
        let old = json!({"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}});
        let new = json!({"rope_parameters":
            {"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}});
        for spelling in [old, new] {
            let shape = config(&spelling).unwrap();
            assert_eq!(shape.scaling, Scaling::Linear(2.0));
            assert!((shape.theta - 500.0).abs() < 1e-9);
        }
    }

    #[test]
    fn blocks_without_experts_are_known() {
        let shape = config(&json!({"decoder_sparse_step": 2, "mlp_only_layers": [3]})).unwrap();
        let with: Vec<_> = (0..4)
            .map(|layer| shape.experts_of(layer).is_some())
            .collect();
        assert_eq!(with, [false, true, false, false]);
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        for (change, word) in [
            (json!({"model_type": "mamba"}), "model_type"),
            (json!({"hidden_act": "gelu"}), "hidden_act"),
            (
                json!({"architectures": ["Qwen3MoeForSequenceClassification"],
                    "id2label": {"0": "a", "1": "b", "2": "c"}}),
                "3 classes",
            ),
            (json!({"use_sliding_window": true}), "use_sliding_window"),
            (
                json!({"rope_scaling": {"type": "longrope", "factor": 4.0}}),
                "longrope",
            ),
            (
                json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 0.7}}),
                "mscale",
            ),
            (json!({"hidden_size": 0}), "hidden_size"),
            (json!({"vocab_size": u64::MAX}), "vocab_size"),
            (json!({"hidden_size": -1}), "hidden_size"),
            (json!({"num_key_value_heads": 3}), "num_key_value_heads"),
            (json!({"num_experts_per_tok": 9}), "num_experts_per_tok"),
            (
                json!({"num_hidden_layers": 1_u64 << 40}),
                "num_hidden_layers",
            ),
            (json!({"head_dim": 7}), "head_dim"),
        ] {
            let error = config(&change).unwrap_err();
            assert!(error.contains(word), "{change}: {error}");
        }
    }
}
