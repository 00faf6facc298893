//! Reads GGUF files: the header from anything that can be read, tensors from memory.
//!
//! Invariant: nothing is allocated or sliced on the word of the header before it was checked
//! against the length of the file and the limits below, no two tensors share a byte, and every
//! fault names the field. candle's own reader is not used because it turns metadata into values of
//! 32 bytes each, divides by the alignment in the file and multiplies shapes unchecked.
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use super::blocks;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

/// More tensors than any model has.
const MAX_TENSORS: u64 = 65_536;
/// More metadata entries than any model has.
const MAX_METADATA: u64 = 4_096;
/// Longest tensor or metadata name, as ggml limits it generously.
const MAX_NAME: u64 = 1_024;
/// Arrays of arrays this deep have no use.
const MAX_DEPTH: u32 = 4;
/// Longest header: far more than vocabularies of a quarter of a million words take.
const MAX_HEADER: u64 = 64 << 20;
/// Most elements of an array that are kept.
const MAX_KEPT: usize = 1 << 20;

/// What is wrong with the file: a clause that names the field.
type Problem = String;

/// What a file holds, and where.
pub(super) struct Header {
    /// Metadata by key.
    pub(super) metadata: HashMap<String, Value>,
    /// Tensors by name.
    pub(super) tensors: HashMap<String, Entry>,
}

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) dtype: GgmlDType,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    /// Its bytes, counted from the beginning of the file.
    pub(super) range: Range<u64>,
}

/// A metadata value. Numbers of all widths are the same to us.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i128>),
    /// Of a type that nothing is read from, or not kept.
    Other,
}

/// Whether metadata is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    Keep,
    Skip,
}

impl Header {
    /// Reads and checks the header of a file of `size` bytes.
    pub(super) fn read(from: impl Read, size: u64, metadata: Metadata) -> Result<Self, Problem> {
        let mut cursor = Cursor { from, at: 0, size };
        if cursor.bytes::<4>("magic")? != *b"GGUF" {
            return Err("field `magic` is not GGUF".into());
        }
        let version = cursor.u32("version")?;
        if !(2..=3).contains(&version) {
            return Err(format!(
                "field `version` is {version}, this version reads 2 and 3"
            ));
        }
        let tensor_count = at_most(cursor.u64("tensor_count")?, MAX_TENSORS, "tensor_count")?;
        let entries = at_most(
            cursor.u64("metadata_kv_count")?,
            MAX_METADATA,
            "metadata_kv_count",
        )?;
        let mut values = HashMap::new();
        let mut alignment = 32;
        for _ in 0..entries {
            let key = cursor.string(MAX_NAME, "metadata key")?;
            let kind = cursor.u32(&key)?;
            if key == "general.alignment" && kind == UINT32 {
                alignment = u64::from(cursor.u32(&key)?);
            } else if metadata == Metadata::Keep {
                let value = cursor.value(kind, &key, 0)?;
                values.insert(key, value);
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
        let start = cursor.at.next_multiple_of(alignment);
        let data = size.saturating_sub(start);
        let mut tensors = HashMap::new();
        for (name, dtype, shape, offset) in headers {
            let length = blocks::size_in_bytes(dtype, &shape)
                .map_err(|problem| format!("tensor `{name}`: {problem}"))?;
            if offset % alignment != 0 {
                return Err(format!(
                    "tensor `{name}`: field `offset` {offset} is not aligned to {alignment}"
                ));
            }
            let Some(end) = offset.checked_add(length).filter(|end| *end <= data) else {
                return Err(format!(
                    "tensor `{name}`: needs {length} bytes at `offset` {offset}, but the file has {data} bytes of tensor data"
                ));
            };
            let entry = Entry {
                dtype,
                shape,
                range: start + offset..start + end,
            };
            if tensors.insert(name.clone(), entry).is_some() {
                return Err(format!("tensor `{name}` is there twice"));
            }
        }
        check_apart(&tensors)?;
        Ok(Self {
            metadata: values,
            tensors,
        })
    }
}

/// A file could pretend to be many times as large as it is if its tensors lay on each other.
fn check_apart(tensors: &HashMap<String, Entry>) -> Result<(), Problem> {
    let mut ranges: Vec<(&Range<u64>, &str)> = tensors
        .iter()
        .map(|(name, entry)| (&entry.range, name.as_str()))
        .filter(|(range, _)| !range.is_empty())
        .collect();
    ranges.sort_unstable_by_key(|(range, name)| (range.start, range.end, *name));
    let both = ranges
        .windows(2)
        .find(|pair| pair[0].0.end > pair[1].0.start);
    match both {
        None => Ok(()),
        Some(pair) => Err(format!(
            "tensor `{}`: its `offset` lies within tensor `{}`",
            pair[1].1, pair[0].1
        )),
    }
}

/// The tensors of a file in memory.
pub(super) struct Gguf<'a> {
    bytes: &'a [u8],
    tensors: HashMap<String, Entry>,
}

impl<'a> Gguf<'a> {
    /// Reads and checks the header; `bundle.json` describes the model, so metadata is skipped.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let header = Header::read(bytes, bytes.len() as u64, Metadata::Skip)?;
        Ok(Self {
            bytes,
            tensors: header.tensors,
        })
    }

    /// A tensor as it is stored; for tables of which only some rows are used.
    pub(super) fn stored(&self, name: &str, shape: &[usize]) -> Result<QTensor, Problem> {
        let (bytes, dtype) = self.entry(name, shape)?;
        blocks::stored(bytes, dtype, shape, &Device::Cpu)
            .map_err(|error| format!("tensor `{name}`: {error}"))
    }

    /// A tensor as f32.
    pub(super) fn dequantized(&self, name: &str, shape: &[usize]) -> Result<Tensor, Problem> {
        let (bytes, dtype) = self.entry(name, shape)?;
        blocks::dequantized(bytes, dtype, shape)
            .map_err(|error| format!("tensor `{name}`: {error}"))
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<(&'a [u8], GgmlDType), Problem> {
        let missing = || format!("tensor `{name}` is missing");
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        if entry.shape != shape {
            return Err(format!(
                "tensor `{name}` has shape {:?}, but bundle.json asks for {shape:?}",
                entry.shape
            ));
        }
        // The header was checked against the length of these bytes.
        let ends = [entry.range.start, entry.range.end].map(usize::try_from);
        let [Ok(start), Ok(end)] = ends else {
            return Err(missing());
        };
        let bytes = self.bytes.get(start..end).ok_or_else(missing)?;
        Ok((bytes, entry.dtype))
    }
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
const FLOAT32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const FLOAT64: u32 = 12;

struct Cursor<R> {
    from: R,
    at: u64,
    /// Bytes of the file.
    size: u64,
}

impl<R: Read> Cursor<R> {
    /// Counts bytes that are about to be read.
    fn advance(&mut self, length: u64, field: &str) -> Result<(), Problem> {
        let end = self.at.checked_add(length);
        match end {
            Some(end) if end <= self.size.min(MAX_HEADER) => {
                self.at = end;
                Ok(())
            }
            Some(end) if end <= self.size => Err(format!(
                "the header is longer than the limit of {MAX_HEADER} bytes, at field `{field}`"
            )),
            _ => Err(format!("the file ends within field `{field}`")),
        }
    }

    fn bytes<const N: usize>(&mut self, field: &str) -> Result<[u8; N], Problem> {
        self.advance(N as u64, field)?;
        let mut bytes = [0; N];
        self.from
            .read_exact(&mut bytes)
            .map_err(|error| format!("field `{field}`: {error}"))?;
        Ok(bytes)
    }

    fn take(&mut self, length: u64, field: &str) -> Result<Vec<u8>, Problem> {
        self.advance(length, field)?;
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(length).read_to_end(&mut bytes);
        match read {
            Ok(read) if read as u64 == length => Ok(bytes),
            Ok(_) => Err(format!("the file ends within field `{field}`")),
            Err(error) => Err(format!("field `{field}`: {error}")),
        }
    }

    fn skip(&mut self, length: u64, field: &str) -> Result<(), Problem> {
        self.advance(length, field)?;
        let skipped = std::io::copy(&mut (&mut self.from).take(length), &mut std::io::sink());
        match skipped {
            Ok(skipped) if skipped == length => Ok(()),
            Ok(_) => Err(format!("the file ends within field `{field}`")),
            Err(error) => Err(format!("field `{field}`: {error}")),
        }
    }

    fn u32(&mut self, field: &str) -> Result<u32, Problem> {
        self.bytes(field).map(u32::from_le_bytes)
    }

    fn u64(&mut self, field: &str) -> Result<u64, Problem> {
        self.bytes(field).map(u64::from_le_bytes)
    }

    fn string(&mut self, limit: u64, field: &str) -> Result<String, Problem> {
        let length = at_most(self.u64(field)?, limit, field)?;
        Ok(String::from_utf8_lossy(&self.take(length, field)?).into_owned())
    }

    fn value(&mut self, kind: u32, field: &str, depth: u32) -> Result<Value, Problem> {
        Ok(match kind {
            STRING => Value::Text(self.string(MAX_HEADER, field)?),
            BOOL => Value::Bool(self.bytes::<1>(field)? != [0]),
            FLOAT32 => Value::Float(f32::from_le_bytes(self.bytes(field)?).into()),
            FLOAT64 => Value::Float(f64::from_le_bytes(self.bytes(field)?)),
            ARRAY if depth == 0 => return self.array(field),
            _ => match self.integer(kind, field)? {
                Some(integer) => Value::Integer(integer),
                None => {
                    self.skip_value(kind, field, depth)?;
                    Value::Other
                }
            },
        })
    }

    fn array(&mut self, field: &str) -> Result<Value, Problem> {
        let kind = self.u32(field)?;
        let length = self.u64(field)?;
        let kept = usize::try_from(length).is_ok_and(|length| length <= MAX_KEPT);
        // Nothing is reserved: the end of the file ends a loop that the header made too long.
        match kind {
            STRING if kept => {
                let mut texts = Vec::new();
                for _ in 0..length {
                    texts.push(self.string(MAX_HEADER, field)?);
                }
                Ok(Value::Texts(texts))
            }
            0..=5 | 10 | 11 if kept => {
                let mut integers = Vec::new();
                for _ in 0..length {
                    integers.extend(self.integer(kind, field)?);
                }
                Ok(Value::Integers(integers))
            }
            _ => {
                self.skip_elements(kind, length, field, 0)?;
                Ok(Value::Other)
            }
        }
    }

    /// An integer, if the kind is one.
    fn integer(&mut self, kind: u32, field: &str) -> Result<Option<i128>, Problem> {
        Ok(Some(match kind {
            0 => u8::from_le_bytes(self.bytes(field)?).into(),
            1 => i8::from_le_bytes(self.bytes(field)?).into(),
            2 => u16::from_le_bytes(self.bytes(field)?).into(),
            3 => i16::from_le_bytes(self.bytes(field)?).into(),
            UINT32 => u32::from_le_bytes(self.bytes(field)?).into(),
            5 => i32::from_le_bytes(self.bytes(field)?).into(),
            10 => u64::from_le_bytes(self.bytes(field)?).into(),
            11 => i64::from_le_bytes(self.bytes(field)?).into(),
            _ => return Ok(None),
        }))
    }

    fn skip_value(&mut self, kind: u32, field: &str, depth: u32) -> Result<(), Problem> {
        if let Some(width) = fixed_width(kind) {
            return self.skip(width, field);
        }
        match kind {
            STRING => {
                let length = self.u64(field)?;
                self.skip(length, field)
            }
            ARRAY if depth < MAX_DEPTH => {
                let kind = self.u32(field)?;
                let length = self.u64(field)?;
                self.skip_elements(kind, length, field, depth)
            }
            _ => Err(format!("field `{field}` has the unknown type {kind}")),
        }
    }

    fn skip_elements(
        &mut self,
        kind: u32,
        length: u64,
        field: &str,
        depth: u32,
    ) -> Result<(), Problem> {
        if let Some(width) = fixed_width(kind) {
            return self.skip(length.saturating_mul(width), field);
        }
        // Each element takes at least a byte, so the file's end ends the loop.
        for _ in 0..length {
            self.skip_value(kind, field, depth + 1)?;
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
        // Of no bytes, so a short file could hold any number of them; ggml divides by the sides.
        if shape.contains(&0) {
            return Err(format!(
                "tensor `{name}`: field `shape` {shape:?} has a side of 0"
            ));
        }
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
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        UINT32 | 5 | FLOAT32 => Some(4),
        10..=FLOAT64 => Some(8),
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
