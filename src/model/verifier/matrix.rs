//! A matrix to multiply rows with.

use candle_core::{Result, Tensor};

/// A linear layer.
pub(super) struct Linear {
    pub(super) matrix: Matrix,
    pub(super) bias: Option<Tensor>,
}

/// The weights of a linear layer: f32, as a transposed view (inputs, outputs).
pub(super) struct Matrix(pub(super) Tensor);

impl Matrix {
    /// The product of rows (tokens, inputs) with the matrix.
    pub(super) fn times(&self, rows: &Tensor) -> Result<Tensor> {
        rows.matmul(&self.0)
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
