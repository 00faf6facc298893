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
use super::reward::{ModelError, Run};
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

    /// The hidden states, one row a token, after each of the blocks in `readouts` (1-based,
    /// rising).
    pub(super) fn forward(
        &self,
        ids: &[u32],
        readouts: &[usize],
        run: &Run,
    ) -> Result<Vec<Tensor>, ModelError> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let mut states = self.embedding.embedding(&ids)?;
        let mut read = Vec::with_capacity(readouts.len());
        let last = readouts.last().copied().unwrap_or(0);
        for (number, block) in (1..=last).zip(&self.blocks) {
            if run.is_cancelled() {
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
            mixed.push(attend(&query, &key, &value, |scores, scale| {
                ops::causal_softmax(scores, scale, start)
            })?);
        }
        Tensor::cat(&mixed, 1)?
            .transpose(0, 1)?
            .reshape((tokens, shape.hidden))?
            .matmul(&self.output)
    }
}

/// Attention of a block of queries (heads, length, width) to all keys up to that of the last of them
/// (key heads, seen, width). `softmax` turns scores (heads, length, seen) and what they are to be
/// scaled by into shares, and hides from each query what comes after it. Several query heads share
/// a key head by stacking their rows, so nothing is copied for them.
pub(super) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    softmax: impl FnOnce(Tensor, f32) -> candle_core::Result<Tensor>,
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
    softmax(scores, scale)?
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::{GgmlDType, gguf_file};
    use candle_core::{DType, IndexOp};
    use candle_transformers::models::quantized_llama::ModelWeights;
    use std::io::Cursor;

    const SHAPE: TrunkShape = TrunkShape {
        layers: 3,
        hidden: 32,
        heads: 4,
        kv_heads: 2,
        intermediate: 64,
        vocab: 50,
        rope_theta: 5000.0,
        rms_norm_eps: 1e-5,
    };

    /// A whole model in f32 whose head is the identity, so that its logits are the normalised
    /// hidden state of the last position.
    fn gguf() -> Vec<u8> {
        let TrunkShape {
            hidden,
            intermediate,
            ..
        } = SHAPE;
        let narrow = hidden / SHAPE.heads * SHAPE.kv_heads;
        let device = &Device::Cpu;
        let noise = |shape: &[usize]| Tensor::randn(0f32, 0.2, shape, device).unwrap();
        let mut tensors = vec![
            ("token_embd".to_owned(), noise(&[SHAPE.vocab, hidden])),
            (
                "output_norm".into(),
                Tensor::ones(hidden, DType::F32, device).unwrap(),
            ),
            (
                "output".into(),
                Tensor::eye(hidden, DType::F32, device).unwrap(),
            ),
        ];
        for layer in 0..SHAPE.layers {
            for (part, shape) in [
                ("attn_norm", vec![hidden]),
                ("attn_q", vec![hidden, hidden]),
                ("attn_k", vec![narrow, hidden]),
                ("attn_v", vec![narrow, hidden]),
                ("attn_output", vec![hidden, hidden]),
                ("ffn_norm", vec![hidden]),
                ("ffn_gate", vec![intermediate, hidden]),
                ("ffn_up", vec![intermediate, hidden]),
                ("ffn_down", vec![hidden, intermediate]),
            ] {
                tensors.push((format!("blk.{layer}.{part}"), noise(&shape)));
            }
        }
        let tensors: Vec<(String, QTensor)> = tensors
            .into_iter()
            .map(|(name, tensor)| {
                let tensor = QTensor::quantize(&tensor, GgmlDType::F32).unwrap();
                (format!("{name}.weight"), tensor)
            })
            .collect();
        let number = |value: usize| gguf_file::Value::U32(u32::try_from(value).unwrap());
        let metadata = [
            (
                "general.architecture",
                gguf_file::Value::String("llama".into()),
            ),
            ("llama.block_count", number(SHAPE.layers)),
            ("llama.embedding_length", number(hidden)),
            ("llama.attention.head_count", number(SHAPE.heads)),
            ("llama.attention.head_count_kv", number(SHAPE.kv_heads)),
            ("llama.rope.dimension_count", number(hidden / SHAPE.heads)),
            (
                "llama.rope.freq_base",
                gguf_file::Value::F32(SHAPE.rope_theta as f32),
            ),
            (
                "llama.attention.layer_norm_rms_epsilon",
                gguf_file::Value::F32(SHAPE.rms_norm_eps as f32),
            ),
        ];
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let tensors: Vec<_> = tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
        let mut file = Cursor::new(Vec::new());
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
        file.into_inner()
    }

    #[test]
    fn the_last_hidden_state_is_that_of_candles_own_llama() {
        let bytes = gguf();
        // More than one block of queries, so that their seams are covered too.
        let length = QUERY_BLOCK + 70;
        let ids: Vec<u32> = (0..length)
            .map(|at| (at * at % SHAPE.vocab) as u32)
            .collect();
        let trunk = Trunk::load(&Gguf::parse(&bytes).unwrap(), &SHAPE, length).unwrap();
        let run = Run::default();
        let states = trunk.forward(&ids, &[1, SHAPE.layers], &run).unwrap();
        let last = states[1].i(length - 1).unwrap().unsqueeze(0).unwrap();
        let one = Tensor::ones(SHAPE.hidden, DType::F32, &Device::Cpu).unwrap();
        let got = rms_norm(&last, &one, SHAPE.rms_norm_eps as f32).unwrap();

        let mut reader = Cursor::new(&bytes);
        let content = gguf_file::Content::read(&mut reader).unwrap();
        let mut peer = ModelWeights::from_gguf(content, &mut reader, &Device::Cpu).unwrap();
        let ids = Tensor::new(ids, &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let expected = peer.forward(&ids, 0).unwrap();

        let difference = (got - expected).unwrap().abs().unwrap();
        let largest = difference.flatten_all().unwrap().max(0).unwrap();
        let largest = largest.to_scalar::<f32>().unwrap();
        assert!(largest < 1e-4, "{largest}");
    }

    #[test]
    fn a_cancelled_pass_stops() {
        let bytes = gguf();
        let trunk = Trunk::load(&Gguf::parse(&bytes).unwrap(), &SHAPE, 8).unwrap();
        let run = Run::default();
        run.cancel();
        let error = trunk.forward(&[1, 2, 3], &[3], &run).unwrap_err();
        assert!(matches!(error, ModelError::Cancelled));
    }
}
