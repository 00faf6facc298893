//! The element-wise steps of the trunk's pass, in place and on the threads of the caller's pool.
//!
//! Invariant: a step touches its first operand only and runs on rayon threads. candle's own
//! element-wise operations use a second pool of spinning threads for large tensors, which a limit
//! on threads does not reach; and each of them makes a copy. Exponentials are computed here, a
//! register of them at once: one by one they take a good part of the pass over a long prompt.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Elements that one piece of work handles: enough to outweigh handing it over.
const PIECE: usize = 16 * 1024;

/// `to += from`.
pub(super) fn add(to: &Tensor, from: &Tensor) -> Result<()> {
    to.inplace_op2(from, &Zip(PhantomData::<Add>))
}

/// `gate = silu(gate) * up`, the gated activation of Shazeer (2020), "GLU variants".
pub(super) fn gate(gate: &Tensor, up: &Tensor) -> Result<()> {
    gate.inplace_op2(up, &Zip(PhantomData::<Gate>))
}

/// [`gate`] of numbers that are in no tensor.
pub(super) fn gate_values(gate: &mut [f32], up: &[f32]) {
    zip::<Gate>(gate, up);
}

/// Softmax of `scale * scores` over the keys that each query may see. `scores` is (heads, queries,
/// keys); the first query is at position `start` and sees the keys up to and with that position.
pub(super) fn causal_softmax(scores: Tensor, scale: f32, start: usize) -> Result<Tensor> {
    let (_, queries, keys) = scores.dims3()?;
    scores.inplace_op1(&CausalSoftmax {
        scale,
        start,
        queries,
        keys,
    })?;
    Ok(scores)
}

/// Lets a step change the numbers of a tensor.
pub(super) fn change(to: &Tensor, name: &'static str, step: impl Fn(&mut [f32])) -> Result<()> {
    to.inplace_op1(&Change { name, step })
}

/// The exponential, to about the last bit. Beyond the largest and the smallest power that f32 holds
/// it is those.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding this rounds to a whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // A macro, since closures would be called, and compiled without vector instructions.
    macro_rules! all {
        ($value:expr) => {
            simd.splat_f32s($value)
        };
    }
    let inside = simd.min_f32s(simd.max_f32s(x, all!(-87.3)), all!(88.3));
    let rounded = simd.mul_add_f32s(inside, all!(std::f32::consts::LOG2_E), all!(ROUND));
    let whole = simd.sub_f32s(rounded, all!(ROUND));
    // The logarithm of 2 in two parts, so that the product of the first with `whole` is exact.
    let rest = simd.mul_add_f32s(whole, all!(-0.693_359_4), inside);
    let rest = simd.mul_add_f32s(whole, all!(2.121_944_4e-4), rest);
    // Coefficients of Cephes.
    let mut sum = all!(1.987_569_1e-4);
    for next in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
        1.0,
        1.0,
    ] {
        sum = simd.mul_add_f32s(sum, rest, all!(next));
    }
    let bits = simd.transmute_u32s_f32s(rounded);
    let exponent = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    let power = simd.add_u32s(exponent, simd.splat_u32s(1.0_f32.to_bits()));
    let power = simd.mul_f32s(sum, simd.transmute_f32s_u32s(power));
    // What is no number stays so.
    simd.select_f32s(simd.equal_f32s(x, x), power, x)
}

/// A step over pairs of elements.
trait Step: Send + Sync {
    const NAME: &'static str;

    fn step<S: Simd>(simd: S, to: S::f32s, from: S::f32s) -> S::f32s;
}

struct Add;

impl Step for Add {
    const NAME: &'static str = "add";

    #[inline(always)]
    fn step<S: Simd>(simd: S, to: S::f32s, from: S::f32s) -> S::f32s {
        simd.add_f32s(to, from)
    }
}

struct Gate;

impl Step for Gate {
    const NAME: &'static str = "gate";

    #[inline(always)]
    fn step<S: Simd>(simd: S, gate: S::f32s, up: S::f32s) -> S::f32s {
        let power = exp(simd, simd.neg_f32s(gate));
        let below = simd.add_f32s(simd.splat_f32s(1.0), power);
        simd.mul_f32s(gate, simd.div_f32s(up, below))
    }
}

struct Zip<T>(PhantomData<T>);

impl<T: Step> InplaceOp2 for Zip<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        to_layout: &Layout,
        from: &CpuStorage,
        from_layout: &Layout,
    ) -> Result<()> {
        let Some((first, last)) = from_layout.contiguous_offsets() else {
            candle_core::bail!("{}: the second operand is not contiguous", T::NAME)
        };
        let from = &from.as_slice::<f32>()?[first..last];
        let to = values(T::NAME, to, to_layout)?;
        if to.len() != from.len() {
            candle_core::bail!("{}: the operands differ in size", T::NAME)
        }
        zip::<T>(to, from);
        Ok(())
    }
}

fn zip<T: Step>(to: &mut [f32], from: &[f32]) {
    struct Piece<'a, T>(&'a mut [f32], &'a [f32], PhantomData<T>);
    impl<T: Step> WithSimd for Piece<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (to, last_to) = S::as_mut_simd_f32s(self.0);
            let (from, last_from) = S::as_simd_f32s(self.1);
            for (to, from) in to.iter_mut().zip(from) {
                *to = T::step(simd, *to, *from);
            }
            let (left, right) = (
                simd.partial_load_f32s(last_to),
                simd.partial_load_f32s(last_from),
            );
            simd.partial_store_f32s(last_to, T::step(simd, left, right));
        }
    }
    let arch = Arch::new();
    to.par_chunks_mut(PIECE)
        .zip(from.par_chunks(PIECE))
        .for_each(|(to, from)| arch.dispatch(Piece(to, from, PhantomData::<T>)));
}

struct Change<F> {
    name: &'static str,
    step: F,
}

impl<F: Fn(&mut [f32])> InplaceOp1 for Change<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, to: &mut CpuStorage, layout: &Layout) -> Result<()> {
        (self.step)(values(self.name, to, layout)?);
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
        let arch = Arch::new();
        scores
            .par_chunks_mut(self.keys)
            .with_min_len(PIECE / self.keys.max(1))
            .enumerate()
            .for_each(|(row, scores)| {
                let seen = (self.start + row % self.queries + 1).min(scores.len());
                let (seen, hidden) = scores.split_at_mut(seen);
                arch.dispatch(Softmax(seen, self.scale));
                hidden.fill(0.0);
            });
        Ok(())
    }
}

/// The exponential of a score's distance from the largest.
#[inline(always)]
fn power<S: Simd>(simd: S, score: S::f32s, max: S::f32s, scale: S::f32s) -> S::f32s {
    exp(simd, simd.mul_f32s(simd.sub_f32s(score, max), scale))
}

/// In place, of scaled numbers.
struct Softmax<'a>(&'a mut [f32], f32);

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (scores, last) = S::as_mut_simd_f32s(self.0);
        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
        for score in &*scores {
            largest = simd.max_f32s(largest, *score);
        }
        let largest = simd.reduce_max_f32s(largest);
        let max = simd.splat_f32s(last.iter().copied().fold(largest, f32::max));
        let scale = simd.splat_f32s(self.1);
        let mut sums = simd.splat_f32s(0.0);
        for score in &mut *scores {
            *score = power(simd, *score, max, scale);
            sums = simd.add_f32s(sums, *score);
        }
        let powers = power(simd, simd.partial_load_f32s(last), max, scale);
        simd.partial_store_f32s(last, powers);
        let sum = last.iter().sum::<f32>() + simd.reduce_sum_f32s(sums);
        let share = simd.splat_f32s(1.0 / sum);
        for score in scores {
            *score = simd.mul_f32s(*score, share);
        }
        for score in last {
            *score /= sum;
        }
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

    fn exp_one(x: f32) -> f32 {
        struct One(f32);
        impl WithSimd for One {
            type Output = f32;
            fn with_simd<S: Simd>(self, simd: S) -> f32 {
                let mut powers = [0.0];
                let power = exp(simd, simd.splat_f32s(self.0));
                simd.partial_store_f32s(&mut powers, power);
                powers[0]
            }
        }
        Arch::new().dispatch(One(x))
    }

    #[test]
    fn the_exponential_is_right_to_the_last_bits() {
        for step in -8_700_i16..=8_800 {
            let x = f32::from(step) / 100.0;
            let expect = f64::from(x).exp();
            let error = (f64::from(exp_one(x)) - expect).abs() / expect;
            assert!(error < 2e-7, "{x}: {error}");
        }
        assert!(exp_one(-1e9) < 1e-37 && exp_one(1e9) > 1e38 && exp_one(f32::NAN).is_nan());
    }

    #[test]
    fn a_long_row_sums_to_one() {
        let values: Vec<f32> = (0_u8..100).map(|i| f32::from(i % 7)).collect();
        let scores = tensor(&values, &[1, 1, 100]);
        let scores = causal_softmax(scores, 1.0, 99).unwrap();
        let got: Vec<f32> = scores.flatten_all().unwrap().to_vec1().unwrap();
        let sum: f32 = values.iter().map(|value| value.exp()).sum();
        for (got, value) in got.iter().zip(values) {
            assert!((got - value.exp() / sum).abs() < 1e-7, "{got}");
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
        let scores = causal_softmax(scores, 0.5, 1).unwrap();
        let expect = [0.5, 0.5, 0.0, 0.5, 0.25, 0.25];
        check(&scores, &[expect, expect].concat());
    }
}
