//! The header of a safetensors file.
//!
//! Invariant: every tensor lies within the file, which is exactly as long as the header says.

use super::catalogue::{Catalogue, Located, Shard};
use candle_core::quantized::GgmlDType;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Longest header that is read: far more than the largest models have.
const MAX_HEADER: u64 = 32 << 20;

/// Adds the tensors of a file. Fails with a clause that names the field at fault.
pub(super) fn add(mut file: File, catalogue: &mut Catalogue) -> Result<(), String> {
    let fault = |error: std::io::Error| error.to_string();
    let size = file.metadata().map_err(fault)?.len();
    file.seek(SeekFrom::Start(0)).map_err(fault)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(fault)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER.min(size.saturating_sub(8)) {
        return Err(format!(
            "the header is {length} bytes long, more than the file or the limit of {MAX_HEADER}"
        ));
    }
    let mut header = Vec::new();
    (&mut file)
        .take(length)
        .read_to_end(&mut header)
        .map_err(fault)?;
    // Checks that the tensors lie one after the other and are as large as their shapes say.
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| format!("the header: {error}"))?;
    let start = 8 + length;
    if start.checked_add(metadata.data_len() as u64) != Some(size) {
        return Err(format!(
            "the file has {size} bytes, but its header tells of {}",
            metadata.data_len()
        ));
    }
    let shard = Shard::new(file);
    for (name, info) in metadata.tensors() {
        let dtype = match info.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                return Err(format!(
                    "tensor `{name}` is {other:?}, but this version reads F32, F16 and BF16"
                ));
            }
        };
        let (begin, end) = info.data_offsets;
        let tensor = Located {
            shard: shard.clone(),
            offset: start + begin as u64,
            length: (end - begin) as u64,
            dtype,
            shape: info.shape.clone(),
        };
        catalogue.add(name, tensor)?;
    }
    Ok(())
}
