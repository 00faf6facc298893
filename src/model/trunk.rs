//! The trunk: the first blocks of a Llama-like decoder, run in candle in f32.
//!
//! Invariant: a pass yields the hidden states at every position after the blocks asked for, and
//! depends on nothing but the tokens. candle's own Llama models return the logits of the last
//! position only, so the pass is ours. This file must not know about patches or heads.
//!
//! Architecture: Touvron et al. (2023), "LLaMA". The rows of the query and key matrices in a GGUF
//! file are ordered for rotary embeddings of adjacent pairs (`rope_i`), unlike in safetensors.
//! Matrices are turned into f32 at load: candle multiplies 4-bit blocks several times slower when
//! the inner dimension is no multiple of 256. The embedding stays as it is stored, since a pass
//! uses only some hundred of its rows.

use super::gguf::Gguf;
use super::manifest::TrunkShape;
use super::ops;
use super::reward::{Cancel, ModelError};
use candle_core::quantized::QTensor;
use candle_core::{D, Device, Tensor};
use candle_nn::ops::rms_norm;
use candle_nn::rotary_emb::rope_i;
use rayon::prelude::*;

/// Queries that attention handles at once; they see only the keys up to the last of them, which
/// saves nearly half of the work and most of the memory of the full square.
const QUERY_BLOCK: usize = 128;

/// The weights of the trunk.
pub(super) struct Trunk {
    embedding: QTensor,
    blocks: Vec<Block>,
    rope: Rope,
    shape: TrunkShape,
}

/// Cosines and sines, one row a position.
struct Rope {
    cos: Tensor,
    sin: Tensor,
}

/// One decoder block. Matrices are transposed views, ready to multiply rows with.
struct Block {
    attention_norm: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    mlp_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

impl Trunk {
    /// Takes the weights from a GGUF file, for windows of up to `context` tokens. Fails with a
    /// clause that names the tensor at fault.
    pub(super) fn load(
        gguf: &Gguf<'_>,
        shape: &TrunkShape,
        context: usize,
    ) -> Result<Self, String> {
        let embedding = gguf.stored("token_embd.weight", &[shape.vocab, shape.hidden])?;
        let blocks = (0..shape.layers)
            .into_par_iter()
            .map(|index| Block::load(gguf, shape, index))
            .collect::<Result<_, _>>()?;
        let rope = Rope::new(shape, context).map_err(|error| error.to_string())?;
        Ok(Self {
            embedding,
            blocks,
            rope,
            shape: shape.clone(),
        })
    }

    /// Size of a hidden state.
    pub(super) fn hidden(&self) -> usize {
        self.shape.hidden
    }

    /// The hidden states, one row a token, after each of the blocks in `readouts` (1-based,
    /// rising).
    pub(super) fn forward(
        &self,
        ids: &[u32],
        readouts: &[usize],
        cancel: &Cancel,
    ) -> Result<Vec<Tensor>, ModelError> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let mut states = self.embedding.embedding(&ids)?;
        let mut read = Vec::with_capacity(readouts.len());
        let last = readouts.last().copied().unwrap_or(0);
        for (number, block) in (1..=last).zip(&self.blocks) {
            if cancel.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            states = block.forward(&states, &self.rope, &self.shape)?;
            if readouts.contains(&number) {
                read.push(states.clone());
            }
        }
        Ok(read)
    }
}

impl Block {
    fn load(gguf: &Gguf<'_>, shape: &TrunkShape, index: usize) -> Result<Self, String> {
        let hidden = shape.hidden;
        let narrow = hidden / shape.heads * shape.kv_heads;
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let norm = |part| gguf.dequantized(&name(part), &[hidden]);
        let matrix = |part, rows, columns| {
            gguf.dequantized(&name(part), &[rows, columns])?
                .t()
                .map_err(|error| error.to_string())
        };
        Ok(Self {
            attention_norm: norm("attn_norm")?,
            query: matrix("attn_q", hidden, hidden)?,
            key: matrix("attn_k", narrow, hidden)?,
            value: matrix("attn_v", narrow, hidden)?,
            output: matrix("attn_output", hidden, hidden)?,
            mlp_norm: norm("ffn_norm")?,
            gate: matrix("ffn_gate", shape.intermediate, hidden)?,
            up: matrix("ffn_up", shape.intermediate, hidden)?,
            down: matrix("ffn_down", hidden, shape.intermediate)?,
        })
    }

    fn forward(
        &self,
        states: &Tensor,
        rope: &Rope,
        shape: &TrunkShape,
    ) -> candle_core::Result<Tensor> {
        #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
        let eps = shape.rms_norm_eps as f32;
        let input = rms_norm(states, &self.attention_norm, eps)?;
        let attended = self.attention(&input, rope, shape)?;
        ops::add(&attended, states)?;
        let input = rms_norm(&attended, &self.mlp_norm, eps)?;
        let gated = input.matmul(&self.gate)?;
        ops::gate(&gated, &input.matmul(&self.up)?)?;
        let output = gated.matmul(&self.down)?;
        ops::add(&output, &attended)?;
        Ok(output)
    }

    fn attention(
        &self,
        input: &Tensor,
        rope: &Rope,
        shape: &TrunkShape,
    ) -> candle_core::Result<Tensor> {
        let tokens = input.dim(0)?;
        let width = shape.hidden / shape.heads;
        let split = |matrix: &Tensor, heads: usize| {
            input
                .matmul(matrix)?
                .reshape((tokens, heads, width))?
                .transpose(0, 1)?
                .contiguous()
        };
        let query = rope.rotate(&split(&self.query, shape.heads)?)?;
        let key = rope.rotate(&split(&self.key, shape.kv_heads)?)?;
        let value = split(&self.value, shape.kv_heads)?;
        let mut mixed = Vec::new();
        for start in (0..tokens).step_by(QUERY_BLOCK) {
            let length = QUERY_BLOCK.min(tokens - start);
            let query = query.narrow(1, start, length)?;
            let key = key.narrow(1, 0, start + length)?;
            let value = value.narrow(1, 0, start + length)?;
            mixed.push(attend(&query, &key, &value, start)?);
        }
        Tensor::cat(&mixed, 1)?
            .transpose(0, 1)?
            .reshape((tokens, shape.hidden))?
            .matmul(&self.output)
    }
}

/// Causal attention of a block of queries (heads, length, width), the first of them at position
/// `start`, to all keys up to the last of them (key heads, start + length, width). Several query
/// heads share a key head by stacking their rows, so nothing is copied for them.
fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    start: usize,
) -> candle_core::Result<Tensor> {
    let (heads, length, width) = query.dims3()?;
    let (kv_heads, seen, _) = key.dims3()?;
    let stacked = (kv_heads, heads / kv_heads * length, width);
    let scores = query
        .contiguous()?
        .reshape(stacked)?
        .matmul(&key.transpose(D::Minus1, D::Minus2)?)?
        .reshape((heads, length, seen))?;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let scale = 1.0 / (width as f32).sqrt();
    ops::causal_softmax(&scores, scale, start)?;
    scores
        .reshape((kv_heads, heads / kv_heads * length, seen))?
        .matmul(value)?
        .reshape((heads, length, width))
}

impl Rope {
    fn new(shape: &TrunkShape, context: usize) -> candle_core::Result<Self> {
        let width = shape.hidden / shape.heads;
        #[expect(clippy::cast_precision_loss, reason = "positions and widths are small")]
        let angles: Vec<f64> = (0..context)
            .flat_map(|position| {
                (0..width).step_by(2).map(move |pair| {
                    position as f64 / shape.rope_theta.powf(pair as f64 / width as f64)
                })
            })
            .collect();
        #[expect(clippy::cast_possible_truncation, reason = "the model computes in f32")]
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| function(angle) as f32).collect();
            Tensor::from_vec(values, (context, width / 2), &Device::Cpu)
        };
        Ok(Self {
            cos: table(f64::cos)?,
            sin: table(f64::sin)?,
        })
    }

    /// Rotates heads (heads, tokens, width) by their positions, counted from 0.
    fn rotate(&self, heads: &Tensor) -> candle_core::Result<Tensor> {
        let tokens = heads.dim(1)?;
        let cos = self.cos.narrow(0, 0, tokens)?;
        let sin = self.sin.narrow(0, 0, tokens)?;
        rope_i(&heads.unsqueeze(0)?, &cos, &sin)?.squeeze(0)
    }
}
