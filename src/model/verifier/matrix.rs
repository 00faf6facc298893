//! A matrix to multiply rows with, held as its file stores it.
//!
//! Invariant: the product is that of the stored numbers in f32, whatever they are stored as, and
//! the matrix takes no more memory than in its file but for a few panels while it is used. candle's
//! own products of blocks keep a second copy of each matrix in another order, round the rows to 8
//! bits, use threads of their own, and are several times slower than f32 where the inner dimension
//! is no multiple of 256; turning a panel of blocks into f32 costs little beside its product with
//! the rows of a chunk.

use candle_core::quantized::QTensor;
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

/// A linear layer.
pub(super) struct Linear {
    pub(super) matrix: Matrix,
    pub(super) bias: Option<Tensor>,
}

/// The weights of a linear layer.
pub(super) enum Matrix {
    /// f32, as a transposed view (inputs, outputs).
    Plain(Tensor),
    /// Other numbers: the outputs in panels, each (some outputs, inputs).
    Stored(Vec<QTensor>),
}

/// Numbers in a panel: 2 MB once they are f32, which stays in the processor's caches.
const PANEL: usize = 1 << 19;
/// A panel has at least so many outputs, so that bringing the rows into order pays.
const MIN_OUTPUTS: usize = 64;

/// How many outputs of so many `inputs` make up a panel.
pub(super) fn panel_outputs(inputs: usize) -> usize {
    (PANEL / inputs.max(1))
        .next_multiple_of(16)
        .max(MIN_OUTPUTS)
}

impl Matrix {
    /// The product of rows (tokens, inputs) with the matrix.
    pub(super) fn times(&self, rows: &Tensor) -> Result<Tensor> {
        let times = |panel: &QTensor| rows.matmul(&panel.dequantize(&Device::Cpu)?.t()?);
        match self {
            Self::Plain(matrix) => rows.matmul(matrix),
            Self::Stored(panels) => match panels.as_slice() {
                [panel] => times(panel),
                panels => {
                    let products: Vec<Tensor> =
                        panels.par_iter().map(times).collect::<Result<_>>()?;
                    Tensor::cat(&products, 1)
                }
            },
        }
    }
}

impl Linear {
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let product = self.matrix.times(rows)?;
        match &self.bias {
            None => Ok(product),
            Some(bias) => product.broadcast_add(bias),
        }
    }
}
