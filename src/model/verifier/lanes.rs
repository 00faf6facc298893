//! Rows of numbers, one for each token, side by side: the form in which matrices are multiplied.
//!
//! Invariant: a number of sixteen tokens or so lies in one vector register, so that a weight is
//! used for all of them once it is there, and weights need not be brought into another order. What
//! fills up the last register is zero.

use candle_core::{CpuStorage, Device, Result, Storage, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Bytes of a line of the processor's caches; a register that straddles two takes twice as long.
const LINE: usize = 64;
/// Numbers of a row that are moved at once.
const PIECE: usize = 16;

/// What the vector registers of this processor allow.
struct Registers {
    /// Numbers in each.
    numbers: usize,
    /// How many of them a group of tokens fills, at most: the sums of some outputs must fit in, too.
    most: usize,
}

impl Registers {
    fn new() -> Self {
        struct Asked;
        impl WithSimd for Asked {
            type Output = Registers;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Registers {
                Registers {
                    numbers: S::F32_LANES,
                    most: if S::REGISTER_COUNT >= 32 { 3 } else { 2 },
                }
            }
        }
        Arch::new().dispatch(Asked)
    }
}

/// Rows of `length` numbers. Group after group of tokens, and in a group number after number.
pub(super) struct Lanes {
    tokens: usize,
    length: usize,
    /// Tokens of each group, filled up to whole registers.
    groups: Vec<usize>,
    values: Vec<f32>,
    /// Where the first value is, at the start of a line.
    start: usize,
}

impl Lanes {
    /// Zeros.
    pub(super) fn zeros(tokens: usize, length: usize) -> Self {
        let Registers { numbers, most } = Registers::new();
        let mut left = tokens.div_ceil(numbers);
        let mut groups = Vec::new();
        while left > 0 {
            // One register alone is slow: two and two in place of three and one.
            let taken = if left == 4 { 2 } else { left.min(most) };
            groups.push(taken * numbers);
            left -= taken;
        }
        let size = groups.iter().sum::<usize>() * length;
        let values = vec![0.0; size + LINE / size_of::<f32>()];
        let start = values
            .as_ptr()
            .align_offset(LINE)
            .min(LINE / size_of::<f32>());
        Self {
            tokens,
            length,
            groups,
            values,
            start,
        }
    }

    /// Of a tensor (rows, length), the rows asked for, or all.
    pub(super) fn of(rows: &Tensor, chosen: Option<&[u32]>) -> Result<Self> {
        let (count, length) = rows.dims2()?;
        let rows = rows.contiguous()?;
        let (storage, layout) = rows.storage_and_layout();
        let (Storage::Cpu(CpuStorage::F32(values)), Some((first, last))) =
            (&*storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("rows are not f32 on the processor")
        };
        let values = &values[first..last];
        let row = |token: usize| {
            let row = chosen.map_or(token, |chosen| chosen[token] as usize);
            &values[row * length..][..length]
        };
        let mut lanes = Self::zeros(chosen.map_or(count, <[u32]>::len), length);
        let tokens = lanes.tokens;
        let groups = lanes.spans();
        let groups: Vec<_> = groups.into_iter().zip(lanes.groups_mut()).collect();
        groups.into_par_iter().for_each(|(span, (width, group))| {
            let span = span.start..span.end.min(tokens);
            for (from, piece) in group.chunks_mut(PIECE * width).enumerate() {
                for (lane, token) in span.clone().enumerate() {
                    let numbers = &row(token)[from * PIECE..];
                    for (number, out) in numbers.iter().zip(piece.chunks_exact_mut(width)) {
                        out[lane] = *number;
                    }
                }
            }
        });
        Ok(lanes)
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The tokens of each group.
    fn spans(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let span = |width: &usize| {
            end += width;
            end - width..end
        };
        self.groups.iter().map(span).collect()
    }

    /// Tokens and values of each group.
    pub(super) fn groups(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let mut rest = &self.values[self.start..];
        self.groups.iter().map(move |&width| {
            let (group, others) = rest.split_at(width * self.length);
            rest = others;
            (width, group)
        })
    }

    pub(super) fn groups_mut(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        let length = self.length;
        let mut rest = &mut self.values[self.start..];
        self.groups.iter().map(move |&width| {
            let (group, others) = std::mem::take(&mut rest).split_at_mut(width * length);
            rest = others;
            (width, group)
        })
    }

    /// All values, in an order that is the same for rows of the same shape.
    pub(super) fn values(&self) -> &[f32] {
        let size = self.groups.iter().sum::<usize>() * self.length;
        &self.values[self.start..][..size]
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        let size = self.groups.iter().sum::<usize>() * self.length;
        &mut self.values[self.start..][..size]
    }

    /// Hands the rows of all tokens to `take`, a piece after the other: the token, where in the row
    /// the piece begins, and the piece.
    fn pieces(
        span: Range<usize>,
        width: usize,
        group: &[f32],
        mut take: impl FnMut(usize, usize, &[f32]),
    ) {
        for (from, piece) in group.chunks(PIECE * width).enumerate() {
            for (lane, token) in span.clone().enumerate() {
                let mut numbers = [0.0; PIECE];
                let count = piece.len() / width;
                for (number, from) in numbers.iter_mut().zip(piece.chunks_exact(width)) {
                    *number = from[lane];
                }
                take(token, from * PIECE, &numbers[..count]);
            }
        }
    }

    /// As a tensor (tokens, length).
    pub(super) fn rows(&self) -> Result<Tensor> {
        let mut rows = vec![0.0; self.tokens * self.length];
        let mut rest = rows.as_mut_slice();
        let mut work = Vec::new();
        for (span, (width, group)) in self.spans().into_iter().zip(self.groups()) {
            let count = span.end.min(self.tokens) - span.start;
            let (mine, others) = rest.split_at_mut(count * self.length);
            rest = others;
            work.push((width, count, group, mine));
        }
        work.into_par_iter()
            .for_each(|(width, count, group, rows)| {
                Self::pieces(0..count, width, group, |token, from, numbers| {
                    rows[token * self.length + from..][..numbers.len()].copy_from_slice(numbers);
                });
            });
        Tensor::from_vec(rows, (self.tokens, self.length), &Device::Cpu)
    }

    /// Adds each token's row, times its weight, to a row of `sums`.
    pub(super) fn add_to(&self, sums: &mut [f32], target: impl Fn(usize) -> (usize, f32)) {
        for (span, (width, group)) in self.spans().into_iter().zip(self.groups()) {
            let span = span.start..span.end.min(self.tokens);
            Self::pieces(span, width, group, |token, from, numbers| {
                let (row, weight) = target(token);
                let sums = &mut sums[row * self.length + from..][..numbers.len()];
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum += weight * number;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        for tokens in [1, 5, 16, 17, 49, 64, 65, 130] {
            let values: Vec<f32> = (0..tokens * 37).map(|i| i as f32).collect();
            let rows = Tensor::from_vec(values.clone(), (tokens, 37), &Device::Cpu).unwrap();
            let lanes = Lanes::of(&rows, None).unwrap();
            let back = lanes.rows().unwrap().flatten_all().unwrap();
            assert_eq!(back.to_vec1::<f32>().unwrap(), values);
            let last = Lanes::of(&rows, Some(&[tokens as u32 - 1, 0])).unwrap();
            let mut sums = vec![1.0; 2 * 37];
            last.add_to(&mut sums, |token| (1 - token, 2.0));
            assert_eq!(sums[0], 1.0 + 2.0 * values[0]);
            assert_eq!(sums[73], 1.0 + 2.0 * values[tokens * 37 - 1]);
        }
    }
}
