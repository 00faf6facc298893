//! SmoothECE: a calibration error without bins (Błasiok & Nakkiran 2023, arXiv 2309.12236).
//!
//! The differences between probability and outcome are smoothed along the probability with a
//! Gaussian kernel reflected at 0 and 1; the error is the mean absolute value of the result. The
//! bandwidth is the one that equals its own error, so there is nothing to choose.
//!
//! [`smooth_ece`] follows the authors' package `relplot` 1.0.3 step by step, grid and all, so that
//! numbers can be compared across papers. [`FastSmoothEce`] computes the same quantity in the cosine
//! basis, in which a reflected Gaussian is diagonal; it is for the thousands of evaluations of a
//! bootstrap, where the last digits do not matter.

use super::tally::Tally;
use std::f64::consts::PI;

/// A SmoothECE and the bandwidth it was found at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmoothEce {
    /// The calibration error.
    pub error: f64,
    /// Standard deviation of the kernel, on the scale of the probability.
    pub bandwidth: f64,
}

/// Below this bandwidth the search stops, as in `relplot`.
const SMALLEST_BANDWIDTH: f64 = 0.001;
/// Halvings of the bandwidth search, as in `relplot`.
const REFINEMENTS: usize = 10;
/// Keeps the smoothed density positive, as in `relplot`.
const DENSITY_FLOOR: f64 = 1e-4;
/// Beyond this many standard deviations a Gaussian adds nothing to a double.
const NEGLIGIBLE: f64 = 9.0;

/// The SmoothECE of the counted records, all of whose values must lie within 0 and 1. `None`
/// without records.
#[must_use]
pub fn smooth_ece(tally: &Tally) -> Option<SmoothEce> {
    if tally.count() == 0.0 {
        return None;
    }
    let reaches_own_error =
        |bandwidth: f64| bandwidth < SMALLEST_BANDWIDTH || bandwidth < error_at(tally, bandwidth);
    let mut bandwidth = 1.0;
    if !reaches_own_error(bandwidth) {
        let mut below = 0.0;
        for _ in 0..REFINEMENTS {
            let middle = (bandwidth + below) / 2.0;
            if reaches_own_error(middle) {
                below = middle;
            } else {
                bandwidth = middle;
            }
        }
    }
    Some(SmoothEce {
        error: error_at(tally, bandwidth),
        bandwidth,
    })
}

fn error_at(tally: &Tally, bandwidth: f64) -> f64 {
    let points = ((10.0 / bandwidth).round_ties_even() as usize).max(200);
    let kernel = GridKernel::new(bandwidth);
    let difference = kernel.spread(tally, |place| {
        tally.total[place] * tally.values[place] - tally.positive[place]
    });
    let density = kernel.spread(tally, |place| tally.total[place]);
    let (mut error, mut mass) = (0.0, 0.0);
    for point in 0..points {
        let (cell, share) = kernel.cell(point as f64 / (points - 1) as f64);
        let low = kernel.smooth(&difference, &density, cell);
        let high = kernel.smooth(&difference, &density, cell + 1);
        error += (low.0 * (1.0 - share) + high.0 * share).abs();
        mass += low.1 * (1.0 - share) + high.1 * share + DENSITY_FLOOR;
    }
    error / mass
}

/// A Gaussian on a grid over 0 to 1, cut off half a unit from its centre.
struct GridKernel {
    /// Grid points.
    size: usize,
    weights: Vec<f64>,
    /// The part of `weights` that is not negligible.
    support: std::ops::Range<usize>,
}

impl GridKernel {
    fn new(bandwidth: f64) -> Self {
        let size = ((20.0 / bandwidth).round_ties_even() as usize).max(2000) / 2 + 1;
        let offset = |index: usize| index as f64 / (size - 1) as f64 - 0.5;
        let scale = (2.0 * PI).sqrt() * bandwidth;
        let weights = (0..size)
            .map(|index| (-offset(index).powi(2) / (2.0 * bandwidth * bandwidth)).exp() / scale)
            .collect();
        let reach = NEGLIGIBLE * bandwidth;
        let first = (0..size).find(|&index| offset(index) >= -reach);
        let last = (0..size).rfind(|&index| offset(index) <= reach);
        Self {
            size,
            weights,
            support: first.unwrap_or(0)..last.unwrap_or(size - 1) + 1,
        }
    }

    /// The grid cell that `at` lies in and how far into it, 0 to 1.
    fn cell(&self, at: f64) -> (usize, f64) {
        let position = at * (self.size - 1) as f64;
        let cell = (position as usize).min(self.size - 2);
        (cell, position - cell as f64)
    }

    /// `amount` of each value, shared between the two grid points around it, then mirrored at both
    /// ends.
    fn spread(&self, tally: &Tally, amount: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut grid = vec![0.0; self.size];
        for place in 0..tally.values.len() {
            let (cell, share) = self.cell(tally.values[place]);
            let amount = amount(place);
            grid[cell] += (1.0 - share) * amount;
            grid[cell + 1] += share * amount;
        }
        let mirrored = grid.iter().rev();
        let left = mirrored.clone().take(self.size - 1);
        left.chain(&grid).chain(mirrored.skip(1)).copied().collect()
    }

    /// The smoothed values at grid point `index` of two grids that [`Self::spread`] returned. With
    /// an even number of grid points the kernel sits half a grid step off centre, as it does in
    /// `relplot`.
    fn smooth(&self, first: &[f64], second: &[f64], index: usize) -> (f64, f64) {
        let top = self.size / 2 + index + self.size - 1;
        let (mut sum, mut other) = (0.0, 0.0);
        let mut offset = self.support.start;
        while offset < self.support.end {
            let weight = self.weights[offset];
            sum += first[top - offset] * weight;
            other += second[top - offset] * weight;
            offset += 1;
        }
        (sum, other)
    }
}

/// SmoothECE in the cosine basis, for many tallies over the same kind of data.
///
/// Differs from [`smooth_ece`] by the grid and by solving for the bandwidth with a secant step; on
/// data with a bandwidth near the hint by about 1% of its value.
#[derive(Debug, Clone)]
pub struct FastSmoothEce {
    cells: usize,
    modes: usize,
    /// `cos(pi * mode * point / cells)`, one row of `cells + 1` points for each mode.
    cosines: Vec<f64>,
    hint: f64,
}

impl FastSmoothEce {
    /// Prepares for data whose bandwidth is about `hint`.
    #[must_use]
    pub fn new(hint: f64) -> Self {
        let hint = hint.clamp(0.004, 0.5);
        let cells = ((4.0 / hint) as usize).clamp(64, 1024) / 2 * 2;
        // A mode is damped by exp(-(pi mode bandwidth)^2 / 2): below 1e-6 from 1.7 / bandwidth on.
        // Resamples can have a smaller bandwidth than the hint, and a wide kernel, cut off in its
        // flanks, is damped more slowly.
        let modes = ((1.7 / (0.6 * hint)).ceil() as usize).clamp(32, cells / 2);
        let period = 2 * cells;
        let wave: Vec<f64> = (0..period)
            .map(|step| (PI * step as f64 / cells as f64).cos())
            .collect();
        let cosines = (0..modes)
            .flat_map(|mode| (0..=cells).map(move |point| mode * point % period))
            .map(|step| wave[step])
            .collect();
        Self {
            cells,
            modes,
            cosines,
            hint,
        }
    }

    /// The SmoothECE of the counted records. `None` without records.
    #[must_use]
    pub fn error(&self, tally: &Tally) -> Option<f64> {
        let count = tally.count();
        if count == 0.0 {
            return None;
        }
        let spectrum = self.spectrum(tally, count);
        // The error falls as the bandwidth grows, so the two meet once.
        let mut previous = (self.hint, self.error_at(&spectrum, self.hint));
        let mut bandwidth = previous.1;
        for _ in 0..2 {
            let error = self.error_at(&spectrum, bandwidth.max(SMALLEST_BANDWIDTH));
            let (gap, previous_gap) = (error - bandwidth, previous.1 - previous.0);
            if (gap - previous_gap).abs() < 1e-12 {
                break;
            }
            let next = bandwidth - gap * (bandwidth - previous.0) / (gap - previous_gap);
            previous = (bandwidth, error);
            bandwidth = next.clamp(0.0, 1.0);
        }
        Some(bandwidth)
    }

    /// Cosine coefficients of the mean difference between probability and outcome.
    fn spectrum(&self, tally: &Tally, count: f64) -> Vec<f64> {
        let mut grid = vec![0.0; self.cells + 1];
        for place in 0..tally.values.len() {
            let position = tally.values[place] * self.cells as f64;
            let cell = (position as usize).min(self.cells - 1);
            let share = position - cell as f64;
            let amount = (tally.total[place] * tally.values[place] - tally.positive[place]) / count;
            grid[cell] += (1.0 - share) * amount;
            grid[cell + 1] += share * amount;
        }
        (0..self.modes)
            .map(|mode| {
                let sum = dot(&grid, self.cosines(mode));
                if mode == 0 { sum } else { 2.0 * sum }
            })
            .collect()
    }

    fn error_at(&self, spectrum: &[f64], bandwidth: f64) -> f64 {
        let mut smooth = vec![spectrum[0]; self.cells + 1];
        let kernel = self.cut_kernel(bandwidth);
        for (mode, &coefficient) in spectrum.iter().enumerate().skip(1) {
            let damping = match &kernel {
                Some(kernel) => 2.0 * dot(kernel, self.cosines(mode)),
                None => (-(PI * mode as f64 * bandwidth).powi(2) / 2.0).exp(),
            };
            if kernel.is_none() && damping < 1e-6 {
                break;
            }
            let amount = coefficient * damping;
            for (value, cosine) in smooth.iter_mut().zip(self.cosines(mode)) {
                *value += amount * cosine;
            }
        }
        let ends = (smooth[0].abs() + smooth[self.cells].abs()) / 2.0;
        let inner: f64 = smooth[1..self.cells].iter().map(|value| value.abs()).sum();
        (ends + inner) / self.cells as f64
    }

    /// One half of the kernel, weights adding up to 1/2, when it is so wide that cutting it off
    /// half a unit from its centre matters.
    fn cut_kernel(&self, bandwidth: f64) -> Option<Vec<f64>> {
        if bandwidth < 0.08 {
            return None;
        }
        let half = self.cells / 2;
        let mut weights: Vec<f64> = (0..=half)
            .map(|point| point as f64 / self.cells as f64)
            .map(|offset| (-offset * offset / (2.0 * bandwidth * bandwidth)).exp())
            .collect();
        // Trapezoid rule: both ends count half.
        weights[0] /= 2.0;
        weights[half] /= 2.0;
        let sum = 2.0 * weights.iter().sum::<f64>();
        for weight in &mut weights {
            *weight /= sum;
        }
        Some(weights)
    }

    /// The cosine of `mode` at every point of the grid.
    fn cosines(&self, mode: usize) -> &[f64] {
        let width = self.cells + 1;
        &self.cosines[mode * width..(mode + 1) * width]
    }
}

/// The sum of products, as far as the shorter one goes.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
