//! The readers of a model bundle under cargo-fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::bundle(bytes));
