//! Two programs write the same score store and are killed in the middle, again and again: what is
//! found afterwards is absent or right.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use support::Random;
use support::program::program;
use tiny_bundle::TinyBundle;

const ROUNDS: usize = 100;
/// Patches that a round may get to, and by how many the next round goes on: the programs of one
/// round write the same entries at the same time, and meet some that are there already.
const REACH: usize = 30;
const STRIDE: usize = 10;

struct Bench {
    model: TinyBundle,
    cache: tempfile::TempDir,
}

impl Bench {
    fn score(&self, flags: &[&str]) -> Command {
        let mut command = program(self.cache.path());
        command
            .env("DIFFIDENCE_MODEL", self.model.dir())
            .env("RAYON_NUM_THREADS", "1")
            .arg("score")
            .args(flags)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    /// The answers to all requests, in order.
    fn answers(&self, flags: &[&str], requests: &[String]) -> Vec<Value> {
        let mut child = self.score(flags).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let answers = std::thread::scope(|scope| {
            scope.spawn(move || {
                for request in requests {
                    input.write_all(request.as_bytes()).unwrap();
                }
            });
            let lines = output.lines().map(|line| line.unwrap());
            lines
                .map(|line| serde_json::from_str(&line).unwrap())
                .collect()
        });
        child.wait().unwrap();
        answers
    }
}

fn request(number: usize) -> String {
    let patch = format!(
        "--- a/x.rs\n+++ b/x.rs\n@@ -1,2 +1,2 @@\n fn f() {{\n-    1\n+    {number}\n\
         @@ -9 +9 @@\n-x\n+{number} x\n"
    );
    format!("{}\n", json!({"id": number, "patch": patch}))
}

/// One program and how long it may live: until it has answered so much, and a moment longer.
struct Writer {
    child: Child,
    output: BufReader<ChildStdout>,
    answers: usize,
    moment: u64,
}

impl Writer {
    fn start(bench: &Bench, requests: &[String], random: &mut Random) -> Self {
        let mut child = bench.score(&[]).spawn().unwrap();
        // All of them fit into the pipe, and the end stays open: it is killed, it does not end.
        let mut input = child.stdin.take().unwrap();
        input.write_all(requests.concat().as_bytes()).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        child.stdin = Some(input);
        Self {
            child,
            output,
            answers: random.below(requests.len() * 2 / 3),
            moment: random.next() % 200_000,
        }
    }

    fn live_and_die(mut self) {
        let mut line = String::new();
        for _ in 0..self.answers {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it has ended");
        }
        for _ in 0..self.moment {
            std::hint::spin_loop();
        }
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself: {status}");
    }
}

#[test]
fn after_200_kills_each_entry_is_absent_or_right() {
    let bench = Bench {
        model: TinyBundle::new(),
        cache: tempfile::tempdir().unwrap(),
    };
    let requests: Vec<String> = (0..ROUNDS * STRIDE + REACH).map(request).collect();
    let truth = bench.answers(&["--no-cache"], &requests);
    assert_eq!(truth.len(), requests.len());
    assert!(truth.iter().all(|answer| answer.get("error").is_none()));

    let mut random = Random(7);
    for round in 0..ROUNDS {
        let begin = round * STRIDE;
        let part = &requests[begin..begin + REACH];
        let writers = [(); 2].map(|()| Writer::start(&bench, part, &mut random));
        std::thread::scope(|scope| {
            for writer in writers {
                scope.spawn(|| writer.live_and_die());
            }
        });
    }

    // Without weights nothing can be answered but what is remembered.
    std::fs::remove_file(bench.model.file("trunk.gguf")).unwrap();
    let found = bench.answers(&[], &requests);
    assert_eq!(found.len(), requests.len());
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (answer, truth) in found.iter().zip(&truth) {
        if answer.get("error").is_some() {
            *counts.entry("absent").or_default() += 1;
            continue;
        }
        for field in ["id", "logit", "hunks", "tokens", "truncated"] {
            assert_eq!(answer[field], truth[field], "{field} of {answer}");
        }
        *counts.entry("right").or_default() += 1;
    }
    println!("{counts:?} of {} after {} kills", found.len(), 2 * ROUNDS);
    assert!(counts["right"] > requests.len() / 2, "{counts:?}");
    assert!(counts["absent"] > 0, "the programs were never interrupted");
}
