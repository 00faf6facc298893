//! What the user said about hunks: ignored, or marked as correct or wrong.
//!
//! Invariants: a statement is about content, never about line numbers, so it moves with its hunk
//! and ends when the hunk changes; it stays on this machine, in the platform's folder for data.
//! This room must not know the types of the language server protocol.

mod export;
mod hunk_id;
mod shelf;
mod statement;
mod store;

pub use export::labelled;
pub use hunk_id::HunkId;
pub use statement::{Ignored, Label, Mark, Place, Scope, now};
pub use store::{Entry, EntryId, ReviewError, Reviews};
