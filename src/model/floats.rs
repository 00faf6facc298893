//! Numbers as files of weights store them, one by one, read as f32.

use half::{bf16, f16};
use safetensors::Dtype;

/// A type of numbers that are not stored in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    /// The type of a tensor in a safetensors file, if it is one of these.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The values; bytes that do not make up a whole one are passed over.
    pub(super) fn values(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => words(bytes, f32::from_le_bytes),
            Self::F16 => words(bytes, |word| f16::from_le_bytes(word).to_f32()),
            Self::Bf16 => words(bytes, |word| bf16::from_le_bytes(word).to_f32()),
        }
    }
}

fn words<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<N>();
    words.iter().map(|word| read(*word)).collect()
}
