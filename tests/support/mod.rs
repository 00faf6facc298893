//! Real repositories for tests, made with the git command line and shut off from the user's
//! configuration.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub mod fake_model;
pub mod http;
pub mod lsp;
pub mod program;

/// A repository in a temporary folder, which goes away with it.
pub struct Repo {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Repo {
    /// An empty repository on branch `main`.
    pub fn new() -> Self {
        Self::with_init(&[])
    }

    /// An empty repository made with further arguments for `git init`.
    pub fn with_init(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().unwrap().join("repo");
        std::fs::create_dir(&root).unwrap();
        let repo = Repo { folder, root };
        repo.git(&[&["init", "--quiet", "--initial-branch=main"], arguments].concat());
        repo.isolate();
        repo
    }

    /// Shadows what a user's own configuration could change for the code under test, which reads
    /// that too.
    pub fn isolate(&self) -> &Self {
        for (key, value) in [
            ("core.autocrlf", "false"),
            ("core.excludesFile", "/dev/null"),
            ("core.attributesFile", "/dev/null"),
            ("status.showUntrackedFiles", "all"),
        ] {
            self.git(&["config", key, value]);
        }
        self
    }

    /// Top of the work tree, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path beside the work tree, inside the temporary folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.parent().unwrap().join(name)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.path(path)).unwrap()
    }

    pub fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.path(path)).unwrap();
        self
    }

    pub fn rename(&self, from: &str, to: &str) -> &Self {
        std::fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        std::fs::rename(self.path(from), self.path(to)).unwrap();
        self
    }

    /// Stages everything, ignoring nothing but what `.gitignore` says.
    pub fn add(&self) -> &Self {
        self.git(&["add", "--all"]);
        self
    }

    /// Commits everything.
    pub fn commit(&self) -> &Self {
        self.add();
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self
    }

    pub fn config(&self, key: &str, value: &str) -> &Self {
        self.git(&["config", key, value]);
        self
    }

    /// Runs git and returns what it printed; it must succeed.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> Vec<u8> {
        self.git_with(arguments, &[])
    }

    /// The same with environment variables.
    #[track_caller]
    pub fn git_with(&self, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Vec<u8> {
        let output = command(&self.root)
            .args(arguments)
            .envs(variables.iter().copied())
            .output()
            .expect("git on the PATH");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Runs git without asking that it succeed, as a merge with conflicts does not.
    pub fn try_git(&self, arguments: &[&str]) -> bool {
        command(&self.root)
            .args(arguments)
            .output()
            .expect("git on the PATH")
            .status
            .success()
    }

    /// A linked work tree beside this one, on a new branch. It lives as long as `self`.
    pub fn linked_worktree(&self, name: &str) -> PathBuf {
        let path = self.beside(name);
        self.git(&[
            "worktree",
            "add",
            "--quiet",
            "-b",
            name,
            path.to_str().unwrap(),
        ]);
        path
    }

    /// Treats a folder as a repository of its own, for the same helpers.
    pub fn at(root: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Repo { folder, root }
    }
}

/// Git in a folder: no configuration but the repository's own, fixed names and dates, plain
/// output.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .args([
            "-c",
            "core.quotePath=false",
            "-c",
            "protocol.file.allow=always",
        ]);
    command
}

/// A small generator of pseudo-random numbers (SplitMix64), so that a seed names a test case.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
