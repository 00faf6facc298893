//! The unified-diff parser: what it takes is a sound patch, and survives being written and read.

use diffidence::change::{CONTEXT_LINES, LineKind, Patch};

/// The bytes are the text of a diff.
pub fn unified(bytes: &[u8]) {
    if let Ok(patch) = Patch::from_unified(bytes) {
        check(&patch);
        assert_eq!(Patch::from_typed_unified(bytes).as_ref(), Ok(&patch));
    } else if let Ok(patch) = Patch::from_typed_unified(bytes) {
        check(&patch);
    }
}

fn check(patch: &Patch) {
    for file in &patch.files {
        assert!(!file.path().is_empty());
    }
    for (_, hunk) in patch.hunks() {
        let context = hunk.count(LineKind::Context);
        let added = hunk.count(LineKind::Added);
        let removed = hunk.count(LineKind::Removed);
        assert_eq!(hunk.old.lines as usize, context + removed);
        assert_eq!(hunk.new.lines as usize, context + added);
        assert!(added + removed > 0);
        let is_context = |line: &&diffidence::change::Line| line.kind == LineKind::Context;
        assert!(hunk.lines.iter().take_while(is_context).count() <= CONTEXT_LINES);
        assert!(hunk.lines.iter().rev().take_while(is_context).count() <= CONTEXT_LINES);
        for lines in [0, 1, u32::MAX] {
            let (first, last) = hunk.changed_new_lines(lines);
            assert!(first <= last);
        }
    }
    let written = patch.to_unified();
    let read = Patch::from_unified(written.as_bytes());
    assert_eq!(read.as_ref(), Ok(patch), "{written}");
}
