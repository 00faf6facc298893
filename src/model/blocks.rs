//! Weights as files store them, one by one or in blocks: how many bytes they take, and the step to
//! tensors.
//!
//! Invariant: sizes are computed without overflow before anything is allocated by them.

use super::floats::Float;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Result, Tensor};
use std::borrow::Cow;

/// Bytes of a tensor. Fails with a clause that says what is wrong with the shape.
pub(super) fn size_in_bytes(dtype: GgmlDType, shape: &[usize]) -> std::result::Result<u64, String> {
    let block = dtype.block_size();
    if shape.last().is_none_or(|row| row % block != 0) {
        return Err(format!(
            "field `shape` {shape:?} does not end in a multiple of {block}"
        ));
    }
    shape
        .iter()
        .try_fold(1_u64, |product, &side| product.checked_mul(side as u64))
        .and_then(|elements| (elements / block as u64).checked_mul(dtype.type_size() as u64))
        .ok_or_else(|| format!("field `shape` {shape:?} is absurdly large"))
}

/// A tensor as it is stored, on a device.
pub(super) fn stored(
    bytes: &[u8],
    dtype: GgmlDType,
    shape: &[usize],
    device: &Device,
) -> Result<QTensor> {
    let bytes = aligned(bytes);
    let data = Cow::Borrowed(bytes.as_slice());
    QTensor::new(QStorage::from_data(data, device, dtype)?, shape)
}

/// A tensor as f32.
pub(super) fn dequantized(bytes: &[u8], dtype: GgmlDType, shape: &[usize]) -> Result<Tensor> {
    let float = match dtype {
        GgmlDType::F32 => Float::F32,
        GgmlDType::F16 => Float::F16,
        GgmlDType::BF16 => Float::Bf16,
        _ => return stored(bytes, dtype, shape, &Device::Cpu)?.dequantize(&Device::Cpu),
    };
    Tensor::from_vec(float.values(bytes), shape, &Device::Cpu)
}

/// Bytes at an address that candle accepts for any type.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

fn aligned(bytes: &[u8]) -> Aligned {
    const ALIGNMENT: usize = 16;
    let mut buffer: Vec<u8> = Vec::with_capacity(bytes.len() + ALIGNMENT);
    let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    buffer.resize(start, 0);
    buffer.extend_from_slice(bytes);
    Aligned {
        bytes: buffer,
        start,
    }
}
