//! The unified-diff parser under cargo-fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::unified(bytes));
