//! The checks of the fuzz targets over their seeds and random changes of them. Longer runs that look
//! for new paths through the code: see `fuzz/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../fuzz/checks/mod.rs"]
mod checks;
mod support;

use std::path::{Path, PathBuf};
use support::Random;

fn seeds_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target)
}

/// Runs `check` on each seed and then on `count` random changes of seeds.
fn run(target: &str, count: usize, check: fn(&[u8])) {
    let entries = std::fs::read_dir(seeds_of(target)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let seeds: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    for (path, seed) in paths.iter().zip(&seeds) {
        guarded(seed, &format!("{}", path.display()), check);
    }
    let mut random = Random(1);
    for number in 0..count {
        let case = changed(&seeds, &mut random);
        guarded(&case, &format!("change {number}"), check);
    }
}

/// Names the case that fails, so that it can become a seed.
fn guarded(case: &[u8], name: &str, check: fn(&[u8])) {
    let result = std::panic::catch_unwind(|| check(case));
    assert!(result.is_ok(), "{name} fails: b\"{}\"", case.escape_ascii());
}

/// A seed with a few bytes changed, removed, doubled, or taken from another seed.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut case = random.pick(seeds).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(case.len() + 1);
        let end = (at + random.below(12)).min(case.len());
        let with: Vec<u8> = match random.below(5) {
            0 => Vec::new(),
            1 => (at..end).map(|_| random.next() as u8).collect(),
            2 => [&case[at..end], &case[at..end]].concat(),
            3 => case[at..end]
                .iter()
                .map(|byte| byte ^ (1 << random.below(8)))
                .collect(),
            _ => {
                let other = random.pick(seeds);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(40)).min(other.len());
                other[from..to].to_vec()
            }
        };
        case.splice(at..end, with);
    }
    case
}

#[test]
fn unified_diffs() {
    run("unified", 50_000, checks::unified);
}

#[test]
fn text_edits() {
    run("edits", 50_000, checks::edits);
}

#[test]
fn model_bundles() {
    run("bundle", 1_000, checks::bundle);
}

#[test]
fn verifiers() {
    run("verifier", 500, checks::verifier);
}

/// Seeds of an older layout would be refused at their first field, and nothing behind it be tried.
#[test]
fn bundle_seeds_are_those_of_a_sound_bundle() {
    for (name, case) in checks::sound_cases() {
        let path = seeds_of("bundle").join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &case).unwrap();
        }
        let hint = "is of another layout: run this test with UPDATE_EXPECT=1";
        let seed = std::fs::read(&path).unwrap();
        assert!(seed == case, "{} {hint}", path.display());
    }
    let seed = std::fs::read(seeds_of("verifier").join("header")).unwrap();
    assert!(
        seed == checks::sound_header(),
        "fuzz/seeds/verifier/header is not the header of tests/fixtures/verifiers/llama-f32.gguf"
    );
}
