//! What changed against the base: repository discovery, base text, worktree and buffers, renames,
//! exclusions, line diff, hunks, and reading a unified diff from text.
//!
//! Invariant: a file is never silently absent. It is changed, unchanged, or skipped with a reason.
//! This room must not know about models or the language server protocol.

pub mod diff;
pub mod patch;
mod slide;
pub mod unified;

pub use patch::{FileChange, FileStatus, Hunk, Line, LineKind, LineRange, Patch};
pub use unified::ParseError;
