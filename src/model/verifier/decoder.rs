//! The pass of a whole language model: Llama, Qwen2, Qwen3 and Qwen3-MoE, on any device.
//!
//! Invariant: what is read in chunks or with a shared beginning gives the same as in one go, up to
//! rounding. Attention works block by block, so memory grows with the length of the prompt and not
//! with its square. Only the last hidden state is turned into logits, and only for the tokens asked
//! for, on the processor, where the tables stay. Each kind of step has a span, for those who ask
//! where the time goes. Architectures: Touvron et al. (2023), "LLaMA"; Yang et al. (2025), "Qwen3".

use super::super::reward::{ModelError, Run};
use super::super::trunk::attend;
use super::catalogue::{Catalogue, Table};
use super::config::Shape;
use super::kernels::Kernels;
use super::memory::Memory;
use super::mixture::{Gated, Mixture};
use super::rope::{Rope, Turn};
use candle_core::{Device, Tensor};
use candle_nn::ops::rms_norm;
use rayon::prelude::*;
use tracing::trace_span;

/// Tokens that go through all blocks at once.
const CHUNK: usize = 512;
/// Most queries that attention handles at once.
const QUERIES: usize = 128;
/// Most scores that attention holds at once: 128 MB.
const SCORES: usize = 1 << 25;

/// A language model that was loaded to some device.
pub(super) trait LanguageModel: Send + Sync {
    /// Nothing read yet, with room for `capacity` tokens.
    fn memory(&self, capacity: usize) -> Result<Memory, ModelError>;

    /// Reads tokens after those in `memory`, which keeps them. The hidden state of the last one, on
    /// the processor.
    fn read(&self, ids: &[u32], memory: &mut Memory, run: &Run) -> Result<Tensor, ModelError>;

    /// The logits of tokens after a hidden state, or of classes.
    fn logits(&self, state: &Tensor, tokens: &[u32]) -> Result<Vec<f32>, ModelError>;

    /// How many logits there are.
    fn outputs(&self) -> u32;
}

/// A language model on the device of its kernels.
pub(super) struct Decoder<K: Kernels> {
    kernels: K,
    shape: Shape,
    embedding: Table,
    blocks: Vec<Block<K>>,
    norm: Tensor,
    output: Table,
    rope: Rope,
}

struct Block<K: Kernels> {
    attention_norm: Tensor,
    query: Linear<K>,
    key: Linear<K>,
    value: Linear<K>,
    output: Linear<K>,
    /// Norms of the heads of queries and keys.
    head_norms: Option<(Tensor, Tensor)>,
    mlp_norm: Tensor,
    mlp: Mlp<K>,
}

struct Linear<K: Kernels> {
    matrix: K::Matrix,
    bias: Option<Tensor>,
}

enum Mlp<K: Kernels> {
    Dense(Gated<K>),
    Mixture(Mixture<K>),
}

impl<K: Kernels> Decoder<K> {
    /// Reads the weights. Fails with a clause that names the tensor at fault.
    pub(super) fn load(kernels: K, catalogue: &Catalogue, shape: Shape) -> Result<Self, String> {
        let (vocab, hidden) = (shape.vocab, shape.hidden);
        let embedding = "model.embed_tokens.weight";
        let (output, outputs) = match shape.classes {
            Some(classes) => ("score.weight", classes),
            None if shape.tied => (embedding, vocab),
            None => ("lm_head.weight", vocab),
        };
        let decoder = Self {
            embedding: catalogue.table(embedding, vocab, hidden)?,
            output: catalogue.table(output, outputs, hidden)?,
            norm: catalogue.vector("model.norm.weight", hidden)?,
            blocks: (0..shape.layers)
                .into_par_iter()
                .map(|layer| Block::load(&kernels, catalogue, &shape, layer))
                .collect::<Result<_, _>>()?,
            rope: Rope::new(&shape, catalogue)?,
            shape,
            kernels,
        };
        catalogue.check_all_taken()?;
        Ok(decoder)
    }
}

impl<K: Kernels> LanguageModel for Decoder<K> {
    fn memory(&self, capacity: usize) -> Result<Memory, ModelError> {
        Ok(Memory::new(&self.shape, capacity, self.kernels.device())?)
    }

    fn read(&self, ids: &[u32], memory: &mut Memory, run: &Run) -> Result<Tensor, ModelError> {
        let device = self.kernels.device();
        let mut last = None;
        for chunk in ids.chunks(CHUNK) {
            let turn = self.rope.turn(memory.length(), chunk.len(), device)?;
            let rows = self.embedding.rows(chunk).map_err(ModelError::Weights)?;
            let mut states = rows.to_device(device)?;
            for (layer, block) in self.blocks.iter().enumerate() {
                if run.is_cancelled() {
                    return Err(ModelError::Cancelled);
                }
                states =
                    block.forward(&self.kernels, &states, &turn, memory, layer, &self.shape)?;
                let share = |layers| chunk.len() * layers / self.blocks.len();
                run.advance(share(layer + 1) - share(layer));
            }
            memory.advance(chunk.len());
            last = Some(states.narrow(0, chunk.len() - 1, 1)?.contiguous()?);
        }
        let last = last.ok_or(ModelError::NothingToScore)?;
        Ok(last.to_device(&Device::Cpu)?)
    }

    fn logits(&self, state: &Tensor, tokens: &[u32]) -> Result<Vec<f32>, ModelError> {
        let state = rms_norm(state, &self.norm, self.shape.eps)?;
        let rows = self.output.rows(tokens).map_err(ModelError::Weights)?;
        Ok(state.matmul(&rows.t()?)?.flatten_all()?.to_vec1()?)
    }

    fn outputs(&self) -> u32 {
        self.output.count()
    }
}

impl<K: Kernels> Linear<K> {
    fn forward(&self, kernels: &K, rows: &K::Rows) -> candle_core::Result<Tensor> {
        let product = kernels.states(kernels.times(rows, &self.matrix)?)?;
        match &self.bias {
            None => Ok(product),
            Some(bias) => product.broadcast_add(bias),
        }
    }
}

impl<K: Kernels> Block<K> {
    fn load(
        kernels: &K,
        catalogue: &Catalogue,
        shape: &Shape,
        layer: usize,
    ) -> Result<Self, String> {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let (hidden, width) = (shape.hidden, shape.head_width);
        let (wide, narrow) = (shape.heads * width, shape.kv_heads * width);
        let fault = |name: &str, error| format!("tensor `{name}`: {error}");
        let matrix = |part: &str, rows, columns| {
            let name = name(&format!("{part}.weight"));
            let stored = catalogue.matrix(&name, rows, columns)?;
            kernels.matrix(stored).map_err(|error| fault(&name, error))
        };
        let placed = |name: &str, vector: Tensor| {
            let placed = vector.to_device(kernels.device());
            placed.map_err(|error| fault(name, error))
        };
        let linear = |part: &str, rows, columns| {
            let bias = name(&format!("{part}.bias"));
            Ok::<_, String>(Linear {
                matrix: matrix(part, rows, columns)?,
                bias: catalogue
                    .vector_if_any(&bias, rows)?
                    .map(|vector| placed(&bias, vector))
                    .transpose()?,
            })
        };
        let norm = |part: &str, length| {
            let name = name(part);
            placed(&name, catalogue.vector(&name, length)?)
        };
        let gated = |part: &str, inner| -> Result<Gated<K>, String> {
            let matrix =
                |side: &str, rows, columns| matrix(&format!("{part}.{side}"), rows, columns);
            Ok(Gated {
                gate: matrix("gate_proj", inner, hidden)?,
                up: matrix("up_proj", inner, hidden)?,
                down: matrix("down_proj", hidden, inner)?,
            })
        };
        let mlp = match shape.experts_of(layer) {
            None => Mlp::Dense(gated("mlp", shape.intermediate)?),
            Some(experts) => Mlp::Mixture(Mixture::new(
                matrix("mlp.gate", experts.count, hidden)?,
                (0..experts.count)
                    .map(|index| gated(&format!("mlp.experts.{index}"), experts.intermediate))
                    .collect::<Result<_, _>>()?,
                experts,
            )),
        };
        Ok(Self {
            attention_norm: norm("input_layernorm.weight", hidden)?,
            query: linear("self_attn.q_proj", wide, hidden)?,
            key: linear("self_attn.k_proj", narrow, hidden)?,
            value: linear("self_attn.v_proj", narrow, hidden)?,
            output: linear("self_attn.o_proj", hidden, wide)?,
            head_norms: match shape.normalises_heads() {
                false => None,
                true => Some((
                    norm("self_attn.q_norm.weight", width)?,
                    norm("self_attn.k_norm.weight", width)?,
                )),
            },
            mlp_norm: norm("post_attention_layernorm.weight", hidden)?,
            mlp,
        })
    }

    fn forward(
        &self,
        kernels: &K,
        states: &Tensor,
        turn: &Turn,
        memory: &Memory,
        layer: usize,
        shape: &Shape,
    ) -> candle_core::Result<Tensor> {
        let norm = |states: &Tensor, norm: &Tensor| {
            trace_span!("norms").in_scope(|| rms_norm(states, norm, shape.eps))
        };
        let input = norm(states, &self.attention_norm)?;
        let attended = self.attention(kernels, &input, turn, memory, layer, shape)?;
        let attended = kernels.add(attended, states)?;
        let input = norm(&attended, &self.mlp_norm)?;
        let output = match &self.mlp {
            Mlp::Dense(gated) => {
                kernels.states(gated.forward(kernels, &kernels.rows(&input, None)?)?)?
            }
            Mlp::Mixture(mixture) => mixture.forward(kernels, &input)?,
        };
        kernels.add(output, &attended)
    }

    fn attention(
        &self,
        kernels: &K,
        input: &Tensor,
        turn: &Turn,
        memory: &Memory,
        layer: usize,
        shape: &Shape,
    ) -> candle_core::Result<Tensor> {
        let tokens = input.dim(0)?;
        let width = shape.head_width;
        let rows = kernels.rows(input, None)?;
        // What is no longer needed is dropped at once: each of these is as large as all states.
        let split = |linear: &Linear<K>, heads: usize, norm: Option<&Tensor>| {
            let step = trace_span!("query, key, value");
            let product = step.in_scope(|| linear.forward(kernels, &rows));
            let mut states = product?.reshape((tokens, heads, width))?;
            if let Some(norm) = norm {
                states = trace_span!("norms").in_scope(|| rms_norm(&states, norm, shape.eps))?;
            }
            states.transpose(0, 1)?.contiguous()
        };
        let norms = self.head_norms.as_ref();
        let key = split(&self.key, shape.kv_heads, norms.map(|norms| &norms.1))?;
        memory.put(
            layer,
            &turn.apply(&key)?,
            &split(&self.value, shape.kv_heads, None)?,
        )?;
        let query = split(&self.query, shape.heads, norms.map(|norms| &norms.0));
        drop(rows);
        let mixed = mix(kernels, turn.apply(&query?)?, memory, layer)?;
        let output = || self.output.forward(kernels, &kernels.rows(&mixed, None)?);
        trace_span!("output").in_scope(output)
    }
}

/// What each of the next tokens takes from all up to it: from queries (heads, tokens, width), rows of
/// all heads.
fn mix<K: Kernels>(
    kernels: &K,
    query: Tensor,
    memory: &Memory,
    layer: usize,
) -> candle_core::Result<Tensor> {
    let _step = trace_span!("attention").entered();
    let (heads, tokens, width) = query.dims3()?;
    let (keys, values) = memory.layer(layer);
    let mut mixed = Vec::new();
    let mut start = 0;
    while start < tokens {
        let position = memory.length() + start;
        let affordable = SCORES / (heads * (position + QUERIES));
        let length = affordable.clamp(1, QUERIES).min(tokens - start);
        let query = query.narrow(1, start, length)?;
        let keys = keys.narrow(1, 0, position + length)?;
        let values = values.narrow(1, 0, position + length)?;
        let heads_first = attend(&query, &keys, &values, |scores, scale| {
            kernels.softmax(scores, scale, position)
        })?;
        mixed.push(
            heads_first
                .transpose(0, 1)?
                .reshape((length, heads * width))?,
        );
        start += length;
    }
    drop(query);
    Tensor::cat(&mixed, 0)
}
