//! The command line: reading its input, running a command and showing the result.

pub mod eval;
pub mod records;
