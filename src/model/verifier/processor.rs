//! A pass on the processor.
//!
//! Invariant: matrices stay as their files store them, and all steps run on the threads of the
//! caller's pool.

use super::super::ops;
use super::kernels::Kernels;
use super::lanes::Lanes;
use super::matrix::Matrix;
use super::mixture::Sent;
use candle_core::{Device, Result, Tensor};

/// The processor.
pub(super) struct Processor;

impl Kernels for Processor {
    type Matrix = Matrix;
    type Rows = Lanes;

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn matrix(&self, stored: Matrix) -> Result<Matrix> {
        Ok(stored)
    }

    fn rows(&self, states: &Tensor, chosen: Option<&[u32]>) -> Result<Lanes> {
        Lanes::of(states, chosen)
    }

    fn states(&self, rows: Lanes) -> Result<Tensor> {
        rows.rows()
    }

    fn times(&self, rows: &Lanes, matrix: &Matrix) -> Result<Lanes> {
        matrix.times(rows)
    }

    fn gate(&self, mut gate: Lanes, up: &Lanes) -> Result<Lanes> {
        ops::gate_values(gate.values_mut(), up.values());
        Ok(gate)
    }

    fn add(&self, to: Tensor, from: &Tensor) -> Result<Tensor> {
        ops::add(&to, from)?;
        Ok(to)
    }

    fn scatter(&self, sums: Tensor, answers: Lanes, sent: &[Sent]) -> Result<Tensor> {
        ops::change(&sums, "scatter", |sums| {
            answers.add_to(sums, |row| (sent[row].token as usize, sent[row].weight));
        })?;
        Ok(sums)
    }

    fn softmax(&self, scores: Tensor, scale: f32, start: usize) -> Result<Tensor> {
        ops::causal_softmax(scores, scale, start)
    }
}
