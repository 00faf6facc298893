//! Writes the tiny model bundle that the editor tests use: `cargo run --example tiny_bundle -- OUT`.
//!
//! It scores low what adds the word `bad`, and all else high, at once, in files of any kind.

#[path = "../tests/support/tiny_bundle.rs"]
mod tiny_bundle;

use tiny_bundle::{FILES, TinyBundle};

fn main() -> anyhow::Result<()> {
    let out = std::env::args_os().nth(1);
    let out =
        std::path::PathBuf::from(out.ok_or_else(|| anyhow::anyhow!("usage: tiny_bundle OUT"))?);
    let bundle = TinyBundle::averse_to_bad();
    bundle.edit(|manifest| manifest["languages"] = serde_json::json!([]));
    std::fs::create_dir_all(&out)?;
    for name in FILES.into_iter().chain(["bundle.json"]) {
        std::fs::copy(bundle.file(name), out.join(name))?;
    }
    Ok(())
}
