//! Where each tensor of a model lies in its files, and the step from bytes to tensors.
//!
//! Invariant: a tensor is read only within the range that was checked when its file was opened, to
//! where it stays; so loading takes about as much memory as the model. Names are those of
//! Hugging Face, whatever the file calls them.

use super::super::blocks;
use super::matrix::Matrix;
use candle_core::Tensor;
use candle_core::quantized::GgmlDType;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

/// A clause that names the tensor at fault.
type Problem = String;

/// A file of weights that is open.
#[derive(Debug)]
pub(super) struct Shard(Mutex<File>);

impl Shard {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self(Mutex::new(file)))
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) shard: Arc<Shard>,
    pub(super) offset: u64,
    /// Bytes in the file.
    pub(super) length: u64,
    pub(super) dtype: GgmlDType,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
}

/// All tensors of a model.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    tensors: HashMap<String, Located>,
    taken: Mutex<HashSet<String>>,
    /// Whether the rows of queries and keys are in the order that turns pairs of neighbours, as
    /// Llama's are in GGUF, and not pairs from both halves of a head.
    pub(super) neighbours: bool,
}

impl Catalogue {
    /// Adds a tensor; there must be none of that name.
    pub(super) fn add(&mut self, name: String, tensor: Located) -> Result<(), Problem> {
        match self.tensors.insert(name.clone(), tensor) {
            None => Ok(()),
            Some(_) => Err(format!("tensor `{name}` is there twice")),
        }
    }

    /// A table whose rows are read when they are asked for.
    pub(super) fn table(&self, name: &str, rows: usize, columns: usize) -> Result<Table, Problem> {
        let tensor = self.take(name, &[rows, columns])?.clone();
        let name = name.into();
        Ok(Table { tensor, name })
    }

    /// A matrix that yields `rows` values of `columns`.
    pub(super) fn matrix(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Matrix, Problem> {
        let tensor = self.take(name, &[rows, columns])?;
        let bytes = tensor.rows(name, 0, rows)?;
        Ok(Matrix::new(bytes, tensor.dtype, rows, columns))
    }

    /// A vector as f32.
    pub(super) fn vector(&self, name: &str, length: usize) -> Result<Tensor, Problem> {
        self.take(name, &[length])?.dequantized(name, 0, length)
    }

    /// A vector as f32, if there is one of that name.
    pub(super) fn vector_if_any(
        &self,
        name: &str,
        length: usize,
    ) -> Result<Option<Tensor>, Problem> {
        match self.tensors.contains_key(name) {
            true => self.vector(name, length).map(Some),
            false => Ok(None),
        }
    }

    /// Fails if there is a tensor that was not asked for: the model is not what its configuration
    /// says then.
    pub(super) fn check_all_taken(&self) -> Result<(), Problem> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self
            .tensors
            .keys()
            // Some files hold a copy of what follows from the configuration.
            .filter(|name| !name.ends_with("rotary_emb.inv_freq") && *name != "lm_head.weight")
            .filter(|name| !taken.contains(*name));
        match left.min() {
            None => Ok(()),
            Some(name) => Err(format!(
                "tensor `{name}` has no place in a model of this architecture"
            )),
        }
    }

    /// Bytes that the tensors take once they are loaded; tables stay in the file.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        let loaded = |name: &&String| *name != "lm_head.weight" && !name.contains("embed_tokens");
        self.tensors
            .iter()
            .filter(|(name, _)| loaded(name))
            .map(|(_, tensor)| tensor.length)
            .sum()
    }

    /// How many numbers the model has.
    pub(super) fn parameters(&self) -> u64 {
        self.tensors.values().map(Located::elements).sum()
    }

    fn take(&self, name: &str, shape: &[usize]) -> Result<&Located, Problem> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| format!("tensor `{name}` is missing"))?;
        if tensor.shape != shape {
            return Err(format!(
                "tensor `{name}` has shape {:?}, but the configuration asks for {shape:?}",
                tensor.shape
            ));
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(name.into());
        Ok(tensor)
    }
}

impl Located {
    fn elements(&self) -> u64 {
        self.shape.iter().map(|&side| side as u64).product()
    }

    /// The bytes of some rows; of a vector, of some of its values.
    fn rows(&self, name: &str, from: usize, count: usize) -> Result<Vec<u8>, Problem> {
        let row = self.length / self.shape[0].max(1) as u64;
        let fault = |error: &dyn std::fmt::Display| format!("tensor `{name}`: {error}");
        let length = match count == self.shape[0] {
            true => self.length,
            false => row * count as u64,
        };
        let length = usize::try_from(length).map_err(|error| fault(&error))?;
        let mut bytes = vec![0; length];
        self.shard
            .read(self.offset + row * from as u64, &mut bytes)
            .map_err(|error| fault(&error))?;
        Ok(bytes)
    }

    /// Some rows, or some values of a vector, as f32.
    fn dequantized(&self, name: &str, from: usize, count: usize) -> Result<Tensor, Problem> {
        let mut shape = self.shape.clone();
        shape[0] = count;
        blocks::dequantized(&self.rows(name, from, count)?, self.dtype, &shape)
            .map_err(|error| format!("tensor `{name}`: {error}"))
    }
}

/// A matrix of which only a few rows are ever used.
pub(super) struct Table {
    tensor: Located,
    name: String,
}

impl Table {
    /// How many rows there are; sides of tables are far below the limit of their numbers.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.tensor.shape[0]).unwrap_or(u32::MAX)
    }

    /// The rows as f32, one after the other.
    pub(super) fn rows(&self, ids: &[u32]) -> Result<Tensor, Problem> {
        let runs = ids.chunk_by(|id, next| id.checked_add(1) == Some(*next));
        let rows = runs.map(|run| {
            let first = run[0] as usize;
            if first + run.len() > self.tensor.shape[0] {
                return Err(format!(
                    "tensor `{}` has no row {}",
                    self.name,
                    self.count()
                ));
            }
            self.tensor.dequantized(&self.name, first, run.len())
        });
        Tensor::cat(&rows.collect::<Result<Vec<_>, _>>()?, 0)
            .map_err(|error| format!("tensor `{}`: {error}", self.name))
    }
}
