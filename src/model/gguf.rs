//! Reads the tensors of a GGUF file from memory.
//!
//! Invariant: nothing is allocated or sliced on the word of the header before it was checked
//! against the length of the file, and every fault names the field. candle's own reader is not
//! used because it turns metadata into values of 32 bytes each, divides by the alignment in the
//! file and multiplies shapes unchecked. Metadata is skipped: `bundle.json` describes the model.
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use super::floats::Float;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// More tensors than any model of this kind has.
const MAX_TENSORS: u64 = 4_096;
/// More metadata entries than any model of this kind has.
const MAX_METADATA: u64 = 4_096;
/// Longest tensor or metadata name, as ggml limits it generously.
const MAX_NAME: u64 = 1_024;
/// Arrays of arrays this deep have no use.
const MAX_DEPTH: u32 = 4;

/// The tensors of a file.
pub(super) struct Gguf<'a> {
    bytes: &'a [u8],
    tensors: HashMap<String, Entry>,
}

struct Entry {
    dtype: GgmlDType,
    /// Outermost dimension first.
    shape: Vec<usize>,
    range: Range<usize>,
}

/// What is wrong with the file: a clause that names the field.
type Problem = String;

impl<'a> Gguf<'a> {
    /// Reads and checks the header.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut cursor = Cursor { bytes, at: 0 };
        if cursor.take(4, "magic")? != b"GGUF" {
            return Err("field `magic` is not GGUF".into());
        }
        let version = cursor.u32("version")?;
        if !(2..=3).contains(&version) {
            return Err(format!(
                "field `version` is {version}, this version reads 2 and 3"
            ));
        }
        let tensor_count = at_most(cursor.u64("tensor_count")?, MAX_TENSORS, "tensor_count")?;
        let metadata = at_most(
            cursor.u64("metadata_kv_count")?,
            MAX_METADATA,
            "metadata_kv_count",
        )?;
        let mut alignment = 32;
        for _ in 0..metadata {
            let key = cursor.string(MAX_NAME, "metadata key")?;
            let kind = cursor.u32(&key)?;
            if key == "general.alignment" && kind == UINT32 {
                alignment = cursor.u32(&key)?;
            } else {
                cursor.skip_value(kind, &key, 0)?;
            }
        }
        if !alignment.is_power_of_two() || !(8..=4_096).contains(&alignment) {
            return Err(format!(
                "field `general.alignment` is {alignment}, not a power of two from 8 to 4096"
            ));
        }
        let mut headers = Vec::new();
        for _ in 0..tensor_count {
            headers.push(cursor.tensor_header()?);
        }
        let start = cursor.at.next_multiple_of(alignment as usize);
        let data = bytes.len().saturating_sub(start);
        let mut tensors = HashMap::new();
        for (name, dtype, shape, offset) in headers {
            let size = size_in_bytes(&name, dtype, &shape)?;
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            if offset % alignment as usize != 0 {
                return Err(format!(
                    "tensor `{name}`: field `offset` {offset} is not aligned to {alignment}"
                ));
            }
            let end = offset.checked_add(size).filter(|end| *end <= data);
            let Some(end) = end else {
                return Err(format!(
                    "tensor `{name}`: needs {size} bytes at `offset` {offset}, but the file has {data} bytes of tensor data"
                ));
            };
            let range = start + offset..start + end;
            let entry = Entry {
                dtype,
                shape,
                range,
            };
            if tensors.insert(name.clone(), entry).is_some() {
                return Err(format!("tensor `{name}` is there twice"));
            }
        }
        Ok(Self { bytes, tensors })
    }

    /// A tensor as it is stored; for tables of which only some rows are used.
    pub(super) fn stored(&self, name: &str, shape: &[usize]) -> Result<QTensor, Problem> {
        let entry = self.entry(name, shape)?;
        let bytes = aligned(&self.bytes[entry.range.clone()]);
        let data = Cow::Borrowed(bytes.as_slice());
        QStorage::from_data(data, &Device::Cpu, entry.dtype)
            .and_then(|storage| QTensor::new(storage, shape))
            .map_err(|error| format!("tensor `{name}`: {error}"))
    }

    /// A tensor as f32.
    pub(super) fn dequantized(&self, name: &str, shape: &[usize]) -> Result<Tensor, Problem> {
        let entry = self.entry(name, shape)?;
        let bytes = &self.bytes[entry.range.clone()];
        let float = match entry.dtype {
            GgmlDType::F32 => Float::F32,
            GgmlDType::F16 => Float::F16,
            GgmlDType::BF16 => Float::Bf16,
            _ => {
                return self
                    .stored(name, shape)?
                    .dequantize(&Device::Cpu)
                    .map_err(|error| format!("tensor `{name}`: {error}"));
            }
        };
        Tensor::from_vec(float.values(bytes), shape, &Device::Cpu)
            .map_err(|error| format!("tensor `{name}`: {error}"))
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, Problem> {
        let entry = self
            .tensors
            .get(name)
            .ok_or_else(|| format!("tensor `{name}` is missing"))?;
        if entry.shape != shape {
            return Err(format!(
                "tensor `{name}` has shape {:?}, but bundle.json asks for {shape:?}",
                entry.shape
            ));
        }
        Ok(entry)
    }
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

fn size_in_bytes(name: &str, dtype: GgmlDType, shape: &[usize]) -> Result<usize, Problem> {
    let block = dtype.block_size();
    if shape.last().is_none_or(|row| row % block != 0) {
        return Err(format!(
            "tensor `{name}`: field `shape` {shape:?} does not end in a multiple of {block}"
        ));
    }
    shape
        .iter()
        .try_fold(1_usize, |product, &side| product.checked_mul(side))
        .and_then(|elements| (elements / block).checked_mul(dtype.type_size()))
        .ok_or_else(|| format!("tensor `{name}`: field `shape` {shape:?} is absurdly large"))
}

fn at_most(value: u64, limit: u64, field: &str) -> Result<u64, Problem> {
    if value > limit {
        return Err(format!(
            "field `{field}` is {value}, more than the limit of {limit}"
        ));
    }
    Ok(value)
}

const UINT32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: u64, field: &str) -> Result<&'a [u8], Problem> {
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| format!("the file ends within field `{field}`"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn u32(&mut self, field: &str) -> Result<u32, Problem> {
        let bytes = self.take(4, field)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn u64(&mut self, field: &str) -> Result<u64, Problem> {
        let bytes = self.take(8, field)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn string(&mut self, limit: u64, field: &str) -> Result<String, Problem> {
        let length = at_most(self.u64(field)?, limit, field)?;
        Ok(String::from_utf8_lossy(self.take(length, field)?).into_owned())
    }

    fn skip_value(&mut self, kind: u32, field: &str, depth: u32) -> Result<(), Problem> {
        if let Some(width) = fixed_width(kind) {
            self.take(width, field)?;
            return Ok(());
        }
        match kind {
            STRING => {
                let length = self.u64(field)?;
                self.take(length, field)?;
            }
            ARRAY if depth < MAX_DEPTH => {
                let kind = self.u32(field)?;
                let length = self.u64(field)?;
                if let Some(width) = fixed_width(kind) {
                    self.take(length.saturating_mul(width), field)?;
                } else {
                    // Each element takes at least a byte, so the file's end ends the loop.
                    for _ in 0..length {
                        self.skip_value(kind, field, depth + 1)?;
                    }
                }
            }
            _ => return Err(format!("field `{field}` has the unknown type {kind}")),
        }
        Ok(())
    }

    fn tensor_header(&mut self) -> Result<(String, GgmlDType, Vec<usize>, u64), Problem> {
        let name = self.string(MAX_NAME, "tensor name")?;
        let dimensions = self.u32(&name)?;
        if !(1..=4).contains(&dimensions) {
            return Err(format!(
                "tensor `{name}`: field `n_dimensions` is {dimensions}, not 1 to 4"
            ));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64(&name)?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        let code = self.u32(&name)?;
        let dtype = dtype(code)
            .ok_or_else(|| format!("tensor `{name}`: field `type` {code} is not supported"))?;
        let offset = self.u64(&name)?;
        Ok((name, dtype, shape, offset))
    }
}

/// Bytes of a metadata value, for types that have a fixed number of them.
fn fixed_width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        UINT32 | 5 | 6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Types of weights that candle turns into f32; the others serve activations only.
fn dtype(code: u32) -> Option<GgmlDType> {
    Some(match code {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}
