//! What a user can do about a changed hunk: the code actions, and the commands behind them.
//!
//! Invariant: everything here is a pure function of the document; the actor carries the commands
//! out. A command names its hunk by content, so one that comes late meets the same hunk or none.

mod offer;
mod order;
mod revert;
mod reviewed;

pub(super) use offer::{ActionRequest, KINDS, offered};
pub(super) use order::{COMMANDS, Done, Order, What};
pub(super) use revert::edits;
pub(super) use reviewed::Reviewed;
