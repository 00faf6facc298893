//! A matrix to multiply rows with, held as its file stores it.
//!
//! Invariant: the product is that of the stored numbers in f32, whatever they are stored as, and
//! the matrix takes no more memory than in its file. A few outputs at a time are turned into f32 in
//! the innermost cache and multiplied with all tokens from there, so that a pass over many tokens
//! hardly notices the step and one over few does not pay for bringing weights into another order.
//! candle's own products of blocks keep a second copy of each matrix, round the rows to 8 bits, and
//! use threads of their own.

use super::lanes::Lanes;
use super::unpack::{STRETCH, unpack};
use candle_core::Result;
use candle_core::quantized::GgmlDType;
use pulp::{Arch, Simd, WithSimd, bytemuck};
use rayon::prelude::*;
use tracing::trace_span;

/// Outputs that are computed together: their weights, 24 kB, fit into the innermost cache beside
/// what they are multiplied with. A multiple of all heights of tiles.
const OUTPUTS: usize = 24;

/// The weights of a layer: `outputs` rows of `inputs`.
pub(super) struct Matrix {
    bytes: Vec<u8>,
    dtype: GgmlDType,
    inputs: usize,
    outputs: usize,
}

impl Matrix {
    /// Of all the bytes that a file holds of it.
    pub(super) fn new(bytes: Vec<u8>, dtype: GgmlDType, outputs: usize, inputs: usize) -> Self {
        Self {
            bytes,
            dtype,
            inputs,
            outputs,
        }
    }

    /// Its bytes, their type, and the number of outputs and inputs.
    pub(super) fn into_parts(self) -> (Vec<u8>, GgmlDType, [usize; 2]) {
        (self.bytes, self.dtype, [self.outputs, self.inputs])
    }

    /// The product of rows with the matrix.
    pub(super) fn times(&self, rows: &Lanes) -> Result<Lanes> {
        let row = self.inputs / self.dtype.block_size() * self.dtype.type_size();
        if rows.length() != self.inputs || self.bytes.len() != row * self.outputs {
            candle_core::bail!(
                "rows of {} for a matrix of {} to {}",
                rows.length(),
                self.inputs,
                self.outputs
            )
        }
        let mut products = Lanes::zeros(rows.tokens(), self.outputs);
        let mut pieces: Vec<Vec<&mut [f32]>> = Vec::new();
        pieces.resize_with(self.outputs.div_ceil(OUTPUTS), Vec::new);
        for (width, group) in products.groups_mut() {
            for (piece, values) in pieces.iter_mut().zip(group.chunks_mut(OUTPUTS * width)) {
                piece.push(values);
            }
        }
        let arch = Arch::new();
        pieces
            .into_par_iter()
            .zip(self.bytes.par_chunks(OUTPUTS * row))
            .for_each(|(products, bytes)| {
                arch.dispatch(Piece {
                    bytes,
                    row,
                    dtype: self.dtype,
                    rows,
                    products,
                });
            });
        Ok(products)
    }
}

/// Some outputs for all tokens.
struct Piece<'a> {
    bytes: &'a [u8],
    /// Bytes of a row.
    row: usize,
    dtype: GgmlDType,
    rows: &'a Lanes,
    /// Of each group of tokens.
    products: Vec<&'a mut [f32]>,
}

impl WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut weights = [[0.0; STRETCH]; OUTPUTS];
        let stretch = STRETCH / self.dtype.block_size() * self.dtype.type_size();
        let mut products = self.products;
        for (number, from) in (0..self.rows.length()).step_by(STRETCH).enumerate() {
            let numbers = STRETCH.min(self.rows.length() - from);
            let step = trace_span!("unpacking").entered();
            for (weights, row) in weights.iter_mut().zip(self.bytes.chunks_exact(self.row)) {
                let bytes = &row[number * stretch..];
                unpack(
                    simd,
                    self.dtype,
                    &bytes[..stretch.min(bytes.len())],
                    weights,
                );
            }
            drop(step);
            for ((width, rows), products) in self.rows.groups().zip(&mut products) {
                let rows = bytemuck::cast_slice(&rows[from * width..][..numbers * width]);
                let products = bytemuck::cast_slice_mut(products);
                // As many sums as there are registers for.
                match (width / S::F32_LANES, S::REGISTER_COUNT >= 32) {
                    (1, _) => tile::<S, 1, 12>(simd, &weights, rows, products),
                    (2, true) => tile::<S, 2, 12>(simd, &weights, rows, products),
                    (2, false) => tile::<S, 2, 6>(simd, &weights, rows, products),
                    _ => tile::<S, 3, 8>(simd, &weights, rows, products),
                }
            }
        }
    }
}

/// Adds the products of a stretch, `HEIGHT` outputs at a time, for tokens that fill `WIDTH`
/// registers.
#[inline(always)]
fn tile<S: Simd, const WIDTH: usize, const HEIGHT: usize>(
    simd: S,
    weights: &[[f32; STRETCH]; OUTPUTS],
    rows: &[S::f32s],
    products: &mut [S::f32s],
) {
    let (weights, _) = weights.as_chunks::<HEIGHT>();
    let (rows, _) = rows.as_chunks::<WIDTH>();
    for (weights, products) in weights.iter().zip(products.chunks_mut(HEIGHT * WIDTH)) {
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
        for (number, row) in (0..STRETCH).zip(rows) {
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(weights[number]);
                for (sum, row) in sums.iter_mut().zip(row) {
                    *sum = simd.mul_add_e_f32s(weight, *row, *sum);
                }
            }
        }
        let (products, _) = products.as_chunks_mut::<WIDTH>();
        for (product, sums) in products.iter_mut().zip(sums) {
            for (product, sum) in product.iter_mut().zip(sums) {
                *product = simd.add_f32s(*product, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::blocks;
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn products_are_those_of_candle() {
        for (dtype, inputs) in [
            (GgmlDType::F32, 40),
            (GgmlDType::F16, 300),
            (GgmlDType::Q8_0, 288),
            (GgmlDType::Q4K, 512),
        ] {
            for (tokens, outputs) in [(1, 5), (17, 24), (33, 50), (150, 24)] {
                let size = outputs * inputs / dtype.block_size() * dtype.type_size();
                let byte = |i: usize| (i * i * 31 + i * 7 + 5) as u8 & 0b1011_1111;
                let bytes: Vec<u8> = (0..size).map(byte).collect();
                let rows = Tensor::rand(-1.0_f32, 1.0, (tokens, inputs), &Device::Cpu).unwrap();
                let weights = blocks::dequantized(&bytes, dtype, &[outputs, inputs]).unwrap();
                let expect = rows.matmul(&weights.t().unwrap()).unwrap();
                let got = Matrix::new(bytes, dtype, outputs, inputs)
                    .times(&Lanes::of(&rows, None).unwrap())
                    .unwrap();
                let pairs = [got.rows().unwrap(), expect.clone()]
                    .map(|it| it.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                let largest = pairs[1].iter().fold(0.0_f32, |most, it| most.max(it.abs()));
                for (got, expect) in pairs[0].iter().zip(&pairs[1]) {
                    assert!(
                        (got - expect).abs() <= 1e-5 * largest,
                        "{dtype:?} {got} {expect}"
                    );
                }
            }
        }
    }
}
