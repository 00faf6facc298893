//! Diffidence: how likely is the change in front of you correct, before anything runs.
//!
//! Data moves through the rooms in one direction: [`change`] says what changed against the base,
//! [`syntax`] what its text says by itself, [`model`] turns a patch into logits, [`calibration`]
//! turns logits into probabilities, [`scoring`] runs both off the caller's thread, remembers
//! results and abstains from what the model cannot judge, [`ranking`] chooses among candidates,
//! [`review`] keeps what the user said about hunks, and [`server`], [`serve`] and [`cli`] show all
//! of it to editors, to trainers and to people. Each room knows only the types of the rooms before it.

pub mod calibration;
pub mod change;
pub mod cli;
pub mod config;
pub mod model;
pub mod ranking;
pub mod review;
pub mod scoring;
mod sealed;
pub mod serve;
pub mod server;
mod svg;
pub mod syntax;
