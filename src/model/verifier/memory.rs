//! The keys and values of what a decoder has read.
//!
//! Invariant: room for all tokens is taken at once, so that reading on never copies what is there,
//! and forgetting the last tokens is free: questions share the prompt before them.

use super::config::Shape;
use candle_core::{DType, Device, Result, Tensor};

/// What was read.
pub(super) struct Memory {
    /// Keys and values of each block: (heads, capacity, width).
    layers: Vec<(Tensor, Tensor)>,
    length: usize,
}

impl Memory {
    /// Empty, with room for `capacity` tokens on a device.
    pub(super) fn new(shape: &Shape, capacity: usize, device: &Device) -> Result<Self> {
        let room = || {
            let room = (shape.kv_heads, capacity, shape.head_width);
            Tensor::zeros(room, DType::F32, device)
        };
        let layers = (0..shape.layers).map(|_| Ok((room()?, room()?)));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            length: 0,
        })
    }

    /// Tokens read.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Puts the keys and values of the next tokens behind those of a block. They count once
    /// [`Memory::advance`] was called, after the last block.
    pub(super) fn put(&self, layer: usize, key: &Tensor, value: &Tensor) -> Result<()> {
        let (keys, values) = &self.layers[layer];
        keys.slice_set(key, 1, self.length)?;
        values.slice_set(value, 1, self.length)
    }

    /// Keys and values of a block.
    pub(super) fn layer(&self, layer: usize) -> &(Tensor, Tensor) {
        &self.layers[layer]
    }

    pub(super) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// Forgets all but the first `length` tokens.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}
