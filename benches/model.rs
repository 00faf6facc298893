//! How long the bundled model takes to load, and to score a change of sixty lines.
#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a failed test or bench may stop"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use diffidence::change::Patch;
use diffidence::model::{Bundle, Run, locate};
use std::fmt::Write as _;
use std::hint::black_box;

/// Thirty lines replaced by thirty others, in three hunks of two files.
fn sixty_lines() -> Patch {
    let mut diff = String::new();
    for (file, hunks) in [("src/cache.rs", 2), ("tests/cache.rs", 1)] {
        let _ = write!(diff, "--- a/{file}\n+++ b/{file}\n");
        for hunk in 0..hunks {
            let start = 100 * hunk + 1;
            let _ = writeln!(diff, "@@ -{start},16 +{start},16 @@");
            diff.push_str("     /// Looks the key up.\n     fn get(&self) {\n         let map = self.map.read();\n");
            for line in 0..10 {
                let _ = writeln!(diff, "-        let value_{line} = map.get(\"{line}\");");
                let _ = writeln!(
                    diff,
                    "+        let value_{line} = map.get_or_insert(\"{line}\")?;"
                );
            }
            diff.push_str("         drop(map);\n     }\n \n");
        }
    }
    Patch::from_unified(diff.as_bytes()).expect("a sound diff")
}

fn model(c: &mut Criterion) {
    let dir = locate(None, None).expect("the bundled model");
    c.bench_function("open", |b| b.iter(|| Bundle::open(black_box(&dir))));
    let bundle = Bundle::open(&dir).expect("a sound bundle");
    c.bench_function("load", |b| b.iter(|| bundle.load()));
    let model = bundle.load().expect("a sound bundle");
    let patch = sixty_lines();
    let task = Some("Values that are missing are inserted instead of being unwrapped.");
    let windows = model.windows(&patch, task).expect("a sound tokenizer");
    let name = format!("score {} tokens", windows.tokens());
    c.bench_function("tokenize", |b| b.iter(|| model.windows(&patch, task)));
    c.bench_function(&name, |b| {
        b.iter(|| model.judge(&patch, task, &Run::default()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = model
}
criterion_main!(benches);
