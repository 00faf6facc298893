//! What a pass needs of the device that it runs on.
//!
//! Invariant: both implementations compute the same steps, so that a pass is written once; they
//! differ in how matrices are held and in what form rows are multiplied.

use super::matrix::Matrix;
use super::mixture::Sent;
use candle_core::{Device, Result, Tensor};

/// The steps of a pass on one kind of device. Tensors are f32 and lie on it.
pub(super) trait Kernels: Send + Sync {
    /// A matrix that rows are multiplied with.
    type Matrix: Send + Sync;
    /// Rows, one for each token, in the form in which they are multiplied.
    type Rows: Send;

    fn device(&self) -> &Device;

    /// Brings a matrix to the device.
    fn matrix(&self, stored: Matrix) -> Result<Self::Matrix>;

    /// The rows of a tensor (tokens, length) that are asked for, or all.
    fn rows(&self, states: &Tensor, chosen: Option<&[u32]>) -> Result<Self::Rows>;

    /// Rows as a tensor (tokens, length).
    fn states(&self, rows: Self::Rows) -> Result<Tensor>;

    /// The product of rows with a matrix.
    fn times(&self, rows: &Self::Rows, matrix: &Self::Matrix) -> Result<Self::Rows>;

    /// `silu(gate) * up`, the gated activation of Shazeer (2020), "GLU variants".
    fn gate(&self, gate: Self::Rows, up: &Self::Rows) -> Result<Self::Rows>;

    fn add(&self, to: Tensor, from: &Tensor) -> Result<Tensor>;

    /// Adds the rows of tokens that were sent to an expert to the sums of those tokens.
    fn scatter(&self, sums: Tensor, answers: Self::Rows, sent: &[Sent]) -> Result<Tensor>;

    /// Softmax of `scale * scores` over the keys that each query may see. `scores` is (heads,
    /// queries, keys); the first query is at position `start` and sees the keys up to and with that
    /// position.
    fn softmax(&self, scores: Tensor, scale: f32, start: usize) -> Result<Tensor>;
}
