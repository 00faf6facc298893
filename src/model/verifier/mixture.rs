//! A mixture of experts in place of the dense layer of a block (Shazeer et al. 2017; Qwen3).
//!
//! Invariant: only experts that a token was sent to are computed, each once for all its tokens, and
//! of their answers only those of a few are kept at the same time.

use super::config::Experts;
use super::kernels::Kernels;
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;
use tracing::trace_span;

/// A gated layer: `down(silu(gate(x)) * up(x))`.
pub(super) struct Gated<K: Kernels> {
    pub(super) gate: K::Matrix,
    pub(super) up: K::Matrix,
    pub(super) down: K::Matrix,
}

impl<K: Kernels> Gated<K> {
    pub(super) fn forward(&self, kernels: &K, rows: &K::Rows) -> Result<K::Rows> {
        let gate = trace_span!("gate").in_scope(|| kernels.times(rows, &self.gate))?;
        let up = trace_span!("up").in_scope(|| kernels.times(rows, &self.up))?;
        let gated = trace_span!("activation").in_scope(|| kernels.gate(gate, &up))?;
        trace_span!("down").in_scope(|| kernels.times(&gated, &self.down))
    }
}

/// Experts and the router that sends tokens to them.
pub(super) struct Mixture<K: Kernels> {
    router: K::Matrix,
    experts: Vec<Gated<K>>,
    active: usize,
    normalised: bool,
}

/// A token that was sent to an expert, and what the expert's answer counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sent {
    pub(super) token: u32,
    pub(super) weight: f32,
}

impl<K: Kernels> Mixture<K> {
    pub(super) fn new(router: K::Matrix, experts: Vec<Gated<K>>, shape: &Experts) -> Self {
        Self {
            router,
            experts,
            active: shape.active,
            normalised: shape.normalised,
        }
    }

    pub(super) fn forward(&self, kernels: &K, states: &Tensor) -> Result<Tensor> {
        let votes = kernels.times(&kernels.rows(states, None)?, &self.router)?;
        let votes = kernels.states(votes)?;
        let routed = self.route(&votes.to_vec2()?);
        let asked: Vec<_> = self
            .experts
            .iter()
            .zip(&routed)
            .filter(|(_, sent)| !sent.is_empty())
            .collect();
        let mut sums = Tensor::zeros(states.dims(), DType::F32, kernels.device())?;
        for asked in asked.chunks(2 * rayon::current_num_threads()) {
            let answers: Vec<K::Rows> = asked
                .par_iter()
                .map(|(expert, sent)| {
                    let tokens: Vec<u32> = sent.iter().map(|sent| sent.token).collect();
                    expert.forward(kernels, &kernels.rows(states, Some(&tokens))?)
                })
                .collect::<Result<_>>()?;
            for ((_, sent), answers) in asked.iter().zip(answers) {
                sums = kernels.scatter(sums, answers, sent)?;
            }
        }
        Ok(sums)
    }

    /// The tokens of each expert.
    fn route(&self, votes: &[Vec<f32>]) -> Vec<Vec<Sent>> {
        let mut sent = vec![Vec::new(); self.experts.len()];
        for (token, votes) in (0_u32..).zip(votes) {
            for (expert, weight) in chosen(votes, self.active, self.normalised) {
                sent[expert].push(Sent { token, weight });
            }
        }
        sent
    }
}

/// The experts with the most votes and what each counts: its share of the softmax over all votes,
/// or if `normalised` over those of the chosen.
fn chosen(votes: &[f32], active: usize, normalised: bool) -> Vec<(usize, f32)> {
    let max = votes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut weights: Vec<(usize, f32)> = votes
        .iter()
        .map(|vote| (vote - max).exp())
        .enumerate()
        .collect();
    let all: f32 = weights.iter().map(|(_, weight)| weight).sum();
    weights.sort_by(|a, b| b.1.total_cmp(&a.1));
    weights.truncate(active);
    let taken: f32 = weights.iter().map(|(_, weight)| weight).sum();
    let total = if normalised { taken } else { all };
    for (_, weight) in &mut weights {
        *weight /= total;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_voted_are_chosen() {
        let votes = [0.0, 2.0_f32.ln(), 5.0_f32.ln(), f32::NEG_INFINITY];
        let check = |normalised, expect: [(usize, f32); 2]| {
            let got = chosen(&votes, 2, normalised);
            assert_eq!(got.len(), 2);
            for (got, expect) in got.iter().zip(expect) {
                assert_eq!(got.0, expect.0);
                assert!((got.1 - expect.1).abs() < 1e-6, "{got:?}");
            }
        };
        check(false, [(2, 5.0 / 8.0), (1, 2.0 / 8.0)]);
        check(true, [(2, 5.0 / 7.0), (1, 2.0 / 7.0)]);
    }
}
