//! Two programs write the same score store and are killed in the middle, again and again: what is
//! found meanwhile and afterwards is absent or right.
//!
//! This is its own `main`, because it starts itself once more as the program that writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking, and this one has no harness"
)]

mod support;

use diffidence::calibration::{Logit, Probability};
use diffidence::change::Patch;
use diffidence::model::{ModelIdentity, PatchLogits};
use diffidence::scoring::{Cache, CacheKey, ScoreRequest};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::Random;

const ROUNDS: u64 = 100;
/// More than the store holds, so that entries make room for others too.
const KEYS: usize = 40_000;
const WRITE: &str = "write";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [what, folder, seed] if what == WRITE => write(folder.into(), seed.parse().unwrap()),
        _ => after_200_kills_each_entry_is_absent_or_right(),
    }
}

fn key(number: usize) -> CacheKey {
    let identity = ModelIdentity {
        name: "m".into(),
        version: "1".into(),
        bundle_hash: "h".into(),
        renderer: "patch@1".into(),
    };
    let request = ScoreRequest {
        patch: Patch::default(),
        task: Some(number.to_string()),
    };
    CacheKey::of(&identity, &request)
}

/// The right entry: long and short ones, so that they take one write or several.
fn logits(number: usize) -> PatchLogits {
    let logit = |n: usize| Logit::new(n as f64 / 7.0).unwrap();
    PatchLogits {
        patch: logit(number),
        hunks: (0..number % 200).map(|hunk| logit(number + hunk)).collect(),
        suspects: vec![],
        tokens: number,
        truncated: number.is_multiple_of(2),
        read: Probability::new((number % 10) as f64 / 9.0).unwrap(),
    }
}

/// Writes entries, and reads what others have written, until it is killed.
fn write(folder: PathBuf, seed: u64) {
    let mut random = Random(seed);
    let begin = random.below(KEYS);
    println!("ready");
    for number in (0..KEYS).cycle().skip(begin) {
        // Handles that remember nothing themselves.
        let cache = Cache::in_folder(folder.clone());
        cache.put(key(number), &logits(number));
        let other = random.below(KEYS);
        let found = Cache::in_folder(folder.clone()).get(&key(other));
        assert!(found.is_none_or(|found| found == logits(other)));
    }
}

fn writer(folder: &Path, seed: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([WRITE.as_ref(), folder.as_os_str()])
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn after_200_kills_each_entry_is_absent_or_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(7);
    for round in 0..ROUNDS {
        // The same seed: both write the same entries at the same time.
        let writers = [round; 2].map(|seed| writer(folder.path(), seed));
        for mut writer in writers {
            for _ in 0..random.below(2_000_000) {
                std::hint::spin_loop();
            }
            writer.kill().unwrap();
            let status = writer.wait().unwrap();
            assert_eq!(status.code(), None, "it ended by itself: {status}");
        }
    }

    let (entries, begun) = files(folder.path());
    let cache = Cache::in_folder(folder.path().into());
    let mut right = 0;
    for number in 0..KEYS {
        if let Some(found) = cache.get(&key(number)) {
            assert_eq!(found, logits(number));
            right += 1;
        }
    }
    println!(
        "{} kills, {begun} of them inside a write; {right} of {entries} entries right, none wrong",
        2 * ROUNDS
    );
    assert!(right > 100, "only {right} entries were written");
    assert!(begun > 0, "no kill hit a write");
    assert_eq!(right, entries, "an entry was damaged");

    // What was left behind makes room like anything else: these are some for each of the 256 shelves.
    for number in 0..KEYS / 8 {
        cache.put(key(number), &logits(number));
    }
    let (entries, begun) = files(folder.path());
    assert!(entries + begun <= 256 * 100, "{entries} and {begun}");
}

/// How many entries there are, and how many files that a program was writing when it was killed.
fn files(folder: &Path) -> (usize, usize) {
    let mut counts = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().as_encoded_bytes();
        if path.is_dir() {
            let (entries, begun) = files(&path);
            counts = (counts.0 + entries, counts.1 + begun);
        } else if name.starts_with(b".tmp") {
            counts.1 += 1;
        } else {
            counts.0 += 1;
        }
    }
    counts
}
