//! A model bundle with one file replaced, hashes made to fit: it is refused in one line, or loads
//! and scores. Nothing panics, and nothing is allocated on the word of a header.

use super::tiny_bundle::{FILES, TinyBundle};
use diffidence::change::Patch;
use diffidence::model::{Bundle, ModelError, RewardModel, Run, Threads, TrunkHeads};
use std::num::NonZeroUsize;
use std::sync::{Mutex, OnceLock};

const CHANGE: &[u8] =
    b"--- a/x.rs\n+++ b/x.rs\n@@ -1,3 +1,3 @@\n fn f() {\n-    1\n+    2 \xc3\xa9\n }\n";

/// The first byte says which file, and whether the others are the whole file or its head, with the
/// rest as in the sound one.
pub fn bundle(bytes: &[u8]) {
    let Some((&which, content)) = bytes.split_first() else {
        return;
    };
    static SOUND: OnceLock<Mutex<Sound>> = OnceLock::new();
    let sound = SOUND.get_or_init(|| Mutex::new(Sound::new()));
    let mut sound = sound.lock().unwrap();
    let names = ["bundle.json", FILES[0], FILES[1], FILES[2], FILES[3]];
    let name = names[usize::from(which) % names.len()];
    let is_head = usize::from(which) / names.len() % 2 == 1;
    let whole = sound.files.iter().find(|(other, _)| *other == name);
    let tail = whole.and_then(|(_, whole)| whole.get(content.len()..));
    let tail = tail.filter(|_| is_head).unwrap_or_default();
    let content = [content, tail].concat();
    sound.replace(name, &content);
    if let Err(error) = sound.score() {
        let message = error.to_string();
        assert!(
            !message.contains('\n') && message.len() < 2_000,
            "{message}"
        );
    }
    sound.restore();
}

/// Cases that a sound bundle makes, by name: the seeds to begin with.
pub fn sound_cases() -> Vec<(&'static str, Vec<u8>)> {
    let bundle = TinyBundle::new();
    let heads = bundle.read("heads.safetensors");
    let header = u64::from_le_bytes(heads[..8].try_into().unwrap());
    let header = 8 + usize::try_from(header).unwrap();
    let case = |which: u8, content: &[u8]| [&[which], content].concat();
    vec![
        ("manifest", case(0, &bundle.read("bundle.json"))),
        ("tokenizer", case(3, &bundle.read("tokenizer.json"))),
        ("calibration", case(4, &bundle.read("calibration.json"))),
        ("gguf-head", case(6, &bundle.read("trunk.gguf")[..700])),
        ("safetensors-head", case(7, &heads[..header])),
    ]
}

struct Sound {
    bundle: TinyBundle,
    files: Vec<(&'static str, Vec<u8>)>,
    replaced: Option<&'static str>,
    threads: Threads,
}

impl Sound {
    fn new() -> Self {
        let bundle = TinyBundle::new();
        let names = ["bundle.json"].into_iter().chain(FILES);
        let files = names.map(|name| (name, bundle.read(name))).collect();
        Self {
            bundle,
            files,
            replaced: None,
            threads: Threads::new(NonZeroUsize::new(1)).unwrap(),
        }
    }

    fn replace(&mut self, name: &'static str, content: &[u8]) {
        self.bundle.write(name, content);
        if name != "bundle.json" {
            self.bundle.rehash();
        }
        self.replaced = Some(name);
    }

    fn score(&self) -> Result<(), ModelError> {
        let model: TrunkHeads = Bundle::open(self.bundle.dir())?.load_on(self.threads.clone())?;
        let patch = Patch::from_unified(CHANGE).unwrap();
        let logits = model.score(&patch, Some("make it two"), &Run::default())?;
        assert_eq!(logits.hunks.len(), patch.hunk_count());
        Ok(())
    }

    fn restore(&mut self) {
        for (name, content) in &self.files {
            if *name == "bundle.json" || self.replaced == Some(name) {
                self.bundle.write(name, content);
            }
        }
    }
}
