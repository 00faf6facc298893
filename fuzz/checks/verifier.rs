//! A GGUF file with another header: it is refused in one line, or becomes a bundle that scores.
//! Nothing panics, and nothing is allocated on the word of a header.

use diffidence::change::Patch;
use diffidence::model::Threads;
use diffidence::model::verifier::{Import, Template, TemplateChoice, import};
use std::num::NonZeroUsize;
use std::sync::OnceLock;

const SOUND: &[u8] = include_bytes!("../../tests/fixtures/verifiers/llama-f32.gguf");
const CHANGE: &[u8] = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n";

/// The bytes are the beginning of the file; the rest is as in the sound one.
pub fn verifier(bytes: &[u8]) {
    static THREADS: OnceLock<Threads> = OnceLock::new();
    let threads = THREADS.get_or_init(|| Threads::new(NonZeroUsize::new(1)).unwrap());
    let tail = SOUND.get(bytes.len()..).unwrap_or_default();
    let home = tempfile::tempdir().unwrap();
    let source = home.path().join("model.gguf");
    std::fs::write(&source, [bytes, tail].concat()).unwrap();
    let out = home.path().join("bundle");
    let wanted = Import {
        source: &source,
        tokenizer: None,
        out: &out,
        name: "any".into(),
        template: TemplateChoice::BuiltIn(Template::PatchJudge),
        answers: None,
        context: None,
        copy: true,
    };
    let sample = Patch::from_unified(CHANGE).unwrap();
    match import(&wanted, &sample, threads.clone()) {
        Ok(imported) => assert_eq!(imported.sample.hunks.len(), 1),
        Err(error) => {
            let message = error.to_string();
            assert!(
                !message.contains('\n') && message.len() < 2_000,
                "{message}"
            );
            assert!(!out.exists(), "half a bundle was left behind");
        }
    }
}

/// The header of the sound file: the seed to begin with.
pub fn sound_header() -> &'static [u8] {
    let name = b"blk.1.ffn_down.weight";
    let at = SOUND.windows(name.len()).position(|it| it == name);
    &SOUND[..at.unwrap() + name.len() + 32]
}
