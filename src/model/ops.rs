//! The element-wise steps of the trunk's pass, in place and on the threads of the caller's pool.
//!
//! Invariant: a step touches its first operand only and runs on rayon threads. candle's own
//! element-wise operations use a second pool of spinning threads for large tensors, which a limit
//! on threads does not reach; and each of them makes a copy.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use rayon::prelude::*;

/// Elements that one piece of work handles: enough to outweigh handing it over.
const PIECE: usize = 16 * 1024;

/// `to += from`.
pub(super) fn add(to: &Tensor, from: &Tensor) -> Result<()> {
    to.inplace_op2(from, &Zip("add", |to: &mut f32, from: f32| *to += from))
}

/// `gate = silu(gate) * up`, the gated activation of Shazeer (2020), "GLU variants".
pub(super) fn gate(gate: &Tensor, up: &Tensor) -> Result<()> {
    gate.inplace_op2(
        up,
        &Zip("gate", |gate: &mut f32, up: f32| {
            *gate *= up / (1.0 + (-*gate).exp())
        }),
    )
}

/// Softmax of `scale * scores` over the keys that each query may see. `scores` is (heads, queries,
/// keys); the first query is at position `start` and sees the keys up to and with that position.
pub(super) fn causal_softmax(scores: &Tensor, scale: f32, start: usize) -> Result<()> {
    let (_, queries, keys) = scores.dims3()?;
    scores.inplace_op1(&CausalSoftmax {
        scale,
        start,
        queries,
        keys,
    })
}

/// A step over pairs of elements, with its name.
struct Zip<F>(&'static str, F);

impl<F: Fn(&mut f32, f32) + Sync> InplaceOp2 for Zip<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        to_layout: &Layout,
        from: &CpuStorage,
        from_layout: &Layout,
    ) -> Result<()> {
        let Some((first, last)) = from_layout.contiguous_offsets() else {
            candle_core::bail!("{}: the second operand is not contiguous", self.0)
        };
        let from = &from.as_slice::<f32>()?[first..last];
        let to = values(self.0, to, to_layout)?;
        if to.len() != from.len() {
            candle_core::bail!("{}: the operands differ in size", self.0)
        }
        to.par_chunks_mut(PIECE)
            .zip(from.par_chunks(PIECE))
            .for_each(|(to, from)| {
                to.iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| self.1(to, *from));
            });
        Ok(())
    }
}

struct CausalSoftmax {
    scale: f32,
    start: usize,
    queries: usize,
    keys: usize,
}

impl InplaceOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, scores: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let scores = values(self.name(), scores, layout)?;
        scores
            .par_chunks_mut(self.keys)
            .with_min_len(PIECE / self.keys.max(1))
            .enumerate()
            .for_each(|(row, scores)| {
                let seen = (self.start + row % self.queries + 1).min(scores.len());
                let (seen, hidden) = scores.split_at_mut(seen);
                let max = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for score in &mut *seen {
                    *score = ((*score - max) * self.scale).exp();
                    sum += *score;
                }
                for score in seen {
                    *score /= sum;
                }
                hidden.fill(0.0);
            });
        Ok(())
    }
}

fn values<'a>(name: &str, storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((first, last))) => Ok(&mut values[first..last]),
        _ => candle_core::bail!("{name}: the first operand is not contiguous f32"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    fn check(got: &Tensor, expect: &[f32]) {
        let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(got.len(), expect.len());
        for (got, expect) in got.iter().zip(expect) {
            assert!((got - expect).abs() < 1e-6, "{got} instead of {expect}");
        }
    }

    #[test]
    fn steps_compute_what_they_say() {
        let to = tensor(&[1.0, -2.0], &[2]);
        add(&to, &tensor(&[0.5, 4.0], &[2])).unwrap();
        check(&to, &[1.5, 2.0]);
        let to = tensor(&[0.0, 1.0], &[2]);
        gate(&to, &tensor(&[3.0, 2.0], &[2])).unwrap();
        check(&to, &[0.0, 2.0 * 0.731_058_6]);
    }

    #[test]
    fn a_query_sees_no_later_key() {
        // Two heads, two queries at positions 1 and 2, three keys.
        let ln2 = std::f32::consts::LN_2;
        let head = [0.0, 0.0, 9.0, 2.0 * ln2, 0.0, 0.0];
        let scores = tensor(&[head, head].concat(), &[2, 2, 3]);
        causal_softmax(&scores, 0.5, 1).unwrap();
        let expect = [0.5, 0.5, 0.0, 0.5, 0.25, 0.25];
        check(&scores, &[expect, expect].concat());
    }
}
