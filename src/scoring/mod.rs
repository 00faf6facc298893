//! The engine: one inference thread, newest request wins, results remembered by content.
//!
//! Invariant: a verdict is always that of exactly the request it answers, never of an older one.
//! This room must not know the types of the language server protocol.
