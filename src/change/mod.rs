//! What changed against the base: repository discovery, base text, worktree and buffers, renames,
//! exclusions, line diff, hunks, and reading a unified diff from text.
//!
//! Invariant: a file is never silently absent. It is changed, unchanged, or skipped with a reason.
//! This room must not know about models or the language server protocol.

pub mod apply;
mod base;
pub mod change_set;
pub mod diff;
mod exclude;
mod language;
mod other_work;
pub mod patch;
mod rename;
mod repo;
#[cfg(test)]
pub(crate) mod sample;
mod slide;
mod status;
pub mod unified;

pub use apply::{Misfit, apply, terminator};
pub use base::Base;
pub use change_set::{
    BlobId, ChangeOptions, ChangeSet, ChangedFile, Outcome, Texts, UnchangedReason, change_of_file,
    text_in_commit,
};
pub use exclude::SkipReason;
pub use language::{Content, Language};
pub use other_work::{OtherWork, head_commit, other_work};
pub use patch::{CONTEXT_LINES, FileChange, FileStatus, Hunk, Line, LineKind, LineRange, Patch};
pub use repo::{ChangeError, RepositoryPlaces, repository_places, repository_root};
pub use unified::ParseError;
