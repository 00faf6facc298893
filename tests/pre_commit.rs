//! The hook of `.pre-commit-hooks.yaml`, run by the real pre-commit in real commits.
//!
//! pre-commit reads the manifest of this repository and installs it as it says, with
//! `cargo install`. What it installs is a crate of a few lines that starts the program under test,
//! so that the model's dependencies are not built once more.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::Repo;
use tiny_bundle::TinyBundle;

const MANIFEST: &str = include_str!("../.pre-commit-hooks.yaml");
const BASE: &str = "fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n";
const EDITED: &str = "fn add(a: i32, b: i32) -> i32 {\n    a - b\n}\n";

/// Python with `tests/requirements.txt`; `tests/run` makes it.
fn pre_commit() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("DIFFIDENCE_TEST_PYTHON").map_or_else(
        || root.join("target/test-tools/python/bin/python"),
        PathBuf::from,
    );
    let program = python.with_file_name("pre-commit");
    assert!(
        program.is_file(),
        "{} is missing: run tests/run once, or set DIFFIDENCE_TEST_PYTHON to a Python with \
         tests/requirements.txt installed",
        program.display()
    );
    program
}

/// A repository that commits through the hook.
struct Bench {
    repo: Repo,
    hook: Repo,
    model: TinyBundle,
    home: tempfile::TempDir,
}

struct Outcome {
    committed: bool,
    text: String,
}

impl Bench {
    fn new() -> Self {
        let program = env!("CARGO_BIN_EXE_diffidence");
        let hook = Repo::new();
        hook.write(".pre-commit-hooks.yaml", MANIFEST)
            .write(
                "Cargo.toml",
                "[package]\nname = \"diffidence\"\nversion = \"0.0.0\"\nedition = \"2024\"\n",
            )
            .write(
                "src/main.rs",
                format!(
                    "use std::{{env, process}};\nfn main() {{\n    \
                     let status = process::Command::new({program:?})\n        \
                     .args(env::args_os().skip(1)).status();\n    \
                     process::exit(status.ok().and_then(|s| s.code()).unwrap_or(99));\n}}\n"
                ),
            )
            .commit();
        let bench = Self {
            repo: Repo::new(),
            hook,
            model: TinyBundle::new(),
            home: tempfile::tempdir().unwrap(),
        };
        bench.configure("0");
        bench.repo.write("math.rs", BASE).write("other.rs", BASE);
        bench.repo.commit();
        let mut install = Command::new(pre_commit());
        install.arg("install");
        let installed = bench.finish(install);
        assert!(installed.committed, "{}", installed.text);
        bench
    }

    fn configure(&self, min_score: &str) {
        let head = String::from_utf8(self.hook.git(&["rev-parse", "HEAD"])).unwrap();
        self.repo.write(
            ".pre-commit-config.yaml",
            format!(
                "repos:\n- repo: {}\n  rev: {}\n  hooks:\n  - id: diffidence\n    \
                 args: [--min-score, '{min_score}']\n",
                self.hook.root().display(),
                head.trim()
            ),
        );
        let file = ".pre-commit-config.yaml";
        self.repo.git(&["add", file]);
        let commit = ["commit", "--quiet", "--no-verify", "--message=hooks", file];
        self.repo.git(&commit);
    }

    fn commit(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("git");
        command.args(["commit", "--message=change"]).args(arguments);
        self.finish(command)
    }

    fn finish(&self, mut command: Command) -> Outcome {
        let config = [
            ("GIT_CONFIG_GLOBAL", OsString::from("/dev/null")),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_NAME", "T".into()),
            ("GIT_AUTHOR_EMAIL", "t@example.com".into()),
            ("GIT_COMMITTER_NAME", "T".into()),
            ("GIT_COMMITTER_EMAIL", "t@example.com".into()),
            ("PRE_COMMIT_HOME", self.home.path().join("hooks").into()),
            (
                "DIFFIDENCE_CACHE_DIR",
                self.home.path().join("cache").into(),
            ),
            ("DIFFIDENCE_MODEL", self.model.dir().into()),
            ("CARGO_NET_OFFLINE", "true".into()),
        ];
        let output = command
            .current_dir(self.repo.root())
            .envs(config)
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap();
        Outcome {
            committed: output.status.success(),
            text: String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        }
    }
}

#[track_caller]
fn check_refused(outcome: &Outcome, low: &str) {
    assert!(!outcome.committed, "{}", outcome.text);
    assert!(outcome.text.contains("exit code: 1"), "{}", outcome.text);
    assert!(outcome.text.contains(low), "{}", outcome.text);
}

#[test]
fn a_commit_is_scored_as_it_is_staged() {
    let bench = Bench::new();
    let repo = &bench.repo;

    // Nothing is below 0.
    repo.write("math.rs", EDITED).git(&["add", "math.rs"]);
    let passed = bench.commit(&[]);
    assert!(passed.committed, "{}", passed.text);
    assert!(passed.text.contains("Passed"), "{}", passed.text);

    // Everything is below 1. What is not staged does not count.
    bench.configure("1");
    repo.write("math.rs", BASE).git(&["add", "math.rs"]);
    repo.write("other.rs", EDITED);
    let refused = bench.commit(&[]);
    check_refused(&refused, "math.rs:2  ");
    assert!(!refused.text.contains("other.rs"), "{}", refused.text);
    assert_eq!(repo.read("other.rs"), EDITED.as_bytes());

    // git hands an index of its own to the hooks of `commit --all` and `commit FILE`.
    check_refused(&bench.commit(&["--all"]), "other.rs:2  ");
    let one = bench.commit(&["other.rs"]);
    check_refused(&one, "other.rs:2  ");
    assert!(!one.text.contains("math.rs"), "{}", one.text);

    // A deletion alone is scored too.
    repo.git(&["reset", "--quiet", "--hard"]);
    repo.git(&["rm", "--quiet", "other.rs"]);
    check_refused(&bench.commit(&[]), "other.rs");
}
