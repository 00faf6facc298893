//! Pools: means of the trunk's hidden states over the tokens that play a role, which are what the
//! heads read.
//!
//! Invariant: each state is scaled to root mean square 1 before it is pooled; a pool without
//! tokens is all zeros; sums are kept in f64, so the order of windows does not matter.

use super::heads::{HunkPool, PatchPool};
use super::window::{Place, Role, Window};
use std::collections::HashMap;
use std::ops::Range;

/// Keeps the scaling of a state finite when it is all zeros; part of the model contract.
const EPSILON: f64 = 1e-5;

/// A mean of states that grows.
struct Mean {
    sum: Vec<f64>,
    count: usize,
}

/// The pools of a hunk, for one readout.
struct HunkMeans {
    added: Mean,
    removed: Mean,
    context: Mean,
    end: Mean,
}

/// The pools of one readout.
struct Readout {
    task: Mean,
    added: Mean,
    removed: Mean,
    context: Mean,
    end: Mean,
    /// By the hunk's index, once its window was taken. Few of a large patch's hunks are read.
    hunks: HashMap<usize, HunkMeans>,
}

/// The pools of a patch and its hunks, filled window by window.
pub(super) struct Pools<'a> {
    hidden: usize,
    places: &'a [Option<Place>],
    readouts: Vec<Readout>,
}

impl<'a> Pools<'a> {
    /// Empty pools for `readouts` readouts of states of size `hidden`; `places` says where the
    /// hunks are.
    pub(super) fn new(places: &'a [Option<Place>], readouts: usize, hidden: usize) -> Self {
        let readout = || Readout {
            task: Mean::new(hidden),
            added: Mean::new(hidden),
            removed: Mean::new(hidden),
            context: Mean::new(hidden),
            end: Mean::new(hidden),
            hunks: HashMap::new(),
        };
        Self {
            hidden,
            places,
            readouts: std::iter::repeat_with(readout).take(readouts).collect(),
        }
    }

    /// Takes the states of window `number` at one readout: one row of `hidden` values a token.
    pub(super) fn take(
        &mut self,
        readout: usize,
        number: usize,
        window: &Window,
        mut states: Vec<f32>,
    ) {
        let hidden = self.hidden;
        states.chunks_exact_mut(hidden).for_each(normalize);
        let row = |token: usize| &states[token * hidden..(token + 1) * hidden];
        let Some(pools) = self.readouts.get_mut(readout) else {
            return;
        };
        for (token, role) in window.roles.iter().enumerate() {
            match role {
                Role::Task if number == 0 => pools.task.add(row(token)),
                Role::Task | Role::Header => {}
                Role::Context => pools.context.add(row(token)),
                Role::Added => pools.added.add(row(token)),
                Role::Removed => pools.removed.add(row(token)),
            }
        }
        for (hunk, place) in self.places.iter().enumerate() {
            let Some(place) = place.as_ref().filter(|place| place.window == number) else {
                continue;
            };
            let over = |role: Role, tokens: Range<usize>| {
                let mut mean = Mean::new(hidden);
                tokens
                    .filter(|&token| window.roles[token] == role)
                    .for_each(|token| mean.add(row(token)));
                mean
            };
            let mut end = Mean::new(hidden);
            end.add(row(place.end()));
            pools.end.add(row(place.end()));
            let means = HunkMeans {
                added: over(Role::Added, place.tokens.clone()),
                removed: over(Role::Removed, place.tokens.clone()),
                context: over(Role::Context, place.tokens.clone()),
                end,
            };
            pools.hunks.insert(hunk, means);
        }
    }

    /// The features of the patch head: for each readout, each pool.
    pub(super) fn patch(&self, pools: &[PatchPool]) -> Vec<f64> {
        let mut features = Vec::new();
        for readout in &self.readouts {
            for pool in pools {
                match pool {
                    PatchPool::Task => &readout.task,
                    PatchPool::Added => &readout.added,
                    PatchPool::Removed => &readout.removed,
                    PatchPool::Context => &readout.context,
                    PatchPool::End => &readout.end,
                }
                .append_to(&mut features);
            }
        }
        features
    }

    /// The features of the hunk head, in the same order; `None` if no window has the hunk.
    pub(super) fn hunk(&self, hunk: usize, pools: &[HunkPool]) -> Option<Vec<f64>> {
        let mut features = Vec::new();
        for readout in &self.readouts {
            let means = readout.hunks.get(&hunk)?;
            for pool in pools {
                match pool {
                    HunkPool::Added => &means.added,
                    HunkPool::Removed => &means.removed,
                    HunkPool::Context => &means.context,
                    HunkPool::End => &means.end,
                    HunkPool::PatchAdded => &readout.added,
                }
                .append_to(&mut features);
            }
        }
        Some(features)
    }
}

impl Mean {
    fn new(hidden: usize) -> Self {
        Self {
            sum: vec![0.0; hidden],
            count: 0,
        }
    }

    fn add(&mut self, state: &[f32]) {
        self.count += 1;
        for (sum, value) in self.sum.iter_mut().zip(state) {
            *sum += f64::from(*value);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of tokens are small")]
    fn append_to(&self, features: &mut Vec<f64>) {
        let count = self.count.max(1) as f64;
        features.extend(self.sum.iter().map(|sum| sum / count));
    }
}

/// Scales a state to root mean square 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "states are short and computed in f32"
)]
fn normalize(state: &mut [f32]) {
    let square: f64 = state.iter().map(|&value| f64::from(value).powi(2)).sum();
    let scale = 1.0 / (square / state.len() as f64 + EPSILON).sqrt();
    for value in state {
        *value = (f64::from(*value) * scale) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::window::Windows;

    #[test]
    fn means_are_taken_by_role_over_all_windows() {
        let window = |roles: &[Role]| Window {
            ids: vec![0; roles.len()],
            roles: roles.to_vec(),
        };
        let windows = Windows {
            windows: vec![
                window(&[Role::Task, Role::Header, Role::Added]),
                window(&[Role::Task, Role::Header, Role::Added]),
            ],
            places: vec![
                Some(Place {
                    window: 0,
                    tokens: 1..3,
                }),
                Some(Place {
                    window: 1,
                    tokens: 1..3,
                }),
                None,
            ],
            truncated: true,
            changed_lines: 0,
        };
        let mut pools = Pools::new(&windows.places, 1, 2);
        // Each state has root mean square 1 already.
        let states = |a: [f32; 2], b: [f32; 2]| vec![a[0], a[1], 9.0, 9.0, b[0], b[1]];
        let r = std::f32::consts::SQRT_2;
        pools.take(0, 0, &windows.windows[0], states([1.0, 1.0], [r, 0.0]));
        pools.take(0, 1, &windows.windows[1], states([-1.0, 1.0], [0.0, r]));
        let check = |got: Vec<f64>, expect: &[f64]| {
            assert_eq!(got.len(), expect.len());
            for (got, expect) in got.iter().zip(expect) {
                assert!((got - expect).abs() < 1e-4, "{got} {expect}");
            }
        };
        let half = f64::from(r) / 2.0;
        check(
            pools.patch(&[PatchPool::Task, PatchPool::Added, PatchPool::Removed]),
            &[1.0, 1.0, half, half, 0.0, 0.0],
        );
        check(
            pools
                .hunk(1, &[HunkPool::End, HunkPool::PatchAdded])
                .unwrap(),
            &[0.0, f64::from(r), half, half],
        );
        assert!(pools.hunk(2, &[HunkPool::End]).is_none());
    }
}
