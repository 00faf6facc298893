//! The reader of GGUF files under cargo-fuzz.
#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::verifier(bytes));
