//! The reward model: bundle on disk, rendering a patch to tokens, trunk forward pass, heads and
//! lexical features. Yields raw logits for the patch and for each hunk.
//!
//! Invariant: the same bundle and patch give the same logits, whatever was scored before. This
//! room must not know about git, the language server protocol or probabilities.

mod blocks;
pub mod bundle;
mod edits;
mod floats;
mod free_memory;
mod fusion;
mod gguf;
pub mod hardware;
mod hash;
mod heads;
mod lexical;
mod lines;
pub mod locate;
mod manifest;
mod metrics;
mod ops;
mod pool;
mod problem;
mod reader;
pub mod remote;
pub mod render;
mod reversal;
pub mod reward;
mod staging;
mod stamp;
mod surroundings;
pub mod threads;
mod token;
mod trees;
mod trunk;
pub mod trunk_heads;
pub mod verifier;
mod vocabulary;
pub mod window;

pub use bundle::Bundle;
pub use fusion::{HunkBranches, PatchBranches};
pub use hardware::Hardware;
pub use locate::locate;
pub use metrics::METRICS;
pub use render::LINE_CHARS;
pub use reward::{
    ModelError, ModelIdentity, PatchLogits, RewardModel, Run, SuspectLine, TokensRead,
};
pub use threads::Threads;
pub use token::tokens;
pub use trunk_heads::{Judgement, TrunkHeads};
