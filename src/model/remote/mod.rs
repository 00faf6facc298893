//! Models of kind `remote`: a verifier that an engine serves elsewhere, such as vLLM, SGLang or the
//! server of llama.cpp. It is asked as a generative verifier is, or through `/classify`.
//!
//! Invariants: changed code goes to the one address that the bundle states and nowhere else, also not
//! where that address redirects to; an answer that cannot be read is an error and never a score.
//! A bundle of this kind is only made by the user, on the command line.

mod add;
mod answer;
mod judge;
mod manifest;
mod prompt;
mod sender;

pub use add::{Added, Remote, add};
pub use judge::RemoteVerifier;
pub(super) use manifest::Manifest;
pub use manifest::{Api, Destination, Key, Limits};
