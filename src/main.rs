//! The `diffidence` program: hands the command line to [`diffidence::cli`] and reports what failed.

use std::process::ExitCode;

fn main() -> ExitCode {
    diffidence::cli::run()
}
