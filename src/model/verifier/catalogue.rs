//! Where each tensor of a model lies in its files, and the step from bytes to tensors.
//!
//! Invariant: a tensor is read only within the range that was checked when its file was opened,
//! one tensor at a time; so loading takes about as much memory as the model. Names are those of
//! Hugging Face, whatever the file calls them.

use super::super::floats::Float;
use super::matrix::{Linear, Matrix};
use candle_core::{Device, Tensor};
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
    pub(super) length: usize,
    pub(super) float: Float,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
}

/// All tensors of a model.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    tensors: HashMap<String, Located>,
    taken: Mutex<HashSet<String>>,
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
        let values = tensor.values(name, 0, tensor.length)?;
        Tensor::from_vec(values, (rows, columns), &Device::Cpu)
            .and_then(|matrix| matrix.t())
            .map(Matrix)
            .map_err(|error| format!("tensor `{name}`: {error}"))
    }

    /// The matrix `name.weight`, with `name.bias` if there is one.
    pub(super) fn linear(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Linear, Problem> {
        let bias = format!("{name}.bias");
        Ok(Linear {
            matrix: self.matrix(&format!("{name}.weight"), rows, columns)?,
            bias: match self.tensors.contains_key(&bias) {
                true => Some(self.vector(&bias, rows)?),
                false => None,
            },
        })
    }

    /// A vector as f32.
    pub(super) fn vector(&self, name: &str, length: usize) -> Result<Tensor, Problem> {
        let tensor = self.take(name, &[length])?;
        let values = tensor.values(name, 0, tensor.length)?;
        Tensor::from_vec(values, length, &Device::Cpu)
            .map_err(|error| format!("tensor `{name}`: {error}"))
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
            .map(|(_, tensor)| tensor.elements() * size_of::<f32>() as u64)
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

    /// The values in a range of its bytes.
    fn values(&self, name: &str, start: u64, length: usize) -> Result<Vec<f32>, Problem> {
        let mut bytes = vec![0; length];
        self.shard
            .read(self.offset + start, &mut bytes)
            .map_err(|error| format!("tensor `{name}`: {error}"))?;
        Ok(self.float.values(&bytes))
    }
}

/// A matrix of which only a few rows are ever used.
pub(super) struct Table {
    tensor: Located,
    name: String,
}

impl Table {
    /// The rows as f32, one after the other.
    pub(super) fn rows(&self, ids: &[u32]) -> Result<Tensor, Problem> {
        let (count, columns) = (self.tensor.shape[0], self.tensor.shape[1]);
        let length = self.tensor.length / count;
        let mut values = Vec::with_capacity(ids.len() * columns);
        for &id in ids {
            if id as usize >= count {
                return Err(format!("tensor `{}` has no row {id}", self.name));
            }
            let start = u64::from(id) * length as u64;
            values.extend(self.tensor.values(&self.name, start, length)?);
        }
        Tensor::from_vec(values, (ids.len(), columns), &Device::Cpu)
            .map_err(|error| format!("tensor `{}`: {error}", self.name))
    }
}
