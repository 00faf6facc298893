//! The model computes on its own threads and on no others. Alone in its file, because it looks at
//! all threads of the process.
#![allow(clippy::unwrap_used, reason = "a failed test or bench may stop")]
#![cfg(target_os = "linux")]

use diffidence::change::Patch;
use diffidence::model::{Bundle, Run, Threads};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

/// Names of the threads of this process, sorted.
fn threads() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn loading_and_scoring_start_no_thread_but_the_stated_ones() {
    let before = threads();
    let mut diff = String::from("--- /dev/null\n+++ b/x.rs\n@@ -0,0 +1,200 @@\n");
    for line in 0..200 {
        let _ = writeln!(diff, "+let value_{line} = compute({line});");
    }
    let patch = Patch::from_unified(diff.as_bytes()).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/default");
    let own = Threads::new(NonZeroUsize::new(1)).unwrap();
    assert_eq!(own.count().get(), 1);
    // Long enough for matrix products to be split if there were threads to split them over.
    let model = Bundle::open(&dir).unwrap().load_on(own).unwrap();
    let task = Some("Compute all values.");
    let judgement = model.judge(&patch, task, &Run::default()).unwrap();
    assert!(judgement.windows.unwrap().tokens() > 700);
    let mut expected = before;
    expected.push("model-0".into());
    expected.sort_unstable();
    assert_eq!(threads(), expected);
}
