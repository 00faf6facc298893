//! Rotary position embeddings (Su et al. 2021) with the frequencies of a configuration.
//!
//! Invariant: angles are computed in f32 as the reference implementations do, and only for the
//! positions asked for, so that a long context costs nothing before it is used.

use super::config::{Scaling, Shape};
use candle_core::{Device, Result, Tensor};
use candle_nn::rotary_emb::rope;

/// Turns queries and keys by their positions.
pub(super) struct Rope {
    /// One for each pair of dimensions.
    frequencies: Vec<f32>,
}

/// Cosines and sines of a range of positions.
pub(super) struct Turn {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    pub(super) fn new(shape: &Shape) -> Self {
        let width = shape.head_width;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "widths are small, and the model computes in f32"
        )]
        let frequencies = (0..width)
            .step_by(2)
            .map(|pair| {
                let plain = shape.theta.powf(-(pair as f64) / width as f64);
                stretch(plain, &shape.scaling) as f32
            })
            .collect();
        Self { frequencies }
    }

    /// For `count` positions from `start`.
    pub(super) fn turn(&self, start: usize, count: usize) -> Result<Turn> {
        #[expect(clippy::cast_precision_loss, reason = "contexts are below 2^24")]
        let angles: Vec<f32> = (start..start + count)
            .flat_map(|position| self.frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        let table = |function: fn(f32) -> f32| {
            let values = angles.iter().map(|&angle| function(angle)).collect();
            Tensor::from_vec(values, (count, self.frequencies.len()), &Device::Cpu)
        };
        Ok(Turn {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
        })
    }
}

impl Turn {
    /// Of heads (heads, tokens, width).
    pub(super) fn apply(&self, heads: &Tensor) -> Result<Tensor> {
        rope(&heads.unsqueeze(0)?, &self.cos, &self.sin)?.squeeze(0)
    }
}

fn stretch(frequency: f64, scaling: &Scaling) -> f64 {
    match *scaling {
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
    }
}
