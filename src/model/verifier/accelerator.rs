//! A pass on a graphics processor, made of candle's own operations.
//!
//! Invariant: weights in blocks stay in blocks, and those in 16 bits stay in 16 bits; what is
//! multiplied with them is rounded as candle's kernels for them do. Nothing but the votes for
//! experts and the last hidden state comes back to the processor.

use super::super::blocks;
use super::kernels::Kernels;
use super::matrix::Matrix;
use super::mixture::Sent;
use candle_core::quantized::{GgmlDType, QMatMul};
use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::ops::{silu, softmax_last_dim};

/// A device that candle has operations for.
pub(super) struct Accelerator(pub(super) Device);

/// A matrix on the device.
pub(super) enum OnDevice {
    Blocks(QMatMul),
    /// One column for each output.
    Numbers(Tensor),
}

impl Kernels for Accelerator {
    type Matrix = OnDevice;
    type Rows = Tensor;

    fn device(&self) -> &Device {
        &self.0
    }

    fn matrix(&self, stored: Matrix) -> Result<OnDevice> {
        let (bytes, dtype, shape) = stored.into_parts();
        let numbers = match dtype {
            GgmlDType::F32 => DType::F32,
            GgmlDType::F16 => DType::F16,
            GgmlDType::BF16 => DType::BF16,
            _ => {
                let tensor = blocks::stored(&bytes, dtype, &shape, &self.0)?;
                return Ok(OnDevice::Blocks(QMatMul::from_qtensor(tensor)?));
            }
        };
        let numbers = Tensor::from_raw_buffer(&bytes, numbers, &shape, &self.0)?;
        Ok(OnDevice::Numbers(numbers.t()?))
    }

    fn rows(&self, states: &Tensor, chosen: Option<&[u32]>) -> Result<Tensor> {
        match chosen {
            None => states.contiguous(),
            Some(chosen) => states.index_select(&Tensor::new(chosen, &self.0)?, 0),
        }
    }

    fn states(&self, rows: Tensor) -> Result<Tensor> {
        Ok(rows)
    }

    fn times(&self, rows: &Tensor, matrix: &OnDevice) -> Result<Tensor> {
        match matrix {
            OnDevice::Blocks(matrix) => matrix.forward(rows),
            OnDevice::Numbers(matrix) => rows
                .to_dtype(matrix.dtype())?
                .matmul(matrix)?
                .to_dtype(DType::F32),
        }
    }

    fn gate(&self, gate: Tensor, up: &Tensor) -> Result<Tensor> {
        silu(&gate)? * up
    }

    fn add(&self, to: Tensor, from: &Tensor) -> Result<Tensor> {
        to + from
    }

    fn scatter(&self, sums: Tensor, answers: Tensor, sent: &[Sent]) -> Result<Tensor> {
        let (tokens, weights): (Vec<u32>, Vec<f32>) =
            sent.iter().map(|sent| (sent.token, sent.weight)).unzip();
        let weights = Tensor::new(weights, &self.0)?.unsqueeze(1)?;
        let tokens = Tensor::new(tokens, &self.0)?;
        sums.index_add(&tokens, &answers.broadcast_mul(&weights)?, 0)
    }

    fn softmax(&self, scores: Tensor, scale: f32, start: usize) -> Result<Tensor> {
        let (_, queries, keys) = scores.dims3()?;
        let positions = |from: usize, count| {
            let positions = (from as u32..).take(count).collect();
            Tensor::from_vec(positions, count, &self.0)
        };
        let last = positions(start, queries)?.unsqueeze(1)?;
        let seen = positions(0, keys)?.unsqueeze(0)?.broadcast_le(&last)?;
        let value = |value: f32| Tensor::full(value, (queries, keys), &self.0);
        let mask = seen.where_cond(&value(0.0)?, &value(f32::NEG_INFINITY)?)?;
        softmax_last_dim(&(scores * f64::from(scale))?.broadcast_add(&mask)?)
    }
}
