//! What is learnt beside the trunk: the heads on its pools, the lexical branch, the metrics model
//! and the fusion of the three, all in `heads.safetensors`.
//!
//! Invariant: every tensor has the shape that `bundle.json` implies, and every parameter is a
//! finite number. Faults name the tensor.

use super::floats::Float;
use super::fusion::{HunkFusion, PatchFusion};
use super::lexical::Lexical;
use super::lines::{LINE_NUMBERS, LineModel};
use super::manifest::{HeadShape, Manifest};
use super::metrics::{METRICS, MetricsModel};
use super::reversal::{DirectionModel, REVERSAL};
use super::surroundings::SURROUNDINGS;
use super::trees::{Stored, Trees};
use crate::change::Patch;
use candle_core::cpu::erf::erf_f64;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// Tokens that the patch head sees the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PatchPool {
    /// The task description in the first window.
    Task,
    /// All added lines.
    Added,
    /// All removed lines.
    Removed,
    /// All context lines.
    Context,
    /// The last token of each hunk.
    End,
}

/// Tokens that the hunk head sees the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HunkPool {
    /// The hunk's added lines.
    Added,
    /// The hunk's removed lines.
    Removed,
    /// The hunk's context lines.
    Context,
    /// The hunk's last token.
    End,
    /// All added lines of the patch.
    PatchAdded,
}

/// All parameters but the trunk's.
pub(super) struct HeadWeights {
    pub(super) readouts: Vec<usize>,
    pub(super) buckets: u32,
    pub(super) patch: PatchWeights,
    pub(super) hunk: HunkWeights,
}

/// The branches that judge a patch, and how they are fused.
pub(super) struct PatchWeights {
    pub(super) pools: Vec<PatchPool>,
    pub(super) head: Head,
    pub(super) lexical: Lexical,
    pub(super) metrics: MetricsModel,
    pub(super) trees: Trees,
    /// Text and trees of a patch without a task description.
    pub(super) bare: (Lexical, Trees),
    /// Trees that tell a snippet from a change to a repository, and those that judge it.
    pub(super) snippet: (Trees, Trees),
    pub(super) fusion: PatchFusion,
}

impl PatchWeights {
    /// Whether an only hunk is judged as a snippet. More hunks never are: no benchmark has them.
    pub(super) fn takes_for_snippet(&self, patch: &Patch, metrics: &[f64]) -> bool {
        patch.hunk_count() == 1 && self.snippet.0.sum(metrics) > 0.0
    }
}

/// The branches that judge a hunk, and how they are fused.
pub(super) struct HunkWeights {
    pub(super) pools: Vec<HunkPool>,
    pub(super) head: Head,
    pub(super) lexical: Lexical,
    pub(super) lines: LineModel,
    pub(super) direction: DirectionModel,
    pub(super) trees: Trees,
    pub(super) fusion: HunkFusion,
}

/// A linear layer, or two with GELU between them.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// The layer before the last, if any: one row of weights and a bias for each hidden unit.
    first: Option<(Vec<f32>, Vec<f32>)>,
    weight: Vec<f32>,
    bias: f64,
}

impl Head {
    /// The head's logit.
    pub(super) fn logit(&self, features: &[f64]) -> f64 {
        let sum = match &self.first {
            None => dot(&self.weight, features),
            Some((rows, bias)) => {
                let width = features.len().max(1);
                let units = rows.chunks_exact(width).zip(bias);
                let hidden: Vec<f64> = units
                    .map(|(row, &bias)| gelu(dot(row, features) + f64::from(bias)))
                    .collect();
                dot(&self.weight, &hidden)
            }
        };
        sum + self.bias
    }
}

impl HeadWeights {
    /// Reads and checks `heads.safetensors`. Fails with a clause that names the tensor at fault.
    pub(super) fn load(bytes: &[u8], manifest: &Manifest) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| format!("header: {error}"))?;
        let reader = Reader(&file);
        let states = manifest.readouts.len() * manifest.trunk.hidden;
        let buckets = manifest.lexical.buckets;
        let patch = PatchWeights {
            pools: manifest.heads.patch.pools.clone(),
            head: reader.head("patch", states, &manifest.heads.patch)?,
            lexical: reader.lexical("patch", buckets)?,
            metrics: reader.metrics("patch")?,
            trees: reader.trees("patch", METRICS)?,
            bare: (
                reader.lexical("bare", buckets)?,
                reader.trees("bare", METRICS)?,
            ),
            snippet: (
                reader.trees("gate", METRICS)?,
                reader.trees("snippet", METRICS)?,
            ),
            fusion: PatchFusion {
                described: reader.array("fusion.patch")?,
                bare: reader.array("fusion.bare")?,
                snippet: reader.array("fusion.snippet")?,
            },
        };
        let hunk = HunkWeights {
            pools: manifest.heads.hunk.pools.clone(),
            head: reader.head("hunk", states, &manifest.heads.hunk)?,
            lexical: reader.lexical("hunk", buckets)?,
            lines: LineModel {
                weight: reader.tensor("lines.hunk.weight", &[buckets as usize])?,
            },
            direction: DirectionModel {
                weight: reader.tensor("direction.hunk.weight", &[buckets as usize])?,
            },
            trees: reader.trees("hunk", METRICS + SURROUNDINGS + LINE_NUMBERS + REVERSAL)?,
            fusion: HunkFusion {
                weights: reader.array("fusion.hunk")?,
                same_size: reader.array("fusion.hunk_same_size")?,
                unread: reader.number("fusion.hunk_trunk_mean")?,
                only: reader.array("fusion.hunk_only")?,
            },
        };
        Ok(Self {
            readouts: manifest.readouts.clone(),
            buckets: manifest.lexical.buckets,
            patch,
            hunk,
        })
    }
}

struct Reader<'a>(&'a SafeTensors<'a>);

impl Reader<'_> {
    fn head<Pool>(
        &self,
        name: &str,
        states: usize,
        shape: &HeadShape<Pool>,
    ) -> Result<Head, String> {
        let width = states * shape.pools.len();
        let name = |part: &str| format!("head.{name}.{part}");
        if shape.hidden == 0 {
            return Ok(Head {
                first: None,
                weight: self.tensor(&name("weight"), &[1, width])?,
                bias: self.number(&name("bias"))?,
            });
        }
        let rows = self.tensor(&name("0.weight"), &[shape.hidden, width])?;
        let bias = self.tensor(&name("0.bias"), &[shape.hidden])?;
        Ok(Head {
            first: Some((rows, bias)),
            weight: self.tensor(&name("2.weight"), &[1, shape.hidden])?,
            bias: self.number(&name("2.bias"))?,
        })
    }

    fn lexical(&self, name: &str, buckets: u32) -> Result<Lexical, String> {
        let table = |part| self.tensor(&format!("lexical.{name}.{part}"), &[buckets as usize]);
        Ok(Lexical {
            idf: table("idf")?,
            weight: table("weight")?,
            bias: self.number(&format!("lexical.{name}.bias"))?,
        })
    }

    fn metrics(&self, name: &str) -> Result<MetricsModel, String> {
        let column = |part| -> Result<Vec<f64>, String> {
            let values = self.tensor(&format!("metrics.{name}.{part}"), &[METRICS])?;
            Ok(values.into_iter().map(f64::from).collect())
        };
        let scale = column("scale")?;
        if scale.iter().any(|scale| *scale <= 0.0) {
            return Err(format!("tensor `metrics.{name}.scale` must be positive"));
        }
        Ok(MetricsModel {
            mean: column("mean")?,
            scale,
            weight: column("weight")?,
            bias: self.number(&format!("metrics.{name}.bias"))?,
        })
    }

    fn trees(&self, name: &str, features: usize) -> Result<Trees, String> {
        let part = |part: &str| format!("trees.{name}.{part}");
        let whole = |part: String| -> Result<Vec<i32>, String> {
            let view = self.view(&part)?;
            if view.dtype() != Dtype::I32 || view.shape().len() != 1 {
                return Err(format!("tensor `{part}` must be a row of I32"));
            }
            let (words, _) = view.data().as_chunks();
            Ok(words.iter().map(|word| i32::from_le_bytes(*word)).collect())
        };
        let feature = whole(part("feature"))?;
        let stored = Stored {
            roots: &whole(part("roots"))?,
            right: &whole(part("right"))?,
            value: &self.tensor(&part("value"), &[feature.len()])?,
            feature: &feature,
        };
        Trees::new(&stored, features).map_err(|problem| format!("tensor `trees.{name}` {problem}"))
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>, String> {
        let missing = |_| format!("tensor `{name}` is missing");
        self.0.tensor(name).map_err(missing)
    }

    fn number(&self, name: &str) -> Result<f64, String> {
        self.array::<1>(name).map(|[value]| value)
    }

    fn array<const N: usize>(&self, name: &str) -> Result<[f64; N], String> {
        let values = self.tensor(name, &[N])?;
        let mut array = [0.0; N];
        for (to, from) in array.iter_mut().zip(values) {
            *to = f64::from(from);
        }
        Ok(array)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let view = self.view(name)?;
        if view.shape() != shape {
            return Err(format!(
                "tensor `{name}` has shape {:?}, but bundle.json asks for {shape:?}",
                view.shape()
            ));
        }
        let dtype = view.dtype();
        let float = Float::of(dtype).ok_or_else(|| {
            format!("tensor `{name}` has type {dtype:?}, but only F32, F16 and BF16 are read")
        })?;
        let values = float.values(view.data());
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(format!("tensor `{name}` holds a value that is not finite"))
        }
    }
}

fn dot(weights: &[f32], values: &[f64]) -> f64 {
    weights
        .iter()
        .zip(values)
        .map(|(&weight, &value)| f64::from(weight) * value)
        .sum()
}

/// Gaussian error linear unit in its exact form (Hendrycks & Gimpel 2016).
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf_f64(x / std::f64::consts::SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_head() {
        let linear = Head {
            first: None,
            weight: vec![1.0, -2.0],
            bias: 0.5,
        };
        assert!((linear.logit(&[3.0, 1.0]) - 1.5).abs() < 1e-12);
        let deep = Head {
            first: Some((vec![1.0, 0.0, 0.0, 1.0], vec![0.0, -1.0])),
            weight: vec![2.0, 1.0],
            bias: 0.0,
        };
        // GELU(1) = 0.841344746..., GELU(0) = 0.
        assert!((deep.logit(&[1.0, 1.0]) - 2.0 * 0.841_344_746_068_543).abs() < 1e-9);
    }
}
