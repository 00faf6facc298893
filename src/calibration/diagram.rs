//! The reliability diagram.
