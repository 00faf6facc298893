//! What reads a patch that has a description: the tokenizer and the trunk.
//!
//! Invariant: they are loaded when a patch first needs them, by one thread while the others wait,
//! since they take most of the model's memory and of the time to load it, and without a description
//! nothing needs them.

use super::reward::ModelError;
use super::trunk::Trunk;
use std::sync::{Mutex, OnceLock, PoisonError};
use tokenizers::Tokenizer;

/// Tokenizer and trunk.
pub(super) struct Reader {
    pub(super) tokenizer: Tokenizer,
    pub(super) trunk: Trunk,
}

/// Reads them from their files.
type Load = Box<dyn Fn() -> Result<Reader, ModelError> + Send + Sync>;

/// A reader that may not be loaded yet.
pub(super) struct LateReader {
    loaded: OnceLock<Reader>,
    load: Mutex<Load>,
}

impl LateReader {
    pub(super) fn new(load: Load) -> Self {
        Self {
            loaded: OnceLock::new(),
            load: Mutex::new(load),
        }
    }

    /// The reader, which is loaded first if it must be. What failed is tried again next time. Not for
    /// the threads that load: one of them might wait for itself.
    pub(super) fn get(&self) -> Result<&Reader, ModelError> {
        if let Some(reader) = self.loaded.get() {
            return Ok(reader);
        }
        let load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = self.loaded.get() {
            return Ok(reader);
        }
        let reader = load()?;
        Ok(self.loaded.get_or_init(|| reader))
    }
}
