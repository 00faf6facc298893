//! Document text under the protocol's rules: lines, positions in the negotiated encoding, edits.
//!
//! Invariant: offsets are bytes at character boundaries, and every position, however wrong, maps
//! to one. Two kinds of lines exist and must not be mixed: the protocol breaks lines at LF, CRLF
//! and a lone CR, git only at LF. This module must not know about documents or scores.

mod edit;
mod encoding;
mod git_lines;
mod position;
mod shorten;

pub use edit::apply;
pub use encoding::Encoding;
pub(super) use git_lines::GitLines;
pub(super) use position::{offset_of, position_of};
pub(super) use shorten::shortened;
