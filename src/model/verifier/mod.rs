//! Models of kind `generative-verifier`: a whole language model that is asked whether a change is
//! correct and answers with the next token, as SWE-RM does. Its score is how much rather it would
//! say yes than no.
//!
//! Invariant: the pass is the same for every file format; a format only says where each tensor
//! lies. This room must not know about git, the language server protocol or probabilities.

mod accelerator;
mod catalogue;
mod config;
mod decoder;
mod gguf;
mod import;
mod judge;
mod kernels;
mod lanes;
mod manifest;
mod matrix;
mod memory;
mod mixture;
mod plain;
mod processor;
mod prompt;
mod rope;
mod safetensors;
mod template;
mod unpack;
mod words;

use catalogue::Catalogue;
use std::fs::File;
use std::path::Path;

pub use import::{Import, ImportError, Imported, TemplateChoice, import};
pub(super) use import::{io, refused, template, write};
pub use judge::GenerativeVerifier;
pub use manifest::Answer;
pub(super) use manifest::Manifest;
pub use prompt::{Markup, Template};
pub(super) use prompt::{NO_TASK, header, rendered};
pub(super) use template::{Part, Sections, Slot};

/// Adds the tensors of a file of weights, of whichever format it is. Fails with a clause that names
/// the field at fault.
fn add_tensors(path: &Path, file: File, catalogue: &mut Catalogue) -> Result<(), String> {
    if is_gguf(path) {
        gguf::add(file, catalogue)
    } else {
        safetensors::add(file, catalogue)
    }
}

/// Whether a file begins as GGUF does, whatever it is called: stores of downloads name files by their
/// content. One that is called so and begins otherwise is a damaged one.
fn is_gguf(path: &Path) -> bool {
    // Opening a pipe could wait forever.
    path.is_file() && (gguf::has_ending(path) || File::open(path).is_ok_and(gguf::begins))
}
