//! Models of kind `generative-verifier`: a whole language model that is asked whether a change is
//! correct and answers with the next token, as SWE-RM does. Its score is how much rather it would
//! say yes than no.
//!
//! Invariant: the pass is the same for every file format; a format only says where each tensor
//! lies. This room must not know about git, the language server protocol or probabilities.

mod catalogue;
mod config;
mod decoder;
mod import;
mod judge;
mod manifest;
mod matrix;
mod memory;
mod mixture;
mod prompt;
mod rope;
mod safetensors;

pub use import::{Import, ImportError, Imported, TemplateChoice, import};
pub(super) use import::{io, refused, template, write};
pub use judge::GenerativeVerifier;
pub(super) use manifest::Manifest;
pub use prompt::{Markup, Template};
pub(super) use prompt::{NO_TASK, header, rendered, sections};
