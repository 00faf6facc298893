//! The reward model: bundle on disk, rendering a patch to tokens, trunk forward pass, heads and
//! lexical features. Yields raw logits for the patch and for each hunk.
//!
//! Invariant: the same bundle and patch give the same logits, whatever was scored before. This
//! room must not know about git, the language server protocol or probabilities.

pub mod bundle;
mod fusion;
mod gguf;
mod heads;
mod lexical;
pub mod locate;
mod manifest;
mod metrics;
mod ops;
mod pool;
pub mod render;
pub mod reward;
pub mod threads;
mod token;
mod trunk;
pub mod trunk_heads;
pub mod window;

pub use bundle::Bundle;
pub use fusion::BranchLogits;
pub use locate::locate;
pub use metrics::METRICS;
pub use reward::{Cancel, ModelError, ModelIdentity, PatchLogits, RewardModel};
pub use threads::Threads;
pub use token::tokens;
pub use trunk_heads::{Judgement, TrunkHeads};
