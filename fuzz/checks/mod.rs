//! What must hold for any bytes. Each check takes the bytes of one case and panics if something
//! does not hold; the same functions run under cargo-fuzz and, over the seeds and random changes of
//! them, in the ordinary tests.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each target runs one of the checks, and a check fails by panicking"
)]

mod bundle;
mod edits;
#[path = "../../tests/support/tiny_bundle.rs"]
mod tiny_bundle;
mod unified;
mod verifier;

pub use bundle::{bundle, sound_cases};
pub use edits::edits;
pub use unified::unified;
pub use verifier::{sound_header, verifier};
