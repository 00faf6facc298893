//! Rotary position embeddings (Su et al. 2021) with the frequencies of a configuration.
//!
//! Invariant: angles are computed in f32 as the reference implementations do, and only for the
//! positions asked for, so that a long context costs nothing before it is used.

use super::catalogue::Catalogue;
use super::config::{Scaling, Shape};
use candle_core::{Device, Result, Tensor};
use candle_nn::rotary_emb::{rope, rope_i};

/// Divisors of the frequencies, where a file holds them in place of a rule.
const DIVISORS: &str = "rope_freqs.weight";

/// Turns queries and keys by their positions.
pub(super) struct Rope {
    /// One for each pair of dimensions.
    frequencies: Vec<f32>,
    /// What cosines and sines are multiplied by.
    sharpness: f32,
    /// Whether pairs are neighbours, and not from both halves of a head.
    neighbours: bool,
}

/// Cosines and sines of a range of positions.
pub(super) struct Turn {
    cos: Tensor,
    sin: Tensor,
    neighbours: bool,
}

impl Rope {
    /// Fails with a clause that names the tensor at fault.
    pub(super) fn new(shape: &Shape, catalogue: &Catalogue) -> std::result::Result<Self, String> {
        let width = shape.head_width;
        let divisors = match catalogue.vector_if_any(DIVISORS, width / 2)? {
            None => vec![1.0; width / 2],
            Some(divisors) => divisors
                .to_vec1::<f32>()
                .ok()
                .filter(|divisors| divisors.iter().all(|it| it.is_finite() && *it > 0.0))
                .ok_or_else(|| format!("tensor `{DIVISORS}` holds what cannot be divided by"))?,
        };
        let sharpness = match shape.scaling {
            Scaling::Yarn { sharpness, .. } => sharpness,
            _ => 1.0,
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "widths are small, and the model computes in f32"
        )]
        Ok(Self {
            frequencies: (0..width / 2)
                .zip(divisors)
                .map(|(pair, divisor)| {
                    let plain = shape.theta.powf(-(2.0 * pair as f64) / width as f64);
                    (stretch(plain, pair, shape) / f64::from(divisor)) as f32
                })
                .collect(),
            sharpness: sharpness as f32,
            neighbours: catalogue.neighbours,
        })
    }

    /// For `count` positions from `start`, on a device.
    pub(super) fn turn(&self, start: usize, count: usize, device: &Device) -> Result<Turn> {
        #[expect(clippy::cast_precision_loss, reason = "contexts are below 2^24")]
        let angles: Vec<f32> = (start..start + count)
            .flat_map(|position| self.frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        let table = |function: fn(f32) -> f32| {
            let value = |&angle| function(angle) * self.sharpness;
            let values = angles.iter().map(value).collect();
            Tensor::from_vec(values, (count, self.frequencies.len()), device)
        };
        Ok(Turn {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
            neighbours: self.neighbours,
        })
    }
}

impl Turn {
    /// Of heads (heads, tokens, width).
    pub(super) fn apply(&self, heads: &Tensor) -> Result<Tensor> {
        let _step = tracing::trace_span!("rope").entered();
        let turn = if self.neighbours { rope_i } else { rope };
        turn(&heads.unsqueeze(0)?, &self.cos, &self.sin)?.squeeze(0)
    }
}

/// The frequency of a pair, from the one without scaling.
fn stretch(frequency: f64, pair: usize, shape: &Shape) -> f64 {
    match shape.scaling {
        Scaling::None => frequency,
        Scaling::Linear(factor) => frequency / factor,
        Scaling::Llama3 {
            factor,
            low,
            high,
            original,
        } => {
            // How often it turns within the context of training.
            let turns = original * frequency / std::f64::consts::TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        }
        Scaling::Yarn {
            factor,
            fast,
            slow,
            original,
            ..
        } => {
            #[expect(clippy::cast_precision_loss, reason = "widths are small")]
            let (pair, width) = (pair as f64, shape.head_width as f64);
            // The pair that turns so often within the context of training.
            let pair_of = |turns: f64| {
                width * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * shape.theta.ln())
            };
            let first = pair_of(fast).floor().max(0.0);
            let last = pair_of(slow).ceil().min(width - 1.0);
            let last = if first == last { last + 0.001 } else { last };
            let kept = 1.0 - ((pair - first) / (last - first)).clamp(0.0, 1.0);
            frequency * (kept + (1.0 - kept) / factor)
        }
    }
}
