//! The engine: one inference thread, newest request wins, results remembered by content.
//!
//! Invariant: a verdict is always that of exactly the request it answers, never of an older one.
//! This room must not know the types of the language server protocol.

pub mod cache;
pub mod engine;
pub mod key;
pub mod record;
#[cfg(test)]
mod sample;
pub mod scope;
mod store;
pub mod verdict;

pub use cache::Cache;
pub use engine::{Engine, EngineOptions, EngineState, Loader, Rank, ScoreError, Slot};
pub use key::CacheKey;
pub use record::{Prepared, Scored};
pub use scope::{Abstention, Scope};
pub use verdict::{HELP, Judge, Opinion, Score, ScoreRequest, Unscorable, Verdict, hunks_to_check};
