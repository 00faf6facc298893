//! The reward model: bundle on disk, rendering a patch to tokens, trunk forward pass, heads and
//! lexical features. Yields raw logits for the patch and for each hunk.
//!
//! Invariant: the same bundle and patch give the same logits, whatever was scored before. This
//! room must not know about git, the language server protocol or probabilities.

pub mod reward;

pub use reward::{Cancel, ModelError, ModelIdentity, PatchLogits, RewardModel};
